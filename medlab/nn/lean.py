"""Instance normalisation and leaky ReLU as one step that keeps one map for the backward pass, where two keep two.

The gradient of a normalisation needs its normalised values z and its deviation; the next convolution needs the
activated values y anyway. A leaky ReLU can be turned back, z = y above 0 and y / slope below, so y serves both (the
idea of In-Place Activated BatchNorm, Bulò et al. 2018, for instances).
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from medlab.nn.norms import InstanceNorm

SLAB = 2**20


class InstanceNormLeaky(nn.Module):
    """`InstanceNorm`, then a leaky ReLU: the same values and gradients, half the memory; of the input's shape."""

    def __init__(self, channels: int, slope: float = 0.01):
        super().__init__()
        self.norm, self.slope = InstanceNorm(channels), slope

    def forward(self, x: Tensor) -> Tensor:
        if x[0, 0].numel() == 1 or not (torch.is_grad_enabled() and x.requires_grad):
            return F.leaky_relu_(self.norm(x), self.slope)
        return _NormLeaky.apply(x, self.norm.epsilon, self.slope)


class _NormLeaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, epsilon: float, slope: float) -> Tensor:
        parts, deviations = [], []
        for part in _instances(x, x.is_contiguous()):
            found, _, inverse = _normalised(part, epsilon)
            parts.append(F.leaky_relu_(found, slope))
            deviations.append(inverse.flatten())
        y = _together(parts, x)
        ctx.slope = slope
        ctx.save_for_backward(y, *deviations)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        y, *deviations = ctx.saved_tensors
        changes = torch.empty_like(y)  # in the layout of y, whichever the gradient comes in
        torch.ops.aten.leaky_relu_backward.grad_input(gradient, y, ctx.slope, True, grad_input=changes)
        whole = len(deviations) == 1  # as in the forward pass, whatever layout y has come back in
        for part, change, inverse in zip(_instances(y, whole), _instances(changes, whole), deviations, strict=True):
            _through_normalisation(part, change, inverse, ctx.slope)
        return changes, None, None


def _normalised(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """x, (1, C, ...), normalised, its means and 1 / deviations."""
    if x.device.type == "cpu":  # the faster kernel there, in both layouts
        return torch.native_group_norm(x, None, None, 1, x.shape[1], x[0, 0].numel(), x.shape[1], epsilon)
    return torch.native_batch_norm(x, None, None, None, None, True, 0.0, epsilon)


def _through_normalisation(y: Tensor, change: Tensor, inverse: Tensor, slope: float) -> None:
    """change becomes (change - mean(change) - z mean(change z)) / deviation, slab by slab, so that z is never whole."""
    shape, count, wide = (1, -1, *[1] * (y.ndim - 2)), y[0, 0].numel(), inverse.dtype
    axes = [0, *range(2, y.ndim)]
    slabs = list(zip(_slabs(change), _slabs(y), strict=True))
    total = sum(one.sum(axes, dtype=wide) for one, _ in slabs)
    products = sum((one * F.leaky_relu(part, 1 / slope)).sum(axes, dtype=wide) for one, part in slabs)
    scale, along, shift = ((one * inverse).to(y.dtype).view(shape) for one in (1.0, -products / count, -total / count))
    for one, part in slabs:
        one.mul_(scale).addcmul_(F.leaky_relu(part, 1 / slope), along).add_(shift)


def _slabs(x: Tensor) -> tuple[Tensor, ...]:
    """Slices along the first axis of space, of about a million values."""
    return x.split(max(1, x.shape[2] * SLAB // x.numel()), 2)


def _instances(x: Tensor, whole: bool) -> tuple[Tensor, ...]:
    """Tensors (1, C', ...) whose channels are the instances: one for all samples, or one for each."""
    if x.shape[0] == 1:
        return (x,)
    return (x.view(1, -1, *x.shape[2:]),) if whole else x.split(1)


def _together(parts: list[Tensor], like: Tensor) -> Tensor:
    return parts[0].view(like.shape) if len(parts) == 1 else torch.cat(parts)
