"""Images in: volumes from files, on other grids, and with comparable intensities."""

from medlab.data.errors import VolumeError
from medlab.data.io import load_volume, save_volume
from medlab.data.orientation import to_canonical
from medlab.data.resample import resample
from medlab.data.template import Template, load_icbm152
from medlab.data.volume import Volume

__all__ = [
    "Template",
    "Volume",
    "VolumeError",
    "load_icbm152",
    "load_volume",
    "resample",
    "save_volume",
    "to_canonical",
]
