"""What every geometry is asked for: angles, counts and lengths, refused where they make no scan."""

import math

import torch
from torch import Tensor


def as_angles(angles_deg: object, name: str = "angles_deg") -> Tensor:
    """View angles in degrees as a float64 tensor (views,) on the CPU."""
    try:
        angles = torch.as_tensor(angles_deg, dtype=torch.float64).cpu().reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {angles_deg!r}, expected a list of angles in degrees") from None
    if not angles.numel():
        raise ValueError(f"{name} is empty, expected at least one view")
    if not bool(angles.isfinite().all()):
        raise ValueError(f"{name} contains NaN or infinity, expected angles in degrees")
    return angles


def as_length(value: object, name: str) -> float:
    """A finite length in mm above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}, expected a length above 0 mm")
    return float(value)


def as_count(value: object, name: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    return value


def evenly_spaced(views: int, span_deg: float = 180.0) -> Tensor:
    """The angles 0, span/views, ... in degrees (views,), the last one short of the span."""
    return torch.arange(as_count(views, "views"), dtype=torch.float64) * span_deg / views
