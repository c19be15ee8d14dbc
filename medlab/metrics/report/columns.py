"""What a report can be told, and what stands in it: its columns, its rows and what they come to over all pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medlab.arguments import number, one_of
from medlab.metrics.overlap import (
    Counts,
    accuracy,
    dice,
    iou,
    precision,
    recall,
    signed_volume_difference,
    specificity,
    volume_similarity,
)
from medlab.metrics.report.kinds import KINDS
from medlab.metrics.surface_distances import BORDERS, RULES, WEIGHTINGS

MEAN = "mean of labels"  # the structure that all labels make together
REFERENCE = "reference"  # the data range that is each reference's own
OVERLAP = (dice, iou, precision, recall, specificity, accuracy, volume_similarity, signed_volume_difference)
DEFINED_WHEN_EMPTY = (specificity, accuracy)


class Row(NamedTuple):
    """The values of one structure of one pair; a measure that does not apply to it is missing."""

    pair: str
    structure: str
    values: dict[str, float]


class Summary(NamedTuple):
    """One measure of one structure over all pairs: mean, half of the 95 % interval's width, and of how many pairs.

    mean is NaN where no pair has a finite value, half where fewer than two have one. left_out: pairs whose value is
    undefined or infinite; they are in neither.
    """

    structure: str
    measure: str
    mean: float
    half: float
    count: int
    left_out: int


class Measure(NamedTuple):
    """One column: its name ends in its unit where it has one; digits after the point, None for four that matter."""

    name: str
    group: str
    digits: int | None
    text: str

    @property
    def is_amount(self) -> bool:
        """Whether it is a volume or a count, of which a mean over labels means nothing."""
        return self.group in ("volume", "voxels") or self.name.endswith("_lesions")


@dataclass(frozen=True)
class Options:
    """What a report can be told; see `evaluate`."""

    kind: str = "auto"
    labels: Sequence[int] | None = None
    names: Sequence[str] | None = None
    data_range: float | str | None = None
    threshold: float = 0.5
    beta: float = 2.0
    tolerance_mm: float = 1.0
    percentile: float = 95.0
    rule: str | None = None
    border: str = "faces"
    weighting: str = "voxels"
    empty: float | None = None
    lesions: bool = False

    def __post_init__(self) -> None:
        one_of(self.kind, ("auto", *KINDS), "kind")
        if self.labels is not None:
            _check_labels(self.labels)
            if self.kind not in ("auto", "labels"):
                raise ValueError(f"labels are given and kind is {self.kind!r}, expected kind 'labels'")
        if self.names is not None and (self.labels is None or len(self.names) != len(self.labels)):
            labels = "no labels" if self.labels is None else f"{len(self.labels)} labels"
            raise ValueError(f"names holds {len(self.names)} for {labels}, expected one for each of labels")
        taken = [] if self.names is None else [*self.names, MEAN]
        if len(set(taken)) < len(taken):
            raise ValueError(f"names is {list(self.names)!r}, expected each once, and none of them {MEAN!r}")
        if self.data_range not in (None, REFERENCE):
            number(self.data_range, "data_range", 0, above=True)
        number(self.threshold, "threshold", 0, 1)
        number(self.beta, "beta", 0, above=True)
        number(self.tolerance_mm, "tolerance_mm", 0)
        number(self.percentile, "percentile", 0, 100)
        if self.rule is not None:
            one_of(self.rule, RULES, "rule")
        one_of(self.border, BORDERS, "border")
        one_of(self.weighting, WEIGHTINGS, "weighting")
        if self.weighting == "area" and self.border != "faces":
            raise ValueError(f"border is {self.border!r}, expected 'faces' where weighting is 'area'")
        if self.empty not in (None, 0, 1) and not (isinstance(self.empty, float) and math.isnan(self.empty)):
            raise ValueError(f"empty is {self.empty!r}, expected nan, 0 or 1")

    @property
    def when_empty(self) -> float:
        return math.nan if self.empty is None else float(self.empty)


def measures(options: Options) -> list[Measure]:
    """All measures that a report may hold, in its order."""
    beta, tolerance, percent = (f"{x:g}" for x in (options.beta, options.tolerance_mm, options.percentile))
    shares = {
        dice: "twice the common volume over the sum of the two",
        iou: "the common volume over that of the union",
        precision: "share of the prediction that is right",
        recall: "share of the reference that was found (sensitivity)",
        specificity: "share of the background that was left alone; near 1 for whatever is small",
        accuracy: "share of voxels that are right; for small structures that of the background",
        volume_similarity: "how well the volumes agree, wherever they lie",
        signed_volume_difference: "2 (P - R) / (P + R), above 0 where too much is predicted",
    }
    overlap = [Measure(one.__name__, "overlap", 4, text) for one, text in shares.items()]
    overlap.insert(6, Measure("f_beta", "overlap", 4, f"dice in which a missed voxel weighs {beta}² false ones"))
    found = [
        Measure("auroc", "map", 4, "chance that a voxel of the reference has a higher probability than another one"),
        Measure("average_precision", "map", 4, "mean precision over all thresholds; the prevalence by chance"),
        Measure("prevalence", "map", 6, "share of voxels that the reference holds"),
        Measure("brier_score", "map", 6, "mean squared distance of probability and truth, 0 is best"),
        Measure("expected_calibration_error", "map", 6, "mean distance of probabilities from how often they come true"),
        *overlap,
    ]
    for content, unit in (("volume", "ml"), ("area", "mm2")):
        found += [
            Measure(f"prediction_{content}_{unit}", "volume", 3, f"{content} of the prediction"),
            Measure(f"reference_{content}_{unit}", "volume", 3, f"{content} of the reference"),
            Measure(
                f"{content}_difference_{unit}", "volume", 3, f"{content} of the prediction minus that of the reference"
            ),
        ]
    where = ("in both", "in the prediction alone", "in the reference alone", "in neither")
    found += [Measure(name, "voxels", 0, f"voxels {at}") for name, at in zip(Counts._fields, where, strict=True)]
    found += [
        Measure("hausdorff_distance_mm", "surface", 3, "largest distance from one surface to the other"),
        Measure(f"hausdorff_distance_{percent}_mm", "surface", 3, f"what {percent} % of the surface does not exceed"),
        Measure("average_surface_distance_mm", "surface", 3, "mean distance between the surfaces"),
        Measure("normalized_surface_dice", "surface", 4, f"share of both surfaces within {tolerance} mm of the other"),
        Measure("reference_lesions", "lesions", 0, "connected components of the reference"),
        Measure("found_lesions", "lesions", 0, "those that share a voxel with the prediction"),
        Measure("false_alarm_lesions", "lesions", 0, "components of the prediction that share none with the reference"),
        Measure("lesion_recall", "lesions", 4, "share of the reference's lesions that were found"),
        Measure("lesion_f1", "lesions", 4, "2 found / (2 found + missed + false alarms)"),
        Measure("mae", "error", None, "mean absolute error, in the unit of the images"),
        Measure("mse", "error", None, "mean squared error"),
        Measure("psnr_db", "error", 3, "peak signal-to-noise ratio; needs the data range"),
        Measure("data_range", "error", None, "the reference's own span, where that was asked for"),
        Measure("ssim", "similarity", 4, "mean structural similarity, Gaussian window; needs the data range"),
        Measure("multi_scale_ssim", "similarity", 4, "the same over five scales; needs 176 voxels along each axis"),
        Measure("normalized_cross_correlation", "similarity", 4, "correlation of the values, -1 to 1"),
        Measure("mutual_information_nats", "similarity", 4, "what one image tells of the other"),
    ]
    return found


def _check_labels(labels: Sequence[int]) -> None:
    if len(labels) == 0 or len(set(labels)) != len(labels):
        raise ValueError(f"labels is {list(labels)!r}, expected one or more values, each once")
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 1:
            raise ValueError(f"labels holds {label!r}, expected whole numbers of 1 or more (0 is the background)")
