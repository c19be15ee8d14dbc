"""Similarity of images: errors, correlation and mutual information. Of their structure: `structural_similarity`.

All measures take the same arguments and are differentiable with respect to both images:

prediction, reference: (batch..., X, Y[, Z]), real and finite, on any device; whole numbers are taken as float32.
batch_dims: how many leading axes are samples, each judged by itself. mask: of the reference's shape, or of its space;
only voxels in it count. Results have the shape (batch...). data_range: the span of values that the modality has, which
no measure guesses from an image: a guess would change with each. Raises ValueError for shapes that differ, for values
that are not finite, for an empty mask, and for a data range that is not above 0.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.metrics.image_pairs import as_images, space_mean

PIECE = 2**16  # voxels of a joint histogram that are counted at a time: what they need fits into a cache


def mae(prediction: Tensor, reference: Tensor, *, mask: Tensor | None = None, batch_dims: int = 0) -> Tensor:
    """The mean absolute error, in the unit of the images. Arguments: see the file."""
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    return space_mean((x - y).abs(), inside, batch_dims)


def mse(prediction: Tensor, reference: Tensor, *, mask: Tensor | None = None, batch_dims: int = 0) -> Tensor:
    """The mean squared error, in the squared unit of the images. Arguments: see the file."""
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    return space_mean((x - y).square(), inside, batch_dims)


def psnr(
    prediction: Tensor, reference: Tensor, data_range: float, *, mask: Tensor | None = None, batch_dims: int = 0
) -> Tensor:
    """The peak signal-to-noise ratio in dB: 20 log10(data_range) - 10 log10(MSE); infinite for equal images.

    A background that both images share lowers the error, and so raises it: give a mask. Arguments: see the file.
    """
    span = number(data_range, "data_range", 0, above=True)
    return 20 * math.log10(span) - 10 * torch.log10(mse(prediction, reference, mask=mask, batch_dims=batch_dims))


def normalized_cross_correlation(
    prediction: Tensor, reference: Tensor, *, mask: Tensor | None = None, batch_dims: int = 0
) -> Tensor:
    """Pearson's correlation of the two images' values, -1 to 1; brightness and contrast do not count.

    Raises ValueError for an image that is constant: it has no correlation. Other arguments: see the file.
    """
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    x, y = (_centred(*one, inside, batch_dims) for one in ((x, "prediction"), (y, "reference")))
    vx, vy, cov = (space_mean(one, inside, batch_dims) for one in (x * x, y * y, x * y))
    return cov / (vx * vy).sqrt()


def _centred(image: Tensor, name: str, inside: Tensor | None, batch_dims: int) -> Tensor:
    """An image less its mean, over its largest difference from it, so that squares neither vanish nor overflow."""
    space, alone = tuple(range(batch_dims, image.ndim)), (1,) * (image.ndim - batch_dims)
    centre = space_mean(image, inside, batch_dims).reshape(*image.shape[:batch_dims], *alone)
    found = image.detach()
    low, high = found, found
    if inside is not None:
        low, high = found.where(inside, math.inf), found.where(inside, -math.inf)
    low, high = low.amin(space, keepdim=True), high.amax(space, keepdim=True)
    if bool((low == high).any()):
        raise ValueError(f"{name} is constant, expected an image that varies")
    # Of numbers, not of the graph: the correlation does not depend on the scale.
    scale = torch.maximum(high - centre.detach(), centre.detach() - low)
    centred = (image - centre) / scale
    return centred if inside is None else centred.where(inside, 0)


def mutual_information(
    prediction: Tensor,
    reference: Tensor,
    *,
    bins: int = 32,
    normalized: bool = False,
    mask: Tensor | None = None,
    batch_dims: int = 0,
) -> Tensor:
    """What one image tells of the other, in nats: H(X) + H(Y) - H(X, Y) of a joint histogram (Viola, Wells 1997).

    Each voxel is shared between the nearest bins of both images in proportion (partial volume), so that the measure is
    differentiable; bins span each image's own range. bins: 2 or more. normalized: (H(X) + H(Y)) / H(X, Y) instead, 1 to
    2 (Studholme et al. 1999). Raises ValueError for an image that is constant. Other arguments: see the file.
    """
    bins = whole(bins, "bins", 2)
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    batch = x.shape[:batch_dims]
    flat = [one.reshape(-1, math.prod(one.shape[batch_dims:])) for one in (x, y)]
    inside = None if inside is None else inside.expand(x.shape).reshape(flat[0].shape)
    values = []
    for n in range(len(flat[0])):
        chosen = [one[n] if inside is None else one[n][inside[n]] for one in flat]
        joint = _joint_histogram(_placed(chosen[0], bins, "prediction"), _placed(chosen[1], bins, "reference"), bins)
        both = _entropy(joint)
        apart = _entropy(joint.sum(0)) + _entropy(joint.sum(1))
        values.append(apart / both if normalized else apart - both)
    return torch.stack(values).reshape(batch)


def _placed(values: Tensor, bins: int, name: str) -> Tensor:
    """Values on a scale on which bins have their middles at 0, 1, ..."""
    low, high = values.detach().amin(), values.detach().amax()
    if not bool(high > low):
        raise ValueError(f"{name} is constant, expected an image that varies")
    return (values - low) / (high - low) * (bins - 1)


def _joint_histogram(x: Tensor, y: Tensor, bins: int) -> Tensor:
    """(bins, bins), adding up to 1; each pair of values is shared between four bins.

    It is counted in pieces: a bin of float32 that holds millions of voxels takes up no more fractions of one.
    """
    total = x.new_zeros(bins * bins)
    for ours, truth in zip(x.split(PIECE), y.split(PIECE), strict=True):
        floors = [one.detach().floor().clamp(max=bins - 2) for one in (ours, truth)]
        parts = [one - floor for one, floor in zip((ours, truth), floors, strict=True)]
        first = (floors[0] * bins + floors[1]).long()
        joint = x.new_zeros(bins * bins)
        for i in (0, 1):
            for j in (0, 1):
                weight = (parts[0] if i else 1 - parts[0]) * (parts[1] if j else 1 - parts[1])
                joint = joint.index_add(0, first + (i * bins + j), weight)
        total = total + joint
    return total.reshape(bins, bins) / x.numel()


def _entropy(share: Tensor) -> Tensor:
    return -(torch.xlogy(share, share)).sum()
