"""The networks by name."""

from medlab.arguments import one_of
from medlab.nn.densenet3d import DenseNet3d
from medlab.nn.fusion import EarlyFusionDenseNet3d, LateFusionDenseNet3d
from medlab.nn.hyperdense import HyperDenseNet3d
from medlab.nn.network import Network
from medlab.nn.skip_densenet3d import SkipDenseNet3d
from medlab.nn.unet2d import UNet2d
from medlab.nn.unet3d import UNet3d
from medlab.nn.vnet import VNet, VNetLight

NETWORKS: dict[str, type[Network]] = {
    "unet3d": UNet3d,
    "vnet": VNet,
    "vnet_light": VNetLight,
    "densenet3d": DenseNet3d,
    "skip_densenet3d": SkipDenseNet3d,
    "late_fusion": LateFusionDenseNet3d,
    "early_fusion": EarlyFusionDenseNet3d,
    "hyperdense": HyperDenseNet3d,
    "unet2d": UNet2d,
}


def build(name: str, in_channels: int, classes: int, **options) -> Network:
    """The network of that name: `in_channels` modalities in, logits of `classes` classes out.

    name: one of `NETWORKS`. options: those of its class. Raises ValueError for a name or an option that there is not.
    """
    network = NETWORKS[one_of(name, tuple(NETWORKS), "name")]
    try:
        return network(in_channels, classes, **options)
    except TypeError as error:
        raise ValueError(f"options of {name} are {', '.join(options)}: {error}") from None
