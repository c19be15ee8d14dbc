"""Field inhomogeneity: spins that precess at slightly different frequencies, and the T2* that follows.

The mean of exp(2 pi i f t) over a Lorentzian (Cauchy) distribution of f with half width w at half maximum is
exp(-2 pi w |t|). With 2 pi w = gamma dB0 this is thesis eq. 3.3, 1 / T2* = 1 / T2 + gamma dB0, exactly; so the
equation's "variation in the field" dB0 is the half width at half maximum of a Lorentzian, and no other shape gives an
exponential decay.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins.arguments import Real, as_relaxation_times
from medlab.physics.mri.spins.constants import GAMMA_MHZ_PER_T, GAMMA_RAD_PER_S_T


def half_width_hz(field_spread_t: Real) -> Real:
    """gamma dB0 / 2 pi in Hz, the half width at half maximum of the off-resonances; field_spread_t: dB0 in T, >= 0."""
    _refuse_negative(field_spread_t, "field_spread_t")
    return GAMMA_MHZ_PER_T * 1e6 * field_spread_t


def t2_star_ms(t2_ms: Real, field_spread_t: Real) -> Real:
    """T2* in ms of spins with this T2 in a field of Lorentzian half width field_spread_t in tesla (thesis eq. 3.3)."""
    _refuse_negative(field_spread_t, "field_spread_t")
    as_relaxation_times(math.inf, t2_ms)
    return 1 / (1 / t2_ms + GAMMA_RAD_PER_S_T * 1e-3 * field_spread_t)


def spaced_lorentzian_hz(count: int, half_width_hz: float) -> Tensor:
    """count off-resonances in Hz, rising, that stand for a Lorentzian of this half width without any noise.

    They are its quantiles at (k + 1/2) / count, float64, shape (count,); each carries the same weight.
    """
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count is {count}, expected a whole number of at least 1")
    _refuse_negative(half_width_hz, "half_width_hz")
    return _quantile((torch.arange(count, dtype=torch.float64) + 0.5) / count, half_width_hz)


def draw_lorentzian_hz(shape: int | tuple[int, ...], half_width_hz: float, generator: torch.Generator) -> Tensor:
    """Random off-resonances in Hz from a Lorentzian of this half width: float64, of the given shape.

    generator: on the CPU, so that a seed gives the same spins on every device.
    """
    _refuse_negative(half_width_hz, "half_width_hz")
    chance = torch.rand(shape, dtype=torch.float64, generator=generator)
    return _quantile(chance, half_width_hz)


def _quantile(probability: Tensor, half_width_hz: float) -> Tensor:
    return half_width_hz * torch.tan(math.pi * (probability - 0.5))


def _refuse_negative(value: object, name: str) -> None:
    if bool((as_finite(value, name) < 0).any()):
        raise ValueError(f"{name} is {value}, expected 0 or more")
