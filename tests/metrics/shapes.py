"""Random shapes for comparisons with peers: made of whole numbers alone, so that every machine makes the same ones."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """Two masks (X, Y[, Z]) and the edges of a voxel in mm."""

    prediction: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, ...]


def random_case(seed: int) -> Case:
    """Unions of ellipsoids, every third pair in a plane; the prediction is the reference with some of them moved.

    The old generator of NumPy is used on purpose: its numbers are promised never to change.
    """
    draw = np.random.RandomState(seed)
    axes = 2 if seed % 3 == 0 else 3
    shape = tuple(draw.randint(12, 23, axes))
    spacing = tuple((draw.randint(4, 31, axes) / 10).tolist())
    centres, radii = draw.randint(0, 24, (4, axes)) % np.array(shape), draw.randint(2, 8, (4, axes))
    moved = centres + draw.randint(-2, 3, (4, axes)) * draw.randint(0, 2, (4, 1))
    grown = np.maximum(radii + draw.randint(-1, 2, (4, 1)), 1)
    count = draw.randint(1, 5)
    reference, prediction = _union(shape, centres[:count], radii), _union(shape, moved[:count], grown)
    return Case(prediction, reference, spacing)


def _union(shape: tuple[int, ...], centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    at = np.stack(np.indices(shape), -1)
    inside = np.zeros(shape, bool)
    for centre, radius in zip(centres, radii, strict=False):
        scale = int(radius.prod())  # all in whole numbers: (x / r)² of every axis over one denominator
        inside |= (((at - centre) * (scale // radius)) ** 2).sum(-1) <= scale**2
    return inside
