"""3D DenseNet of a single path."""

from collections.abc import Sequence

from torch import Tensor

from medlab.nn.blocks import convolution
from medlab.nn.dense import GROWTH, REDUCTION, Reduction, dense_layers, grow, no_scales
from medlab.nn.network import Network, initialise


class DenseNet3d(Network):
    """One densely connected path at full resolution, all modalities in its first layer (thesis section 3.8; the
    baseline of Dolz et al. 2018).

    Nine 3x3x3 layers of `growth` new maps each, then 1x1x1 convolutions to `reduction` channels and to the classes:
    2,697,811 parameters for 2 channels and 4 classes. A voxel sees 19 voxels along an axis, so patches are small (28 to
    32 in the thesis). norm: "batch", "instance", "group" or None. dropout: of new values in a layer (0.1 in the
    thesis's code); last_dropout: in the 1x1x1 part (0.5 there). deep_supervision must be False: there is one scale
    only. Others: see `Network`.
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
        self.layers = dense_layers(in_channels, growth, norm=norm, dropout=dropout)
        self.reduction = Reduction(in_channels + sum(growth), reduction, dropout=last_dropout)
        self.head = convolution(reduction[-1], classes, 1)
        initialise(self, 0.0, (self.head,))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.head(self.run(self.reduction, *grow(self.run, self.layers, x))),)
