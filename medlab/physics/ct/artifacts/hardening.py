"""Beam hardening: sinograms of a beam of many energies, and the correction that water can have.

Soft photons are lost first, so the line integral that is measured grows more slowly than the thickness. Metal is the
same effect in the extreme: insert a map of metal among the materials.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_finite, as_positive_number
from medlab.physics.ct.projection import FanBeam, ParallelBeam
from medlab.physics.ct.xray import (
    Material,
    Spectrum,
    effective_attenuation_per_cm,
    line_integral,
    transmission,
)

Scanner = ParallelBeam | FanBeam


def path_lengths_mm(shares: Tensor, scanner: Scanner) -> Tensor:
    """The length of every ray in every material: shares (..., M, X, Y) to lengths (..., views, detectors, M) in mm.

    shares: the part of each pixel that a material fills, 0 to 1. Projectors ring a little at sharp edges; lengths below
    0 become 0.
    """
    return (10 * scanner.forward(shares)).clamp(min=0).movedim(-3, -1)


def hardened_sinogram(
    paths_mm: Tensor,
    materials: Sequence[str | Material],
    spectrum: Spectrum,
    strength: float = 1.0,
    detector: str = "integrating",
    floor: float = 1e-6,
) -> Tensor:
    """Line integrals as a beam of many energies shows them, (...), from lengths (..., M) in mm; differentiable.

    strength: 0 to 1. At 0 each millimetre counts as the first one does, as if the beam never hardened; at 1 it hardens
    as beams do; between, the two are mixed. floor: as in `line_integral`, only where the beam hardens.
    Raises ValueError for another strength and what `transmission` refuses.
    """
    strength = as_share(strength, "strength")
    measured = line_integral(transmission(paths_mm, materials, spectrum, detector), floor)
    first = [effective_attenuation_per_cm(material, spectrum, detector) for material in materials]
    first = torch.tensor(first, dtype=paths_mm.dtype, device=paths_mm.device)
    straight = (paths_mm / 10) @ first
    return measured if strength == 1 else straight + strength * (measured - straight)


class WaterCorrection:
    """Straightens line integrals so that water, however thick, is proportional to its thickness.

    A polynomial without a constant, fitted to the spectrum behind 0 to longest_mm of water, and continued along its
    last slope beyond (Brooks and Di Chiro, Phys. Med. Biol. 21, 390, 1976, discuss it). It is right for everything
    that weakens the beam as water does; bone and metal harden it more, and their streaks stay.

    water_per_cm: the coefficient that water has in a corrected image, that of a thin layer in the open beam.
    degree: of the polynomial, 1 to 9.
    """

    def __init__(self, spectrum: Spectrum, detector: str = "integrating", longest_mm: float = 400.0, degree: int = 6):
        longest_mm = as_positive_number(longest_mm, "longest_mm", "mm")
        if not isinstance(degree, int) or not 1 <= degree <= 9:
            raise ValueError(f"degree is {degree}, expected a whole number from 1 to 9")
        self.water_per_cm = effective_attenuation_per_cm("water", spectrum, detector)
        length = torch.linspace(0, longest_mm, 801, dtype=torch.float64)
        measured = line_integral(transmission(length[:, None], ["water"], spectrum, detector), 1e-300)
        self.longest = float(measured[-1])
        # In units of the longest, powers stay of order one and the fit well conditioned.
        powers = (measured / self.longest)[:, None] ** torch.arange(1, degree + 1)
        wanted = (length / 10 * self.water_per_cm).numpy()
        self.coefficients = np.linalg.lstsq(powers.numpy(), wanted, rcond=None)[0].tolist()

    def __call__(self, line_integrals: Tensor) -> Tensor:
        """Corrected line integrals of the same shape; below 0 along the first slope. Differentiable."""
        share = as_finite(line_integrals, "line_integrals") / self.longest
        inside = share.clamp(0, 1)
        value, first, last = torch.zeros_like(share), self.coefficients[0], 0.0
        for power, coefficient in reversed(list(enumerate(self.coefficients, start=1))):
            value = (value + coefficient) * inside
            last += power * coefficient
        return value + first * share.clamp(max=0) + last * (share - 1).clamp(min=0)


def as_share(value: object, name: str) -> float:
    """One number from 0 to 1."""
    number = as_finite(value, name)
    if number.numel() != 1 or not 0 <= float(number) <= 1:
        raise ValueError(f"{name} is {value}, expected a number from 0 to 1")
    return float(number)
