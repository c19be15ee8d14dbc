"""How images, k-spaces and whole numbers enter: one place that refuses what cannot be one."""

import math

import torch
from torch import Tensor

COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}
REAL_OF = {wide: narrow for narrow, wide in COMPLEX_OF.items()}


def as_complex(values: object, name: str, dims: int) -> Tensor:
    """A finite complex tensor with at least dims dimensions; a real one becomes complex of the same precision."""
    if not isinstance(values, Tensor):
        raise ValueError(f"{name} is a {type(values).__name__}, expected a tensor")
    if values.dtype not in COMPLEX_OF and values.dtype not in REAL_OF:
        raise ValueError(f"{name} has dtype {values.dtype}, expected float32, float64, complex64 or complex128")
    if values.ndim < dims or 0 in values.shape:
        raise ValueError(f"{name} has shape {tuple(values.shape)}, expected at least {dims} dimensions, none empty")
    if not bool(values.detach().isfinite().all()):
        raise ValueError(f"{name} contains NaN or infinity, expected finite numbers")
    return values.to(COMPLEX_OF.get(values.dtype, values.dtype))


def refuse_dims(dims: object) -> None:
    """Refuses any number of dimensions that no scanner encodes."""
    if dims not in (2, 3):
        raise ValueError(f"dims is {dims}, expected 2 for images or 3 for volumes")


def whole(value: object, name: str, least: int = 1, most: int | None = None) -> int:
    """A whole number from least to most."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} is {value}, expected a whole number {span}")
    return value


def number(value: object, name: str, least: float, most: float = math.inf, *, above: bool = False) -> float:
    """A finite number from least (not itself, where above) to most."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < least or (above and value == least) or value > most:
        low = f"above {least:g}" if above else f"of at least {least:g}"
        span = low if most == math.inf else f"{low} and at most {most:g}"
        raise ValueError(f"{name} is {value}, expected a number {span}")
    return float(value)
