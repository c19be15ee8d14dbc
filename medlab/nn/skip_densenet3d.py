"""Skip-dense network: dense blocks at four scales, each read out directly."""

from math import gcd

from torch import Tensor, nn

from medlab.arguments import whole
from medlab.nn.blocks import ConvNormAct, NormAct, convolution
from medlab.nn.dense import DenseLayer, grow, side_by_side
from medlab.nn.network import Network, initialise


class SkipDenseNet3d(Network):
    """Dense blocks at 1/2, 1/4, 1/8 and 1/16 of the resolution; a transposed convolution brings each straight back to
    full size, where a 1x1x1 convolution reads all four and the first layers (Bui et al. 2017, 3D-SkipDenseSeg; thesis
    section 3.8).

    growth: new maps of each of the `layers` of a block, behind a bottleneck of 4 times as many; width: channels of the
    first convolutions. 1,552,256 parameters for 2 channels and 4 classes. The transposed convolutions are grouped by
    class, as far as the channels divide: the code of the thesis needs channels that divide by the classes, so it stops
    with an error for 5. dropout: of new values in a layer (0.1 in the thesis's code). deep_supervision adds a 1x1x1
    head on each block. Others: see `Network`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 32,
        growth: int = 16,
        layers: tuple[int, ...] = (4, 4, 4, 4),
        norm: str | None = "batch",
        dropout: float = 0.0,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        super().__init__(
            in_channels,
            classes,
            multiple=2 ** len(layers),
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
            odd=odd,
        )
        whole(width, "width"), whole(growth, "growth")
        self.first = nn.Sequential(
            ConvNormAct(in_channels, width, norm=norm, act="relu"),
            ConvNormAct(width, width, norm=norm, act="relu"),
            convolution(width, width),
        )
        self.entry = nn.Sequential(NormAct(width, norm, "relu"), convolution(width, width, 2, stride=2))
        self.blocks, self.transitions, self.ups, self.heads = (nn.ModuleList() for _ in range(4))
        channels = width
        for scale, count in enumerate(layers, 1):
            block = nn.ModuleList()
            for _ in range(whole(count, "layers")):
                block.append(DenseLayer(channels, growth, norm=norm, dropout=dropout, bottleneck=4 * growth))
                channels += growth
            self.blocks.append(block)
            # Kernel 2 more than the stride: neighbours overlap by 2 voxels, so no seams between them.
            stride, groups = 2**scale, gcd(channels, classes)
            self.ups.append(nn.ConvTranspose3d(channels, classes, stride + 2, stride, 1, groups=groups, bias=False))
            if deep_supervision:
                self.heads.append(convolution(channels, classes, 1, bias=True))
            if scale < len(layers):
                self.transitions.append(Transition(channels, channels // 2, norm))
                channels //= 2
        joined = len(layers) * classes + width
        self.last = nn.Sequential(NormAct(joined, norm, "relu"), convolution(joined, classes, 1, bias=True))
        initialise(self, 0.0, (self.last[-1], *self.heads))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        first = self.run(self.first, x)
        x, wide, coarse = self.run(self.entry, first), [], []
        for index, (block, up) in enumerate(zip(self.blocks, self.ups, strict=True)):
            x = side_by_side(grow(self.run, block, x))
            wide.append(up(x))
            if self.training and self.heads:
                coarse.append(self.heads[index](x))
            if index < len(self.transitions):
                x = self.run(self.transitions[index], x)
        return (self.last(side_by_side([*wide, first])), *coarse)


class Transition(nn.Sequential):
    """From a block to the next: half the channels, half the size."""

    def __init__(self, inputs: int, outputs: int, norm: str | None):
        super().__init__(
            NormAct(inputs, norm, "relu"),
            convolution(inputs, outputs, 1),
            NormAct(outputs, norm, "relu"),
            convolution(outputs, outputs, 2, stride=2, bias=True),
        )
