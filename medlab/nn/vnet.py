"""V-Net, and the light one."""

import torch
from torch import Tensor, nn

from medlab.arguments import whole
from medlab.nn.blocks import ConvNormAct, NormAct, activation, convolution, doubling, dropout, join
from medlab.nn.network import Network, initialise
from medlab.nn.norms import normalisation


class VNet(Network):
    """V-Net (Milletari et al. 2016; thesis section 3.6): residual stages of 5x5x5 convolutions, halved and doubled by
    convolutions of kernel and stride 2.

    width: channels of the first stage, doubled at each; depths: convolutions of the stages below the first, from top to
    bottom; up_depths: those of the decoder, from bottom to top. norm: "batch" as in the thesis's code (the paper has
    none), "instance", "group" or None. act: "prelu" as in the paper; "elu" keeps fewer maps for the backward pass.
    dropout: of whole channels in the two deepest stages and, in the decoder, on every skip connection (0.5 in the
    thesis's code). bias: in convolutions, also where a normalisation follows and takes it away again; kept so that the
    count is that code's, 45,611,956 for 1 channel and 4 classes. Others: see `Network`.
    deep_supervision adds a 1x1x1 head on each decoder stage.

    The input is added to the first stage's 16 channels, repeated in turn: channel i gets modality i mod C. For numbers
    of modalities that divide 16 that is what the thesis's code does; for the others that code stops with an error.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        width: int = 16,
        depths: tuple[int, ...] = (1, 2, 3, 2),
        up_depths: tuple[int, ...] = (2, 2, 1, 1),
        norm: str | None = "batch",
        act: str = "prelu",
        dropout: float = 0.0,
        bias: bool = True,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        if not depths or len(depths) != len(up_depths):
            raise ValueError(f"depths is {depths} and up_depths {up_depths}, expected as many")
        super().__init__(
            in_channels,
            classes,
            multiple=2 ** len(depths),
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
            odd=odd,
        )
        widths = [whole(width, "width", 2) * 2**stage for stage in range(len(depths) + 1)]
        options = {"norm": norm, "act": act, "bias": bias}
        self.first = FirstStage(in_channels, width, **options)
        self.downs = nn.ModuleList()
        for stage, depth in enumerate(depths):
            rate = dropout if stage >= len(depths) - 2 else 0.0
            self.downs.append(DownStage(widths[stage], widths[stage + 1], whole(depth, "depths"), rate, **options))
        self.ups, inputs = nn.ModuleList(), widths[-1]
        for stage, depth in enumerate(up_depths):
            skip = widths[-2 - stage]
            rates = (dropout if stage < 2 else 0.0, dropout)
            self.ups.append(UpStage(inputs, skip, whole(depth, "up_depths"), rates, **options))
            inputs = 2 * skip
        self.last = nn.Sequential(
            ConvNormAct(inputs, classes, 5, **options), convolution(classes, classes, 1, bias=True)
        )
        coarse = [2 * widths[-2 - stage] for stage in range(len(depths) - 1)] if deep_supervision else []
        self.heads = nn.ModuleList(convolution(channels, classes, 1, bias=True) for channels in coarse)
        slope = {"prelu": 0.25, "elu": 1.0}.get(act, 0.01)  # ELU is close to the identity around 0
        initialise(self, slope, (self.last[-1], *self.heads))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        skips = [self.run(self.first, x)]
        for down in self.downs:
            skips.append(self.run(down, skips[-1]))
        x, found = skips.pop(), []
        for up in self.ups:
            x = self.run(up, x, skips.pop())
            found.append(x)
        coarse = [head(one) for head, one in zip(self.heads, found, strict=False)] if self.training else []
        return (self.run(self.last, x), *reversed(coarse))


class VNetLight(VNet):
    """V-Net without its deepest stage (thesis table 1): 12,247,988 parameters for 1 channel and 4 classes.

    Arguments as `VNet`.
    """

    def __init__(self, in_channels: int, classes: int, *, depths=(1, 2, 3), up_depths=(2, 1, 1), **options):
        super().__init__(in_channels, classes, depths=depths, up_depths=up_depths, **options)


class FirstStage(nn.Module):
    """One convolution, plus the input itself, its modalities repeated in turn."""

    def __init__(self, inputs: int, outputs: int, *, norm: str | None, act: str, bias: bool):
        super().__init__()
        self.convolution = nn.Sequential(convolution(inputs, outputs, 5, bias=bias), normalisation(norm, outputs))
        self.activation = activation(act, outputs)
        self.register_buffer("turn", torch.arange(outputs) % inputs, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        found = self.convolution(x)
        shortcut = x if x.shape[1] == 1 else x[:, self.turn]  # one channel needs no copy to be added
        return self.activation(found + shortcut)


class DownStage(nn.Module):
    """Halved by a convolution of stride 2, then `depth` convolutions, added to where they began."""

    def __init__(self, inputs: int, outputs: int, depth: int, rate: float, *, norm: str | None, act: str, bias: bool):
        super().__init__()
        self.down = nn.Sequential(convolution(inputs, outputs, 2, stride=2, bias=bias), NormAct(outputs, norm, act))
        self.convolutions = _chain(outputs, depth, norm, act, bias)
        self.dropout, self.activation = dropout(rate), activation(act, outputs)

    def forward(self, x: Tensor) -> Tensor:
        entry = self.down(x)
        return self.activation(self.convolutions(self.dropout(entry)) + entry)


class UpStage(nn.Module):
    """Doubled by a transposed convolution to the channels of the skip connection, joined with it, convolved, added."""

    def __init__(
        self, inputs: int, skip: int, depth: int, rates: tuple[float, float], *, norm: str | None, act: str, bias: bool
    ):
        super().__init__()
        self.up = nn.Sequential(doubling(inputs, skip, bias=bias), NormAct(skip, norm, act))
        self.convolutions = _chain(2 * skip, depth, norm, act, bias)
        self.dropout, self.skip_dropout = dropout(rates[0]), dropout(rates[1])
        self.activation = activation(act, 2 * skip)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined = join(self.up(self.dropout(x)), self.skip_dropout(skip))
        return self.activation(self.convolutions(joined) + joined)


def _chain(channels: int, depth: int, norm: str | None, act: str, bias: bool) -> nn.Sequential:
    return nn.Sequential(*(ConvNormAct(channels, channels, 5, norm=norm, act=act, bias=bias) for _ in range(depth)))
