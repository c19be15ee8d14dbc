"""Structural similarity of images, its parts, and its version over several scales.

Arguments that all share: see `image`. Windows run through all axes of space; the mean over the slices of a volume is
another number.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from medlab.arguments import number, one_of, whole
from medlab.metrics.image_pairs import as_images
from medlab.metrics.windows import gaussian_window, sliding_mean, uniform_window

WINDOWS, COVARIANCES, BORDERS = ("gaussian", "uniform"), ("population", "sample"), ("crop", "mirror")
SLAB = 16  # rows of a volume that are done at a time
# Of the five scales of multi-scale SSIM (Wang, Simoncelli and Bovik, Asilomar 2003).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class SsimMaps(NamedTuple):
    """The parts of structural similarity at each place; luminance x contrast x structure is ssim."""

    ssim: Tensor
    luminance: Tensor
    contrast: Tensor
    structure: Tensor


def ssim(
    prediction: Tensor,
    reference: Tensor,
    data_range: float,
    *,
    window: str = "gaussian",
    size: int | None = None,
    sigma: float = 1.5,
    covariance: str = "population",
    border: str = "crop",
    k1: float = 0.01,
    k2: float = 0.03,
    mask: Tensor | None = None,
    batch_dims: int = 0,
) -> Tensor:
    """The mean structural similarity (Wang et al., IEEE Trans. Image Process. 13, 2004), -1 to 1; 1 for equal images.

    window: "gaussian" with this sigma in voxels and size 11 as its authors have it, or "uniform" with size 7.
    covariance: "population" divides by the number of voxels in a window, "sample" by one less. border: "crop" counts
    whole windows only, "mirror" continues the images at their edges. k1, k2: of the constants (k data_range)². The
    defaults are what MONAI computes, and scikit-image with gaussian_weights and without use_sample_covariance;
    scikit-image's own defaults are window="uniform", covariance="sample". Windows run through all axes of space: the
    mean over slices of a volume is another number. Other arguments: see the file.
    """
    settings = _settings(data_range, window, size, sigma, covariance, border, k1, k2)
    x, y, inside = as_images(prediction, reference, mask, batch_dims)
    return _means(x, y, settings, settings.cropped(inside, x.ndim - batch_dims), batch_dims)[0]


def ssim_maps(
    prediction: Tensor,
    reference: Tensor,
    data_range: float,
    *,
    window: str = "gaussian",
    size: int | None = None,
    sigma: float = 1.5,
    covariance: str = "population",
    border: str = "mirror",
    k1: float = 0.01,
    k2: float = 0.03,
    batch_dims: int = 0,
) -> SsimMaps:
    """Structural similarity and its three factors at each place (thesis 004, section 6.5), of the images' shape.

    With border="crop" of the shape of whole windows. The structure's constant is half of the contrast's, as its authors
    have it. Arguments: see `ssim`.
    """
    settings = _settings(data_range, window, size, sigma, covariance, border, k1, k2)
    x, y, _ = as_images(prediction, reference, None, batch_dims)
    axes = x.ndim - batch_dims
    x, y = (settings.continued(image, axes) for image in (x, y))
    offset, kind = _offset(y, batch_dims), x.dtype
    x, y = settings.centred(x, y, offset)
    moments = torch.stack([x, y, x * x, y * y, x * y])
    mx, my, xx, yy, xy = sliding_mean(moments, settings.weights, axes)
    scale = settings.covariance_scale(axes)
    vx, vy = ((one - m * m).clamp(min=0) * scale for one, m in ((xx, mx), (yy, my)))
    cov = (xy - mx * my) * scale
    c1, c2 = settings.constants
    deviations = (vx * vy).clamp(min=0).sqrt()
    luminance = (2 * (mx + offset) * (my + offset) + c1) / ((mx + offset) ** 2 + (my + offset) ** 2 + c1)
    contrast = (2 * deviations + c2) / (vx + vy + c2)
    structure = (cov + c2 / 2) / (deviations + c2 / 2)
    found = luminance * contrast * structure, luminance, contrast, structure
    return SsimMaps(*(one.to(kind) for one in found))


def multi_scale_ssim(
    prediction: Tensor,
    reference: Tensor,
    data_range: float,
    *,
    weights: tuple[float, ...] = SCALE_WEIGHTS,
    window: str = "gaussian",
    size: int | None = None,
    sigma: float = 1.5,
    covariance: str = "population",
    k1: float = 0.01,
    k2: float = 0.03,
    batch_dims: int = 0,
) -> Tensor:
    """SSIM over scales that halve (Wang, Simoncelli and Bovik 2003), 0 to 1.

    Contrast and structure are compared at every scale, luminance at the coarsest one. weights: one for each scale; the
    images must hold a whole window at the coarsest. A scale whose mean is below 0 counts as 0. Arguments: see `ssim`.
    """
    settings = _settings(data_range, window, size, sigma, covariance, "crop", k1, k2)
    x, y, _ = as_images(prediction, reference, None, batch_dims)
    axes = x.ndim - batch_dims
    smallest = min(x.shape[batch_dims:]) // 2 ** (len(weights) - 1)
    if smallest < settings.size:
        least = settings.size * 2 ** (len(weights) - 1)
        raise ValueError(
            f"prediction has the shape {tuple(x.shape)}, expected at least {least} along each axis for {len(weights)} "
            f"scales and a window of {settings.size}"
        )
    result: Tensor | float = 1.0
    for scale, weight in enumerate(weights):
        both, contrast = _means(x, y, settings, None, batch_dims)
        value = both if scale == len(weights) - 1 else contrast
        result = result * value.clamp(min=0) ** weight
        if scale < len(weights) - 1:
            x, y = (_halved(one, axes) for one in (x, y))
    return result


class _Settings(NamedTuple):
    weights: tuple[float, ...]
    constants: tuple[float, float]
    sample: bool
    mirror: bool

    @property
    def size(self) -> int:
        return len(self.weights)

    def covariance_scale(self, axes: int) -> float:
        voxels = self.size**axes
        return voxels / (voxels - 1) if self.sample else 1.0

    def centred(self, x: Tensor, y: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Both images less a common offset, which changes no variance and keeps a small one beside a large mean.

        In float64 where float32 would still lose a variance that counts: far from the offset, as beside a void.
        """
        x, y = x - offset, y - offset
        if x.device.type == "mps":  # which has no float64
            return x, y
        largest = float(torch.maximum(x.detach().abs().amax(), y.detach().abs().amax()))
        if torch.finfo(x.dtype).eps * largest**2 > 1e-3 * self.constants[1]:
            x, y = x.double(), y.double()
        return x, y

    def continued(self, image: Tensor, axes: int) -> Tensor:
        """Mirrored at its edges without repeating the edge, where that is asked for."""
        space = image.shape[-axes:]
        if not self.mirror:
            if min(space) < self.size:
                raise ValueError(
                    f"prediction has the shape {tuple(image.shape)}, expected at least the window, {self.size}"
                )
            return image
        margin = self.size // 2
        if min(space) <= margin:
            raise ValueError(
                f"prediction has the shape {tuple(image.shape)}, expected more than {margin} along each axis"
            )
        padded = F.pad(image.reshape(1, -1, *space), (margin, margin) * axes, mode="reflect")
        return padded.reshape(*image.shape[:-axes], *padded.shape[-axes:])

    def cropped(self, inside: Tensor | None, axes: int) -> Tensor | None:
        """A mask at the middles of whole windows."""
        if inside is None or self.mirror:
            return inside
        margin = self.size // 2
        for axis in range(-axes, 0):
            inside = inside.narrow(axis, margin, inside.shape[axis] - 2 * margin)
        if not bool(inside.any()):
            raise ValueError("mask holds no voxel that is the middle of a whole window, expected at least one")
        return inside


