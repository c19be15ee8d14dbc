"""Dense connections: a layer sees the maps of all layers before it (Huang et al. 2017)."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from medlab.arguments import number, whole
from medlab.nn.blocks import NormAct, convolution

GROWTH = (25, 25, 25, 50, 50, 50, 75, 75, 75)
REDUCTION = (400, 200, 150)


class DenseLayer(nn.Module):
    """New maps from all maps so far: normalisation, activation and a 3x3x3 convolution of the maps put side by side.

    They are put together inside the layer, so that checkpointing keeps each map once, not once a layer (Pleiss et al.
    2017). bottleneck: channels of a 1x1x1 convolution in front, None for none. dropout: of single values.
    """

    def __init__(self, inputs: int, outputs: int, *, norm: str | None, dropout: float, bottleneck: int | None = None):
        super().__init__()
        parts: list[nn.Module] = [NormAct(inputs, norm, "relu")]
        if bottleneck is not None:
            parts += [convolution(inputs, bottleneck, 1), NormAct(bottleneck, norm, "relu")]
        self.layers = nn.Sequential(*parts, convolution(bottleneck or inputs, outputs), single_dropout(dropout))

    def forward(self, *maps: Tensor) -> Tensor:
        return self.layers(side_by_side(maps))


class Reduction(nn.Sequential):
    """1x1x1 convolutions that bring all maps of a path down to 150, a "fully connected" part at each voxel.

    Deviation from the thesis's code: a ReLU after each. Without one, three such convolutions are a single linear map.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, dropout: float, bias: bool = False):
        parts: list[nn.Module] = []
        for width in widths:
            layer = convolution(inputs, whole(width, "reduction"), 1, bias=bias)
            parts += [layer, nn.ReLU(inplace=True), single_dropout(dropout)]
            inputs = width
        super().__init__(*parts)

    def forward(self, *maps: Tensor) -> Tensor:
        return super().forward(side_by_side(maps))


def dense_layers(inputs: int, growth: Sequence[int], *, norm: str | None, dropout: float) -> nn.ModuleList:
    """A layer for each number of new maps; the first sees `inputs` channels."""
    layers = nn.ModuleList()
    for new in growth:
        layers.append(DenseLayer(inputs, whole(new, "growth"), norm=norm, dropout=dropout))
        inputs += new
    return layers


def grow(run: Callable[..., Tensor], layers: Iterable[nn.Module], *maps: Tensor) -> list[Tensor]:
    """The maps given, and those of each layer; run: `Network.run`."""
    found = list(maps)
    for layer in layers:
        found.append(run(layer, *found))
    return found


def side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Along the channels; a single map as it is."""
    return maps[0] if len(maps) == 1 else torch.cat(tuple(maps), 1)


def single_dropout(rate: float) -> nn.Module:
    """Single values are set to 0 in training; nothing at all where rate is 0."""
    rate = number(rate, "dropout", 0, 1)
    return nn.Dropout(rate) if rate else nn.Identity()


def no_scales(deep_supervision: bool) -> None:
    """Refuses deep supervision of a network that never leaves the volume's own grid."""
    if deep_supervision:
        raise ValueError("deep_supervision is True, expected False: this network has no coarser level to supervise")
