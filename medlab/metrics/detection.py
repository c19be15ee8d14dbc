"""From a map of suspicion to decisions: one score a structure, and lesions found against false alarms.

A map is (X, Y[, Z]), higher where a voxel is more suspicious. Candidates are the connected components of the map where
it reaches a threshold, lesions those of the reference. Both functions on lesions take the same arguments:

connectivity: which voxels hang together, those with a common face ("faces") or also a common corner ("corners", the
default). A lesion is found where a candidate shares a voxel with it; within_mm: or lies at most so far from it, from
voxel centre to voxel centre; overlap: or where candidates cover at least this share of it, instead. spacing: the edge
of a voxel in mm, one for all axes or one for each. A candidate that lies at a lesion (with within_mm: near one) is no
false alarm, however small its part of it. Several candidates at one lesion count as one hit; a candidate that merges
several lesions finds them all.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from medlab.arguments import as_spacing, number, one_of
from medlab.metrics.mask_pairs import Array, as_labels, as_mask, as_tensor

CONNECTIVITIES = ("faces", "corners")
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false alarms a scan (Setio et al., Med. Image Anal. 42, 2017)
MOST_THRESHOLDS = 64


class LesionCounts(NamedTuple):
    """How many lesions there are, how many of them were found, and how many candidates lie at none."""

    lesions: int
    found: int
    false_alarms: int


class FrocCurve(NamedTuple):
    """Free-response curve, float64, at falling thresholds; false alarms may fall again, as candidates merge."""

    false_alarms_per_scan: np.ndarray
    sensitivity: np.ndarray
    thresholds: np.ndarray

    def sensitivity_at(self, rates: float | Sequence[float]) -> np.ndarray:
        """The sensitivity reached before there are more than so many false alarms a scan; 0 where that is at once.

        False alarms are those of this or any higher threshold: further down all candidates merge into one, which finds
        everything and alarms nowhere.
        """
        rates = np.atleast_1d(np.asarray(rates, dtype=np.float64))
        allowed = np.maximum.accumulate(self.false_alarms_per_scan)[None] <= rates[:, None]
        return np.where(allowed, self.sensitivity[None], 0.0).max(1, initial=0.0)

    def mean_sensitivity(self, rates: Sequence[float] = RATES) -> float:
        """The mean of the sensitivity at these rates of false alarms: one number for the curve."""
        return float(self.sensitivity_at(rates).mean())


def structure_scores(
    error_map: Array,
    structures: Mapping[str, Array] | Array,
    labels: Sequence[int] | None = None,
    *,
    percentile: float = 100.0,
) -> dict[str | int, float]:
    """One score for each structure of a scan: the maximum of the map inside (thesis, chapter 6, section 4).

    structures: a mask of the map's shape for each name, or with labels a label map. percentile: 0 to 100, linear
    between neighbours; below 100 single voxels lose their power, and so do small lesions.
    Raises ValueError for shapes that differ, for a map with NaN inside a structure and for a structure without voxels.
    """
    share = number(percentile, "percentile", 0, 100)
    image = as_tensor(error_map, "error_map").cpu()
    if isinstance(structures, Mapping):
        masks = {name: as_mask(mask, f"structure {name!r}").cpu() for name, mask in structures.items()}
    elif labels is None:
        raise ValueError("labels is None, expected the labels of the structures, or a mask for each name")
    else:
        found = as_labels(structures, "structures").cpu()
        masks = {label: found == label for label in labels}
    if not masks:
        raise ValueError("structures holds none, expected one or more")
    scores = {}
    for name, mask in masks.items():
        if mask.shape != image.shape:
            raise ValueError(
                f"structure {name!r} has the shape {tuple(mask.shape)}, expected the map's, {tuple(image.shape)}"
            )
        inside = image[mask].double().numpy()
        if not inside.size:
            raise ValueError(f"structure {name!r} is empty, expected at least one voxel")
        if np.isnan(inside).any():
            raise ValueError(f"error_map holds NaN inside structure {name!r}, expected numbers")
        scores[name] = float(np.percentile(inside, share))
    return scores


def lesion_counts(
    prediction: Array,
    reference: Array,
    spacing: float | Sequence[float] = 1.0,
    *,
    within_mm: float = 0.0,
    overlap: float = 0.0,
    connectivity: str = "corners",
) -> LesionCounts:
    """Lesions found and false alarms of a predicted mask (X, Y[, Z]). Arguments: see the file's own text."""
    found = as_mask(prediction, "prediction").cpu().numpy()
    return _counted(found, _Scan(found.astype(np.float32), reference, spacing, within_mm, overlap, connectivity), 0.5)


