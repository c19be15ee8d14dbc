"""Segmentation of whole scans by networks of sub-volumes (thesis, chapters 3, 5 and 6)."""

from medlab.methods.segmentation.config import Config
from medlab.methods.segmentation.evaluation import judge
from medlab.methods.segmentation.inference import Segmented, segment_volume
from medlab.methods.segmentation.module import Segmentation
from medlab.methods.segmentation.preparation import prepare, standardise
from medlab.methods.segmentation.subvolumes import SubVolumes

__all__ = ["Config", "Segmentation", "Segmented", "SubVolumes", "judge", "prepare", "segment_volume", "standardise"]
