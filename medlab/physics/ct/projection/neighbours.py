"""Interpolation between samples one unit apart: which neighbours, and how much of each."""

import torch
from torch import Tensor


def linear_weights(position: Tensor) -> tuple[Tensor, Tensor]:
    """For positions (...): the two neighbours (..., 2), int64, and their weights, float64."""
    first = torch.floor(position)
    share = (position - first).double()
    index = first.long()[..., None] + torch.arange(2, device=position.device)
    return index, torch.stack((1 - share, share), -1)


def cubic_weights(position: Tensor) -> tuple[Tensor, Tensor]:
    """For positions (...): the four neighbours (..., 4), int64, and their weights, float64.

    Keys' cubic convolution with a = -1/2 (IEEE Trans. Acoust. Speech Signal Process. 29, 1153, 1981), which
    reproduces quadratic functions.
    """
    first = torch.floor(position)
    t = (position - first).double()
    weights = (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
    return first.long()[..., None] + torch.arange(-1, 3, device=position.device), torch.stack(weights, -1)


def within(index: Tensor, weight: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The same with neighbours outside 0 to size - 1 given no weight and an index that exists."""
    inside = (index >= 0) & (index < size)
    return index.clamp(0, size - 1), torch.where(inside, weight, 0.0)
