"""Phantoms that have formulas: ellipses in the plane (from `physics.phantoms`), ellipsoids in space, resolution bars.

Places and half axes are in units of half the field of view, as in `physics.phantoms`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.phantoms import Ellipse, draw, fourier_transform, line_integrals, shepp_logan, soft_head

__all__ = [
    "Ellipse",
    "Ellipsoid",
    "draw",
    "draw_volume",
    "fourier_transform",
    "fourier_transform_3d",
    "line_integrals",
    "resolution_bars",
    "shepp_logan",
    "shepp_logan_3d",
    "soft_head",
]


@dataclass(frozen=True)
class Ellipsoid:
    """One ellipsoid, whose value is added where others lie already; turned by angle_deg about z, from x towards y."""

    value: float
    half: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        for axis, length in zip("xyz", self.half, strict=True):
            number(length, f"half axis along {axis}", 0, above=True)

    @property
    def volume(self) -> float:
        """In cubes of half the field of view."""
        return 4 / 3 * math.pi * math.prod(self.half)

    def scaled(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates in which the ellipsoid is the unit ball."""
        cos, sin = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        x, y, z = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        return (x * cos + y * sin) / self.half[0], (y * cos - x * sin) / self.half[1], z / self.half[2]


def shepp_logan_3d(*, contrast: bool = True) -> list[Ellipsoid]:
    """The head of Shepp and Logan in three dimensions, as it is usually drawn, nose towards +y.

    The two large dark bodies are only turned about z here, not tilted in addition. contrast: values with which the
    parts can be seen, else the differences of one per cent of the original.
    """
    shapes = [
        ((0.69, 0.92, 0.81), (0, 0, 0), 0),
        ((0.6624, 0.874, 0.78), (0, -0.0184, 0), 0),
        ((0.11, 0.31, 0.22), (0.22, 0, 0), -18),
        ((0.16, 0.41, 0.28), (-0.22, 0, 0), 18),
        ((0.21, 0.25, 0.41), (0, 0.35, -0.15), 0),
        ((0.046, 0.046, 0.05), (0, 0.1, 0.25), 0),
        ((0.046, 0.046, 0.05), (0, -0.1, 0.25), 0),
        ((0.046, 0.023, 0.05), (-0.08, -0.605, 0), 0),
        ((0.023, 0.023, 0.02), (0, -0.606, 0), 0),
        ((0.023, 0.046, 0.02), (0.06, -0.605, 0), 0),
    ]
    seen = (1, -0.8, -0.2, -0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    original = (2, -0.98, -0.02, -0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01)
    return [Ellipsoid(value, *shape) for value, shape in zip(seen if contrast else original, shapes, strict=True)]


def draw_volume(ellipsoids: Sequence[Ellipsoid], size: int, *, finer: int = 2) -> Tensor:
    """The phantom as a volume (size, size, size), float32: the mean of each voxel over finer³ points."""
    size, finer = whole(size, "size"), whole(finer, "finer")
    volume = torch.zeros(size, size, size)
    along = -1 + (torch.arange(size * finer, dtype=torch.float32) + 0.5) * 2 / (size * finer)
    for ellipsoid in ellipsoids:
        for n in range(size):  # a layer at a time: finer³ times the volume would not fit
            x = along[n * finer : (n + 1) * finer, None, None]
            first, second, third = ellipsoid.scaled(x, along[None, :, None], along[None, None, :])
            inside = (first.square() + second.square() + third.square() <= 1).float()
            volume[n] += ellipsoid.value * inside.reshape(finer, size, finer, size, finer).mean((0, 2, 4))
    return volume


def fourier_transform_3d(ellipsoids: Sequence[Ellipsoid], kx: Tensor, ky: Tensor, kz: Tensor) -> Tensor:
    """The continuous Fourier transform, integral of f exp(-2 pi i k.r), exact, complex128.

    kx, ky, kz: cycles a unit (half the field of view); they broadcast. An ellipsoid gives its value times a b c
    (sin u - u cos u) / (2 pi² q³) with u = 2 pi q and q the length of k in its own axes.
    """
    kx, ky, kz = torch.broadcast_tensors(kx.double(), ky.double(), kz.double())
    total = torch.zeros(kx.shape, dtype=torch.complex128)
    for one in ellipsoids:
        cos, sin = math.cos(math.radians(one.angle_deg)), math.sin(math.radians(one.angle_deg))
        along = (one.half[0] * (kx * cos + ky * sin), one.half[1] * (ky * cos - kx * sin), one.half[2] * kz)
        q = torch.sqrt(sum(part.square() for part in along))
        safe = q.clamp(min=1e-3)  # below it the series is used: the difference of sine and u cosine cancels there
        u = 2 * math.pi * safe
        ball = (torch.sin(u) - u * torch.cos(u)) / (2 * math.pi**2 * safe**3)
        small = 4 / 3 * math.pi * (1 - (2 * math.pi * q).square() / 10)
        ball = torch.where(q > 1e-3, ball, small)
        phase = -2 * math.pi * (kx * one.centre[0] + ky * one.centre[1] + kz * one.centre[2])
        total = total + one.value * math.prod(one.half) * ball * torch.exp(1j * phase)
    return total


def resolution_bars(size: int, line_pairs: Sequence[float] = (4, 8, 16, 32, 64)) -> Tensor:
    """Groups of bars of 1 on 0, side by side, (size, size) float32: which of them can still be told apart?

    line_pairs: for each group, the number of pairs (a bar and a gap) that the whole field of view would hold along y;
    each pixel holds the mean of what lies in it. Raises ValueError for no group, and numbers that are not above 0.
    """
    size = whole(size, "size")
    if not line_pairs:
        raise ValueError("line_pairs is empty, expected at least one group")
    edges = torch.arange(size + 1, dtype=torch.float64) / size
    image = torch.zeros(size, size)
    width = size / len(line_pairs)
    for n, pairs in enumerate(line_pairs):
        turns = edges * number(pairs, "line_pairs", 0, above=True)
        filled = turns.floor() / 2 + (turns - turns.floor()).clamp(max=0.5)  # the integral of the bars up to an edge
        profile = filled.diff() / turns.diff()
        low, high = round((n + 0.1) * width), round((n + 0.9) * width)
        image[low:high] = profile.float()
    return image
