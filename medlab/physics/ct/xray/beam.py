"""Beer and Lambert's law for a ray through several materials, at one energy or at many.

    I / I0 = sum over energies of  w(E) exp(-sum over materials of mu_m(E) l_m),

with the path lengths l and the detector's weights w (thesis eq. 3.6, whose integrand has to be read with the length of
the path's derivative). Paths are in mm and coefficients in 1/cm; a factor of 10 stands between them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_not_negative, as_positive_number
from medlab.physics.ct.xray.attenuation import attenuation_per_cm
from medlab.physics.ct.xray.materials import Material
from medlab.physics.ct.xray.spectrum import Spectrum, as_spectrum

# Rays times energies that are worked on at once: 64 MB in float32.
BLOCK = 1 << 24


def transmission(
    path_mm: Tensor,
    materials: Sequence[str | Material],
    spectrum: Spectrum | float,
    detector: str = "integrating",
) -> Tensor:
    """The share I / I0 of the open beam's signal that arrives, (...), in the precision and on the device of path_mm.

    path_mm: (..., M), the length in each of the M materials in mm, 0 or more. spectrum: a Spectrum, or one energy in
    keV. detector: "integrating" or "counting". Differentiable in path_mm.
    Raises ValueError for negative or missing lengths, another number of materials, and what `find` refuses.
    """
    paths, mu, spectrum = checked_rays(path_mm, materials, spectrum)
    weights = spectrum.weights(detector).to(paths.dtype).to(paths.device)
    flat = paths.reshape(-1, paths.shape[-1])
    blocks = flat.split(max(1, BLOCK // len(weights)))
    return torch.cat([torch.exp(-(block @ mu)) @ weights for block in blocks]).reshape(paths.shape[:-1])


def line_integral(transmitted: Tensor, floor: float = 1e-6) -> Tensor:
    """The estimate -ln(I / I0) of the attenuation along each ray.

    transmitted: I / I0, any shape. floor: the least share that counts, in (0, 1]; a starved ray, of which noise left
    less or even a negative number, gets -ln(floor) instead of infinity, and no gradient.
    """
    transmitted, floor = as_finite(transmitted, "transmitted"), as_positive_number(floor, "floor", "")
    if floor > 1:
        raise ValueError(f"floor is {floor:g}, expected a share of the open beam, at most 1")
    return -torch.log(transmitted.clamp(min=floor))


def path_integral(path_mm: Tensor, materials: Sequence[str | Material], energy_kev: float) -> Tensor:
    """The exact sum of mu l at one energy, (...): what `line_integral` gives for a monochromatic beam without noise."""
    paths, mu, _ = checked_rays(path_mm, materials, energy_kev)
    return (paths @ mu)[..., 0]


def checked_rays(path_mm: object, materials: Sequence[str | Material], spectrum: Spectrum | float):
    """The lengths (..., M), the coefficients (M, E) in 1/mm like them, and the spectrum; refuses what does not fit."""
    paths = as_not_negative(path_mm, "path_mm", "mm")
    if isinstance(materials, str | Material):
        raise ValueError(f"materials is {materials!r}, expected a list of materials, one for each length")
    if paths.ndim < 1 or paths.shape[-1] != len(materials) or not materials:
        raise ValueError(
            f"path_mm has shape {tuple(paths.shape)}, expected (..., {len(materials)}) for {len(materials)} materials"
        )
    spectrum = as_spectrum(spectrum)
    mu = torch.stack([attenuation_per_cm(material, spectrum.energies_kev) for material in materials]) / 10
    return paths, mu.to(paths.dtype).to(paths.device), spectrum
