"""A report on paper: an aligned table, CSV, JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from medlab.metrics.report.columns import Measure, Row, Summary

SIDE_BY_SIDE = 6  # structures of one pair that find room beside each other


def as_table(rows: Sequence[Row], summary: Sequence[Summary], measures: Sequence[Measure]) -> str:
    """Aligned text: one pair with its measures below each other, or for each group of measures a line for each pair."""
    if len({row.pair for row in rows}) == 1 and len(rows) <= SIDE_BY_SIDE:
        return "\n\n".join(_upright(rows, list(group)) for _, group in groupby(measures, lambda one: one.group))
    return "\n\n".join(_lying(rows, summary, list(group)) for _, group in groupby(measures, lambda one: one.group))


def as_csv(rows: Sequence[Row], summary: Sequence[Summary], measures: Sequence[Measure]) -> str:
    """CSV (RFC 4180): a line for each pair and structure; of several pairs also mean, half width and count.

    The column statistic tells them apart: "value", "mean", "half_width_95", "pairs". Numbers are written in full,
    undefined ones as nan and infinite ones as inf; a cell is empty where a measure does not apply.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["pair", "structure", "statistic", *(one.name for one in measures)])
    for row in rows:
        writer.writerow([row.pair, row.structure, "value", *(_full(row.values.get(one.name)) for one in measures)])
    for structure in dict.fromkeys(one.structure for one in summary):
        mine = {one.measure: one for one in summary if one.structure == structure}
        for statistic, field in (("mean", "mean"), ("half_width_95", "half"), ("pairs", "count")):
            cells = (_full(getattr(mine[one.name], field)) if one.name in mine else "" for one in measures)
            writer.writerow(["", structure, statistic, *cells])
    return out.getvalue()


def as_json(
    kind: str,
    rows: Sequence[Row],
    summary: Sequence[Summary],
    measures: Sequence[Measure],
    notes: Sequence[str],
    settings: dict[str, object],
) -> str:
    """JSON of the whole report; undefined numbers are null, infinite ones the text "inf"."""
    report = {
        "kind": kind,
        "settings": settings,
        "measures": {one.name: one.text for one in measures},
        "pairs": [
            {"pair": row.pair, "structure": row.structure, "values": {k: _json(v) for k, v in row.values.items()}}
            for row in rows
        ],
        "summary": [
            {key: _json(value) if isinstance(value, float) else value for key, value in one._asdict().items()}
            for one in summary
        ],
        "notes": list(notes),
    }
    return json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False, default=str) + "\n"


def _upright(rows: Sequence[Row], measures: Sequence[Measure]) -> str:
    titles = [row.structure for row in rows]
    lines = [["", *titles]] if any(titles) else []
    for one in measures:
        explained = [one.text] if len(rows) == 1 else []
        lines.append([one.name, *(_shown(row.values.get(one.name), one) for row in rows), *explained])
    return _aligned(lines, left={0, len(rows) + 1})


def _lying(rows: Sequence[Row], summary: Sequence[Summary], measures: Sequence[Measure]) -> str:
    named = any(row.structure for row in rows)
    lines = [["pair", *(["structure"] if named else []), *(one.name for one in measures)]]
    for row in rows:
        cells = [_shown(row.values.get(one.name), one) for one in measures]
        if any(cells):
            lines.append([row.pair, *([row.structure] if named else []), *cells])
    for structure in dict.fromkeys(one.structure for one in summary):
        mine = {one.measure: one for one in summary if one.structure == structure}
        if not any(one.name in mine for one in measures):
            continue
        left_out = any(mine[one.name].left_out for one in measures if one.name in mine)
        for title, field in (
            ("mean", "mean"),
            ("± (95 %)", "half"),
            *([("pairs counted", "count")] if left_out else []),
        ):
            cells = (_averaged(mine[one.name], field, one) if one.name in mine else "" for one in measures)
            lines.append([title, *([structure] if named else []), *cells])
    return _aligned(lines, left={0, 1} if named else {0})


def _aligned(lines: list[list[str]], left: Iterable[int]) -> str:
    widths = [max(len(line[n]) for line in lines if n < len(line)) for n in range(max(map(len, lines)))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n in left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )


def _shown(value: float | None, measure: Measure) -> str:
    if value is None:
        return ""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}" if measure.digits is None else f"{value:.{measure.digits}f}"


def _averaged(summary: Summary, field: str, measure: Measure) -> str:
    """A mean of whole numbers has a digit more than they; an interval that does not exist is a dash."""
    value = getattr(summary, field)
    if field == "count":
        return str(value)
    if math.isnan(value):
        return "-"
    return _shown(value, measure._replace(digits=1) if measure.digits == 0 else measure)


def _full(value: float | None) -> str:
    return "" if value is None else repr(value)


def _json(value: float) -> float | str | None:
    return None if math.isnan(value) else value if math.isfinite(value) else repr(value)
