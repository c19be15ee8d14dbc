"""A 3D convolutional autoencoder: a volume is squeezed through a narrow code and drawn again from it."""

import torch
from torch import Tensor, nn

from medlab.arguments import whole
from medlab.nn.blocks import NormAct
from medlab.nn.convolutions import CONVOLUTION
from medlab.nn.network import initialise
from medlab.nn.sizes import cut_back, fill_up


class Autoencoder3d(nn.Module):
    """Autoencoder of size m, made of Downsample and Upsample blocks: (B, C, X, Y, Z) to the same shape.

    size: m, the channels after the first block; they double from block to block. levels: how many blocks halve the
    volume, and as many double it again. What comes out of the last halving is the code: m 2^(levels - 1) channels on a
    grid that is 2^levels times coarser. channels: those of the volume. Any sizes: a volume that does not divide is
    filled up by its last planes, and the output cut back.

    Source: thesis 000, chapter 6, appendix C, after Baur et al. 2021. The paper draws its blocks in a figure and names
    no number in the text, so these are ours: each block is one convolution of kernel 4 and stride 2 (transposed where
    it doubles), instance normalisation and leaky ReLU, and nothing is computed at full resolution but the output. The
    code is made of convolutions alone, so that one set of weights serves every grid.

    For one channel and five levels there are 64 (2 m + 340 m^2) + 1 weights: 21,889 at m = 1, 89,137,153 at m = 64.
    Weights are drawn from torch's global generator, see `medlab.nn.network.initialise`.
    """

    def __init__(self, size: int, *, levels: int = 5, channels: int = 1):
        super().__init__()
        self.size, self.levels = whole(size, "size"), whole(levels, "levels", 1, 8)
        self.channels = whole(channels, "channels")
        widths = [size * 2**level for level in range(levels)]
        self.encoder = nn.Sequential(*map(Downsample, [channels, *widths[:-1]], widths))
        self.decoder = nn.Sequential(*map(Upsample, widths[:0:-1], widths[-2::-1]))
        self.head = Doubling(size, channels, bias=True)
        initialise(self, heads=(self.head,))

    def encode(self, x: Tensor) -> Tensor:
        """The code of a volume whose sizes divide: (B, m 2^(levels - 1), X, Y, Z), each axis 2^levels times shorter."""
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        """The volume that a code stands for."""
        return self.head(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        """The restored volume, of x's shape. Raises ValueError where x is not (B, C, X, Y, Z), or empty."""
        if x.ndim != 5 or x.shape[1] != self.channels or not x.numel():
            raise ValueError(
                f"x has the shape {tuple(x.shape)}, expected (B, {self.channels}, X, Y, Z), none of them 0"
            )
        filled = fill_up(x, 2**self.levels)
        return cut_back(self.decode(self.encode(filled)), x.shape[2:])


class Downsample(nn.Sequential):
    """Conv(c, 4, 2), instance normalisation, leaky ReLU: each axis halved."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(CONVOLUTION[3](inputs, outputs, 4, 2, 1, bias=False), NormAct(outputs))


class Upsample(nn.Sequential):
    """TranspConv(c, 4, 2), instance normalisation, leaky ReLU: each axis doubled."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(Doubling(inputs, outputs), NormAct(outputs))


class Doubling(nn.ConvTranspose3d):
    """A transposed convolution of kernel 4 and stride 2. Kernel 2 would draw every block of 2^3 voxels by itself."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False):
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        # As in `Convolution3d`: its output is the shorter side here, twice as long as x.
        if x.device.type != "cpu" or x.shape[2] > 1 or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())
