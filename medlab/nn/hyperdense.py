"""Hyper-dense connections: a layer sees all earlier maps of every modality's stream."""

from collections.abc import Sequence

from torch import Tensor, nn

from medlab.nn.blocks import activation, convolution
from medlab.nn.dense import GROWTH, REDUCTION, Reduction, no_scales, side_by_side, single_dropout
from medlab.nn.network import Network, initialise
from medlab.nn.norms import normalisation


class HyperDenseNet3d(Network):
    """A stream for each modality, each layer fed by all layers before it in all streams (Dolz et al. 2018, equation 4).

    The maps of the layer's own stream come first, then those of the other streams in turn, so that each stream sees the
    same maps in another order. As many streams as channels. norm comes before all layers but the first. Arguments: see
    `DenseNet3d`.

    For 2 channels and 4 classes 10,001,922 parameters, where the thesis's code has 10,361,922: there the first 1x1x1
    convolution gets every map twice, once in each stream's order, for 360,000 further weights that add nothing. That
    code does not pad either, and loses 9 voxels at each side; ours pads, so the output has the input's size.
    Deviation: a ReLU after each 1x1x1 convolution, see `Reduction`.
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
        self.layers, inputs = nn.ModuleList(), 1
        for index, new in enumerate(growth):
            kind = norm if index else None
            streams = (HyperLayer(inputs, new, norm=kind, dropout=dropout) for _ in range(in_channels))
            self.layers.append(nn.ModuleList(streams))
            inputs = in_channels * new + (inputs if index else 0)  # the image itself is seen by the first layer only
        self.reduction = Reduction(inputs, reduction, dropout=last_dropout, bias=True)
        self.head = convolution(reduction[-1], classes, 1, bias=True)
        initialise(self, 0.25, (self.head,))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        first, *layers = self.layers
        found = [[self.run(stream, one)] for stream, one in zip(first, x.split(1, 1), strict=True)]
        for streams in layers:
            new = [self.run(stream, *_in_turn(found, index)) for index, stream in enumerate(streams)]
            for maps, one in zip(found, new, strict=True):
                maps.append(one)
        return (self.head(self.run(self.reduction, *_in_turn(found, 0))),)


class HyperLayer(nn.Module):
    """New maps from all maps so far: normalisation, PReLU with one slope for all channels, a 3x3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, *, norm: str | None, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            normalisation(norm, inputs),
            activation("prelu", 1),
            single_dropout(dropout),
            convolution(inputs, outputs, bias=True),
        )

    def forward(self, *maps: Tensor) -> Tensor:
        return self.layers(side_by_side(maps))


def _in_turn(found: list[list[Tensor]], own: int) -> list[Tensor]:
    """The maps of all streams, layer by layer, the stream's own first."""
    order = [*found[own:], *found[:own]]
    return [maps[layer] for layer in range(len(found[0])) for maps in order]
