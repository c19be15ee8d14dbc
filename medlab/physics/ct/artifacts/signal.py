"""What goes wrong at the detector: too few photons, scattered photons, elements with a wrong gain.

Each takes line integrals (..., views, detectors), goes back to the signal I / I0 = exp(-p), spoils that, and returns
line integrals. Each has a strength at which nothing changes.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_not_negative, as_positive_number
from medlab.physics.ct.artifacts.hardening import as_share
from medlab.physics.ct.xray import line_integral


def with_noise(
    line_integrals: Tensor, photons: float, generator: torch.Generator, electronic_noise: float = 0.0
) -> Tensor:
    """Line integrals from a finite number of photons; where hardly any arrive, the image streaks (photon starvation).

    photons: mean number per ray in the open beam, infinity for no noise. electronic_noise: standard deviation of the
    electronics, in photons. A signal below half a photon counts as half a photon. For one energy; `xray.counted` draws
    energy by energy. Drawn on the generator's device; not differentiable.
    """
    p = as_finite(line_integrals, "line_integrals").detach()
    if photons == math.inf:
        return p
    photons = as_positive_number(photons, "photons", "a ray")
    spread = float(as_not_negative(electronic_noise, "electronic_noise", "photons"))
    home = generator.device
    counted = torch.poisson((photons * torch.exp(-p)).to(home), generator=generator)
    counted = counted + spread * torch.randn(p.shape, dtype=p.dtype, device=home, generator=generator)
    return line_integral(counted.to(p.device) / photons, min(0.5 / photons, 1.0))


def with_scatter(line_integrals: Tensor, strength: float, width: float = 40.0) -> Tensor:
    """Line integrals with scattered photons added to every signal.

    A ray that has crossed p scatters once about as often as p exp(-p) says: it came to a place, scattered there, and
    came out. strength is the share of that which arrives somewhere on the detector, 0 to 1. It arrives spread out, by
    a Gaussian along the detector with a standard deviation of width elements; nothing comes from beyond the ends.
    Behind a head (p = 4), a strength of 0.01 adds about 5 per cent to the weakest rays. Differentiable.
    """
    p = as_finite(line_integrals, "line_integrals")
    strength, width = as_share(strength, "strength"), as_positive_number(width, "width", "elements")
    primary = torch.exp(-p)
    if strength == 0:
        return p
    reach = min(math.ceil(4 * width), p.shape[-1])
    place = torch.arange(-reach, reach + 1, dtype=p.dtype, device=p.device)
    kernel = torch.exp(-(place / width).square() / 2)
    once = (p.clamp(min=0) * primary).reshape(-1, 1, p.shape[-1])
    spread = torch.nn.functional.conv1d(once, (kernel / kernel.sum())[None, None], padding=reach).reshape(p.shape)
    return -torch.log(primary + strength * spread)


def with_gains(line_integrals: Tensor, gains: Tensor) -> Tensor:
    """Line integrals of a detector whose elements have these gains, (detectors,), each above 0: p - ln(gain).

    The error is the same in every view, so a parallel scanner shows a ring whose radius is the place of the element.
    Differentiable.
    """
    p, gains = as_finite(line_integrals, "line_integrals"), as_finite(gains, "gains")
    if gains.shape != p.shape[-1:]:
        raise ValueError(f"gains has shape {tuple(gains.shape)}, expected {tuple(p.shape[-1:])}, one a detector")
    if not bool((gains > 0).all()):
        raise ValueError(f"gains contains {float(gains.min()):g}, expected numbers above 0")
    return p - torch.log(gains).to(p.dtype).to(p.device)


def draw_gains(detectors: int, strength: float, generator: torch.Generator) -> Tensor:
    """Random gains (detectors,), float64: exp of a normal number with the standard deviation strength, 0 or more."""
    strength = float(as_not_negative(strength, "strength", "of the gain"))
    return torch.exp(strength * torch.randn(detectors, dtype=torch.float64, generator=generator))
