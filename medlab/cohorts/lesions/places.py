"""Where a lesion lies among the points of a grid: small boxes of voxels, so that no whole grid is computed for it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medlab.cohorts.anatomy import head_model

EDGE = 8  # voxels of a block


class Blocks:
    """Points (X, Y, Z, 3) in mm, in blocks of 8³ voxels of which the least and greatest coordinates are known."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        low, high = points, points
        for axis in range(3):
            low = torch.stack([part.amin(axis) for part in low.split(EDGE, axis)], axis)
            high = torch.stack([part.amax(axis) for part in high.split(EDGE, axis)], axis)
        self._low, self._high = low, high

    def box(self, least_mm: Sequence[float], most_mm: Sequence[float]) -> tuple[slice, slice, slice] | None:
        """Slices of the voxels that can lie between two corners; None where there is none."""
        least, most = torch.as_tensor(least_mm), torch.as_tensor(most_mm)
        near = ((self._high >= least) & (self._low <= most)).all(-1).nonzero()
        if not len(near):
            return None
        first, last = near.amin(0).tolist(), near.amax(0).tolist()
        sizes = self.points.shape[:3]
        return tuple(slice(a * EDGE, min((b + 1) * EDGE, n)) for a, b, n in zip(first, last, sizes, strict=True))


def taken_out(shares: dict[str, Tensor], box: tuple[slice, ...]) -> dict[str, Tensor]:
    """The shares within a box of voxels, to be changed and handed to `put_back`."""
    return {name: share[box] for name, share in shares.items()}


def put_back(shares: dict[str, Tensor], changed: dict[str, Tensor], box: tuple[slice, ...]) -> None:
    """Writes the shares of a box into those of the grid, in place; tissues that are new there begin as zeros."""
    for name, share in changed.items():
        if name not in shares:
            shares[name] = torch.zeros_like(next(iter(shares.values())))
        shares[name][box] = share


def model_points(spacing_mm: int) -> Tensor:
    """Where the voxels of `head_model(spacing_mm)` lie, (X, Y, Z, 3) in mm."""
    model = head_model(spacing_mm)
    axes = [
        torch.arange(n, dtype=torch.float32) * spacing_mm + float(model.affine[a, 3])
        for a, n in enumerate(model.shares.shape[1:])
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
