"""How numbers enter: the checks that every room shares, each refusing with one sentence what cannot be meant."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def whole(value: object, name: str, least: int = 1, most: int | None = None) -> int:
    """A whole number from least to most."""
    good = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} is {value!r}, expected a whole number {span}")
    return int(value)


def number(value: object, name: str, least: float, most: float = math.inf, *, above: bool = False) -> float:
    """A finite number from least (not itself, where above) to most."""
    if not _is_finite_number(value) or value < least or (above and value == least) or value > most:
        low = f"above {least:g}" if above else f"of at least {least:g}"
        span = low if most == math.inf else f"{low} and at most {most:g}"
        raise ValueError(f"{name} is {value!r}, expected a number {span}")
    return float(value)


def as_length(value: object, name: str) -> float:
    """A finite length in mm above 0."""
    if not _is_finite_number(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}, expected a length above 0 mm")
    return float(value)


def as_spacing(value: object, axes: int, name: str = "spacing") -> tuple[float, ...]:
    """The edges of a voxel in mm, one for each axis; from one number for all, or from a list, an array or a tensor."""
    given = value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
    given = list(given) if isinstance(given, list | tuple) else [given] * axes
    if len(given) != axes:
        raise ValueError(f"{name} holds {len(given)} numbers, expected one for each of {axes} axes")
    return tuple(as_length(one, name) for one in given)


def one_of(value: object, choices: Sequence[str], name: str) -> str:
    """A word that is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
    return value


def _is_finite_number(value: object) -> bool:
    """Also one of NumPy's, such as the spacing in a header; True and False are none."""
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def as_real(value: object, name: str) -> Tensor:
    """A real tensor without NaN, of the value's own device; numbers become float64, whole tensors float32."""
    tensor = _as_floating(value, name)
    if bool(tensor.detach().isnan().any()):
        raise ValueError(f"{name} contains NaN, expected numbers")
    return tensor


def as_finite(value: object, name: str) -> Tensor:
    """As `as_real`, and infinity is refused too."""
    tensor = _as_floating(value, name)
    # A sum is finite only where every term is (up to overflow, looked at again): one pass, no temporary.
    if not bool(tensor.detach().sum().isfinite()) and not bool(tensor.detach().isfinite().all()):
        found = "NaN" if bool(tensor.detach().isnan().any()) else "infinity"
        raise ValueError(f"{name} contains {found}, expected finite numbers")
    return tensor


def as_not_negative(value: object, name: str, unit: str) -> Tensor:
    """A finite tensor of numbers of 0 or more."""
    tensor = as_finite(value, name)
    if tensor.numel() and bool((tensor.detach() < 0).any()):
        raise ValueError(f"{name} is {float(tensor.detach().min()):g}, expected 0 {unit} or more")
    return tensor


def as_positive_number(value: object, name: str, unit: str) -> float:
    """One finite number above 0."""
    tensor = as_finite(value, name)
    if tensor.numel() != 1 or not float(tensor) > 0:
        raise ValueError(f"{name} is {value}, expected one number above 0 {unit}".rstrip())
    return float(tensor)


def _as_floating(value: object, name: str) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}, expected a number or a tensor of numbers") from None
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name} has dtype {tensor.dtype}, expected real numbers")
    return tensor if tensor.is_floating_point() else tensor.to(torch.float32)
