"""How images and k-spaces enter: one place that refuses what cannot be one."""

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
