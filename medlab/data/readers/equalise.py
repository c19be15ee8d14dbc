"""Histogram equalisation: equal steps of intensity for equal shares of voxels."""

import torch
from torch import Tensor

from medlab.arguments import whole


def equalise(data: Tensor, mask: Tensor, bins: int = 4096) -> Tensor:
    """Values in [0, 1] that are spread evenly over the voxels of the mask; 0 elsewhere.

    data: any shape, finite; mask: bool, of the same shape. A voxel gets the share of the mask's voxels that are below
    it, by a histogram of so many bins of equal width over the mask's range, linear within a bin; so the order of values
    stays. Raises ValueError where the mask is empty or all its values are one.
    """
    whole(bins, "bins", 2)
    values = data[mask]
    if not values.numel() or values.min() == values.max():
        raise ValueError(f"mask chooses {values.numel()} voxels of one value, expected several values")
    low, width = values.min(), (values.max() - values.min()) / bins
    place = ((values - low) / width).clamp_(0, bins)
    at = place.long().clamp_(max=bins - 1)
    counts = torch.bincount(at, minlength=bins).double()
    below = torch.cat([counts.new_zeros(1), counts.cumsum(0)]) / values.numel()
    out = torch.zeros_like(data)
    out[mask] = torch.lerp(below[at].float(), below[at + 1].float(), place - at)
    return out
