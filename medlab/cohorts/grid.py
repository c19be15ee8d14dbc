"""The grid on which a subject is drawn: voxels in the head's own coordinates."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_length, whole

HEAD_CENTRE_MM = (0.0, -17.0, 12.0)  # the middle of the head model, in template coordinates
HEAD_MM = (180.0, 218.0, 180.0)  # what a field of view must have to show all of it


@dataclass(frozen=True)
class Grid:
    """(X, Y, Z) voxels of spacing_mm each, RAS+, centred at centre_mm of the template's coordinates.

    Raises ValueError for sizes and spacings that no grid has.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float] = HEAD_CENTRE_MM

    def __post_init__(self) -> None:
        for name in ("shape", "spacing_mm", "centre_mm"):
            if not isinstance(getattr(self, name), tuple) or len(getattr(self, name)) != 3:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected three numbers, as a tuple")
        for size in self.shape:
            whole(size, "shape")
        for length in self.spacing_mm:
            as_length(length, "spacing_mm")

    @classmethod
    def cube(cls, size: int, field_of_view_mm: float = 240.0) -> "Grid":
        """size³ voxels that together are a cube of this edge around the head."""
        size = whole(size, "size")
        return cls((size,) * 3, (as_length(field_of_view_mm, "field_of_view_mm") / size,) * 3)

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64, from voxel indices to mm."""
        affine = np.diag([*self.spacing_mm, 1.0])
        steps = (np.array(self.shape) - 1) / 2
        affine[:3, 3] = np.array(self.centre_mm) - steps * np.array(self.spacing_mm)
        return affine

    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """The coordinates of the voxel centres along x, y and z in mm, float32."""
        affine = self.affine
        return tuple(
            torch.arange(n, dtype=torch.float32) * float(affine[a, a]) + float(affine[a, 3])
            for a, n in enumerate(self.shape)
        )

    def points(self) -> Tensor:
        """The voxel centres in mm, (X, Y, Z, 3) float32."""
        return torch.stack(torch.meshgrid(*self.axes(), indexing="ij"), -1)


def sample(values: Tensor, affine: np.ndarray, points: Tensor, *, outside: str = "border") -> Tensor:
    """values (C, X, Y, Z) on an axis-aligned grid of this affine, linearly interpolated at points (..., 3) in mm.

    outside: "border" continues the outermost values, "zeros" sets 0. Returns (C, ...) float32.
    """
    sizes = torch.tensor(values.shape[1:], dtype=torch.float32)
    start, step = (torch.tensor(one, dtype=torch.float32) for one in (affine[:3, 3], np.diag(affine)[:3]))
    # grid_sample wants (z, y, x), from -1 to 1 between the outer edges of the outermost voxels.
    scale, shift = 2 / (step * sizes), (1 - 2 * start / step) / sizes - 1
    at = (points * scale + shift).flip(-1).reshape(1, 1, 1, -1, 3)
    found = torch.nn.functional.grid_sample(values[None].float(), at, padding_mode=outside, align_corners=False)
    return found.reshape(values.shape[0], *points.shape[:-1])
