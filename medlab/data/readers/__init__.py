"""Real datasets from their own folders: one reader each, all giving `medlab.data.samples.Samples`."""

from medlab.data.readers.brats import read_brats
from medlab.data.readers.cq500 import read_cq500
from medlab.data.readers.dhcp import read_dhcp
from medlab.data.readers.inventory import inventory
from medlab.data.readers.iseg import read_iseg
from medlab.data.readers.ixi import read_ixi
from medlab.data.readers.mrbrains import read_mrbrains

__all__ = ["inventory", "read_brats", "read_cq500", "read_dhcp", "read_iseg", "read_ixi", "read_mrbrains"]
