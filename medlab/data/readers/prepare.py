"""Samples brought to one size, as the papers feed them to networks: image, label and mask alike."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.data.resample import resample
from medlab.data.samples import Sample
from medlab.data.volume import Volume


def fit_to_shape(sample: Sample, shape: Sequence[int], fill: float = 0.0) -> Sample:
    """The sample padded, or cropped, evenly on both sides to shape (X, Y, Z); nothing moves in the world.

    Where the difference is odd, the voxel more is added, or taken, at the far end. Padded voxels of the image are fill,
    those of label and mask 0.
    """
    shape = _three(shape)
    before = [
        (new - old) // 2 if new >= old else -((old - new) // 2)
        for new, old in zip(shape, sample.image.shape[1:], strict=True)
    ]
    after = [new - old - first for new, old, first in zip(shape, sample.image.shape[1:], before, strict=True)]
    widths = [width for pair in zip(reversed(before), reversed(after), strict=True) for width in pair]
    affine = sample.image.affine.copy()
    affine[:3, 3] = sample.image.to_world([-first for first in before])

    def fitted(values: Tensor | None, value: float) -> Tensor | None:
        return None if values is None else torch.nn.functional.pad(values, widths, value=value)

    image = Volume(fitted(sample.image.data, fill), affine, sample.image.name)
    return replace(sample, image=image, label=fitted(sample.label, 0), mask=fitted(sample.mask, False))


def zoom_to_shape(sample: Sample, shape: Sequence[int], order: str = "cubic") -> Sample:
    """The sample resampled to shape (X, Y, Z) over the same field of view; label and mask by the nearest voxel.

    order: how the image is interpolated, see `resample`; nothing is smoothed beforehand.
    """
    shape = _three(shape)
    image = sample.image
    factors = np.array(image.shape[1:]) / shape  # size of a new voxel, in old ones
    affine = image.affine.copy()
    affine[:3, :3] = affine[:3, :3] * factors
    affine[:3, 3] = image.to_world((factors - 1) / 2)
    # The grid alone: one number that every voxel shares.
    like = Volume(torch.zeros(1).expand(1, *shape), affine, image.name)

    def nearest(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        moved = resample(Volume(values[None].float(), image.affine), like=like, order="nearest")
        return moved.data[0].to(values.dtype)

    return replace(
        sample,
        image=resample(image, like=like, order=order, antialias=False),
        label=nearest(sample.label),
        mask=nearest(sample.mask),
    )


def _three(shape: Sequence[int]) -> tuple[int, int, int]:
    shape = tuple(shape)
    if len(shape) != 3:
        raise ValueError(f"shape is {shape}, expected three numbers of voxels")
    return tuple(whole(size, "shape") for size in shape)
