"""Losses of outlines: errors are weighed by their distance from a boundary, in mm.

probabilities, target, exclusive and background are those of `region`; channel 0 is left out unless background is
True. spacing: the edge of a voxel in mm, one for all axes or one for each. Distances run between centres of voxels and
carry no gradient; they are computed on the CPU.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from medlab.arguments import as_spacing, number, one_of, whole
from medlab.metrics.losses.region import REDUCTIONS
from medlab.metrics.losses.soft_pairs import as_probabilities, as_target, wide
from medlab.metrics.mask_pairs import Array, as_labels, as_mask

Spacing = float | Sequence[float]


def signed_distance_map(mask: Array, spacing: Spacing = 1.0) -> Tensor:
    """How far each voxel is from the other side of a mask's boundary, in mm, (X, Y[, Z]) float32.

    Outside, the distance to the nearest voxel of the mask; inside, minus that to the nearest voxel outside, so no voxel
    has 0. mask: (X, Y[, Z]). A mask that is empty or full has no boundary: its map is 0. Raises ValueError for what is
    no mask and for a spacing that is not above 0.
    """
    inside = as_mask(mask, "mask")
    edges = _edges(spacing, inside.ndim)
    return torch.from_numpy(_signed(inside.cpu().numpy(), edges)).to(inside.device)


def signed_distance_maps(labels: Array, classes: int, spacing: Spacing = 1.0) -> Tensor:
    """The map of each class of each sample, (B, C, X, Y[, Z]) float32 in mm: what `boundary_loss` takes.

    labels: (B, X, Y[, Z]) of whole numbers. classes: how many channels C the prediction has; 1 gives the map of label
    1. Maps depend on the target alone: make them once for a training set. Raises ValueError as `signed_distance_map`.
    """
    found = as_labels(labels, "labels")
    edges = _edges(spacing, found.ndim - 1)
    values = range(1, 2) if whole(classes, "classes") == 1 else range(classes)
    given = found.cpu().numpy()
    maps = np.stack([[_signed(sample == value, edges) for value in values] for sample in given])
    return torch.from_numpy(maps).to(found.device)


def boundary_loss(
    probabilities: Tensor,
    distance_maps: Tensor,
    *,
    exclusive: bool = True,
    background: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The mean over voxels of probability times signed distance (Kervadec et al. 2019, eq. 5), mm.

    Linear in the probabilities, and negative for a good prediction: the smallest value is that of the target itself. By
    itself it does not tell an empty prediction from one that is half right, so it is added to a loss of regions with
    a small weight. distance_maps: the probabilities' shape, from `signed_distance_maps`. (The authors' code counts
    inside from the outermost voxels, which have 0 there.) reduction: "none" gives (B, C), or (B, C - 1) without
    background. Other arguments: see the file. Raises ValueError as `soft_dice_loss` does.
    """
    one_of(reduction, REDUCTIONS, "reduction")
    ours = as_probabilities(probabilities, exclusive)
    if not isinstance(distance_maps, Tensor) or distance_maps.shape != ours.shape:
        found = tuple(distance_maps.shape) if isinstance(distance_maps, Tensor) else type(distance_maps).__name__
        raise ValueError(f"distance_maps has the shape {found}, expected that of probabilities, {tuple(ours.shape)}")
    maps = distance_maps.to(device=ours.device, dtype=wide(ours))
    if not bool(maps.isfinite().all()):
        raise ValueError("distance_maps contain NaN or infinity, expected distances in mm")
    ours, maps = _foreground(ours, background), _foreground(maps, background)
    loss = (ours * maps).flatten(2).mean(-1)
    return loss.mean() if reduction == "mean" else loss


def hausdorff_loss(
    probabilities: Tensor,
    target: Tensor,
    spacing: Spacing = 1.0,
    *,
    alpha: float = 2.0,
    exclusive: bool = True,
    background: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Squared errors weighed by distance from both boundaries (Karimi and Salcudean 2020), mm^alpha, 0 or more.

    The mean over voxels of (p - g)² (d_p^alpha + d_g^alpha), where d are distances to the boundary of the prediction at
    0.5 and of the target. It stands in for the largest distance, which has a gradient in one voxel only. alpha: above
    0; the larger, the nearer to the largest distance. A side without a boundary adds nothing. reduction: "none" gives
    (B, C), or (B, C - 1) without background. Each call transforms the prediction anew. Other arguments: see the file.
    """
    alpha = number(alpha, "alpha", 0, above=True)
    one_of(reduction, REDUCTIONS, "reduction")
    ours = as_probabilities(probabilities, exclusive)
    truth = as_target(target, ours, exclusive)
    edges = _edges(spacing, ours.ndim - 2)
    if truth.ndim < ours.ndim:
        values = torch.arange(1, 2) if ours.shape[1] == 1 else torch.arange(ours.shape[1])
        truth = truth[:, None] == values.to(truth.device).reshape(-1, *[1] * (ours.ndim - 2))
    kind = wide(ours)
    ours, truth = (_foreground(one, background).to(kind) for one in (ours, truth))
    distances = sum(_to_boundary(one.detach() > 0.5, edges).to(ours).pow(alpha) for one in (ours, truth))
    loss = ((ours - truth).square() * distances).flatten(2).mean(-1)
    return loss.mean() if reduction == "mean" else loss


def _foreground(values: Tensor, background: bool) -> Tensor:
    return values if background or values.shape[1] == 1 else values[:, 1:]


def _to_boundary(masks: Tensor, edges: tuple[float, ...]) -> Tensor:
    """Distances without sign, of masks (B, C, ...)."""
    given = masks.cpu().numpy()
    return torch.from_numpy(np.stack([[np.abs(_signed(mask, edges)) for mask in sample] for sample in given]))


def _signed(inside: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    if not inside.any() or inside.all():
        return np.zeros(inside.shape, np.float32)
    outward = distance_transform_edt(~inside, edges)
    return (outward - distance_transform_edt(inside, edges)).astype(np.float32)


def _edges(spacing: Spacing, axes: int) -> tuple[float, ...]:
    if axes not in (2, 3):
        raise ValueError(f"the mask has {axes} axes of space, expected 2 or 3")
    return as_spacing(spacing, axes)
