"""The 3D U-Net."""

from itertools import pairwise

from torch import Tensor, nn

from medlab.arguments import whole
from medlab.nn.attention import AttentionGate
from medlab.nn.blocks import ConvNormAct, NormAct, NormActConv, UpConvolution, Upsample, convolution, dropout, join
from medlab.nn.network import Network, initialise


class UNet3d(Network):
    """The 3D U-Net with residual levels and logits at three scales (thesis section 3.7; Çiçek et al. 2016; Isensee
    et al. 2017).

    An encoder of `levels` levels halves the volume with strided convolutions and doubles the channels, `width` at the
    first; each level adds two convolutions to its entry. The decoder repeats each voxel, convolves, joins the encoder's
    map of the same size, convolves, and shrinks by 1x1x1. Logits of the three finest levels are added up, the coarser
    ones repeated; with deep_supervision those sums are given in training, at scales 1, 2 and 4, at no further weights.

    norm: "instance", "batch", "group" or None. dropout: of whole channels between a level's two convolutions (the
    thesis's code has 0.6, Isensee 0.3). tied: both convolutions of a level below the first are one and the same, used
    twice, as in the thesis's code, whose count of parameters this gives: 1,781,528 for 1 channel, 4 classes and width
    8. tied=False gives each its own, as Isensee's text (2,369,048). attention: gates on the skip connections. Others:
    see `Network`. Deviation from that code: the first skip connection is normalised like all others.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 8,
        levels: int = 5,
        norm: str | None = "instance",
        dropout: float = 0.0,
        tied: bool = True,
        attention: bool = False,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        multiple = 2 ** (whole(levels, "levels", 2) - 1)
        super().__init__(
            in_channels,
            classes,
            multiple=multiple,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
            odd=odd,
        )
        widths = [whole(width, "width") * 2**level for level in range(levels)]
        self.encoder = nn.ModuleList([EncoderLevel(in_channels, width, 1, None, norm, dropout, tied=False)])
        for above, here in pairwise(widths):
            self.encoder.append(EncoderLevel(above, here, 2, norm, norm, dropout, tied=tied))
        # Decoder levels from the deepest to the finest.
        self.ups, self.merges, self.gates, self.heads = (nn.ModuleList() for _ in range(4))
        for level in reversed(range(levels - 1)):
            deepest = level == levels - 2
            self.ups.append(UpLevel(widths[level + 1], widths[level], norm, deepest))
            gates = widths[level + 1] * (1 if deepest else 2)
            self.gates.append(AttentionGate(widths[level], gates) if attention else nn.Identity())
            self.merges.append(ConvNormAct(2 * widths[level], 2 * widths[level], norm=norm))
            self.heads.append(convolution(2 * widths[level], classes, 1) if level <= 2 else nn.Identity())
        self.attention, self.repeat = bool(attention), Upsample("nearest")
        initialise(self, heads=tuple(self.heads))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        skips = []
        for level in self.encoder:
            x = self.run(level, x)
            skips.append(x)
        skips.pop()
        logits: list[Tensor] = []
        for up, gate, merge, head in zip(self.ups, self.gates, self.merges, self.heads, strict=True):
            skip = skips.pop()
            if self.attention:
                skip = self.run(gate, skip, x)
            x, found = self.run(_merged, self.run(up, x), skip, merge, head)
            if not isinstance(head, nn.Identity):
                logits.append(found + self.repeat(logits[-1]) if logits else found)
        return tuple(reversed(logits))


def _merged(up: Tensor, skip: Tensor, merge: nn.Module, head: nn.Module) -> tuple[Tensor, Tensor]:
    """Joined, convolved, read out: one step, so that checkpointing keeps neither the joined map nor the finest one."""
    x = merge(join(up, skip))
    return x, head(x)


class EncoderLevel(nn.Module):
    """Entry by a convolution with a stride, plus two convolutions of it, then normalised."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, inner: str | None, norm: str | None, rate: float, *, tied: bool
    ):
        super().__init__()
        self.entry = convolution(inputs, outputs, stride=stride)
        self.first = NormActConv(outputs, outputs, norm=inner)
        self.second = self.first if tied else NormActConv(outputs, outputs, norm=inner, spare=True)
        self.dropout = dropout(rate)
        self.out = NormAct(outputs, norm)

    def forward(self, x: Tensor) -> Tensor:
        entry = self.entry(x)
        change = self.second(self.dropout(self.first(entry)))
        return self.out(change.add_(entry))


class UpLevel(nn.Sequential):
    """From a level to the next finer one. `deepest`: nothing is joined at the bottom, so nothing is to be shrunk."""

    def __init__(self, inputs: int, outputs: int, norm: str | None, deepest: bool):
        up = [UpConvolution(inputs, outputs), NormAct(outputs, norm, spare=True)]
        if deepest:
            super().__init__(*up, ConvNormAct(outputs, outputs, 1, norm=norm))
        else:
            super().__init__(ConvNormAct(2 * inputs, inputs, 1, norm=norm), *up)
