"""The angles from which a scan looks, refused where they make no scan."""

import torch
from torch import Tensor

from medlab.arguments import whole


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


def evenly_spaced(views: int, span_deg: float = 180.0) -> Tensor:
    """The angles 0, span/views, ... in degrees (views,), the last one short of the span."""
    return torch.arange(whole(views, "views"), dtype=torch.float64) * span_deg / views
