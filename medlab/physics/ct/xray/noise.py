"""What chance does to a measurement: a finite number of photons, and the noise of the electronics."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_not_negative, as_positive_number
from medlab.physics.ct.xray.beam import checked_rays
from medlab.physics.ct.xray.materials import Material
from medlab.physics.ct.xray.spectrum import Spectrum


def counted(
    path_mm: Tensor,
    materials: Sequence[str | Material],
    spectrum: Spectrum | float,
    photons: float,
    generator: torch.Generator,
    detector: str = "integrating",
    electronic_noise: float = 0.0,
) -> Tensor:
    """One noisy measurement of `transmission`, (...): the signal over its mean in the open beam.

    photons: the mean number per ray in the open beam, above 0; it is proportional to the tube's mAs. Each energy
    arrives with a Poisson number of photons, which an integrating detector weights with their energy. To this is added
    Gaussian noise of the electronics, electronic_noise as a number of photons of mean energy (0 for a counting detector
    with a threshold). Drawn on the generator's device; not differentiable.
    Raises ValueError as `transmission`, and for numbers of photons that cannot be.
    """
    paths, mu, spectrum = checked_rays(path_mm, materials, spectrum)
    paths = paths.detach()
    photons = as_positive_number(photons, "photons", "a ray")
    spread = float(as_not_negative(electronic_noise, "electronic_noise", "photons"))
    weights, share = spectrum.weights(detector), spectrum.photons
    signal = torch.zeros(paths.shape[:-1], dtype=paths.dtype, device=generator.device)
    # Energy by energy: exact, and in the memory of one sinogram.
    for at in torch.nonzero(share > 0).flatten().tolist():
        arriving = photons * float(share[at]) * torch.exp(-(paths @ mu[:, at]))
        drawn = torch.poisson(arriving.to(generator.device), generator=generator)
        signal = signal + float(weights[at] / share[at]) / photons * drawn
    noise = torch.randn(signal.shape, dtype=signal.dtype, device=generator.device, generator=generator)
    return (signal + spread / photons * noise).to(paths.device)


def line_integral_deviation(line_integrals: Tensor | float, photons: float, electronic_noise: float = 0.0) -> Tensor:
    """The standard deviation of -ln(I / I0) for counted photons, to first order.

    A ray with the line integral p keeps N exp(-p) of N photons, whose variance is their number, so that
    var(p) = exp(p) / N + (electronic_noise exp(p) / N)². Good while hundreds of photons arrive; an integrating detector
    is noisier by the spread of the energies.
    """
    p = as_finite(line_integrals, "line_integrals")
    photons = as_positive_number(photons, "photons", "a ray")
    spread = float(as_not_negative(electronic_noise, "electronic_noise", "photons"))
    arriving = photons * torch.exp(-p)
    return torch.sqrt(1 / arriving + (spread / arriving).square())


def noise_excess(spectrum: Spectrum) -> float:
    """How much larger the variance of an integrating detector is than that of a counting one in the same beam.

    <E²> / <E>², Swank's reciprocal factor (J. Appl. Phys. 44, 4199, 1973): 1 for a single energy.
    """
    energies, share = spectrum.energies_kev, spectrum.photons
    return float((share * energies.square()).sum()) / spectrum.mean_energy_kev**2
