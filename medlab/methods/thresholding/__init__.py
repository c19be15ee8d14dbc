"""What a threshold finds without any learning: the yardstick for methods that learn (Meissen et al. 2021)."""

from medlab.methods.thresholding.config import Config
from medlab.methods.thresholding.method import Thresholding, excess, gaps, without_small

__all__ = ["Config", "Thresholding", "excess", "gaps", "without_small"]
