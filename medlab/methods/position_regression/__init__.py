"""Position regression (Bieder et al. 2022; thesis, chapter 6): suspicious is what does not look like its place."""

from medlab.methods.position_regression.coarse_to_fine import CoarseToFine, CoarseToFineConfig, TwoLooks
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.frame import Frame
from medlab.methods.position_regression.module import PositionRegression
from medlab.methods.position_regression.patches import HeadPatches, counted_places, frame_of

__all__ = [
    "CoarseToFine",
    "CoarseToFineConfig",
    "Config",
    "Frame",
    "HeadPatches",
    "PositionRegression",
    "TwoLooks",
    "counted_places",
    "frame_of",
]
