"""Coordinates in which places are told: where a voxel is, in a frame that may belong to the volume or to the head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

FRAMES = ("cartesian", "barycentric")
LEAST_VOLUME = 1e-3  # of the landmarks' tetrahedron, as a share of the cube over its longest edge


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine map from voxels to coordinates; coordinates (3,) = matrix (3, 4) times (i, j, k, 1).

    Raises ValueError where the matrix cannot be inverted: two places would have the same coordinates.
    """

    matrix: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (3, 4) or not np.isfinite(matrix).all() or not abs(np.linalg.det(matrix[:, :3])) > 0:
            raise ValueError(f"matrix is {matrix.tolist()}, expected 3 x 4 finite numbers of an invertible map")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def cartesian(cls, shape: Sequence[int]) -> Self:
        """Voxel 0 to N - 1 along each axis as 0 to 1 (thesis, section 6.2)."""
        steps = 1 / np.maximum(np.array(shape, dtype=np.float64) - 1, 1)
        return cls(np.concatenate([np.diag(steps), np.zeros((3, 1))], 1))

    @classmethod
    def barycentric(cls, landmarks: Sequence[Sequence[float]]) -> Self:
        """Barycentric coordinates on four landmarks (4, 3), in voxels; the first three of them, for all four add up to
        1. The landmarks themselves are (1, 0, 0), (0, 1, 0), (0, 0, 1) and (0, 0, 0).

        A frame that moves with the head: the thesis proposes it for anatomy in changing poses (section 6.2).
        Raises ValueError where the four lie nearly in one plane.
        """
        points = np.asarray(landmarks, dtype=np.float64)
        if points.shape != (4, 3) or not np.isfinite(points).all():
            raise ValueError(f"landmarks have the shape {points.shape}, expected four finite points (4, 3)")
        edges = (points[:3] - points[3]).T
        longest = max(np.linalg.norm(a - b) for a in points for b in points)
        if not abs(np.linalg.det(edges)) > LEAST_VOLUME * longest**3:
            raise ValueError(f"landmarks are {points.round(1).tolist()}, expected four that do not lie in one plane")
        inverse = np.linalg.inv(edges)
        return cls(np.concatenate([inverse, -inverse @ points[3:].T], 1))

    def halved(self) -> Self:
        """The same coordinates for voxels of twice the size, each the mean of 2³: voxel c is where 2 c + 1/2 was."""
        matrix = np.array(self.matrix)
        matrix[:, 3] += matrix[:, :3] @ np.full(3, 0.5)
        matrix[:, :3] *= 2
        return type(self)(matrix)

    def coordinates(self, shape: Sequence[int], start: Sequence[float] = (0, 0, 0), step: float = 1.0) -> Tensor:
        """The coordinates of a lattice of places, (3, *shape) float32: voxel start + step (i, j, k)."""
        lines = [
            torch.arange(size, dtype=torch.float64) * step + first for size, first in zip(shape, start, strict=True)
        ]
        matrix = torch.from_numpy(self.matrix.copy())
        i, j, k = (line.reshape([-1 if a == axis else 1 for a in range(3)]) for axis, line in enumerate(lines))
        rows = [row[0] * i + row[1] * j + row[2] * k + row[3] for row in matrix]
        return torch.stack([row.expand(*shape) for row in rows]).float()

    def at(self, voxels: Tensor) -> Tensor:
        """The coordinates (..., 3) of voxels (..., 3)."""
        matrix = torch.from_numpy(self.matrix.copy()).to(voxels)
        return voxels @ matrix[:, :3].T + matrix[:, 3]

    def to_voxels(self, coordinates: Tensor) -> Tensor:
        """The voxels (..., 3) that have these coordinates (..., 3): the way back."""
        inverse = torch.from_numpy(np.linalg.inv(self.matrix[:, :3])).to(coordinates)
        shift = torch.from_numpy(self.matrix[:, 3].copy()).to(coordinates)
        return (coordinates - shift) @ inverse.T
