"""Normalisation of feature maps, also where a map has a single value and no deviation.

With four halvings a patch of 16 voxels has one voxel at the bottom of a network. PyTorch's layers refuse that.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import gcd

from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import one_of

NORMS = ("instance", "batch", "group")
GROUPS = 8
_state = threading.local()


@contextmanager
def recomputing() -> Iterator[None]:
    """Inside, batch normalisation does not count what it sees: checkpointing runs the forward pass a second time."""
    before = getattr(_state, "recomputing", False)
    _state.recomputing = True
    try:
        yield
    finally:
        _state.recomputing = before


class InstanceNorm(nn.Module):
    """Each channel of each sample to mean 0 and variance 1 over space (Ulyanov et al. 2016), without parameters.

    A single voxel is passed on as it is: normalised it would be 0 whatever came in, and a level of the network dead.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5):
        super().__init__()
        self.channels, self.epsilon = channels, epsilon

    def forward(self, x: Tensor) -> Tensor:
        if x[0, 0].numel() == 1:
            return x.clone()  # not x itself: an activation in place would change what a shortcut still needs
        if x.device.type == "cpu":
            # A group of one channel is an instance; this kernel keeps channels-last, instance_norm's copies.
            return F.group_norm(x, x.shape[1], eps=self.epsilon)
        return F.instance_norm(x, eps=self.epsilon)

    def extra_repr(self) -> str:
        return f"{self.channels}, epsilon={self.epsilon}"


class BatchNorm(nn.BatchNorm3d):
    """Each channel over batch and space (Ioffe and Szegedy 2015), with scale and shift; in training it keeps
    running means.

    One value for each channel has no deviation: then, in training too, the running statistics are used. Inside
    `recomputing` they are not updated.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if getattr(_state, "recomputing", False):
            # Copies, so that as many tensors are saved for the backward pass as in the first run.
            running = self.running_mean.clone(), self.running_var.clone()
            return F.batch_norm(x, *running, self.weight, self.bias, True, 0.0, self.eps)
        return super().forward(x)

    def _check_input_dim(self, x: Tensor) -> None:
        """Images as well as volumes."""


class GroupNorm(nn.GroupNorm):
    """Groups of channels of each sample (Wu and He 2018): at most 8 groups, as many as divide the channels."""

    def __init__(self, channels: int):
        super().__init__(gcd(GROUPS, channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        if x[0].numel() == self.num_groups:  # one value a group
            return x * self.weight.view(1, -1, *[1] * (x.ndim - 2)) + self.bias.view(1, -1, *[1] * (x.ndim - 2))
        return super().forward(x)


def normalisation(kind: str | None, channels: int) -> nn.Module:
    """A layer by name: "instance", "batch", "group", or None for none."""
    if kind is None:
        return nn.Identity()
    one_of(kind, NORMS, "norm")
    return {"instance": InstanceNorm, "batch": BatchNorm, "group": GroupNorm}[kind](channels)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a running mean would be counted twice by a second forward pass."""
    return any(isinstance(part, BatchNorm) for part in module.modules())
