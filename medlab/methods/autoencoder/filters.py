"""What is done to a map of residuals before decisions: a median against single voxels, an erosion against thin rims."""

import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import whole

SLAB_NUMBERS = 64_000_000  # that the median on an accelerator holds at once


def median(values: Tensor, width: int) -> Tensor:
    """The median over the cube of `width` voxels around each voxel; values (X, Y, Z), the last plane repeated beyond.

    What is smaller than half the cube disappears: a speck, a thin line; an edge stays where it is. width: odd.
    """
    side = _odd(width)
    if values.device.type != "cpu":
        return median_in_slabs(values, side)
    return torch.from_numpy(ndimage.median_filter(values.numpy(), side, mode="nearest"))


def median_in_slabs(values: Tensor, width: int) -> Tensor:
    """The same median on any device: cubes are laid out and sorted, a few planes at a time."""
    half = _odd(width) // 2
    wide = F.pad(values[None, None], (half,) * 6, mode="replicate")[0, 0]
    found = torch.empty_like(values)
    planes = max(SLAB_NUMBERS // (values[0].numel() * width**3), 1)
    for start in range(0, len(values), planes):
        cubes = wide[start : start + planes + 2 * half]
        for axis in range(3):
            cubes = cubes.unfold(axis, width, 1)
        found[start : start + planes] = cubes.flatten(3).median(-1).values
    return found


def eroded(values: Tensor, width: int) -> Tensor:
    """Grey erosion: the least value in the cube of `width` voxels around each voxel; values (X, Y, Z). width: odd.

    What is thinner than the cube disappears, such as the rims along edges that a blurred restoration leaves; what is
    larger stays, smaller by half a cube on each side.
    """
    half = _odd(width) // 2
    found = -values[None]
    for axis in range(3):  # the least of a cube is the least along one axis after the other
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = width, half
        found = F.max_pool3d(found, tuple(kernel), 1, tuple(padding))
    return -found[0]


def _odd(width: int) -> int:
    if whole(width, "width") % 2 == 0:
        raise ValueError(f"width is {width}, expected an odd number: a cube around a voxel has a middle")
    return width
