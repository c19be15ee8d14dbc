"""Volume: voxels, where they are in the world, and a name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import nibabel.orientations
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from medlab.data.errors import VolumeError

MAX_VOXELS = 2**29  # 2 GiB of float32: beyond any brain scan, within the memory of a laptop
SMALLEST_MM, LARGEST_MM = 1e-6, 1e4  # a voxel edge outside these is a damaged header, not a scan
FLATTEST = 1e-4  # volume of the unit cell of the voxel axes, below which they count as lying in one plane


@dataclass(frozen=True, eq=False)
class Volume:
    """An image of C channels on a grid of voxels, with its place in the scanner's world.

    data: float32 tensor (C, X, Y, Z), finite, on any device.
    affine: (4, 4) float64 array that takes voxel indices (i, j, k, 1) to millimetres (x, y, z, 1), where x grows
        to the patient's right, y to the front (anterior) and z to the head (superior). It belongs to the centre of
        a voxel. Anything that NumPy reads as such an array is accepted; a read-only copy is kept.
    name: what messages and figures call it.

    Raises VolumeError, naming the volume, where data or affine are anything else.
    """

    data: Tensor
    affine: np.ndarray = field(default_factory=lambda: np.eye(4))
    name: str = "volume"

    def __post_init__(self) -> None:
        affine = _as_affine(self.affine)
        fault = data_fault(self.data) or affine_fault(affine)
        if fault:
            raise VolumeError(f"volume {self.name!r}: {fault}")
        affine = affine.copy()
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, X, Y, Z)."""
        return tuple(self.data.shape)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along X, Y and Z in mm."""
        return tuple(np.linalg.norm(self.affine[:3, :3], axis=0).tolist())

    @property
    def orientation(self) -> str:
        """The direction in which each axis grows, to the nearest anatomical one: "RAS", "LPS", "PIR", ...

        R or L: the patient's right or left; A or P: anterior or posterior; S or I: superior or inferior.
        """
        return "".join(nibabel.orientations.aff2axcodes(self.affine))

    @property
    def orthogonal(self) -> bool:
        """Whether the axes stand at right angles to 0.1 degree (a CT with a tilted gantry has others)."""
        directions = self.affine[:3, :3] / self.spacing
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() < np.sin(np.radians(0.1)))

    def to_world(self, voxels: ArrayLike) -> np.ndarray:
        """World positions (..., 3) in mm of voxel indices (..., 3), which may be fractions."""
        return np.asarray(voxels, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxels(self, positions: ArrayLike) -> np.ndarray:
        """Voxel indices (..., 3), as fractions, of world positions (..., 3) in mm."""
        offsets = np.asarray(positions, np.float64) - self.affine[:3, 3]
        return np.linalg.solve(self.affine[:3, :3], offsets[..., None])[..., 0]

    def with_data(self, data: Tensor, name: str | None = None) -> Self:
        """The same place with other voxels: any number of channels, the same X, Y and Z.

        Raises VolumeError where the grid differs.
        """
        if data.shape[1:] != self.data.shape[1:]:
            found, expected = tuple(data.shape), ("C", *self.shape[1:])
            raise VolumeError(f"volume {self.name!r}: new data have shape {found}, expected {expected}")
        return type(self)(data, self.affine, name or self.name)

    def crop(self, low: Sequence[int], high: Sequence[int]) -> Self:
        """The voxels from `low` up to, not including, `high` (three indices each), still where they are in the world.

        Raises VolumeError where the box is empty or leaves the volume.
        """
        box = list(zip(low, high, self.shape[1:], strict=True))
        if not all(0 <= start < stop <= size for start, stop, size in box):
            raise VolumeError(
                f"volume {self.name!r}: the box from {tuple(low)} to {tuple(high)} is empty or leaves the volume, "
                f"expected 0 <= low < high <= {self.shape[1:]}"
            )
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(low)
        inside = tuple(slice(start, stop) for start, stop, _ in box)
        return type(self)(self.data[(slice(None), *inside)], affine, self.name)

    def to(self, device: torch.device | str) -> Self:
        """The same volume with its voxels on another device."""
        return type(self)(self.data.to(device), self.affine, self.name)

    def __repr__(self) -> str:
        grid = " x ".join(map(str, self.shape))
        spacing = " x ".join(f"{size:.4g}" for size in self.spacing)
        return f"Volume({self.name!r}, {grid}, {spacing} mm, {self.orientation})"


def data_fault(data: object) -> str | None:
    """What is wrong with the voxels, as 'found, expected', or None."""
    if not isinstance(data, Tensor):
        return f"data are {type(data).__name__}, expected a torch.Tensor of shape (C, X, Y, Z)"
    if data.dtype != torch.float32:
        return f"data are {str(data.dtype).removeprefix('torch.')}, expected float32"
    if data.ndim != 4 or not data.numel():
        return f"data have shape {tuple(data.shape)}, expected (C, X, Y, Z) with at least one voxel along each"
    low, high = torch.aminmax(data.detach())  # NaN wins both, so two numbers tell whether all are finite
    if not torch.isfinite(low + 0 * high):
        bad = ~torch.isfinite(data.detach())
        first = tuple(bad.nonzero()[0].tolist())
        return f"{int(bad.sum())} voxels are NaN or infinite, the first at {first}, expected finite values"
    return None


def affine_fault(affine: object) -> str | None:
    """What is wrong with the affine, as 'found, expected', or None."""
    if not isinstance(affine, np.ndarray):
        return f"the affine is {affine!r:.60}, expected 4 x 4 numbers"
    if affine.shape != (4, 4):
        return f"the affine has shape {affine.shape}, expected (4, 4)"
    if not np.isfinite(affine).all():
        return "the affine holds NaN or infinity, expected finite numbers"
    if not np.array_equal(affine[3], (0, 0, 0, 1)):
        return f"the affine's last row is {affine[3].tolist()}, expected [0, 0, 0, 1]"
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not (sizes.min() >= SMALLEST_MM and sizes.max() <= LARGEST_MM):
        found = " x ".join(f"{size:.3g}" for size in sizes)
        return f"voxels measure {found} mm, expected {SMALLEST_MM:g} to {LARGEST_MM:g} mm along each axis"
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < FLATTEST:
        return "the affine is singular, expected three axes that do not lie in one plane"
    return None


def _as_affine(affine: object) -> object:
    """A float64 array where NumPy can make one, else the thing itself (for the message)."""
    if isinstance(affine, Tensor):
        affine = affine.detach().cpu().numpy()
    try:
        return np.asarray(affine, dtype=np.float64)
    except (TypeError, ValueError):
        return affine
