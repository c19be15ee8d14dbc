"""Networks, and nothing of how they are trained: the 3D segmentation zoo, and what finds anomalies.

`build(name, in_channels, classes, **options)` makes one of the zoo by name. All of these take (B, C, X, Y, Z), the 2D
U-Net (B, C, X, Y), and give logits of the same size; see `medlab.nn.network.Network` for what they share.
"""

from medlab.nn.autoencoder3d import Autoencoder3d
from medlab.nn.densenet3d import DenseNet3d
from medlab.nn.diffusion_unet2d import DiffusionUNet2d, NoisyImageClassifier2d
from medlab.nn.fusion import EarlyFusionDenseNet3d, LateFusionDenseNet3d
from medlab.nn.hyperdense import HyperDenseNet3d
from medlab.nn.network import Network
from medlab.nn.patch_regressor import PatchRegressor
from medlab.nn.skip_densenet3d import SkipDenseNet3d
from medlab.nn.unet2d import UNet2d
from medlab.nn.unet3d import UNet3d
from medlab.nn.vae2d import Vae2d
from medlab.nn.vnet import VNet, VNetLight
from medlab.nn.zoo import NETWORKS, build

__all__ = [
    "NETWORKS",
    "Autoencoder3d",
    "DenseNet3d",
    "DiffusionUNet2d",
    "EarlyFusionDenseNet3d",
    "HyperDenseNet3d",
    "LateFusionDenseNet3d",
    "Network",
    "NoisyImageClassifier2d",
    "PatchRegressor",
    "SkipDenseNet3d",
    "UNet2d",
    "UNet3d",
    "VNet",
    "VNetLight",
    "Vae2d",
    "build",
]
