"""Two images, checked once for every measure, and means over their space."""

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.metrics.mask_pairs import as_mask, as_tensor


def as_images(
    prediction: Tensor, reference: Tensor, mask: Tensor | None, batch_dims: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The two images as floating tensors, and the mask in their space."""
    found = []
    for value, name in ((prediction, "prediction"), (reference, "reference")):
        image = value if isinstance(value, Tensor) else as_tensor(value, name)
        if image.is_complex() or image.dtype == torch.bool:
            raise ValueError(f"{name} holds {image.dtype}, expected real numbers")
        # Sums of half precision overflow and lose what is small.
        image = image if image.dtype in (torch.float32, torch.float64) else image.float()
        # A sum is finite only where every term is (up to overflow, looked at again): one pass, no temporary.
        if not bool(image.detach().sum().isfinite()) and not bool(torch.isfinite(image).all()):
            raise ValueError(f"{name} holds {image[~torch.isfinite(image)][0].item()}, expected finite numbers")
        found.append(image)
    x, y = found
    if x.shape != y.shape:
        raise ValueError(f"prediction has the shape {tuple(x.shape)}, expected reference's, {tuple(y.shape)}")
    axes = x.ndim - whole(batch_dims, "batch_dims", 0)
    if axes not in (2, 3):
        raise ValueError(f"prediction has {axes} axes of space, expected 2 or 3 after {batch_dims} of the batch")
    if x.numel() == 0:
        raise ValueError(f"prediction has the shape {tuple(x.shape)}, expected at least one voxel")
    kind = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(kind), y.to(device=x.device, dtype=kind)
    if mask is None:
        return x, y, None
    inside = as_mask(mask, "mask").to(x.device)
    if inside.shape not in (x.shape, x.shape[batch_dims:]):
        raise ValueError(f"mask has the shape {tuple(inside.shape)}, expected {tuple(x.shape[batch_dims:])}")
    if not bool(inside.flatten(-axes).any(-1).all()):
        raise ValueError("mask is empty, expected at least one voxel")
    return x, y, inside


def space_mean(values: Tensor, inside: Tensor | None, batch_dims: int) -> Tensor:
    """The mean over space, or over a mask of it, (batch...)."""
    space = tuple(range(batch_dims, values.ndim))
    if inside is None:
        return values.mean(space)
    weight = inside.expand(values.shape)
    return torch.where(weight, values, 0).sum(space) / weight.sum(space)
