"""The 2D U-Net."""

from itertools import pairwise

from torch import Tensor, nn

from medlab.arguments import one_of, whole
from medlab.nn.attention import AttentionGate
from medlab.nn.blocks import UPSAMPLINGS, ConvNormAct, Upsample, convolution, doubling, join
from medlab.nn.network import Network, initialise

SKIPS = ("join", "add", "none")


class UNet2d(Network):
    """The U-Net of images (Ronneberger et al. 2015): (B, C, X, Y) to logits (B, K, X, Y).

    `levels` levels of two 3x3 convolutions; channels double from `width` on, max-pooling halves the image. The decoder
    doubles it and takes up the encoder's map of the same size. skips: "join" puts both side by side as in the paper,
    "add" adds, "none" leaves the encoder's map out (what that costs is the lesson of this network). up: "transposed" as
    in the paper (kernel 2, stride 2), or "nearest" and "linear" followed by a 3x3 convolution. norm: None as in the
    paper, "instance", "batch" or "group"; convolutions have a bias only without. attention: gates on skip connections.
    deep_supervision adds a 1x1 head on each decoder level but the finest. Others: see `Network`.

    With norm None and width 64, the paper's network: 31,030,658 parameters for 1 channel and 2 classes. Deviation: the
    paper does not pad, so its output is 184 pixels smaller than its input; here they are of one size.
    """

    axes = 2

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 64,
        levels: int = 5,
        norm: str | None = "instance",
        act: str = "relu",
        skips: str = "join",
        up: str = "transposed",
        attention: bool = False,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        multiple = 2 ** (whole(levels, "levels") - 1)
        super().__init__(
            in_channels,
            classes,
            multiple=multiple,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
            odd=odd,
        )
        self.skips = one_of(skips, SKIPS, "skips")
        if attention and skips == "none":
            raise ValueError("attention is True and skips none, expected skip connections for the gates to stand on")
        widths = [whole(width, "width") * 2**level for level in range(levels)]
        self.encoder = nn.ModuleList([TwoConvolutions(in_channels, width, norm, act)])
        for above, here in pairwise(widths):
            self.encoder.append(nn.Sequential(nn.MaxPool2d(2), TwoConvolutions(above, here, norm, act)))
        self.ups, self.gates, self.decoder, self.heads = (nn.ModuleList() for _ in range(4))
        for fine, coarse in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True):
            self.ups.append(_doubled(coarse, fine, one_of(up, UPSAMPLINGS, "up")))
            self.gates.append(AttentionGate(fine, coarse, axes=2) if attention else nn.Identity())
            self.decoder.append(TwoConvolutions(2 * fine if skips == "join" else fine, fine, norm, act))
        for channels in reversed(widths[1:-1]) if deep_supervision else ():
            self.heads.append(convolution(channels, classes, 1, bias=True, axes=2))
        self.head = convolution(width, classes, 1, bias=True, axes=2)
        self.attention = bool(attention)
        initialise(self, 0.0, (self.head, *self.heads))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        skips = []
        for level in self.encoder:
            x = self.run(level, x)
            skips.append(x)
        skips.pop()
        found = []
        for up, gate, level in zip(self.ups, self.gates, self.decoder, strict=True):
            skip = skips.pop()
            if self.attention:
                skip = gate(skip, x)
            x = self.run(self._taken_up, up, level, x, skip)
            found.append(x)
        coarse = [head(one) for head, one in zip(self.heads, found, strict=False)] if self.training else []
        return (self.head(x), *reversed(coarse))

    def _taken_up(self, up: nn.Module, level: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
        x = up(x)
        if self.skips != "none":
            x = join(x, skip) if self.skips == "join" else x + skip
        return level(x)


class TwoConvolutions(nn.Sequential):
    """Two 3x3 convolutions, each with normalisation and activation."""

    def __init__(self, inputs: int, outputs: int, norm: str | None, act: str):
        options = {"norm": norm, "act": act, "bias": norm is None, "axes": 2}
        super().__init__(ConvNormAct(inputs, outputs, **options), ConvNormAct(outputs, outputs, **options))


def _doubled(inputs: int, outputs: int, kind: str) -> nn.Module:
    if kind == "transposed":
        return doubling(inputs, outputs, bias=True, axes=2)
    return nn.Sequential(Upsample(kind, axes=2), convolution(inputs, outputs, bias=True, axes=2))