def froc(
    error_maps: Sequence[Array],
    references: Sequence[Array],
    spacing: float | Sequence[float] = 1.0,
    *,
    thresholds: Sequence[float] | None = None,
    within_mm: float = 0.0,
    overlap: float = 0.0,
    connectivity: str = "corners",
) -> FrocCurve:
    """The share of all lesions found against false alarms a scan (Bunch et al. 1977; Chakraborty, Med. Phys. 16, 1989).

    error_maps, references: a map and a mask for each scan; scans without a lesion count for false alarms. thresholds:
    those at which lesions begin to be found where not given, as sensitivity changes nowhere else; of more than 64 an
    even choice. Other arguments: see the file's own text.
    Raises ValueError for no scan, shapes that differ, NaN in a map, and references without any lesion.
    """
    if len(error_maps) != len(references) or not len(references):
        raise ValueError(f"error_maps holds {len(error_maps)} scans and references {len(references)}, expected as many")
    scans = [
        _Scan(as_tensor(one, "error_maps").cpu().numpy(), truth, spacing, within_mm, overlap, connectivity)
        for one, truth in zip(error_maps, references, strict=True)
    ]
    reached = np.sort(np.concatenate([scan.reached for scan in scans]))
    if not reached.size:
        raise ValueError("references hold no lesion, expected at least one")
    if thresholds is None:
        levels = np.unique(reached)
        if levels.size > MOST_THRESHOLDS:
            levels = levels[np.linspace(0, levels.size - 1, MOST_THRESHOLDS).round().astype(int)]
    else:
        levels = np.unique(np.asarray(thresholds, dtype=np.float64))
        if not levels.size or np.isnan(levels).any():
            raise ValueError(f"thresholds is {thresholds!r}, expected one or more numbers")
    levels = levels[::-1]
    alarms = [sum(scan.false_alarms(scan.image >= level) for scan in scans) / len(scans) for level in levels]
    hits = reached.size - np.searchsorted(reached, levels, side="left")
    return FrocCurve(np.array(alarms, dtype=np.float64), hits / reached.size, levels)


class _Scan:
    """A map with its lesions. reached: of each lesion the highest threshold at which it is found."""

    def __init__(self, image: np.ndarray, reference: Array, spacing, within_mm: float, overlap: float, connectivity):
        truth = as_mask(reference, "reference").cpu().numpy()
        if truth.shape != image.shape or truth.ndim not in (2, 3):
            raise ValueError(
                f"reference has the shape {truth.shape}, expected that of the map, {image.shape}, with 2 or 3 axes"
            )
        if image.dtype.kind == "f" and np.isnan(image).any():
            raise ValueError("error_maps hold NaN, expected numbers")
        one_of(connectivity, CONNECTIVITIES, "connectivity")
        within, share = number(within_mm, "within_mm", 0), number(overlap, "overlap", 0, 1)
        if within and share:
            raise ValueError(f"within_mm is {within:g} and overlap {share:g}, expected one of them to be 0")
        edges = as_spacing(spacing, truth.ndim)
        self.neighbours = ndimage.generate_binary_structure(truth.ndim, truth.ndim if connectivity == "corners" else 1)
        self.image = image
        lesions, self.count = ndimage.label(truth, self.neighbours)
        self.zone = truth if not within or not self.count else _distance_mm(truth, edges) <= within
        reached = []
        for number_of, box in enumerate(ndimage.find_objects(lesions), start=1):
            if within:
                margin = [math.ceil(within / edge) for edge in edges]
                box = tuple(slice(max(b.start - m, 0), b.stop + m) for b, m in zip(box, margin, strict=True))
            mine = lesions[box] == number_of
            values = np.sort(image[box][_distance_mm(mine, edges) <= within if within else mine])
            reached.append(values[-max(math.ceil(share * values.size - 1e-9), 1)])
        self.reached = np.array(reached, dtype=np.float64)

    def false_alarms(self, suspected: np.ndarray) -> int:
        """How many components of a mask lie at no lesion."""
        candidates, count = ndimage.label(suspected, self.neighbours)
        return count - np.unique(candidates[self.zone & suspected]).size


def _distance_mm(mask: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=edges)


def _counted(suspected: np.ndarray, scan: _Scan, threshold: float) -> LesionCounts:
    return LesionCounts(scan.count, int((scan.reached >= threshold).sum()), scan.false_alarms(suspected))
