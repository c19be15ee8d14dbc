"""Distances between the surfaces of two masks, in mm.

A surface is the set of border voxels: those of the mask with a neighbour that is not in it; beyond the edge of the
array nothing is. Distances run between centres of voxels. All measures take the same arguments:

prediction, reference, labels, batch_dims: as in `overlap`; two or three axes of space. spacing: the edge of a voxel in
mm, one for all axes or one for each. border: which neighbours count, "faces" (6 of them in space, as nearly everybody
does) or "corners" (all 26). both_empty, one_empty: what stands where there is no surface in both, or in one. A
distance that does not exist is NaN or infinite rather than 0, a share of surfaces NaN or 0. Raises ValueError as
`overlap` does, and for a spacing that is not above 0.

Speed: both masks are cropped to what they cover together; a k-d tree of one border is asked only for those voxels of
the other that do not lie in it, as all others are at distance 0. Work grows with the surface, not with the volume.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from medlab.arguments import as_length, number
from medlab.metrics.mask_pairs import Array, as_pair

Spacing = float | Sequence[float]
BORDERS = ("faces", "corners")
RULES = ("directed", "pooled")


class Choices(TypedDict, total=False):
    """What all measures of this file can be told by name; see the file's own text."""

    batch_dims: int
    border: str
    both_empty: float
    one_empty: float


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Of every border voxel the distance to the other border, in mm: all surface measures follow from these two lists.

    to_reference: of the prediction's border voxels, (n,) float64. to_prediction: of the reference's, (m,).
    """

    to_reference: np.ndarray
    to_prediction: np.ndarray

    @property
    def pooled(self) -> np.ndarray:
        """Both lists in one."""
        return np.concatenate([self.to_reference, self.to_prediction])

    def percentile(self, percentile: float, rule: str = "directed") -> float:
        """The distance that this per cent of the border does not exceed; linear between neighbours. See `RULES`."""
        if rule == "pooled":
            return float(np.percentile(self.pooled, percentile))
        return max(float(np.percentile(one, percentile)) for one in (self.to_reference, self.to_prediction))

    def average(self, rule: str = "pooled") -> float:
        """The mean distance, over all border voxels ("pooled") or as the mean of the two means ("directed")."""
        if rule == "pooled":
            return float(self.pooled.mean())
        return (float(self.to_reference.mean()) + float(self.to_prediction.mean())) / 2

    def within(self, tolerance_mm: float) -> float:
        """The share of both borders that lies no farther than this from the other one."""
        near = sum(int((one <= tolerance_mm).sum()) for one in (self.to_reference, self.to_prediction))
        return near / (len(self.to_reference) + len(self.to_prediction))


def surface_distances(
    prediction: Array, reference: Array, spacing: Spacing = 1.0, *, border: str = "faces"
) -> SurfaceDistances:
    """The distances between two masks' borders; both lists are empty where a mask is. Arguments: see the file."""
    ours, truth = as_pair(prediction, reference)
    edges = _edges(spacing, ours.ndim)
    _one_of(border, BORDERS, "border")
    return _distances(ours.cpu().numpy(), truth.cpu().numpy(), edges, border)


def hausdorff_distance(
    prediction: Array,
    reference: Array,
    spacing: Spacing = 1.0,
    labels: Sequence[int] | None = None,
    **choices: Unpack[Choices],
) -> Tensor:
    """The largest distance from one surface to the other (thesis eq. 5.22), mm, (batch..., labels) float64.

    One voxel can decide it: see `hausdorff_distance_95`. Arguments: see the file.
    """
    return _each(lambda found: found.percentile(100), prediction, reference, spacing, labels, **choices)


def hausdorff_distance_95(
    prediction: Array,
    reference: Array,
    spacing: Spacing = 1.0,
    labels: Sequence[int] | None = None,
    *,
    percentile: float = 95.0,
    rule: str = "directed",
    **choices: Unpack[Choices],
) -> Tensor:
    """The Hausdorff distance without the farthest 5 % of the surface, mm, (batch..., labels) float64.

    percentile: 0 to 100, another one than 95. rule: "directed" takes the percentile of each direction and of both the
    larger (MONAI, Metrics Reloaded); "pooled" takes it of all distances together (medpy), which is rarely more. Other
    arguments: see the file.
    """
    number(percentile, "percentile", 0, 100)
    _one_of(rule, RULES, "rule")
    return _each(lambda found: found.percentile(percentile, rule), prediction, reference, spacing, labels, **choices)


def average_surface_distance(
    prediction: Array,
    reference: Array,
    spacing: Spacing = 1.0,
    labels: Sequence[int] | None = None,
    *,
    rule: str = "pooled",
    **choices: Unpack[Choices],
) -> Tensor:
    """The mean distance between the surfaces, mm, (batch..., labels) float64.

    rule: "pooled" is the mean over the voxels of both borders (MONAI's symmetric one, medpy, Metrics Reloaded),
    "directed" the mean of the two directions' means, in which a small surface weighs as much as a large one. Other
    arguments: see the file.
    """
    _one_of(rule, RULES, "rule")
    return _each(lambda found: found.average(rule), prediction, reference, spacing, labels, **choices)


