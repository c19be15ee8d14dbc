"""The 3D autoencoder that position regression is compared with (Baur et al. 2021; thesis, chapter 6, appendix C)."""

from medlab.methods.autoencoder.config import Config
from medlab.methods.autoencoder.filters import eroded, median
from medlab.methods.autoencoder.module import Autoencoder
from medlab.methods.autoencoder.volumes import HeadVolumes

__all__ = ["Autoencoder", "Config", "HeadVolumes", "eroded", "median"]
