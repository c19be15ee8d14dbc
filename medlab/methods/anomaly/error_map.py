"""The answer of a method of anomaly detection: one number a voxel, higher where it is more suspicious."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medlab.data import Volume, save_volume
from medlab.metrics.detection import structure_scores


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """How far each voxel of a scan is from what is normal.

    volume: (1, X, Y, Z) float32 of finite numbers with the scan's affine, higher where more suspicious. unit: what the
    numbers are, such as "distance in the frame" or "absolute difference".
    Raises ValueError for several channels and for numbers that are not finite.
    """

    volume: Volume
    unit: str

    def __post_init__(self) -> None:
        if self.volume.shape[0] != 1:
            raise ValueError(f"volume has {self.volume.shape[0]} channels, expected one number a voxel")
        if not bool(torch.isfinite(self.volume.data).all()):
            raise ValueError(f"volume {self.volume.name!r} holds NaN or infinity, expected finite numbers")

    @property
    def values(self) -> Tensor:
        """The map alone, (X, Y, Z)."""
        return self.volume.data[0]

    def scores(self, structures: Mapping[str, Tensor], *, percentile: float = 100.0) -> dict[str, float]:
        """One number for each structure, the map's maximum (or percentile) inside: see `metrics.structure_scores`."""
        return structure_scores(self.values, structures, percentile=percentile)

    def decisions(
        self, structures: Mapping[str, Tensor], threshold: float, *, percentile: float = 100.0
    ) -> dict[str, bool]:
        """Whether the map exceeds a threshold inside each structure (thesis, chapter 6, section 4)."""
        return {name: score > threshold for name, score in self.scores(structures, percentile=percentile).items()}

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the map as NIfTI with the scan's affine; the path written."""
        return save_volume(self.volume, path)
