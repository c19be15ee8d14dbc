"""How numbers enter: energies, lengths and shares as tensors, and the refusal of what no beam can have."""

import torch
from torch import Tensor

MIN_ENERGY_KEV, MAX_ENERGY_KEV = 1.0, 1000.0


def as_finite(value: object, name: str) -> Tensor:
    """A real, floating-point tensor without NaN or infinity; plain numbers become float64."""
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}, expected a number or a tensor of numbers") from None
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name} has dtype {tensor.dtype}, expected real numbers")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    # A sum is finite only where every term is (up to overflow, looked at again): one pass, no temporary.
    if not bool(tensor.detach().sum().isfinite()) and not bool(tensor.detach().isfinite().all()):
        raise ValueError(f"{name} contains NaN or infinity, expected finite numbers")
    return tensor


def as_not_negative(value: object, name: str, unit: str) -> Tensor:
    """A finite tensor of numbers of 0 or more."""
    tensor = as_finite(value, name)
    if tensor.numel() and bool((tensor.detach() < 0).any()):
        raise ValueError(f"{name} is {float(tensor.detach().min()):g}, expected 0 {unit} or more")
    return tensor


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


def as_positive_number(value: object, name: str, unit: str) -> float:
    """One finite number above 0."""
    tensor = as_finite(value, name)
    if tensor.numel() != 1 or not float(tensor) > 0:
        raise ValueError(f"{name} is {value}, expected one number above 0 {unit}".rstrip())
    return float(tensor)
