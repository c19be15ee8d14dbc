"""Networks, and nothing of how they are trained: the 3D segmentation zoo and the blocks that it is built of.

`build(name, in_channels, classes, **options)` makes one by name. All take (B, C, X, Y, Z) and give logits
(B, K, X, Y, Z); see `medlab.nn.network.Network` for what they share.
"""

from medlab.nn.network import Network
from medlab.nn.unet3d import UNet3d
from medlab.nn.vnet import VNet, VNetLight
from medlab.nn.zoo import NETWORKS, build

__all__ = ["NETWORKS", "Network", "UNet3d", "VNet", "VNetLight", "build"]
