"""Distances between the surfaces of two masks, in mm.

All measures take the same arguments:

prediction, reference, labels, batch_dims: as in `overlap`; two or three axes of space. spacing: the edge of a voxel in
mm, one for all axes or one for each. both_empty, one_empty: what stands where there is no surface in both, or in one. A
distance that does not exist is NaN or infinite rather than 0, a share of surfaces NaN or 0. Raises ValueError as
`overlap` does, and for a spacing that is not above 0.

What a surface is differs from program to program, and so do their numbers:

border="faces", the default: the voxels of the mask with one of their 6 neighbours (4 in a plane) outside it; beyond the
edge of the array nothing is. MONAI, Metrics Reloaded, medpy. border="corners": one of all 26 (8) neighbours counts.
border="volume": all voxels of the mask; what lies in the other mask is at distance 0. SimpleITK.
weighting="voxels", the default: distances run between centres of voxels, and each voxel counts once. weighting="area":
they run between the pieces of surface that lie between the voxels, and each counts by its area (`surface_elements`).
surface-distance, and the paper on surface Dice. rule: see each measure.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from medlab.arguments import number, one_of
from medlab.metrics.mask_pairs import Array, as_pair
from medlab.metrics.surface_distances import RULES, Spacing, Surface, SurfaceDistances


class Choices(TypedDict, total=False):
    """What all measures of this file can be told by name; see the file's own text."""

    batch_dims: int
    border: str
    weighting: str
    both_empty: float
    one_empty: float


def hausdorff_distance(
    prediction: Array,
    reference: Array,
    spacing: Spacing = 1.0,
    labels: Sequence[int] | None = None,
    **choices: Unpack[Choices],
) -> Tensor:
    """The largest distance from one surface to the other (thesis eq. 5.22), mm, (batch..., labels) float64.

    One voxel can decide it: see `hausdorff_distance_95`. The equation as printed measures all points of a mask, with
    border="volume", against the other one's border, by which a mask would lie at a distance from itself; what it means
    is border to border. Arguments: see the file.
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
    larger (MONAI, Metrics Reloaded, surface-distance); "pooled" takes it of all distances together (medpy), which is
    rarely more; "to_reference" and "to_prediction" take one direction (MONAI's `directed=True` is the first). Other
    arguments: see the file.
    """
    number(percentile, "percentile", 0, 100)
    one_of(rule, RULES, "rule")
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

    rule: "pooled" is the mean over both surfaces (MONAI with `symmetric=True`, medpy, Metrics Reloaded), "directed" the
    mean of the two directions' means, in which a small surface weighs as much as a large one (SimpleITK, with
    border="volume"); "to_reference" and "to_prediction" are one direction each (MONAI's default is the first, the pair
    is what surface-distance gives with weighting="area"). Other arguments: see the file.
    """
    one_of(rule, RULES, "rule")
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

    Border voxels are counted, as MONAI and Metrics Reloaded do; weighting="area" weighs them as the authors do.
    tolerance_mm: 0 or more; what two readers differ by is a good choice. Other arguments: see the file.
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
    weighting: str = "voxels",
    both_empty: float = math.nan,
    one_empty: float = math.inf,
) -> Tensor:
    """A measure of every sample and label, (batch..., labels) float64."""
    ours, truth = as_pair(prediction, reference, labels, batch_dims)
    surface = Surface(spacing, ours.ndim - batch_dims, border, weighting)
    batch, space = ours.shape[:batch_dims], ours.shape[batch_dims:]
    values = []
    for one, other in zip(ours.reshape(-1, *space).cpu().numpy(), truth.reshape(-1, *space).cpu().numpy(), strict=True):
        for label in (None,) if labels is None else labels:
            pair = (one, other) if label is None else (one == label, other == label)
            found = surface.distances(*pair)
            if any(found.is_empty):
                values.append(both_empty if all(found.is_empty) else one_empty)
            else:
                values.append(measure(found))
    result = torch.tensor(values, dtype=torch.float64)
    return result.reshape(batch if labels is None else (*batch, len(labels)))
