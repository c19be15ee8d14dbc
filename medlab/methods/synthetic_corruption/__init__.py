"""Anomalies as what looks like an artificial corruption to a network that was taught some (Tan et al. 2020)."""

from medlab.methods.synthetic_corruption.config import Config
from medlab.methods.synthetic_corruption.corruptions import KINDS, Corrupted, corrupt
from medlab.methods.synthetic_corruption.module import SyntheticCorruption
from medlab.methods.synthetic_corruption.stream import CorruptedPatches, corrupted_head

__all__ = ["KINDS", "Config", "Corrupted", "CorruptedPatches", "SyntheticCorruption", "corrupt", "corrupted_head"]
