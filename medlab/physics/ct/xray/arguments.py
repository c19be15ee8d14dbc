"""How photon energies enter."""

from torch import Tensor

from medlab.arguments import as_finite

MIN_ENERGY_KEV, MAX_ENERGY_KEV = 1.0, 1000.0


def as_energies(value: object, name: str = "energies_kev") -> Tensor:
    """Photon energies in keV, from 1 to 1,000: float64 on the CPU, where the tables are."""
    tensor = as_finite(value, name).detach().cpu().double()
    if not tensor.numel():
        raise ValueError(f"{name} is empty, expected at least one energy")
    low, high = float(tensor.min()), float(tensor.max())
    if low < MIN_ENERGY_KEV or high > MAX_ENERGY_KEV:
        found = low if low < MIN_ENERGY_KEV else high
        raise ValueError(
            f"{name} contains {found:g} keV, expected energies from {MIN_ENERGY_KEV:g} to {MAX_ENERGY_KEV:g} keV"
        )
    return tensor