def _settings(
    data_range: float, window: str, size: int | None, sigma: float, covariance: str, border: str, k1: float, k2: float
) -> _Settings:
    span = number(data_range, "data_range", 0, above=True)
    for value, choices, name in (
        (window, WINDOWS, "window"),
        (covariance, COVARIANCES, "covariance"),
        (border, BORDERS, "border"),
    ):
        one_of(value, choices, name)
    size = (11 if window == "gaussian" else 7) if size is None else whole(size, "size", 3)
    if size % 2 == 0:
        raise ValueError(f"size is {size}, expected an odd number: a window has a middle")
    weights = (
        gaussian_window(size, number(sigma, "sigma", 0, above=True)) if window == "gaussian" else uniform_window(size)
    )
    constants = (number(k1, "k1", 0, above=True) * span) ** 2, (number(k2, "k2", 0, above=True) * span) ** 2
    return _Settings(weights, constants, covariance == "sample", border == "mirror")


def _means(x: Tensor, y: Tensor, settings: _Settings, inside: Tensor | None, batch_dims: int) -> tuple[Tensor, Tensor]:
    """The mean of SSIM and of its contrast-structure part over space, or over a mask of it, (batch...)."""
    axes, batch = x.ndim - batch_dims, x.shape[:batch_dims]
    offset = _offset(y, batch_dims).reshape(-1, *(1,) * axes)
    x, y = (settings.continued(image, axes) for image in (x, y))
    x, y = (image.reshape(-1, *image.shape[batch_dims:]) for image in (x, y))
    space = [n - settings.size + 1 for n in x.shape[1:]]
    if inside is not None:
        inside = inside.expand(*batch, *space).reshape(-1, *space)
    found = []
    for sample in range(len(x)):
        both, contrast = x.new_zeros(()), x.new_zeros(())
        for start, rows in _slabs(space[0], axes, x.device):
            slab = [image[sample].narrow(0, start, rows + settings.size - 1) for image in (x, y)]
            values = _similarity(*slab, offset[sample], settings)
            if inside is not None:
                here = inside[sample].narrow(0, start, rows)
                values = tuple(torch.where(here, value, 0) for value in values)
            both, contrast = (total + value.sum() for total, value in zip((both, contrast), values, strict=True))
        count = space[0] * math.prod(space[1:]) if inside is None else inside[sample].sum()
        found.append(torch.stack([both, contrast]) / count)
    return tuple(torch.stack(found, -1).reshape(2, *batch))


