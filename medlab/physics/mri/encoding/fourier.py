"""The centred Fourier pair: an image and its k-space, both with their zero in the middle.

Index n // 2 is place 0 in the image and frequency 0 in k-space, for even and odd n; both transforms are orthonormal, so
neither changes the energy (Parseval):

    S[u, v] = 1 / sqrt(X Y) sum_xy m[x, y] exp(-2 pi i ((u - cu) (x - cx) / X + (v - cv) (y - cy) / Y)),  c = n // 2.
"""

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.physics.mri.encoding.arguments import as_complex, refuse_dims
from medlab.physics.operators import LinearOperator


def to_kspace(image: Tensor, dims: int = 2) -> Tensor:
    """The k-space of images (..., X, Y), or of volumes (..., X, Y, Z) for dims = 3; complex, of the same shape.

    image: float32, float64 or complex, on any device. Step u away from the middle is u / n cycles a voxel. Raises
    ValueError for another type, too few dimensions, NaN or infinity and dims other than 2 and 3.
    """
    refuse_dims(dims)
    return _transform(as_complex(image, "image", dims), dims, torch.fft.fftn)


def to_image(kspace: Tensor, dims: int = 2) -> Tensor:
    """The image of a k-space: exactly the inverse of `to_kspace`, and its adjoint; complex. Raises as it does."""
    refuse_dims(dims)
    return _transform(as_complex(kspace, "kspace", dims), dims, torch.fft.ifftn)


class FourierTransform(LinearOperator):
    """`to_kspace` as an operator on complex images of one shape (X, Y) or (X, Y, Z): unitary, A' A = 1.

    mask: true where k-space is measured, of a shape that broadcasts to it; what is not measured is 0.
    """

    domain_complex = range_complex = True

    def __init__(self, shape: tuple[int, ...], mask: Tensor | None = None):
        refuse_dims(len(shape))
        self.domain_shape = self.range_shape = tuple(whole(size, "shape", 1) for size in shape)
        self.mask = as_mask(mask, self.domain_shape)

    def _forward(self, images: Tensor) -> Tensor:
        return masked(_transform(images, len(self.domain_shape), torch.fft.fftn), self.mask)

    def _adjoint(self, measured: Tensor) -> Tensor:
        return _transform(masked(measured, self.mask), len(self.domain_shape), torch.fft.ifftn)


def as_mask(mask: object, shape: tuple[int, ...]) -> Tensor | None:
    """A boolean mask that broadcasts to this shape; None stays None."""
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = f"has dtype {mask.dtype}" if isinstance(mask, Tensor) else f"is a {type(mask).__name__}"
        raise ValueError(f"mask {kind}, expected a boolean tensor, true where k-space is measured")
    fits = mask.ndim <= len(shape) and all(
        size in (1, whole_size) for size, whole_size in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected one that broadcasts to {tuple(shape)}")
    return mask


def masked(kspace: Tensor, mask: Tensor | None) -> Tensor:
    """A k-space with zeros where the mask is false."""
    return kspace if mask is None else kspace * mask.to(kspace.device)


def _transform(values: Tensor, dims: int, transform) -> Tensor:
    axes = tuple(range(-dims, 0))
    values = torch.fft.ifftshift(values, dim=axes)  # the middle to index 0, where the FFT has its zero
    return torch.fft.fftshift(transform(values, dim=axes, norm="ortho"), dim=axes)
