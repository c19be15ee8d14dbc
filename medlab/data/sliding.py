"""A volume through a function that takes patches only: cut with overlap, computed in batches, blended together."""

import math
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from medlab.arguments import number, whole

MODES = ("gaussian", "constant")
WIDTH = 1 / 8  # standard deviation of the Gaussian as a share of the patch (nnU-Net, Isensee et al. 2021, and MONAI)


@torch.no_grad()
def sliding_window(
    function: Callable[[Tensor], Tensor],
    image: Tensor,
    patch: int | tuple[int, ...],
    overlap: float = 0.5,
    mode: str = "gaussian",
    batch: int = 1,
) -> Tensor:
    """What a function of patches makes of a whole image, (K, *spatial), on the image's device.

    function: takes (B, C, *patch), at most `batch` patches at once, and gives (B, K, *patch), on any device; K may be
    any number. image: (C, X, Y, Z) or (C, X, Y). patch: voxels along each axis, or one number for all; where the image
    is smaller it is padded on both sides with its edge values, and the result is cut back. overlap: the least share of
    a patch that its neighbour covers too, from 0 to below 1; patches are spread evenly and never leave the image.
    mode: the weight of a patch's voxels where several overlap: "gaussian", which trusts the middle more than the
    border, where a network has seen no context, or "constant".

    Weighted means, taken in an order that does not depend on `batch`; no gradients. Memory: one result of the whole
    image, one weight a voxel, and one batch. Raises ValueError for what is no image, for other options and where the
    function gives something of another size.
    """
    if not isinstance(image, Tensor) or image.ndim not in (3, 4) or not image.numel():
        found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"image is {found}, expected a tensor (C, X, Y) or (C, X, Y, Z)")
    shape = tuple(image.shape[1:])
    sizes = (patch,) * len(shape) if isinstance(patch, int) else tuple(patch)
    if len(sizes) != len(shape):
        raise ValueError(f"patch is {patch}, expected {len(shape)} sizes")
    for size in sizes:
        whole(size, "patch")
    number(overlap, "overlap", 0, 1)
    if overlap == 1 or mode not in MODES:
        raise ValueError(f"overlap is {overlap} and mode is {mode!r}, expected below 1 and one of {', '.join(MODES)}")
    whole(batch, "batch")

    short = [max(size - length, 0) for size, length in zip(sizes, shape, strict=True)]
    wide = _padded(image, short) if any(short) else image
    lines = [_starts(length, size, overlap) for length, size in zip(wide.shape[1:], sizes, strict=True)]
    kernel = _kernel(sizes, mode, image.device)
    weights = torch.zeros(wide.shape[1:], device=image.device)
    result = None
    corners = list(product(*lines))
    for done in range(0, len(corners), batch):
        some = [tuple(map(slice, at, map(sum, zip(at, sizes, strict=True)))) for at in corners[done : done + batch]]
        found = function(torch.stack([wide[(slice(None), *box)] for box in some]))
        _refuse_other_sizes(found, len(some), sizes)
        if result is None:
            dtype = torch.promote_types(found.dtype, torch.float32)
            result = torch.zeros((found.shape[1], *wide.shape[1:]), dtype=dtype, device=image.device)
        for box, values in zip(some, found.to(result), strict=True):
            # A mean that is kept up to date, rather than a sum: rounding does not grow with the number of patches,
            # and patches that agree are passed on bit by bit.
            weights[box] += kernel
            mean = result[(slice(None), *box)]
            mean += (kernel / weights[box]) * (values - mean)
    inside = (slice(missing // 2, missing // 2 + length) for missing, length in zip(short, shape, strict=True))
    return result[(slice(None), *inside)]


def _starts(length: int, size: int, overlap: float) -> list[int]:
    """The first voxels of patches along an axis, evenly from 0 to length - size, at most (1 - overlap) size apart."""
    last = length - size
    steps = math.ceil(last / max(int(size * (1 - overlap)), 1))
    return [(2 * last * index + steps) // (2 * steps) for index in range(steps + 1)] if steps else [0]


def _kernel(sizes: tuple[int, ...], mode: str, device: torch.device) -> Tensor:
    """The weights of a patch's voxels, (*patch) float32; none of them is 0."""
    kernel = torch.ones((), device=device)
    for size in sizes:
        away = (torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2) / (WIDTH * size)
        kernel = kernel[..., None] * (torch.exp(-away.square() / 2) if mode == "gaussian" else torch.ones_like(away))
    return kernel


def _padded(image: Tensor, short: list[int]) -> Tensor:
    sides = [side for missing in reversed(short) for side in (missing // 2, missing - missing // 2)]
    return torch.nn.functional.pad(image[None], sides, mode="replicate")[0]


def _refuse_other_sizes(found: object, count: int, sizes: tuple[int, ...]) -> None:
    if not isinstance(found, Tensor) or len(found) != count or tuple(found.shape[2:]) != sizes:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the function gave {what}, expected a tensor ({count}, K, {', '.join(map(str, sizes))})")
