"""A volume on another grid: a finer or coarser one of its own, or that of another volume."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from scipy import ndimage

from medlab.data.errors import VolumeError
from medlab.data.volume import LARGEST_MM, MAX_VOXELS, SMALLEST_MM, Volume

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
# Full width at half maximum of a Gaussian of standard deviation 1.
FWHM = 2 * np.sqrt(2 * np.log(2))


def resample(
    volume: Volume,
    spacing: float | Sequence[float] | None = None,
    *,
    like: Volume | None = None,
    order: str = "linear",
    antialias: bool = True,
    fill: float = 0.0,
    max_voxels: int = MAX_VOXELS,
) -> Volume:
    """The volume, interpolated on another grid. Give `spacing` or `like`.

    spacing: mm along X, Y and Z of the new grid (one number for all three). The field of view keeps its centre
        and its directions; its edge moves by at most a quarter of a new voxel, since voxels are whole. A sheared
        volume (a CT with a tilted gantry) gets a straight grid around it that keeps the first axis and the plane
        of the first two.
    like: another volume, whose grid is taken over.
    order: "linear", "nearest" (label maps) or "cubic" (interpolating spline, may overshoot).
    antialias: where the new voxels are larger, smooth first with a Gaussian whose full width at half maximum makes
        up the difference between the two voxel sizes, sqrt(new² - old²) along each old axis (Cardoso et al., 2015,
        scale factor point spread function matching). Nothing is smoothed for "nearest".
    fill: the value of voxels whose centre lies outside the old field of view. A voxel is a box: between its centre
        and the edge of the field of view the outermost value holds.

    The result has the name and device of `volume`; it carries no gradient. Raises VolumeError (a ValueError) for a
    wrong argument and for a grid of more than `max_voxels` voxels, before memory is taken.
    """
    if order not in ORDERS:
        raise VolumeError(f"order is {order!r}, expected one of {', '.join(ORDERS)}")
    if (spacing is None) == (like is None):
        raise VolumeError("resample got both or neither of spacing and like, expected one of them")
    if not np.isfinite(fill):
        raise VolumeError(f"fill is {fill}, expected a finite number")
    affine, shape = (like.affine, like.shape[1:]) if like is not None else _own_grid(volume, _three(spacing))
    voxels = volume.shape[0] * int(np.prod([int(size) for size in shape], dtype=object))
    if voxels > max_voxels:
        grid = " x ".join(map(str, shape))
        raise VolumeError(
            f"volume {volume.name!r}: the new grid {grid} has {voxels} voxels, expected {max_voxels} at most"
        )

    # From a voxel of the new grid to one of the old: everything else follows from this matrix.
    back = np.linalg.solve(volume.affine, affine)
    if tuple(shape) == volume.shape[1:] and np.allclose(back, np.eye(4), rtol=0, atol=1e-6):
        return Volume(volume.data.detach().clone(), affine, volume.name)

    source = volume.data.detach().cpu().numpy()
    if antialias and order != "nearest":
        source = _smooth(source, back)
    out = np.empty((source.shape[0], *shape), dtype=np.float32)
    for channel, values in zip(out, source, strict=True):
        _interpolate(values, back, ORDERS[order], channel)
    outside = _outside(back, shape, volume.shape[1:])
    if outside is not None:
        out[:, outside] = fill
    return Volume(torch.from_numpy(out).to(volume.data.device), affine, volume.name)


def _three(spacing: float | Sequence[float]) -> np.ndarray:
    try:
        sizes = np.asarray(spacing, dtype=np.float64)
        sizes = np.broadcast_to(sizes, 3) if sizes.ndim == 0 else sizes
    except (TypeError, ValueError):
        sizes = np.empty(0)
    if sizes.shape != (3,) or not ((sizes >= SMALLEST_MM) & (sizes <= LARGEST_MM)).all():
        raise VolumeError(
            f"spacing is {spacing!r}, expected one or three numbers of {SMALLEST_MM:g} to {LARGEST_MM:g} mm"
        )
    return sizes


def _own_grid(volume: Volume, spacing: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Affine and shape of the grid of this spacing over the volume's own field of view."""
    sizes = np.array(volume.shape[1:])
    middle = volume.to_world((sizes - 1) / 2)
    if volume.orthogonal:
        directions = volume.affine[:3, :3] / volume.spacing
        counts = sizes * volume.spacing / spacing
        # Rounded half up; a hair is added so that 10 x 1.5 / 3 is not at the mercy of the last bit.
        counts = np.floor(counts + 0.5 + 1e-6)
    else:
        directions = _straight(volume.affine[:3, :3])
        corners = volume.to_world(
            [
                [size - 0.5 if far else -0.5 for size, far in zip(sizes, ends, strict=True)]
                for ends in product((False, True), repeat=3)
            ]
        )
        extent = np.ptp(corners @ directions, axis=0)
        counts = np.ceil(extent / spacing - 1e-6)
    counts = np.maximum(counts, 1)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = middle - affine[:3, :3] @ ((counts - 1) / 2)
    return affine, tuple(int(count) for count in counts)


def _straight(axes: np.ndarray) -> np.ndarray:
    """Orthonormal directions as columns: the first axis, the plane of the first two, the side of the third."""
    directions, triangle = np.linalg.qr(axes)
    return directions * np.sign(np.diag(triangle))


def _smooth(source: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The Gaussian that a coarser grid needs; source is (C, X, Y, Z)."""
    widths = np.linalg.norm(back[:3, :3], axis=1)  # size of a new voxel along each old axis, in old voxels
    sigma = np.sqrt(np.maximum(widths**2 - 1, 0)) / FWHM
    sigma[sigma < 0.01] = 0
    if not sigma.any():
        return source
    return np.stack([ndimage.gaussian_filter(values, sigma, mode="nearest") for values in source])


def _interpolate(values: np.ndarray, back: np.ndarray, order: int, out: np.ndarray) -> None:
    matrix, offset = back[:3, :3], back[:3, 3]
    # Neighbours at the same distance: a nudge makes the choice the same everywhere, whatever the last bit says.
    offset = offset + 1e-6 if order == 0 else offset
    diagonal = np.diag(matrix)
    if np.abs(matrix - np.diag(diagonal)).max() < 1e-12:
        matrix = diagonal  # scipy's separable path, several times faster
    ndimage.affine_transform(values, matrix, offset, out.shape, out, order, mode="nearest")


def _outside(back: np.ndarray, shape: Sequence[int], source: Sequence[int]) -> np.ndarray | None:
    """True where a new voxel's centre lies outside the old field of view; None where none does."""
    edges = np.array(source) - 0.5 + 1e-6
    corners = np.array(list(product(*((0, size - 1) for size in shape)))) @ back[:3, :3].T + back[:3, 3]
    if (corners >= -0.5 - 1e-6).all() and (corners <= edges).all():
        return None  # the field of view is convex: with its corners the whole grid is inside
    outside = np.zeros(shape, dtype=bool)
    steps = np.ogrid[tuple(slice(size) for size in shape)]
    for row, shift, edge in zip(back[:3, :3], back[:3, 3], edges, strict=True):
        place = shift + sum(weight * step for weight, step in zip(row, steps, strict=True))
        outside |= (place < -0.5 - 1e-6) | (place > edge)
    return outside
