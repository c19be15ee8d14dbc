"""The bias field: coils that hear one side better than the other, and its removal by N4."""

import math

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.mri.artifacts.arguments import on_image


def bias_field(shape: tuple[int, ...], strength: float, generator: torch.Generator, *, order: int = 3) -> Tensor:
    """A smooth random factor of an image's shape, (X, Y) or (X, Y, Z), float32, around 1.

    strength: the largest change in either direction as a natural logarithm: 0.3 lets the field run between exp(-0.3)
    = 0.74 and exp(0.3) = 1.35, and one of the two is reached. It is the exponential of a sum of cosines of up to
    order / 2 waves over the field of view with random weights, weaker for higher orders. The same seed gives the same
    pattern at any strength. generator: on the CPU.
    """
    number(strength, "strength", 0)
    whole(order, "order", 1)
    if len(shape) not in (2, 3):
        raise ValueError(f"shape is {tuple(shape)}, expected two or three sizes")
    weights = torch.randn((order + 1,) * len(shape), generator=generator, dtype=torch.float64)
    total = sum(torch.meshgrid(*[torch.arange(order + 1.0)] * len(shape), indexing="ij"))
    weights = torch.where((total == 0) | (total > order), 0.0, weights / (1 + total) ** 2)
    pattern = weights
    for axis, size in enumerate(shape):
        places = (torch.arange(whole(size, f"shape[{axis}]"), dtype=torch.float64) + 0.5) / size
        waves = torch.cos(math.pi * torch.arange(order + 1, dtype=torch.float64) * places[:, None])
        pattern = torch.tensordot(pattern, waves, dims=([0], [1]))  # the next axis comes to the front
    pattern = pattern - (pattern.max() + pattern.min()) / 2
    return torch.exp(strength * pattern / pattern.abs().max().clamp(min=1e-12)).float()


def add_bias(image: Tensor, strength: float, generator: torch.Generator, *, order: int = 3, dims: int = 2) -> Tensor:
    """The image (..., X, Y), or volume (..., X, Y, Z) for dims = 3, times a `bias_field` of this strength."""
    number(strength, "strength", 0)

    def shade(values: Tensor) -> Tensor:
        field = bias_field(tuple(values.shape[-dims:]), strength, generator, order=order)
        return values * field.to(values.device)

    return on_image(image, shade, strength, dims)


def n4_correction(
    image: Tensor,
    mask: Tensor | None = None,
    *,
    shrink: int = 2,
    levels: int = 3,
    iterations: int = 40,
    control_points: int = 4,
) -> tuple[Tensor, Tensor]:
    """The corrected image and the bias field that N4 found; both float32, (X, Y) or (X, Y, Z), on the CPU.

    N4 (Tustison et al., IEEE Trans. Med. Imaging 29, 1310, 2010) looks for the smooth field, a B-spline on a grid of
    control_points an axis that is halved at each of the levels, without which the histogram of the logarithms is
    sharpest. It is SimpleITK's; the field is scaled to a mean of 1 inside the mask, since N4 cannot know the scale.
    image: positive inside the mask; mask: boolean, true where there is tissue, all of it where absent (N4 then learns
    from the air too, which spoils it); shrink: the field is estimated on every so-many-th voxel.
    Raises ValueError for other shapes, negative values and an empty mask.
    """
    import SimpleITK as sitk  # half a second and 100 MB, which only those who correct should pay

    if not isinstance(image, Tensor) or image.ndim not in (2, 3) or image.is_complex():
        found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"image is {found}, expected a real tensor (X, Y) or (X, Y, Z)")
    inside = torch.ones(image.shape, dtype=torch.bool) if mask is None else mask.bool().cpu()
    if inside.shape != image.shape or not bool(inside.any()):
        found = f"shape {tuple(inside.shape)} and {int(inside.sum())} voxels"
        raise ValueError(f"mask has {found}, expected the image's shape {tuple(image.shape)} and at least one voxel")
    values = image.detach().float().cpu()
    if not bool(values.isfinite().all()) or bool((values < 0).any()):
        raise ValueError(f"image has values down to {float(values.min())} or NaN, expected 0 or more")
    for name, value in (("shrink", shrink), ("levels", levels), ("iterations", iterations)):
        whole(value, name)
    whole(control_points, "control_points", 4)

    full = sitk.GetImageFromArray(values.numpy())
    domain = sitk.GetImageFromArray(inside.to(torch.uint8).numpy())
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfControlPoints(control_points)
    n4.SetMaximumNumberOfIterations([iterations] * levels)
    factors = [shrink] * image.ndim
    n4.Execute(sitk.Shrink(full, factors), sitk.Shrink(domain, factors))
    field = torch.from_numpy(sitk.GetArrayFromImage(sitk.Exp(n4.GetLogBiasFieldAsImage(full)))).float()
    field = field / field[inside].mean()
    return values / field, field
