"""How spins' numbers enter: their precision, device and batch, and the refusal of what no spin can have."""

from collections.abc import Iterable

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_real

# What a caller may give for a quantity: a number for all spins, or one per spin.
Real = float | Tensor

COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def choose_dtype(values: Iterable[object], dtype: torch.dtype | None = None) -> torch.dtype:
    """float32, or float64 where it is asked for or where a tensor among the values has it.

    Only tensors decide: a NumPy number is float64 by habit, which is no wish to compute in float64.
    """
    if dtype is None:
        wide = any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in values)
        return torch.float64 if wide else torch.float32
    if dtype not in COMPLEX_OF:
        raise ValueError(f"dtype is {dtype}, expected torch.float32 or torch.float64")
    return dtype


def choose_device(values: Iterable[object], device: torch.device | str | None = None) -> torch.device:
    """The device asked for, else that of the first tensor that is not on the CPU, else the CPU."""
    if device is not None:
        return torch.device(device)
    devices = [value.device for value in values if isinstance(value, Tensor)]
    return next((found for found in devices if found.type != "cpu"), torch.device("cpu"))


def refuse_missing_precision(dtype: torch.dtype, device: torch.device) -> None:
    """Refuses float64 on Apple's GPUs, which have none."""
    if dtype == torch.float64 and device.type == "mps":
        raise ValueError("dtype is torch.float64 on device mps, expected torch.float32, the widest this device has")


def as_duration(value: object, name: str = "time_ms") -> Tensor:
    """A finite time that is not negative."""
    tensor = as_finite(value, name)
    if bool((tensor < 0).any()):
        raise ValueError(f"{name} is {_least(tensor)}, expected a time of 0 ms or more")
    return tensor


def as_relaxation_times(t1_ms: object, t2_ms: object) -> tuple[Tensor, Tensor]:
    """T1 and T2 in ms, each above 0 and possibly infinite, with T2 <= 2 T1.

    The bound is physics: the fluctuations that relax M_z also dephase M_xy, at half their rate at least.
    """
    t1, t2 = as_real(t1_ms, "t1_ms"), as_real(t2_ms, "t2_ms")
    for tensor, name in ((t1, "t1_ms"), (t2, "t2_ms")):
        if bool((tensor <= 0).any()):
            raise ValueError(f"{name} is {_least(tensor)}, expected a time above 0 ms")
    broadcast_shape(t1_ms=t1, t2_ms=t2)
    # One part in 10^6 is left to float32, in which exactly twice may come out as a little more.
    if bool((wide(t2) > 2.000002 * wide(t1)).any()):
        raise ValueError("t2_ms is more than twice t1_ms, expected T2 <= 2 T1, which every relaxation process obeys")
    return t1, t2


def broadcast_shape(**tensors: Tensor) -> torch.Size:
    """The batch shape that these tensors share by broadcasting."""
    try:
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors.values()))
    except RuntimeError:
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"shapes are {found}, expected shapes that broadcast to one batch of spins") from None
    if 0 in shape:
        raise ValueError(f"batch of spins has shape {tuple(shape)}, expected at least one spin")
    return shape


def wide(tensor: Tensor) -> Tensor:
    """The same numbers in float64, on the CPU where the device has no float64.

    Rotation angles and decays are computed in float64 and rounded once: the phase 2 pi f t of 1,000 turns would
    lose three digits in float32.
    """
    home = torch.device("cpu") if tensor.device.type == "mps" else tensor.device
    return tensor.to(device=home).to(dtype=torch.float64)


def together(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors as `wide` makes them, on one device: that of the first which is not on the CPU and has float64."""
    tensors = tuple(wide(tensor) for tensor in tensors)
    device = choose_device(tensors)
    return tuple(tensor.to(device) for tensor in tensors)


def _least(tensor: Tensor) -> float:
    return float(tensor.min())
