"""What a scanner measures before there is a good image: undersampled k-space, and volumes of too few, thick slices."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.scan import T2, Sequence, mr_image
from medlab.cohorts.subject import Subject
from medlab.data import Volume
from medlab.data.chance import generator_for
from medlab.physics.mri.encoding import MultiCoil, loop_sensitivities, random_lines
from medlab.physics.mri.snr import complex_noise


class KspaceScan(NamedTuple):
    """An axial slice as several coils measured it.

    kspace: (coils, X, Y) complex64, zeros where mask is false. mask: (Y,) bool, the measured lines. sensitivities:
    (coils, X, Y) complex64. target: (X, Y) complex64, the image that a complete scan without noise would give.
    """

    kspace: Tensor
    mask: Tensor
    sensitivities: Tensor
    target: Tensor


def measure_kspace(
    subject: Subject,
    index: int,
    seed: int,
    *,
    sequence: Sequence = T2,
    coils: int = 8,
    factor: float = 4.0,
    noise: float = 0.01,
) -> KspaceScan:
    """The axial slice `index` of a subject, of which one line of k-space in `factor` is measured, denser in the middle.

    noise: standard deviation of both parts of a sample, as a share of the white matter's signal.
    Raises ValueError for a slice that the grid does not have.
    """
    depth = subject.grid.shape[2]
    index = whole(index, "index", 0, depth - 1)
    image = mr_image(subject, sequence, seed, noise=0.0, bias=0.0)
    magnitude = image[..., index]
    x, y = magnitude.shape
    chance = generator_for(seed, "k-space")
    # A smooth phase, as every scanner leaves it: images are not real.
    bend = torch.linspace(-1, 1, x)[:, None] * float(torch.randn(1, generator=chance))
    bend = bend + torch.linspace(-1, 1, y).square() * float(torch.randn(1, generator=chance))
    target = magnitude * torch.exp(1j * bend)
    field = tuple(n * step for n, step in zip((x, y), subject.grid.spacing_mm, strict=False))
    around = 0.55 * math.hypot(*field)  # the coils stand just outside the field of view
    maps = loop_sensitivities((x, y), whole(coils, "coils"), fov_mm=field, distance_mm=around, radius_mm=around / 3)
    lines = random_lines(y, number(factor, "factor", 1), chance, calibration=max(2, y // 12), decay=3.0)
    operator = MultiCoil(maps, lines)
    white = subject.share("white matter") > 0.9
    level = number(noise, "noise", 0) * (float(image[white].mean()) if bool(white.any()) else float(image.max()))
    samples = operator(target)
    samples = samples + complex_noise(tuple(samples.shape), level, chance) * lines
    return KspaceScan(samples, lines, maps, target)


def low_resolution(volume: Volume, factor: int, *, axis: int = 2, noise: float = 0.0, seed: int = 0) -> Volume:
    """The volume with slices `factor` times as thick along an axis: means over the thickness, then noise.

    noise: standard deviation, in the volume's unit. What does not fill a whole thick slice is left out at the far end.
    Raises ValueError for a factor below 1 or thicker than the volume.
    """
    count = volume.shape[1 + whole(axis, "axis", 0, 2)]
    factor = whole(factor, "factor", 1, count)
    kept = count // factor * factor
    data = volume.data.narrow(1 + axis, 0, kept).unflatten(1 + axis, (kept // factor, factor)).mean(2 + axis)
    if number(noise, "noise", 0):
        data = data + noise * torch.randn(data.shape, generator=generator_for(seed, "low resolution"))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (factor - 1) / 2
    affine[:3, axis] *= factor
    return Volume(data, affine, volume.name)
