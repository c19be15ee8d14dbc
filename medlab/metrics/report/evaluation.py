"""One table of all that applies to a prediction and its reference: `evaluate`, and the report that it gives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from medlab.metrics.agreement import mean_interval
from medlab.metrics.report.columns import MEAN, Measure, Options, Row, Summary, measures
from medlab.metrics.report.inputs import Source, Sources, paired, read
from medlab.metrics.report.judge import WHOLE, Judged, absent, judge
from medlab.metrics.report.layout import as_csv, as_json, as_table

KIND_NAMES = {
    "mask": "masks",
    "labels": "label maps",
    "probability": "a map of probabilities against a mask",
    "image": "images",
}
Several = Source | Sequence[Source]


@dataclass(frozen=True)
class Report:
    """What `evaluate` found. rows: one for each pair and structure. measures: those that rows hold, in order.

    notes: one sentence each for what was assumed, left out or turned.
    """

    kind: str
    rows: tuple[Row, ...]
    measures: tuple[Measure, ...]
    notes: tuple[str, ...]
    options: Options

    @property
    def pairs(self) -> list[str]:
        """Their names, from those of files or by number; one empty name where there is but one pair."""
        return list(dict.fromkeys(row.pair for row in self.rows))

    @property
    def structures(self) -> list[str]:
        """The labels or their names, and the mean of them last; one empty name where there are no labels."""
        return list(dict.fromkeys(row.structure for row in self.rows))

    def value(self, measure: str, structure: str | None = None, pair: str | None = None) -> float:
        """One number of the table; structure and pair may be left away where there is but one."""
        for given, there, name in ((structure, self.structures, "structure"), (pair, self.pairs, "pair")):
            if given is None and len(there) > 1:
                raise ValueError(f"{name} is missing, expected one of {', '.join(there)}")
        for row in self.rows:
            if structure in (None, row.structure) and pair in (None, row.pair):
                if measure not in row.values:
                    raise ValueError(f"measure is {measure!r}, expected one of {', '.join(row.values)}")
                return row.values[measure]
        raise ValueError(f"structure {structure!r} of pair {pair!r} is not in the report, expected one that is")

    def __str__(self) -> str:
        """The table with its notes, as the command prints it."""
        many = len(self.pairs)
        title = f"Judged as {KIND_NAMES[self.kind]}{f', {many} pairs' if many > 1 else ''}."
        table = as_table(self.rows, self.summary() if many > 1 else (), self.measures)
        return "\n\n".join([title, table, *(["\n".join(self.notes)] if self.notes else [])])

    def csv(self) -> str:
        """All numbers in full: see `layout.as_csv`."""
        return as_csv(self.rows, self.summary() if len(self.pairs) > 1 else (), self.measures)

    def json(self) -> str:
        """All numbers in full with settings and notes: see `layout.as_json`."""
        settings = {name: value for name, value in asdict(self.options).items() if value is not None}
        settings = {name: str(one) if isinstance(one, float) and one != one else one for name, one in settings.items()}
        summary = self.summary() if len(self.pairs) > 1 else ()
        return as_json(self.kind, self.rows, summary, self.measures, self.notes, settings)

    def summary(self) -> list[Summary]:
        """Every measure of every structure over the pairs: mean and 95 % interval by Student's t."""
        found = []
        for structure in self.structures:
            rows = [row for row in self.rows if row.structure == structure]
            for measure in self.measures:
                values = [row.values[measure.name] for row in rows if measure.name in row.values]
                finite = [value for value in values if math.isfinite(value)]
                mean, half = mean_interval(finite) if len(finite) > 1 else (*finite, *[math.nan] * 2)[:2]
                if values:
                    found.append(Summary(structure, measure.name, mean, half, len(finite), len(values) - len(finite)))
        return found


