"""medlab: models, physics, metrics and trainers for deep learning on brain images."""

__version__ = "0.1.0"
