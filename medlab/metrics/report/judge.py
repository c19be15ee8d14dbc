"""One pair judged: what it is, its structures, and the values of each."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.metrics.calibration import brier_score, expected_calibration_error
from medlab.metrics.detection import LesionCounts, lesion_counts
from medlab.metrics.mask_pairs import as_mask
from medlab.metrics.overlap import Counts, counts
from medlab.metrics.precision_recall import average_precision
from medlab.metrics.report.columns import Options
from medlab.metrics.report.inputs import Pair
from medlab.metrics.report.kinds import Values, kind_of, values_of
from medlab.metrics.report.measures import of_images, of_lesions, of_structure
from medlab.metrics.roc import auroc
from medlab.metrics.surface_distances import Surface, SurfaceDistances

WHOLE = 0  # stands for the only structure where there are no labels


class Judged(NamedTuple):
    """rows: values by label, or under WHOLE. voxels: how many were judged. content, flat: see `Pair`."""

    kind: str
    rows: dict[int, dict[str, float]]
    voxels: int
    content: float
    flat: bool
    notes: list[str]


def judge(pair: Pair, options: Options, kind: str | None = None) -> Judged:
    """The values of a pair, as the kind that is given, or that the options name, or that it looks like."""
    kind = kind or options.kind
    if kind == "auto" and options.labels is not None:
        kind = "labels"
    if kind == "auto" and options.data_range is not None:
        kind = "image"
    voxels = pair.reference.numel() if pair.mask is None else int(pair.mask.sum())
    if kind == "image":
        return _images(pair, voxels, options)
    both = values_of(pair.prediction), values_of(pair.reference)
    if kind == "auto":
        kind = kind_of(*both, pair.names)
        if kind == "image":
            return _images(pair, voxels, options)
    if not pair.straight:
        raise ValueError(
            f"{pair.names[1]} has axes that are not at right angles, expected a straight grid (resample both first)"
        )
    _check(kind, both, pair.names)
    if kind == "probability":
        ours, truth = pair.prediction >= options.threshold, as_mask(pair.reference, pair.names[1])
        extra = _of_map(pair.prediction, truth, pair.mask)
        rows = _structures(ours, truth, pair, voxels, [1], options)
        return Judged(kind, {WHOLE: extra | rows[1]}, voxels, pair.content, pair.flat, pair.notes)
    ours, truth = _whole(pair.prediction), _whole(pair.reference)
    labels = options.labels if kind == "labels" else [1]
    if labels is None:
        labels = sorted((set(both[0].distinct) | set(both[1].distinct)) - {0})
    rows = _structures(ours, truth, pair, voxels, labels, options)
    rows = {WHOLE: rows[1]} if kind == "mask" else rows
    return Judged(kind, rows, voxels, pair.content, pair.flat, pair.notes)


def absent(judged: Judged, options: Options) -> dict[str, float]:
    """The values of a label that is in neither of the two."""
    nothing = torch.zeros((), dtype=torch.float64)
    c = Counts(nothing, nothing, nothing, nothing + judged.voxels)
    values = of_structure(c, SurfaceDistances(np.zeros(0), np.zeros(0)), judged.content, judged.flat, options)
    return values | (of_lesions(LesionCounts(0, 0, 0)) if options.lesions else {})


def _images(pair: Pair, voxels: int, options: Options) -> Judged:
    ours, truth = (image if image.is_floating_point() else image.float() for image in (pair.prediction, pair.reference))
    values, notes = of_images(ours, truth, pair.mask, pair.names, options)
    spaceless = [note for note in pair.notes if not note.startswith("No spacing")]
    return Judged("image", {WHOLE: values}, voxels, pair.content, pair.flat, spaceless + notes)


def _structures(
    ours: Tensor, truth: Tensor, pair: Pair, voxels: int, labels: list[int], options: Options
) -> dict[int, dict[str, float]]:
    """The values of every label; both are cropped to where either has any, beyond which there is only background."""
    if pair.mask is not None:
        ours, truth = ours * pair.mask, truth * pair.mask
    surface = Surface(pair.spacing, ours.ndim, options.border, options.weighting)
    if len(labels) > 1:
        filled = ((ours != 0) | (truth != 0)).numpy()
        (box,) = ndimage.find_objects(filled.astype(np.int8)) or [(slice(0, 1),) * ours.ndim]
        ours, truth = ours[box], truth[box]
    rows = {}
    for label in labels:
        one, other = ours == label, truth == label
        c = counts(one, other)
        c = c._replace(true_negative=voxels - c.true_positive - c.false_positive - c.false_negative)
        rows[label] = of_structure(c, surface.distances(one.numpy(), other.numpy()), pair.content, pair.flat, options)
        if options.lesions:
            rows[label] |= of_lesions(lesion_counts(one, other, pair.spacing))
    return rows


def _of_map(probability: Tensor, truth: Tensor, mask: Tensor | None) -> dict[str, float]:
    """What needs no threshold. Without voxels of both kinds there is nothing to rank."""
    if mask is not None:
        probability, truth = probability[mask], truth[mask]
    both = bool(truth.any()) and not bool(truth.all())
    return {
        "auroc": auroc(probability, truth) if both else math.nan,
        "average_precision": average_precision(probability, truth) if both else math.nan,
        "prevalence": float(truth.double().mean()),
        "brier_score": brier_score(probability, truth),
        "expected_calibration_error": expected_calibration_error(probability, truth),
    }


def _whole(image: Tensor) -> Tensor:
    """Whole numbers in the smallest type that holds them."""
    if image.dtype in (torch.bool, torch.uint8):
        return image
    most = float(image.max())
    return image.to(torch.uint8 if most < 2**8 else torch.int32 if most < 2**31 else torch.int64)


def _check(kind: str, both: tuple[Values, Values], names: tuple[str, str]) -> None:
    """Raises ValueError where values do not fit the kind that was asked for."""
    for n, (found, name) in enumerate(zip(both, names, strict=True)):
        outside = found.low if found.low < 0 else found.high
        if kind == "probability" and n == 0:
            if found.low < 0 or found.high > 1:
                raise ValueError(f"{name} holds {outside:g}, expected probabilities from 0 to 1")
        elif kind in ("mask", "probability") and found.kind != "mask":
            shown = found.fraction if not found.whole else outside
            raise ValueError(f"{name} holds {shown:g}, expected a mask of 0 and 1")
        elif kind == "labels" and not found.whole:
            raise ValueError(f"{name} holds {found.fraction:g}, expected whole numbers as labels")
        elif kind == "labels" and found.low < 0:
            raise ValueError(f"{name} holds {found.low:g}, expected labels of 0 or more")
