"""The noise that images are mixed with: Gaussian, or simplex, which is smooth and has several sizes at once."""

import math

import torch
from torch import Tensor

from medlab.arguments import number, one_of, whole

KINDS = ("gaussian", "simplex")
SKEW, UNSKEW = (math.sqrt(3) - 1) / 2, (3 - math.sqrt(3)) / 6
REACH = 0.5  # a corner of the lattice is heard up to this squared distance
DIRECTIONS = 16
# The mean square of one octave with unit gradients: sqrt(3) corners a unit area, each with (reach - r^2)^4 times a
# component of the gradient: sqrt(3) * pi / 2 * integral over u = r^2 from 0 to reach of (reach - u)^8 u.
VARIANCE = math.sqrt(3) * math.pi / 2 * REACH**10 / 90


def draw_noise(
    kind: str,
    shape: tuple[int, ...],
    generator: torch.Generator,
    *,
    octaves: int = 6,
    wavelength: float = 64.0,
    persistence: float = 0.8,
) -> Tensor:
    """Noise of mean 0 and variance 1, float32 on the CPU. kind: "gaussian" or "simplex"; the rest is for `simplex`."""
    if one_of(kind, KINDS, "noise") == "gaussian":
        return torch.randn(shape, generator=generator)
    return simplex_noise(shape, generator, octaves=octaves, wavelength=wavelength, persistence=persistence)


def simplex_noise(
    shape: tuple[int, ...],
    generator: torch.Generator,
    *,
    octaves: int = 6,
    wavelength: float = 64.0,
    persistence: float = 0.8,
) -> Tensor:
    """Coherent noise (B, C, X, Y), each image its own: octaves of simplex noise, each half as long as the one before.

    wavelength: pixels of a lattice edge of the first octave; persistence: the amplitude of an octave over that of the
    one before. The paper has 6 octaves from 64 pixels of 256, with 0.8 (Wyatt et al. 2022, section 3.2).
    Two deviations: the paper cuts a plane out of 3D noise at the time step, here each image has a lattice of its own;
    and the sum is divided so that its variance is 1, which the schedule takes for granted.
    Source of the construction: Perlin 2001; Gustavson 2005.
    """
    whole(octaves, "octaves"), number(wavelength, "wavelength", 0, above=True), number(persistence, "persistence", 0)
    if len(shape) != 4:
        raise ValueError(f"shape is {tuple(shape)}, expected (B, C, X, Y)")
    count = shape[0] * shape[1]
    grid = torch.stack(torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in shape[2:]), indexing="ij"))
    total, power = torch.zeros(count, *shape[2:]), 0.0
    for octave in range(octaves):
        table = torch.rand(count, 256, generator=generator).argsort(1)
        # A lattice point always holds 0: the lattice of each image lies elsewhere.
        start = 256 * torch.rand(count, 2, 1, 1, generator=generator, dtype=torch.float64)
        amplitude = persistence**octave
        total += amplitude * simplex_octave(grid * 2**octave / wavelength + start, table)
        power += amplitude**2 * VARIANCE
    return (total / math.sqrt(power)).reshape(shape)


def simplex_octave(points: Tensor, table: Tensor) -> Tensor:
    """Simplex noise at points of the plane: (N, 2, X, Y) float64 of 0 or more, tables (N, 256) to (N, X, Y) float32.

    The plane is cut into equal triangles, each corner has a gradient, a point hears its triangle's three corners.
    table: a permutation of 0 to 255 for each image, which gives a corner its gradient.
    """
    cell = (points + SKEW * points.sum(1, keepdim=True)).floor()
    from_corner = points - cell + UNSKEW * cell.sum(1, keepdim=True)
    # The second corner of the triangle is the neighbour along x in the lower half of a cell, along y in the upper.
    lower = (from_corner[:, 0] > from_corner[:, 1]).to(points.dtype)
    zero, one = torch.zeros_like(lower), torch.ones_like(lower)
    heard = torch.zeros(points.shape[0], *points.shape[2:])
    for i, j in ((zero, zero), (lower, 1 - lower), (one, one)):
        x, y = (from_corner[:, axis] - step + UNSKEW * (i + j) for axis, step in enumerate((i, j)))
        angle = _hashed(table, cell[:, 0] + i, cell[:, 1] + j) * (2 * math.pi / DIRECTIONS)
        loud = (REACH - x.square() - y.square()).clamp(min=0) ** 4
        heard += (loud * (angle.cos() * x + angle.sin() * y)).float()
    return heard


def _hashed(table: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The direction of a corner, 0 to DIRECTIONS - 1, as float64."""
    inner = table.gather(1, (j.long() % 256).flatten(1))
    outer = table.gather(1, (i.long().flatten(1) + inner) % 256)
    return (outer % DIRECTIONS).reshape(i.shape).double()
