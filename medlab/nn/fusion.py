"""Dense networks with a stream for each modality: joined early, or late."""

from collections.abc import Sequence

from torch import Tensor, nn

from medlab.nn.blocks import convolution
from medlab.nn.dense import GROWTH, REDUCTION, DenseLayer, Reduction, dense_layers, grow, no_scales, side_by_side
from medlab.nn.network import Network, initialise


class LateFusionDenseNet3d(Network):
    """A whole `DenseNet3d` path for each modality; what they found is joined in the last layer (thesis section 3.9;
    "dual-path" of Dolz et al. 2018).

    As many streams as channels. Two streams and 4 classes have 5,370,486 parameters. The thesis's table says about 5.2
    million and its code 4,837,382: there, two streams lack one layer of 25 maps, each carries a classifier that is not
    used, and the 1x1x1 part expects 77 maps that do not exist, so it stops with an error. Arguments: see `DenseNet3d`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        growth: Sequence[int] = GROWTH,
        reduction: Sequence[int] = REDUCTION,
        norm: str | None = "batch",
        dropout: float = 0.0,
        last_dropout: float = 0.0,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        no_scales(deep_supervision)
        super().__init__(in_channels, classes, multiple=1, deep_supervision=False, checkpointing=checkpointing, odd=odd)
        self.streams, self.reductions = nn.ModuleList(), nn.ModuleList()
        for _ in range(in_channels):
            self.streams.append(dense_layers(1, growth, norm=norm, dropout=dropout))
            self.reductions.append(Reduction(1 + sum(growth), reduction, dropout=last_dropout))
        self.head = convolution(in_channels * reduction[-1], classes, 1)
        initialise(self, 0.0, (self.head,))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        found = [
            self.run(reduction, *grow(self.run, layers, modality))
            for layers, reduction, modality in zip(self.streams, self.reductions, x.split(1, 1), strict=True)
        ]
        return (self.head(side_by_side(found)),)


class EarlyFusionDenseNet3d(Network):
    """One dense layer for each modality, then a single path for all (thesis section 3.9; "disentangled modalities
    with early fusion" of Dolz et al. 2018).

    As many streams as channels. With 4 classes, two streams have 2,995,086 parameters as in the thesis's code, three
    3,304,929 (its table says about 3.4 million). That code sends both of two modalities through the first
    stream's layer and never uses the second's; here each has its own. growth: the stream's layer first, then those of
    the path. Other arguments: see `DenseNet3d`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        growth: Sequence[int] = GROWTH,
        reduction: Sequence[int] = REDUCTION,
        norm: str | None = "batch",
        dropout: float = 0.0,
        last_dropout: float = 0.0,
        deep_supervision: bool = False,
        checkpointing: bool = False,
        odd: str = "pad",
    ):
        no_scales(deep_supervision)
        super().__init__(in_channels, classes, multiple=1, deep_supervision=False, checkpointing=checkpointing, odd=odd)
        first, *rest = growth
        self.streams = nn.ModuleList(DenseLayer(1, first, norm=norm, dropout=dropout) for _ in range(in_channels))
        joined = in_channels * (1 + first)
        self.layers = dense_layers(joined, rest, norm=norm, dropout=dropout)
        self.reduction = Reduction(joined + sum(rest), reduction, dropout=last_dropout)
        self.head = convolution(reduction[-1], classes, 1)
        initialise(self, 0.0, (self.head,))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        joined = []
        for stream, modality in zip(self.streams, x.split(1, 1), strict=True):
            joined += [modality, self.run(stream, modality)]
        return (self.head(self.run(self.reduction, *grow(self.run, self.layers, *joined))),)
