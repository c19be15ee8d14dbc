"""Iterative reconstruction for any linear operator: least squares, algebraic, and with total variation.

All take measurements (..., *range_shape) and give a `Solution` with images (..., *domain_shape). Leading dimensions are
solved side by side and do not touch one another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from medlab.physics.operators import LinearOperator, as_values

Callback = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Solution:
    """images: the last iterate; residuals: |A x - y| at the start and after each iteration, (iterations + 1, ...)."""

    images: Tensor
    residuals: Tensor


def cgls(
    operator: LinearOperator,
    measured: Tensor,
    iterations: int,
    start: Tensor | None = None,
    *,
    callback: Callback | None = None,
) -> Solution:
    """Conjugate gradients on A' A x = A' y, never forming A' A (Hestenes and Stiefel, J. Res. NBS 49, 409, 1952).

    Stopping early is the regularisation: noise comes in last. callback: called with the iteration's number, from 1, and
    the images. Raises ValueError for shapes that do not fit and fewer than one iteration.
    """
    measured, images = _begin(operator, measured, iterations, start)
    residual = measured - operator.forward(images)
    step = gradient = operator.adjoint(residual)
    energy = _square(gradient, operator.domain_shape)
    residuals = [_norm(residual, operator.range_shape)]
    for iteration in range(1, iterations + 1):
        ahead = operator.forward(step)
        length = _ratio(energy, _square(ahead, operator.range_shape))
        images = images + _over(length, operator.domain_shape) * step
        residual = residual - _over(length, operator.range_shape) * ahead
        gradient = operator.adjoint(residual)
        before, energy = energy, _square(gradient, operator.domain_shape)
        step = gradient + _over(_ratio(energy, before), operator.domain_shape) * step
        residuals.append(_norm(residual, operator.range_shape))
        if callback:
            callback(iteration, images)
    return Solution(images, torch.stack(residuals))


def sirt(
    operator: LinearOperator,
    measured: Tensor,
    iterations: int,
    start: Tensor | None = None,
    *,
    nonnegative: bool = False,
    callback: Callback | None = None,
) -> Solution:
    """x <- x + C A' R (y - A x) with R and C one over the row and column sums (Gilbert, J. Theor. Biol. 36, 105, 1972).

    For operators of real numbers that are not negative, as path lengths are. Rays and pixels whose sum is less than a
    thousandth of the largest see nothing and take no part. nonnegative: negative values are set to 0 after each step.
    Raises ValueError as `cgls`, and for complex operators.
    """
    if operator.domain_complex or operator.range_complex:
        raise ValueError("operator is complex, expected a real one, whose rows have sums: use cgls or total_variation")
    measured, images = _begin(operator, measured, iterations, start)
    rows = _inverse(operator.forward(images.new_ones(operator.domain_shape)))
    columns = _inverse(operator.adjoint((rows > 0).to(measured.dtype)))
    residual = measured - operator.forward(images)
    residuals = [_norm(residual, operator.range_shape)]
    for iteration in range(1, iterations + 1):
        images = images + columns * operator.adjoint(rows * residual)
        images = images.clamp(min=0) if nonnegative else images
        residual = measured - operator.forward(images)
        residuals.append(_norm(residual, operator.range_shape))
        if callback:
            callback(iteration, images)
    return Solution(images, torch.stack(residuals))


def total_variation(
    operator: LinearOperator,
    measured: Tensor,
    strength: float,
    iterations: int,
    start: Tensor | None = None,
    *,
    nonnegative: bool = False,
    callback: Callback | None = None,
) -> Solution:
    """The minimum of |A x - y|^2 / 2 + strength * TV(x), isotropic, over all dimensions of the image.

    The primal-dual method of Chambolle and Pock (J. Math. Imaging Vis. 40, 120, 2011) in the form of Sidky, Jorgensen
    and Pan (Phys. Med. Biol. 57, 3065, 2012). TV is the sum over pixels of the length of the forward difference, whose
    norm is at most 2 sqrt(dimensions). Images may be complex. Raises ValueError as `cgls`, and for a strength below 0.
    """
    if not strength >= 0:
        raise ValueError(f"strength is {strength}, expected 0 or more")
    measured, images = _begin(operator, measured, iterations, start)
    dims = len(operator.domain_shape)
    # Differences are weighted to the operator's own norm, so that one step length fits both.
    norm = operator_norm(operator, like=measured)
    weight = norm / (2 * dims**0.5)
    step = 0.95 / (norm * 2**0.5)  # the norm is known from below
    ahead, dual = images, torch.zeros_like(measured)
    slopes = torch.zeros_like(_differences(images, dims))
    residuals = [_norm(measured - operator.forward(images), operator.range_shape)]
    for iteration in range(1, iterations + 1):
        residual = operator.forward(ahead) - measured
        dual = (dual + step * residual) / (1 + step)
        slopes = slopes + step * weight * _differences(ahead, dims)
        length = slopes.abs().square().sum(0).sqrt()
        slopes = slopes * (strength / weight / length.clamp(min=max(strength / weight, 1e-30)))
        after = images - step * (operator.adjoint(dual) + weight * _differences_adjoint(slopes, dims))
        after = after.clamp(min=0) if nonnegative else after
        ahead, images = 2 * after - images, after
        residuals.append(_norm(operator.forward(images) - measured, operator.range_shape))
        if callback:
            callback(iteration, images)
    return Solution(images, torch.stack(residuals))


def operator_norm(
    operator: LinearOperator, *, like: Tensor | None = None, iterations: int = 20, seed: int = 0
) -> float:
    """The largest singular value, from below, by the power method; like gives device and precision."""
    real = torch.float32 if like is None else like.real.dtype
    image = torch.randn(operator.domain_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    image = image.to(real).to("cpu" if like is None else like.device)
    image = torch.complex(image, torch.zeros_like(image)) if operator.domain_complex else image
    size = 0.0
    for _ in range(iterations):
        image = operator.normal(image / image.abs().square().sum().sqrt())
        size = float(image.abs().square().sum().sqrt())
    return size**0.5


def _begin(operator: LinearOperator, measured: Tensor, iterations: int, start: Tensor | None) -> tuple[Tensor, Tensor]:
    measured = as_values(measured, "measured", operator.range_shape, operator.range_complex)
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations is {iterations!r}, expected a whole number of at least 1")
    if start is not None:
        return measured, as_values(start, "start", operator.domain_shape, operator.domain_complex)
    batch = measured.shape[: measured.ndim - len(operator.range_shape)]
    dtype = measured.dtype if operator.domain_complex == operator.range_complex else _other_kind(measured.dtype)
    return measured, torch.zeros(*batch, *operator.domain_shape, dtype=dtype, device=measured.device)


def _other_kind(dtype: torch.dtype) -> torch.dtype:
    pairs = {torch.complex64: torch.float32, torch.complex128: torch.float64}
    return pairs.get(dtype) or {real: kind for kind, real in pairs.items()}[dtype]


def _differences(images: Tensor, dims: int) -> Tensor:
    """Forward differences along the last dimensions, 0 at the end: (dims, ...)."""
    return torch.stack([torch.diff(images, dim=d, append=images.narrow(d, -1, 1)) for d in range(-dims, 0)])


def _differences_adjoint(slopes: Tensor, dims: int) -> Tensor:
    total = torch.zeros_like(slopes[0])
    for part, d in zip(slopes, range(-dims, 0), strict=True):
        inner = part.narrow(d, 0, part.shape[d] - 1)
        zero = torch.zeros_like(part.narrow(d, 0, 1))
        total = total - torch.diff(torch.cat((zero, inner, zero), d), dim=d)
    return total


def _square(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The squared norm of each element of the batch."""
    flat = values.reshape(*values.shape[: values.ndim - len(shape)], prod(shape))
    return flat.abs().square().sum(-1)


def _norm(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    return _square(values, shape).sqrt()


def _over(numbers: Tensor, shape: tuple[int, ...]) -> Tensor:
    return numbers.reshape(*numbers.shape, *(1,) * len(shape))


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, and 0 where nothing is left to divide: a batch element that has converged stands still."""
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), 0.0)


def _inverse(sums: Tensor) -> Tensor:
    seen = sums > 1e-3 * sums.max()
    return torch.where(seen, 1 / torch.where(seen, sums, 1.0), 0.0)
