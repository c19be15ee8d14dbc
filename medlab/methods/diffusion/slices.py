"""Axial slices of a head at a coarse spacing, and a map of slices back on the head's own grid."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import as_length, number, whole
from medlab.data import Volume


@dataclass(frozen=True)
class SliceGrid:
    """A window of size pixels around the middle of each axial slice, pixels and slices pixel_mm apart.

    least: the share of a slice's window that must be foreground (above 0); other slices are left out. stride: every
    how manyeth slice is taken.
    """

    size: tuple[int, int]
    pixel_mm: float
    least: float = 0.15
    stride: int = 1

    def __post_init__(self) -> None:
        if len(self.size) != 2:
            raise ValueError(f"size is {self.size}, expected two numbers of pixels")
        for side in self.size:
            whole(side, "size")
        as_length(self.pixel_mm, "pixel_mm"), number(self.least, "least", 0, 1), whole(self.stride, "stride")

    def coarse(self, volume: Tensor, spacing: tuple[float, ...]) -> Tensor:
        """A volume (X, Y, Z), averaged over blocks, as slices (N, 1, *size) from below to above, at least one.

        spacing: of its voxels in mm. What the window holds beyond the volume is 0.
        """
        depth = max(1, round(volume.shape[2] * spacing[2] / self.pixel_mm))
        framed = F.pad(volume, self._frame(volume.shape, spacing))
        return F.adaptive_avg_pool3d(framed[None, None], (*self.size, depth))[0].permute(3, 0, 1, 2)

    def slices(self, volume: Volume) -> tuple[Tensor, Tensor]:
        """The slices with enough foreground of a volume (1, X, Y, Z), (N, 1, *size), and their numbers, (N,)."""
        found = self.coarse(one_channel(volume), volume.spacing)
        full = (found > 0).flatten(1).float().mean(1) >= self.least
        at = full.nonzero().flatten()[:: self.stride]
        return found[at], at

    def back(self, values: Tensor, at: Tensor, volume: Volume) -> Tensor:
        """Maps of slices, (N, 1, *size) of numbers `at`, on the volume's grid, (X, Y, Z): linear in between.

        0 outside the window, above the last and below the first slice, and where the volume is 0.
        """
        shape, spacing = volume.shape[1:], volume.spacing
        result = torch.zeros(shape, device=values.device)
        if not len(at):
            return result
        depth = max(1, round(shape[2] * spacing[2] / self.pixel_mm))
        frame = self._frame(shape, spacing)
        inner = (shape[0] + frame[4] + frame[5], shape[1] + frame[2] + frame[3])
        # Slices that were left out by the stride lie between two that were not.
        heights = (torch.arange(shape[2], device=at.device) + 0.5) * depth / shape[2] - 0.5
        above = torch.searchsorted(at.float(), heights).clamp(0, len(at) - 1)
        below = (above - 1).clamp(min=0)
        gap = (at[above] - at[below]).clamp(min=1)
        share = ((heights - at[below]) / gap).clamp(0, 1).to(values.dtype)
        fine = F.interpolate(values, size=inner, mode="bilinear", align_corners=False)[:, 0]
        stack = torch.lerp(fine[below], fine[above], share[:, None, None]).permute(1, 2, 0)
        near = (heights >= at[0] - 0.5) & (heights <= at[-1] + 0.5)
        stack = stack * near
        result = F.pad(stack, [-width for width in frame])
        return result * (one_channel(volume) > 0)

    def _frame(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[int]:
        """Voxels to add (or, below 0, to cut) on both sides of Z, Y and X, as `pad` takes them."""
        frame = [0, 0]
        for axis in (1, 0):
            missing = round(self.size[axis] * self.pixel_mm / spacing[axis]) - shape[axis]
            frame += [missing // 2, missing - missing // 2]
        return frame


def one_channel(volume: Volume) -> Tensor:
    """The voxels (X, Y, Z) of a volume of one channel. Raises ValueError for several."""
    if volume.shape[0] != 1:
        raise ValueError(f"volume {volume.name!r} has {volume.shape[0]} channels, expected 1")
    return volume.data[0]
