"""What a clinician would look at: the contrast of lesions, volumes, and errors region by region.

Measures of whole images hardly feel a lesion, which is a thousandth of them. These do. All are differentiable with
respect to the image, the share or the prediction. Arguments that are not explained here: see `image`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_spacing, number, whole
from medlab.metrics.image_pairs import as_images
from medlab.metrics.mask_pairs import Array, as_mask, as_tensor

REST = "other"  # what no region names
SLACK = 1e-3  # a share that was resampled may leave 0 to 1 by rounding


class RegionError(NamedTuple):
    """Errors over the voxels of one region, each (batch...); NaN where a sample has no voxel of it."""

    mae: Tensor
    mse: Tensor
    psnr: Tensor
    voxels: Tensor


def lesion_contrast_ratio(
    image: Array, lesion: Array, reference_region: Array, *, mask: Array | None = None, batch_dims: int = 0
) -> Tensor:
    """The mean intensity of lesions over that of a reference region, (batch...); 1 where lesions do not show.

    Thesis 004, section 6.5, for FLAIR and normal-appearing white matter, after Wei et al. (J. Med. Imaging 6, 2019):
    their Ratio 1 is the mean of this over subjects. image: (batch..., X, Y[, Z]), on a scale whose 0 means no signal: a
    shifted one, such as z-scores, changes the ratio. lesion, reference_region: masks of the image's shape or its space.
    Raises ValueError for an empty mask, for masks that share voxels, and for a reference region whose mean is not
    above 0.
    """
    values = _image(image, "image", batch_dims)
    inside = None if mask is None else _region(mask, "mask", values, batch_dims)
    both = []
    for region, name in ((lesion, "lesion"), (reference_region, "reference_region")):
        chosen = _region(region, name, values, batch_dims)
        chosen = chosen if inside is None else chosen & inside
        if not bool(chosen.flatten(batch_dims).any(-1).all()):
            raise ValueError(f"{name} is empty, expected at least one voxel")
        both.append(chosen)
    shared = int((both[0] & both[1]).sum())
    if shared:
        raise ValueError(f"lesion and reference_region share {shared} voxels, expected none")
    bright, normal = (_mean(values, chosen, batch_dims) for chosen in both)
    if not bool((normal > 0).all()):
        raise ValueError(
            f"image has the mean {float(normal.detach().min()):g} in reference_region, expected a mean above 0"
        )
    return bright / normal


def volume_ml(share: Array, spacing: float | Sequence[float] = 1.0, *, batch_dims: int = 0) -> Tensor:
    """The volume of a structure in ml, (batch...) float64: each voxel counts by the share of it that is filled.

    share: (batch..., X, Y, Z), a mask or numbers from 0 to 1, such as a tissue map or a network's probabilities. A
    threshold before counting would round every voxel of the edge to 0 or 1: small structures suffer most. spacing: the
    edge of a voxel in mm, one for all axes or one for each. Raises ValueError for other values, shapes and spacings.
    """
    filled = share if isinstance(share, Tensor) else as_tensor(share, "share")
    filled = filled if filled.dtype == torch.bool else as_finite(filled, "share")
    axes = filled.ndim - whole(batch_dims, "batch_dims", 0)
    if axes != 3 or filled.numel() == 0:
        raise ValueError(
            f"share has the shape {tuple(filled.shape)}, expected (X, Y, Z) after {batch_dims} axes of the batch"
        )
    for found in (float(filled.detach().amin()), float(filled.detach().amax())):
        if not -SLACK <= found <= 1 + SLACK:
            raise ValueError(f"share holds {found:g}, expected a mask or numbers from 0 to 1")
    return filled.sum((-3, -2, -1), dtype=torch.float64) * (math.prod(as_spacing(spacing, 3)) / 1000)


def region_errors(
    prediction: Array,
    reference: Array,
    regions: Mapping[str, Array],
    data_range: float,
    *,
    mask: Array | None = None,
    batch_dims: int = 0,
) -> dict[str, RegionError]:
    """MAE, MSE and PSNR of every region, each the mean over its own voxels; "other" is what no region names.

    So a small region weighs as much as a large one, as in the loss of Wei et al. (Med. Image Anal. 58, 2019), whose
    regions are lesions, normal-appearing white matter and other tissue. regions: masks by name, of the images' shape or
    of their space; they may overlap, or be empty in some samples: nothing to judge is NaN. mask: only voxels in it
    count, in every region. data_range: as in `psnr`. Raises ValueError as the measures of `image` do, for no region and
    for one that is called "other".
    """
    span = number(data_range, "data_range", 0, above=True)
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    if not isinstance(regions, Mapping) or len(regions) == 0:
        raise ValueError(f"regions is {regions!r}, expected a dict of one or more masks by name")
    if REST in regions:
        raise ValueError(f"regions names {REST!r}, expected another name: it stands for what no region names")
    left = torch.ones_like(x, dtype=torch.bool) if inside is None else inside.expand(x.shape)
    chosen = {name: _region(one, f"regions[{name!r}]", x, batch_dims) & left for name, one in regions.items()}
    chosen[REST] = left & ~torch.stack(tuple(chosen.values())).any(0)
    difference = x - y
    found = {}
    for name, region in chosen.items():
        squared = _mean(difference.square(), region, batch_dims)
        found[name] = RegionError(
            _mean(difference.abs(), region, batch_dims),
            squared,
            20 * math.log10(span) - 10 * torch.log10(squared),
            region.flatten(batch_dims).sum(-1),
        )
    return found


def _image(image: Array, name: str, batch_dims: int) -> Tensor:
    values = as_finite(image if isinstance(image, Tensor) else as_tensor(image, name), name)
    values = values if values.dtype in (torch.float32, torch.float64) else values.float()  # half precision overflows
    axes = values.ndim - whole(batch_dims, "batch_dims", 0)
    if axes not in (2, 3):
        raise ValueError(f"{name} has {axes} axes of space, expected 2 or 3 after {batch_dims} of the batch")
    return values


def _region(region: Array, name: str, image: Tensor, batch_dims: int) -> Tensor:
    """A mask in the image's shape."""
    chosen = as_mask(region, name).to(image.device)
    if chosen.shape not in (image.shape, image.shape[batch_dims:]):
        raise ValueError(
            f"{name} has the shape {tuple(chosen.shape)}, expected the image's, {tuple(image.shape[batch_dims:])}"
        )
    return chosen.expand(image.shape)


def _mean(values: Tensor, region: Tensor, batch_dims: int) -> Tensor:
    """The mean over a region's voxels, (batch...); 0 / 0 is NaN."""
    space = tuple(range(batch_dims, values.ndim))
    return torch.where(region, values, 0).sum(space) / region.sum(space)