def evaluate(
    prediction: Several,
    reference: Several,
    *,
    kind: str = "auto",
    labels: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    mask: Several | None = None,
    spacing: float | Sequence[float] | None = None,
    data_range: float | str | None = None,
    threshold: float = 0.5,
    beta: float = 2.0,
    tolerance_mm: float = 1.0,
    percentile: float = 95.0,
    rule: str | None = None,
    border: str = "faces",
    weighting: str = "voxels",
    empty: float | None = None,
    lesions: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """All measures that apply to a prediction and its reference, or to many pairs of them.

    prediction, reference: each a path (NIfTI file, DICOM file or folder of one series), a Volume with one channel, or
    an array or tensor (X, Y), (X, Y, Z) or (1, X, Y, Z); two folders of NIfTI files are paired by the files' names, two
    lists by their order. Grids that differ only by flipped or permuted axes are turned, all others refused: whoever
    interpolates one of the two has chosen a result.
    kind: "mask", "labels", "probability" (a map of 0 to 1 against a mask), "image", or "auto", which looks: 0 and 1 are
    masks; few whole numbers of 0 or more label maps. Masks and label maps get overlap, volumes, counts and surface
    distances, probabilities that at a threshold and measures of the map, images errors and similarities.
    labels: which are judged one by one, with names for them; without, all that either map holds. One that is nowhere is
    refused, unless `empty` says what stands for it. Values that do not exist are left out of means; notes say which.
    mask: a file, folder, volume or array of 0 and 1: only voxels in it are judged. spacing: mm, for arrays only.
    data_range: the span of values of the modality, which PSNR and SSIM need, or "reference": each reference's own, in
    the mask, which makes values of different pairs hard to compare. It is not guessed: without it those are left out.
    threshold: from which probability on a voxel is predicted. beta: of the F-measure. tolerance_mm: of the normalized
    surface Dice. percentile, border, weighting: see `surface`; rule: one for percentile and mean distance, None for the
    default of each. empty: NaN, 0 or 1, what stands for a structure that neither of the two has (a distance is
    then NaN, infinite or 0). lesions: count lesions too. progress: told the name of each pair before it is judged.
    Raises FileNotFoundError or ValueError with one sentence for files that cannot be read, shapes or grids that differ,
    a name without partner, values that do not fit the kind, and images that are constant.
    """
    options = Options(
        kind,
        labels,
        names,
        data_range,
        threshold,
        beta,
        tolerance_mm,
        percentile,
        rule,
        border,
        weighting,
        empty,
        lesions,
    )
    sources = paired(prediction, reference, mask)
    found = []
    for one in sources:
        if progress is not None:
            progress(one.name)
        found.append(judge(read(one, spacing), options))
    kind = _common([one.kind for one in found], sources)
    for n, one in enumerate(found):
        if one.kind != kind:
            found[n] = judge(read(sources[n], spacing), options, kind)
    rows = _rows(found, sources, kind, options)
    present = {name for row in rows for name in row.values}
    notes = list(dict.fromkeys(note for one in found for note in one.notes))
    return Report(
        kind,
        tuple(rows),
        tuple(one for one in measures(options) if one.name in present),
        tuple([*notes, *_undefined(rows, len(sources))]),
        options,
    )


def _common(kinds: list[str], sources: list[Sources]) -> str:
    """The kind that all pairs can be judged as: a mask is also a label map, and a probability map without doubts."""
    found = set(kinds)
    for wider in ("labels", "probability"):
        if found == {"mask", wider}:
            return wider
    if len(found) > 1:
        first, other = kinds[0], next(kind for kind in kinds if kind != kinds[0])
        names = [sources[kinds.index(kind)].name for kind in (first, other)]
        raise ValueError(
            f"pair {names[0]!r} is judged as {first} and pair {names[1]!r} as {other}, expected one kind (say which)"
        )
    return kinds[0]


def _rows(found: list[Judged], sources: list[Sources], kind: str, options: Options) -> list[Row]:
    if kind != "labels":
        return [Row(source.name, "", one.rows[WHOLE]) for source, one in zip(sources, found, strict=True)]
    named = options.labels is not None
    labels = list(options.labels) if named else sorted({label for one in found for label in one.rows})
    titles = dict(zip(labels, options.names or [f"label {label}" for label in labels], strict=True))
    for label in labels if named and options.empty is None else ():
        if not any(one.rows[label]["true_positive"] or _differs(one.rows[label]) for one in found):
            raise ValueError(
                f"labels holds {label}, which is in no prediction and no reference, expected one that is (or say with "
                "empty what stands for it)"
            )
    if not labels:
        raise ValueError("prediction and reference hold 0 alone, expected labels (or say which)")
    amounts = {one.name for one in measures(options) if one.is_amount}
    rows = []
    for source, one in zip(sources, found, strict=True):
        mine = [one.rows.get(label) or absent(one, options) for label in labels]
        rows += [Row(source.name, titles[label], values) for label, values in zip(labels, mine, strict=True)]
        if len(labels) > 1:
            rows.append(Row(source.name, MEAN, _mean(mine, amounts)))
    return rows


def _differs(values: dict[str, float]) -> bool:
    return values["false_positive"] + values["false_negative"] > 0


def _mean(rows: list[dict[str, float]], left_out: set[str]) -> dict[str, float]:
    """Of each measure the mean of the labels that have a finite value; NaN where none has."""
    values = {}
    for name in rows[0]:
        if name not in left_out:
            finite = [row[name] for row in rows if math.isfinite(row[name])]
            values[name] = sum(finite) / len(finite) if finite else math.nan
    return values


def _undefined(rows: list[Row], pairs: int) -> list[str]:
    """One sentence for each set of values that are undefined or infinite together, and what became of them."""
    places: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name in dict.fromkeys(name for row in rows for name in row.values):
        for word, is_so in (("undefined", math.isnan), ("infinite", math.isinf)):
            where = tuple(
                " of ".join(part for part in (row.structure, row.pair) if part)
                for row in rows
                if row.structure != MEAN and name in row.values and is_so(row.values[name])
            )
            if where:
                places.setdefault((word, where), []).append(name)
    averaged = pairs > 1 or any(row.structure == MEAN for row in rows)
    said = []
    for (word, where), names in places.items():
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        shown = ", ".join(where[:5]) + (f" and {len(where) - 5} more" if len(where) > 5 else "")
        at = f" for {shown}" if any(where) else ""
        why = "nothing to judge, 0 / 0" if word == "undefined" else "one of the two is empty"
        why = "the images are equal" if names == ["psnr_db"] else why
        out = f"; left out of the mean{'s' * (len(names) > 1)}" if averaged else ""
        out += ", too good without them" if out and word == "infinite" and names != ["psnr_db"] else ""
        said.append(f"{word.capitalize()}{at} ({why}): {listed}{out}.")
    return said