def _slabs(length: int, axes: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """First row and number of rows of what is done at a time: what a slab needs fits into a processor's cache."""
    rows = SLAB if axes == 3 and device.type == "cpu" else length
    return ((start, min(rows, length - start)) for start in range(0, length, rows))


def _similarity(x: Tensor, y: Tensor, offset: Tensor, settings: _Settings) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part at each place of one sample, (X, Y[, Z]).

    Only the sum of the two variances is needed, so four means do: of x, y, x² + y² and xy.
    """
    kind = x.dtype
    x, y = settings.centred(x, y, offset)
    mx, my, squares, xy = sliding_mean(torch.stack([x, y, x * x + y * y, x * y]), settings.weights, x.ndim)
    scale = settings.covariance_scale(x.ndim)
    c1, c2 = settings.constants
    product, sums = mx * my, mx * mx + my * my
    contrast = (2 * scale * (xy - product) + c2) / (scale * (squares - sums).clamp(min=0) + c2)
    shift = offset * (mx + my + offset)
    luminance = (2 * (product + shift) + c1) / (sums + 2 * shift + c1)
    return (luminance * contrast).to(kind), contrast.to(kind)


def _offset(image: Tensor, batch_dims: int) -> Tensor:
    space = tuple(range(batch_dims, image.ndim))
    return image.detach().mean(space, keepdim=True)


def _halved(image: Tensor, axes: int) -> Tensor:
    """Means of 2 x 2 (x 2) voxels; what is left over at an odd end is dropped."""
    pooled = (F.avg_pool2d if axes == 2 else F.avg_pool3d)(image.reshape(1, -1, *image.shape[-axes:]), 2)
    return pooled.reshape(*image.shape[:-axes], *pooled.shape[-axes:])
