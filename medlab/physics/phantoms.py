"""Phantoms made of ellipses: what every scanner and reconstruction can be held against, since all of it has a formula.

Places and half axes are in units of half the field of view, so that x and y run from -1 to 1; x is the first axis of
an image (..., X, Y), y the second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ellipse:
    """One ellipse, whose value is added where others lie already.

    half_x, half_y: its half axes before it is turned by angle_deg, anticlockwise from x towards y.
    """

    value: float
    half_x: float
    half_y: float
    x: float = 0.0
    y: float = 0.0
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("half_x", "half_y"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a half axis above 0")


def shepp_logan(*, contrast: bool = True) -> list[Ellipse]:
    """The head phantom of Shepp and Logan (IEEE Trans. Nucl. Sci. 21, 21, 1974), nose towards +y.

    contrast: the values of Toft (1996), with which the tissues can be seen; else the 1 per cent differences of the
    original.
    """
    shapes = [
        (0.69, 0.92, 0, 0, 0),
        (0.6624, 0.8740, 0, -0.0184, 0),
        (0.11, 0.31, 0.22, 0, -18),
        (0.16, 0.41, -0.22, 0, 18),
        (0.21, 0.25, 0, 0.35, 0),
        (0.046, 0.046, 0, 0.1, 0),
        (0.046, 0.046, 0, -0.1, 0),
        (0.046, 0.023, -0.08, -0.605, 0),
        (0.023, 0.023, 0, -0.606, 0),
        (0.023, 0.046, 0.06, -0.605, 0),
    ]
    seen = (1, -0.8, -0.2, -0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    original = (2, -0.98, -0.02, -0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01)
    values = seen if contrast else original
    return [Ellipse(value, *shape) for value, shape in zip(values, shapes, strict=True)]


def soft_head() -> list[Ellipse]:
    """Four large shapes of moderate contrast: a head without a shell, kinder to every projector than `shepp_logan`."""
    return [
        Ellipse(1.0, 0.69, 0.92),
        Ellipse(-0.3, 0.3, 0.22, x=0.1, y=0.3, angle_deg=20),
        Ellipse(0.4, 0.1, 0.3, x=-0.3, y=-0.1, angle_deg=-15),
        Ellipse(0.5, 0.12, 0.12, x=0.25, y=-0.4),
    ]


def draw(ellipses: Sequence[Ellipse], size: int, *, finer: int = 8) -> Tensor:
    """The phantom as an image (size, size), float32: the mean of each pixel over finer x finer points."""
    _refuse_below_one(size, "size")
    _refuse_below_one(finer, "finer")
    image = torch.zeros(size, size)
    step = 2 / (size * finer)
    along = -1 + (torch.arange(size * finer, dtype=torch.float64) + 0.5) * step
    for ellipse in ellipses:
        cos, sin = _direction(ellipse.angle_deg)
        reach_x = math.hypot(ellipse.half_x * cos, ellipse.half_y * sin)
        reach_y = math.hypot(ellipse.half_x * sin, ellipse.half_y * cos)
        columns, rows = _span(ellipse.x, reach_x, size), _span(ellipse.y, reach_y, size)
        if not columns or not rows:
            continue
        x = along[columns.start * finer : columns.stop * finer, None] - ellipse.x
        y = along[None, rows.start * finer : rows.stop * finer] - ellipse.y
        first, second = (x * cos + y * sin) / ellipse.half_x, (y * cos - x * sin) / ellipse.half_y
        inside = (first.square() + second.square() <= 1).float()
        share = inside.reshape(len(columns), finer, len(rows), finer).mean((1, 3))
        image[columns.start : columns.stop, rows.start : rows.stop] += ellipse.value * share
    return image


def line_integrals(ellipses: Sequence[Ellipse], angle_rad: Tensor, offset: Tensor) -> Tensor:
    """The integral along each line x cos(angle) + y sin(angle) = offset, exact, float64.

    angle_rad and offset broadcast; offset and result are in units of half the field of view.
    """
    angle_rad, offset = angle_rad.double(), offset.double()
    total = torch.zeros(torch.broadcast_shapes(angle_rad.shape, offset.shape), dtype=torch.float64)
    cos, sin = torch.cos(angle_rad), torch.sin(angle_rad)
    for ellipse in ellipses:
        turned = angle_rad - math.radians(ellipse.angle_deg)
        reach = (ellipse.half_x * torch.cos(turned)).square() + (ellipse.half_y * torch.sin(turned)).square()
        away = offset - ellipse.x * cos - ellipse.y * sin
        chord = 2 * ellipse.half_x * ellipse.half_y * (reach - away.square()).clamp(min=0).sqrt() / reach
        total = total + ellipse.value * chord
    return total


def fourier_transform(ellipses: Sequence[Ellipse], kx: Tensor, ky: Tensor) -> Tensor:
    """The continuous Fourier transform, integral of f exp(-2 pi i (kx x + ky y)), exact, complex128.

    kx, ky: cycles a unit (half the field of view); they broadcast. An ellipse gives a b J1(2 pi q) / q with q the
    length of (kx, ky) in its own axes.
    """
    kx, ky = torch.broadcast_tensors(kx.double(), ky.double())
    total = torch.zeros(kx.shape, dtype=torch.complex128)
    for ellipse in ellipses:
        cos, sin = _direction(ellipse.angle_deg)
        q = torch.hypot(ellipse.half_x * (kx * cos + ky * sin), ellipse.half_y * (ky * cos - kx * sin))
        safe = q.clamp(min=1e-9)
        size = torch.where(q > 1e-9, torch.special.bessel_j1(2 * math.pi * safe) / safe, math.pi)
        phase = -2 * math.pi * (kx * ellipse.x + ky * ellipse.y)
        total = total + ellipse.value * ellipse.half_x * ellipse.half_y * torch.polar(size.abs(), phase) * size.sign()
    return total


def _direction(angle_deg: float) -> tuple[float, float]:
    return math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))


def _span(centre: float, reach: float, size: int) -> range:
    """The pixels that the interval centre ± reach touches."""
    low, high = math.floor((centre - reach + 1) * size / 2), math.ceil((centre + reach + 1) * size / 2)
    return range(max(low, 0), min(high, size))


def _refuse_below_one(value: int, name: str) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value}, expected a whole number of at least 1")
