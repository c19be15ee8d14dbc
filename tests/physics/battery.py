"""The same checks for every linear operator: adjoint, linearity, batches, gradients, refusals."""

import pytest
import torch

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}


def draw(shape, is_complex, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(shape, generator=generator, dtype=torch.float64)
    if is_complex:
        imaginary = torch.randn(shape, generator=generator, dtype=torch.float64)
        return torch.complex(real, imaginary).to(torch.complex64 if dtype == torch.float32 else torch.complex128)
    return real.to(dtype)


def inner(first, second):
    """The inner product, summed in double precision; its real part where one of the two is real."""
    first, second = first.flatten(), second.flatten()
    if first.is_complex() or second.is_complex():
        return torch.vdot(second.to(torch.complex128), first.to(torch.complex128))
    return torch.dot(first.double(), second.double())


def check_operator(operator, dtype=torch.float64, batch=(2,), seed=0):
    """Everything that a LinearOperator promises, at this precision; assertions name what fails."""
    tolerance = TOLERANCE[dtype]
    x, other = (draw((*batch, *operator.domain_shape), operator.domain_complex, dtype, seed + n) for n in (0, 1))
    y = draw((*batch, *operator.range_shape), operator.range_complex, dtype, seed + 2)
    measured, back = operator.forward(x), operator.adjoint(y)
    assert measured.shape == y.shape and measured.dtype == y.dtype, f"forward gives {measured.shape}, {measured.dtype}"
    assert back.shape == x.shape and back.dtype == x.dtype, f"adjoint gives {back.shape}, {back.dtype}"

    left, right = inner(measured, y), inner(x, back)
    if not operator.domain_complex:
        left, right = torch.real(left), torch.real(right)
    scale = measured.norm().double() * y.norm().double()
    assert abs(left - right) <= tolerance * scale, f"<Ax, y> = {left}, <x, A'y> = {right}"

    mixed = operator.forward(2.5 * x - 0.5 * other)
    torch.testing.assert_close(
        mixed, 2.5 * measured - 0.5 * operator.forward(other), rtol=0, atol=tolerance * float(measured.abs().max())
    )
    alone = operator.forward(x[0])
    torch.testing.assert_close(alone, measured[0], rtol=0, atol=tolerance * float(measured.abs().max()))

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(operator.forward(leaf).abs().square().sum() / 2, leaf)
    torch.testing.assert_close(
        gradient, operator.adjoint(measured), rtol=0, atol=tolerance * float(gradient.abs().max())
    )


def check_gradients(operator, seed=0):
    """Finite differences, first and second order, on a small operator in double precision."""
    x = draw((1, *operator.domain_shape), operator.domain_complex, torch.float64, seed).requires_grad_()
    y = draw((1, *operator.range_shape), operator.range_complex, torch.float64, seed).requires_grad_()
    assert torch.autograd.gradcheck(operator.forward, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(operator.adjoint, (y,), fast_mode=True)
    assert torch.autograd.gradgradcheck(operator.forward, (x,), fast_mode=True)


def check_refusals(operator):
    """Wrong shape, wrong type and NaN are refused by one sentence each."""
    good = draw((1, *operator.domain_shape), operator.domain_complex, torch.float32, 0)
    bad = good.clone()
    bad.view(-1)[0] = float("nan")
    for given, said in ((good[..., :-1], "has shape"), (bad, "contains NaN"), (good.tolist(), "is a list")):
        with pytest.raises(ValueError, match=f"images {said}"):
            operator.forward(given)
