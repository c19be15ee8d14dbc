"""Linear operators: what a scanner does to an image, with the exact adjoint that every reconstruction needs."""

from abc import ABC, abstractmethod
from math import prod

import torch
from torch import Tensor


class LinearOperator(ABC):
    """A linear map from images to measurements, and its adjoint: <A x, y> = <x, A' y> to rounding.

    `forward(x)` takes (..., *domain_shape) and gives (..., *range_shape); `adjoint(y)` goes back. Leading dimensions
    are a batch. Both are differentiable as often as one likes, since the gradient of one is the other. They run in the
    precision and on the device of what they are given.

    A subclass sets domain_shape, range_shape and, where they hold, domain_complex and range_complex, and writes
    `_forward` and `_adjoint` on batches of exactly one leading dimension. Where a domain is real and a range complex,
    the inner product is the real part of <A x, y>, and the adjoint is real.
    """

    domain_shape: tuple[int, ...]
    range_shape: tuple[int, ...]
    domain_complex = False
    range_complex = False

    @abstractmethod
    def _forward(self, images: Tensor) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, measured: Tensor) -> Tensor: ...

    def forward(self, images: Tensor) -> Tensor:
        """The measurements of images (..., *domain_shape). Raises ValueError for another shape, type or NaN."""
        return self._run(images, "images", self.domain_shape, self.range_shape, self.domain_complex, False)

    def adjoint(self, measured: Tensor) -> Tensor:
        """The adjoint on measurements (..., *range_shape). Raises ValueError for another shape, type or NaN."""
        return self._run(measured, "measured", self.range_shape, self.domain_shape, self.range_complex, True)

    def __call__(self, images: Tensor) -> Tensor:
        return self.forward(images)

    def normal(self, images: Tensor) -> Tensor:
        """A' A x, the operator of the normal equations."""
        return self.adjoint(self.forward(images))

    def _run(self, given: Tensor, name: str, here: tuple, there: tuple, is_complex: bool, transposed: bool) -> Tensor:
        values = as_values(given, name, here, is_complex)
        batch = values.shape[: values.ndim - len(here)]
        flat = values.reshape(prod(batch), *here)
        return _Apply.apply(flat, self, transposed).reshape(*batch, *there)


class _Apply(torch.autograd.Function):
    """One application; its gradient is the application of the adjoint."""

    @staticmethod
    def forward(values: Tensor, operator: LinearOperator, transposed: bool) -> Tensor:
        return operator._adjoint(values) if transposed else operator._forward(values)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        _, ctx.operator, ctx.transposed = inputs

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _Apply.apply(gradient, ctx.operator, not ctx.transposed), None, None


def as_values(given: object, name: str, shape: tuple[int, ...], is_complex: bool) -> Tensor:
    """A finite floating-point tensor (..., *shape), real or complex as asked; ValueError where it is not."""
    if not isinstance(given, Tensor):
        raise ValueError(f"{name} is a {type(given).__name__}, expected a tensor")
    if given.ndim < len(shape) or tuple(given.shape[given.ndim - len(shape) :]) != tuple(shape):
        raise ValueError(f"{name} has shape {tuple(given.shape)}, expected (..., {', '.join(map(str, shape))})")
    if not (given.is_complex() or given.is_floating_point()):
        raise ValueError(f"{name} has dtype {given.dtype}, expected floating-point numbers")
    if given.is_complex() and not is_complex:
        raise ValueError(f"{name} is complex, expected real numbers")
    # One pass without a temporary: a sum is finite only where every term is (up to overflow, looked at again).
    if not given.detach().sum().isfinite().all() and not given.detach().isfinite().all():
        raise ValueError(f"{name} contains NaN or infinity, expected finite numbers")
    return (
        given.to(torch.promote_types(given.dtype, torch.complex32)) if is_complex and not given.is_complex() else given
    )
