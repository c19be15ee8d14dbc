"""The bricks of the networks, for images and volumes: convolution, normalisation, activation, down and up."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import number, one_of
from medlab.nn.convolutions import CONVOLUTION
from medlab.nn.lean import InstanceNormLeaky
from medlab.nn.norms import normalisation

ACTIVATIONS = ("leaky", "relu", "elu", "prelu")
UPSAMPLINGS = ("nearest", "linear", "transposed")
FEW_VOXELS = 256
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_DROPOUT = {2: nn.Dropout2d, 3: nn.Dropout3d}
_LINEAR = {2: "bilinear", 3: "trilinear"}


def convolution(inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, bias: bool = False, axes: int = 3):
    """A convolution that keeps the size, where stride is 1, or divides it: odd kernels are padded with zeros."""
    padding = (kernel - 1) // 2 if kernel % 2 else 0
    return CONVOLUTION[axes](inputs, outputs, kernel, stride, padding, bias=bias)


def doubling(inputs: int, outputs: int, *, bias: bool = False, axes: int = 3):
    """A transposed convolution that doubles each axis: kernel 2, stride 2, so that no two outputs overlap."""
    return _TRANSPOSED[axes](inputs, outputs, 2, 2, bias=bias)


def activation(kind: str, channels: int) -> nn.Module:
    """By name: "leaky" (slope 0.01), "relu", "elu", or "prelu", whose slope each channel learns, from 0.25.

    It overwrites what comes in, which saves a map; "prelu" cannot, since its gradient needs just that.
    """
    if one_of(kind, ACTIVATIONS, "activation") == "prelu":
        return nn.PReLU(channels)
    return {"leaky": nn.LeakyReLU, "relu": nn.ReLU, "elu": nn.ELU}[kind](inplace=True)


def dropout(rate: float, axes: int = 3) -> nn.Module:
    """Whole channels are set to 0 in training; nothing at all, not even a layer's time, where rate is 0."""
    rate = number(rate, "dropout", 0, 1)
    return _DROPOUT[axes](rate) if rate else nn.Identity()


class NormAct(nn.Sequential):
    """Normalisation, then an activation. Its input is left as it was, so that a shortcut may use it.

    spare: the input is needed by nobody else, and may be overwritten.
    """

    def __init__(self, channels: int, norm: str | None = "instance", act: str = "leaky", *, spare: bool = False):
        if norm == "instance" and act == "leaky":
            super().__init__(InstanceNormLeaky(channels))
        else:
            # What an activation overwrites is not kept for the backward pass; a copy is, where the input is needed on.
            first = normalisation(norm, channels) if spare or norm else Copy()
            super().__init__(first, activation(act, channels))


class Copy(nn.Module):
    """The same values in a tensor of its own, that may be overwritten."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation, activation: (B, inputs, X, Y[, Z]) to (B, outputs, ...)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        norm: str | None = "instance",
        act: str = "leaky",
        bias: bool = False,
        axes: int = 3,
    ):
        super().__init__(
            convolution(inputs, outputs, kernel, stride=stride, bias=bias, axes=axes),
            NormAct(outputs, norm, act, spare=True),  # a convolution does not need its output again
        )


class NormActConv(nn.Sequential):
    """Normalisation, activation, convolution: the order of a block whose shortcut stays untouched (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, *, norm: str | None = "instance", spare: bool = False):
        super().__init__(NormAct(inputs, norm, spare=spare), convolution(inputs, outputs))


class UpConvolution(nn.Conv3d):
    """Each voxel repeated along each axis, then a 3x3x3 convolution, at a third of its price and without the big map.

    Both together are a transposed convolution of kernel 4 and stride 2, exactly: of the three taps that meet a repeated
    voxel, those on the same copy can be added beforehand, so that an output costs 8 products and not 27. The parameters
    are those of the 3x3x3 convolution, (outputs, inputs, 3, 3, 3), without bias.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x[0, 0].numel() < FEW_VOXELS:  # adding up the taps would cost more than it spares
            return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        # Along an axis the taps (a, b, c) become (c, b + c, a + b, a): pairs of neighbours of the flipped kernel.
        taps = F.pad(self.weight.flip(2, 3, 4).transpose(0, 1), [1] * 6)
        return F.conv_transpose3d(x, 8 * F.avg_pool3d(taps, 2, 1), stride=2, padding=1)


class Upsample(nn.Module):
    """Each axis of space doubled: "nearest" repeats each voxel, "linear" interpolates between their centres."""

    def __init__(self, mode: str = "nearest", axes: int = 3):
        super().__init__()
        self.mode = one_of(mode, UPSAMPLINGS[:2], "mode")
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "nearest":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.interpolate(x, scale_factor=2.0, mode=_LINEAR[self.axes], align_corners=False)


def join(up: Tensor, skip: Tensor) -> Tensor:
    """Two feature maps as one, along the channels."""
    return torch.cat((up, skip), 1)
