"""Sizes that a network cannot halve often enough: filled up to a multiple, and cut back afterwards."""

from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import one_of

ODD = ("pad", "refuse")


def fill_up(x: Tensor, multiple: int, odd: str = "pad") -> Tensor:
    """x, (B, C, X, Y[, Z]), with every axis of space a multiple; the same tensor where it is already.

    odd: "pad" repeats the last plane along each axis (zeros would be an edge that a network sees); "refuse" raises
    ValueError. All is added behind the last plane, so that voxel i of a map that is s times coarser stands for the
    voxels s i to s i + s - 1 of the volume, with padding and without.
    """
    one_of(odd, ODD, "odd")
    missing = [-length % multiple for length in x.shape[2:]]
    if not any(missing):
        return x
    if odd == "refuse":
        sizes = " x ".join(map(str, x.shape[2:]))
        raise ValueError(f"x has {sizes} voxels, expected multiples of {multiple} along every axis")
    padding = [side for length in reversed(missing) for side in (0, length)]
    return F.pad(x, padding, mode="replicate")


def cut_back(y: Tensor, shape: tuple[int, ...], scale: int = 1) -> Tensor:
    """The part of a map (B, K, X, Y[, Z]), `scale` times coarser than the volume, that stands for voxels of `shape`.

    A voxel of the map stays where at least one of its voxels is in the volume: lengths are divided and rounded up.
    """
    lengths = [-(-length // scale) for length in shape]
    if list(y.shape[2:]) == lengths:
        return y
    return y[(slice(None), slice(None), *(slice(length) for length in lengths))]
