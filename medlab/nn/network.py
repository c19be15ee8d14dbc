"""What all networks share: the check of what comes in, sizes, deep supervision and checkpointing."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from math import prod

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medlab.arguments import one_of, whole
from medlab.nn.norms import has_batch_norm, recomputing
from medlab.nn.sizes import ODD, cut_back, fill_up


class Network(nn.Module, ABC):
    """The frame of a segmentation network: a subclass gives `maps`, this class gives `forward`.

    in_channels: modalities C; classes: K. deep_supervision: in training mode `forward` gives a tuple of logits, the
    finest first, each at its own resolution (ceil(length / scale) voxels along an axis); else the finest alone.
    checkpointing: activations inside a block are not kept but computed again in the backward pass
    (`torch.utils.checkpoint`), with the same numbers and generators. odd: what happens to sizes that do not divide,
    "pad" (and crop back) or "refuse", see `medlab.nn.sizes`.

    Attributes: `axes` of space, 2 or 3; `multiple`, what sizes are filled up to.
    Weights are drawn from torch's global generator (`torch.manual_seed`), see `initialise`.
    """

    axes = 3

    def __init__(
        self, in_channels: int, classes: int, *, multiple: int, deep_supervision: bool, checkpointing: bool, odd: str
    ):
        super().__init__()
        self.in_channels, self.classes = whole(in_channels, "in_channels"), whole(classes, "classes")
        self.multiple, self.odd = multiple, one_of(odd, ODD, "odd")
        self.deep_supervision, self.checkpointing = bool(deep_supervision), bool(checkpointing)

    @abstractmethod
    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits of a volume whose sizes divide, the finest first; a coarser one is half the size of that before it."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """x: (B, C, X, Y[, Z]), any real numbers. Gives logits (B, K, X, Y[, Z]), or a tuple of them, see the class.

        Raises ValueError where x does not have the network's axes and channels, is empty, or has a size to be refused.
        """
        if x.ndim != self.axes + 2 or x.shape[1] != self.in_channels or not x.numel():
            names = "XYZ"[: self.axes]
            expected = f"(B, {self.in_channels}, {', '.join(names)}), none of them 0"
            raise ValueError(f"x has the shape {tuple(x.shape)}, expected {expected}")
        maps = self.maps(fill_up(x, self.multiple, self.odd))
        if not (self.deep_supervision and self.training):
            return cut_back(maps[0], x.shape[2:])
        return tuple(cut_back(one, x.shape[2:], 2**index) for index, one in enumerate(maps))

    def run(self, block: Callable, *inputs):
        """A block's output; with checkpointing and a gradient to come, without keeping what is inside."""
        if not (self.checkpointing and torch.is_grad_enabled()):
            return block(*inputs)
        options = {}
        if has_batch_norm(self) and not torch.compiler.is_compiling():
            options["context_fn"] = lambda: (nullcontext(), recomputing())
        return checkpoint(block, *inputs, use_reentrant=False, **options)


def initialise(network: nn.Module, slope: float = 0.01, heads: tuple[nn.Module, ...] = ()) -> None:
    """Draw all weights anew: normal, mean 0, such that a layer keeps the variance of what comes in (He et al. 2015).

    The variance is 2 / (1 + slope²) / n, where n is the number of inputs to one output and slope the activation's below
    0; it is 1 / n for the heads, that no activation follows. Biases are 0. A transposed convolution has as many inputs
    to an output as its kernel overlaps (PyTorch's own rule counts its outputs instead).
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            continue
        taps = module.weight[0, 0].numel()
        if module.transposed:
            fan = module.in_channels // module.groups * taps / prod(module.stride)
        else:
            fan = module.in_channels // module.groups * taps
        gain = 1.0 if module in heads else 2 / (1 + slope**2)
        nn.init.normal_(module.weight, 0.0, (gain / fan) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
