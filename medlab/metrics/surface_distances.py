"""Of every point of one surface the distance to the other, in mm: what all surface measures are made of.

A k-d tree of one surface is asked for the points of the other that do not lie in it; those that do are at distance 0.
Both masks are cropped to what they cover together before, so that work grows with the surface and not with the volume.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from medlab.arguments import as_spacing, one_of
from medlab.metrics.mask_pairs import Array, as_pair
from medlab.metrics.surface_elements import border as border_of
from medlab.metrics.surface_elements import element_areas, neighbour_codes

Spacing = float | Sequence[float]
BORDERS = ("faces", "corners", "volume")
WEIGHTINGS = ("voxels", "area")
RULES = ("directed", "pooled", "to_reference", "to_prediction")


def _percentile(distances: np.ndarray, area: np.ndarray | None, percentile: float) -> float:
    if area is None:
        return float(np.percentile(distances, percentile))
    order = np.argsort(distances)
    reached = np.cumsum(area[order]) / area.sum()
    return float(distances[order[min(np.searchsorted(reached, percentile / 100), len(order) - 1)]])


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The distances between two surfaces, in mm, and how much each counts.

    to_reference: of the prediction's points, (n,) float64. to_prediction: of the reference's, (m,). prediction_area,
    reference_area: what each point stands for, mm² (mm in a plane), or None where all count alike.
    """

    to_reference: np.ndarray
    to_prediction: np.ndarray
    prediction_area: np.ndarray | None = None
    reference_area: np.ndarray | None = None

    @property
    def pooled(self) -> np.ndarray:
        """Both lists in one."""
        return np.concatenate([self.to_reference, self.to_prediction])

    @property
    def is_empty(self) -> tuple[bool, bool]:
        """Whether prediction and reference have no surface."""
        return len(self.to_reference) == 0, len(self.to_prediction) == 0

    def percentile(self, percentile: float, rule: str = "directed") -> float:
        """The distance that this per cent of a surface does not exceed.

        rule: "directed" takes it in both directions and of the two the larger, "pooled" of both lists together,
        "to_reference" and "to_prediction" of one. Between two points it is linear; of areas it is the first distance at
        which this per cent is reached, as surface-distance has it. NaN where both masks are empty, infinite where one
        of them is.
        """
        if any(self.is_empty):
            return self._without_surface
        return max(_percentile(distances, area, percentile) for distances, area in self._lists(rule))

    def average(self, rule: str = "pooled") -> float:
        """The mean distance: over both surfaces ("pooled"), the mean of the two means ("directed"), or one of them.

        NaN where both masks are empty, infinite where one of them is.
        """
        if any(self.is_empty):
            return self._without_surface
        means = [float(np.average(distances, weights=area)) for distances, area in self._lists(rule)]
        return sum(means) / len(means)

    def within(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies no farther than this from the other one; NaN where both are empty."""
        if all(self.is_empty):
            return math.nan
        ((distances, area),) = self._lists("pooled")
        # 3 x 0.7 mm is a distance of 2.1 mm, whatever rounding says.
        return float(np.average(distances <= tolerance_mm * (1 + 1e-9), weights=area))

    @property
    def _without_surface(self) -> float:
        return math.nan if all(self.is_empty) else math.inf

    def _lists(self, rule: str) -> list[tuple[np.ndarray, np.ndarray | None]]:
        one, other = (self.to_reference, self.prediction_area), (self.to_prediction, self.reference_area)
        if rule == "pooled":
            areas = (self.prediction_area, self.reference_area)
            return [(self.pooled, None if areas[0] is None else np.concatenate(areas))]
        return {"directed": [one, other], "to_reference": [one], "to_prediction": [other]}[rule]


def surface_distances(
    prediction: Array, reference: Array, spacing: Spacing = 1.0, *, border: str = "faces", weighting: str = "voxels"
) -> SurfaceDistances:
    """The distances between two masks' surfaces; where a mask is empty its own list is, and the other one infinite.

    Arguments: see `surface`.
    """
    ours, truth = as_pair(prediction, reference)
    surface = Surface(spacing, ours.ndim, border, weighting)
    return surface.distances(ours.cpu().numpy(), truth.cpu().numpy())


class Surface:
    """What is called a surface, and how long the edges of a voxel are. Arguments: see `surface`."""

    def __init__(self, spacing: Spacing, axes: int, border: str, weighting: str):
        if axes not in (2, 3):
            raise ValueError(f"prediction has {axes} axes of space, expected 2 or 3")
        self.edges = np.array(as_spacing(spacing, axes))
        self.border = one_of(border, BORDERS, "border")
        self.by_area = one_of(weighting, WEIGHTINGS, "weighting") == "area"
        if self.by_area and border != "faces":
            raise ValueError(f"border is {border!r}, expected 'faces' where surfaces are weighted by their area")

    def distances(self, ours: np.ndarray, truth: np.ndarray) -> SurfaceDistances:
        """Between two masks, bool arrays of one shape."""
        box = _box(ours, truth)
        if box is None:
            return SurfaceDistances(np.zeros(0), np.zeros(0))
        masks = ours[box], truth[box]
        if self.by_area:
            return SurfaceDistances(*self._between_elements(masks))
        return SurfaceDistances(*self._between_voxels(masks))

    def _between_voxels(self, masks: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        if self.border == "volume":
            # What lies outside a mask is nearest to one of its border voxels, what lies inside at distance 0.
            borders = [border_of(mask, "faces") for mask in masks]
            return [self._to(borders[1 - n], masks[n], masks[1 - n]) for n in (0, 1)]
        borders = [border_of(mask, self.border) for mask in masks]
        return [self._to(borders[1 - n], borders[n], borders[1 - n]) for n in (0, 1)]

    def _between_elements(self, masks: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        codes = [neighbour_codes(mask) for mask in masks]
        areas = element_areas(self.edges)
        elements = [(code > 0) & (code < len(areas) - 1) for code in codes]
        distances = [self._to(elements[1 - n], elements[n], elements[1 - n]) for n in (0, 1)]
        return [*distances, *(areas[code[chosen]] for code, chosen in zip(codes, elements, strict=True))]

    def _to(self, target: np.ndarray, source: np.ndarray, at_zero: np.ndarray) -> np.ndarray:
        """Of every place of a source the distance to the nearest of a target, in the order of the array."""
        there = np.flatnonzero(source)
        distances = np.zeros(len(there))
        goal = np.flatnonzero(target)
        if len(goal) == 0:
            distances[:] = np.inf
        elif len(apart := np.flatnonzero(~at_zero.ravel()[there])):
            # Neither balancing the tree nor shrinking its boxes pays for itself with so few questions a point.
            tree = cKDTree(self._places(goal, target.shape), balanced_tree=False, compact_nodes=False)
            distances[apart] = tree.query(self._places(there[apart], source.shape), workers=-1)[0]
        return distances

    def _places(self, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """(n, axes) in mm."""
        return np.stack(np.unravel_index(indices, shape), -1) * self.edges


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