def normalized_surface_dice(
    prediction: Array,
    reference: Array,
    spacing: Spacing = 1.0,
    labels: Sequence[int] | None = None,
    *,
    tolerance_mm: float = 1.0,
    **choices: Unpack[Choices],
) -> Tensor:
    """The share of both surfaces within a tolerance of the other (Nikolov et al. 2018), 0 to 1, (batch..., labels).

    Border voxels are counted, as MONAI and Metrics Reloaded do; the authors weigh them by the area that each stands
    for. tolerance_mm: 0 or more; what two readers differ by is a good choice. Other arguments: see the file.
    """
    number(tolerance_mm, "tolerance_mm", 0)
    return _each(
        lambda found: found.within(tolerance_mm), prediction, reference, spacing, labels, **{"one_empty": 0.0} | choices
    )


def _each(
    measure: Callable[[SurfaceDistances], float],
    prediction: Array,
    reference: Array,
    spacing: Spacing,
    labels: Sequence[int] | None,
    *,
    batch_dims: int = 0,
    border: str = "faces",
    both_empty: float = math.nan,
    one_empty: float = math.inf,
) -> Tensor:
    """A measure of every sample and label, (batch..., labels) float64."""
    ours, truth = as_pair(prediction, reference, labels, batch_dims)
    edges = _edges(spacing, ours.ndim - batch_dims)
    _one_of(border, BORDERS, "border")
    batch, space = ours.shape[:batch_dims], ours.shape[batch_dims:]
    values = []
    for one, other in zip(ours.reshape(-1, *space).cpu().numpy(), truth.reshape(-1, *space).cpu().numpy(), strict=True):
        for label in (None,) if labels is None else labels:
            pair = (one, other) if label is None else (one == label, other == label)
            found = _distances(*pair, edges, border)
            sizes = len(found.to_reference), len(found.to_prediction)
            if min(sizes):
                values.append(measure(found))
            else:
                values.append(one_empty if max(sizes) else both_empty)
    result = torch.tensor(values, dtype=torch.float64)
    return result.reshape(batch if labels is None else (*batch, len(labels)))


def _distances(ours: np.ndarray, truth: np.ndarray, edges: np.ndarray, border: str) -> SurfaceDistances:
    box = _box(ours, truth)
    if box is None:
        return SurfaceDistances(np.zeros(0), np.zeros(0))
    borders = [_border(mask[box], border) for mask in (ours, truth)]
    shared = borders[0] & borders[1]
    points = [_points(one, edges) for one in borders]
    found = []
    for n in (0, 1):
        apart = _points(borders[n] & ~shared, edges)
        distances = np.zeros(len(points[n]))
        if len(points[1 - n]) == 0:
            distances[:] = np.inf
        elif len(apart):
            # Neither balancing the tree nor shrinking its boxes pays for itself with so few questions a point.
            tree = cKDTree(points[1 - n], balanced_tree=False, compact_nodes=False)
            distances[: len(apart)] = tree.query(apart, workers=-1)[0]
        found.append(distances)
    return SurfaceDistances(*found)


def _box(ours: np.ndarray, truth: np.ndarray) -> tuple[slice, ...] | None:
    """Where anything is in either mask; None where nothing is."""
    either = ours | truth
    box = []
    for axis in range(either.ndim):
        filled = np.flatnonzero(either.any(tuple(a for a in range(either.ndim) if a != axis)))
        if len(filled) == 0:
            return None
        box.append(slice(filled[0], filled[-1] + 1))
    return tuple(box)


def _border(mask: np.ndarray, border: str) -> np.ndarray:
    """The voxels of a mask with a neighbour outside it, or at the array's edge."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    if border == "faces":
        for axis in range(mask.ndim):
            for start in (0, 2):
                window = [slice(1, -1)] * mask.ndim
                window[axis] = slice(start, start + mask.shape[axis])
                inner &= padded[tuple(window)]
    else:  # erosion by a cube is erosion by three bars
        eroded = padded
        for axis in range(mask.ndim):
            windows = [
                tuple(slice(k, k + mask.shape[axis]) if a == axis else slice(None) for a in range(mask.ndim))
                for k in range(3)
            ]
            eroded = eroded[windows[0]] & eroded[windows[1]] & eroded[windows[2]]
        inner &= eroded
    return mask & ~inner


def _points(mask: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Where the voxels of a mask are, (n, axes) in mm."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), -1) * edges


def _edges(spacing: Spacing, axes: int) -> np.ndarray:
    if axes not in (2, 3):
        raise ValueError(f"prediction has {axes} axes of space, expected 2 or 3")
    given = [spacing] * axes if isinstance(spacing, int | float) else list(spacing)
    if len(given) != axes:
        raise ValueError(f"spacing holds {len(given)} numbers, expected one for each of {axes} axes")
    return np.array([as_length(float(one), "spacing") for one in given])


def _one_of(value: str, choices: tuple[str, ...], name: str) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
