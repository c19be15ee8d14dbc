"""Masks with a mistake of a known kind and size: what a method or a reader may make of a true mask.

Masks are arrays (X, Y[, Z]) of bool, and so are the results; distances are in voxels. Each mistake comes alone, so that
one can see what a measure makes of it.
"""

import numpy as np
from scipy import ndimage

from medlab.arguments import number as as_number
from medlab.arguments import whole


def resized(mask: np.ndarray, share: float) -> np.ndarray:
    """With this share of its volume: of its own voxels, and then of others, those that are most surrounded by it.

    share: above 0; 0.7 takes the outermost 30 % off, 1.3 adds as much around. It never empties a mask.
    """
    as_number(share, "share", 0, above=True)
    size = min(max(round(share * int(_filled(mask).sum())), 1), mask.size)
    rank = mask + ndimage.gaussian_filter(mask.astype(np.float64), 1.0)
    order = (-rank).ravel().argsort(kind="stable")
    made = np.zeros(mask.size, bool)
    made[order[:size]] = True
    return made.reshape(mask.shape)


def with_hole(mask: np.ndarray, depth: float = 0.6) -> np.ndarray:
    """Without a ball around its deepest voxel; depth: the ball's radius as a share of how deep that is, 0 to 1."""
    as_number(depth, "depth", 0, 1)
    deep = ndimage.distance_transform_edt(_filled(mask))
    place = np.unravel_index(deep.argmax(), deep.shape)
    axes = np.ogrid[tuple(slice(n) for n in mask.shape)]
    away = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(axes, place, strict=True)))
    return mask & (away >= depth * deep.max())


def without_smaller_pieces(mask: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Without the smallest of its pieces, this share of their number, rounded down; pieces touch at corners too."""
    as_number(share, "share", 0, 1)
    pieces, count = ndimage.label(_filled(mask), np.ones((3,) * mask.ndim))
    smallest_first = np.argsort(ndimage.sum_labels(mask, pieces, range(1, count + 1)), kind="stable") + 1
    return mask & ~np.isin(pieces, smallest_first[: int(share * count)])


def with_far_voxel(mask: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """With one voxel more: of those inside another mask, such as the brain, the one farthest away."""
    away = ndimage.distance_transform_edt(~_filled(mask)) * _room(mask, inside, 1)
    made = mask.copy()
    made[np.unravel_index(away.argmax(), away.shape)] = True
    return made


def with_stray_voxels(mask: np.ndarray, inside: np.ndarray, number: int, seed: int) -> np.ndarray:
    """With so many voxels more, each drawn anywhere inside another mask, such as the brain."""
    room = np.flatnonzero(_room(mask, inside, whole(number, "number")))
    made = mask.copy()
    made.flat[np.random.default_rng(whole(seed, "seed", 0)).choice(room, number, replace=False)] = True
    return made


def _filled(mask: np.ndarray) -> np.ndarray:
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        raise ValueError(f"mask is {getattr(mask, 'dtype', type(mask).__name__)}, expected an array of bool")
    if not mask.any():
        raise ValueError("mask is empty, expected at least one voxel")
    return mask


def _room(mask: np.ndarray, inside: np.ndarray, number: int) -> np.ndarray:
    if mask.shape != inside.shape:
        raise ValueError(f"inside has the shape {inside.shape}, expected that of mask, {mask.shape}")
    room = inside & ~mask
    if int(room.sum()) < number:
        raise ValueError(f"inside has room for {int(room.sum())} voxels beside the mask, expected {number} or more")
    return room
