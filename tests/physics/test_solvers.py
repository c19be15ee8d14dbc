"""Iterative solvers: against SciPy, against closed solutions, on CT and on complex operators."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import lsqr

from medlab.physics.ct.angles import evenly_spaced
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.phantoms import draw, shepp_logan
from medlab.physics.solvers import cgls, operator_norm, sirt, total_variation
from tests.physics.test_operators import Matrix


def problem(is_complex=False, rows=30, columns=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex128 if is_complex else torch.float64
    matrix = torch.randn(rows, columns, generator=generator, dtype=dtype)
    return matrix, torch.randn(rows, generator=generator, dtype=dtype)


@pytest.mark.parametrize("is_complex", [False, True])
def test_cgls_takes_the_steps_of_lsqr(is_complex):
    matrix, measured = problem(is_complex)
    operator = Matrix(matrix, is_complex)
    residuals = cgls(operator, measured, 8).residuals
    for count in range(1, 9):
        theirs = lsqr(matrix.numpy(), measured.numpy(), iter_lim=count, atol=0, btol=0, conlim=0)
        assert float(residuals[count]) == pytest.approx(theirs[3], rel=1e-9)


def test_cgls_finds_the_least_squares_solution_and_stays_there():
    matrix, measured = problem()
    expected = torch.linalg.lstsq(matrix, measured[:, None]).solution[:, 0]
    torch.testing.assert_close(cgls(Matrix(matrix, False), measured, 40).images, expected)


def test_a_real_image_from_complex_measurements():
    matrix, _ = problem(True)
    truth = torch.randn(12, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    found = cgls(Matrix(matrix, False), matrix @ truth.to(matrix.dtype), 30).images
    torch.testing.assert_close(found, truth)


def test_a_batch_is_solved_side_by_side():
    matrix, _ = problem()
    measured = torch.randn(3, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    measured[2] = 0
    for solve in (cgls, sirt, lambda *given: total_variation(*given[:2], 0.3, given[2])):
        together = solve(Matrix(matrix.abs(), False), measured, 5)
        for each in range(3):
            alone = solve(Matrix(matrix.abs(), False), measured[each], 5)
            torch.testing.assert_close(together.images[each], alone.images)
            torch.testing.assert_close(together.residuals[:, each], alone.residuals)
        assert not together.images[2].any()


def test_starting_at_the_solution_changes_nothing():
    matrix, _ = problem()
    matrix = matrix.abs()
    truth = torch.rand(12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for solve in (cgls, sirt):
        found = solve(Matrix(matrix, False), matrix @ truth, 3, truth)
        torch.testing.assert_close(found.images, truth)


def test_sirt_converges_and_obeys_its_formula():
    matrix = problem()[0].abs()
    truth = torch.rand(12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    measured = matrix @ truth
    first = sirt(Matrix(matrix, False), measured, 1).images
    torch.testing.assert_close(first, (matrix.T @ (measured / matrix.sum(1))) / matrix.sum(0))
    solution = sirt(Matrix(matrix, False), measured, 4000)
    assert float(solution.residuals[-1] / solution.residuals[0]) < 1e-4
    assert (torch.diff(solution.residuals[:200]) < 0).all()
    bounded = sirt(Matrix(matrix, False), measured - 5, 50, nonnegative=True).images
    assert (bounded >= 0).all() and (bounded == 0).any()


def test_total_variation_of_an_unblurred_step_has_a_closed_solution():
    """Denoising a step of heights 0 and 1, n pixels each: both ends move by strength / n towards one another."""
    step = torch.cat((torch.zeros(5), torch.ones(5))).double()
    found = total_variation(Matrix(torch.eye(10).double(), False), step, 0.5, 3000).images
    torch.testing.assert_close(
        found, torch.cat((torch.full((5,), 0.1), torch.full((5,), 0.9))).double(), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("is_complex", [False, True])
def test_total_variation_without_strength_is_least_squares(is_complex):
    matrix, measured = problem(is_complex, seed=5)
    expected = torch.linalg.lstsq(matrix, measured[:, None]).solution[:, 0]
    found = total_variation(Matrix(matrix, is_complex), measured, 0.0, 3000).images
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_norm_is_the_largest_singular_value():
    matrix, _ = problem(True)
    assert operator_norm(Matrix(matrix, True), like=matrix, iterations=300) == pytest.approx(
        float(np.linalg.norm(matrix.numpy(), 2)), rel=1e-3
    )


def test_few_views_need_a_prior():
    """Shepp and Logan's head from 24 views: total variation beats least squares, which beats nothing."""
    scanner = ParallelBeam(evenly_spaced(24), 64)
    truth = draw(shepp_logan(), 64)
    measured = scanner(truth)
    errors = {
        "cgls": (cgls(scanner, measured, 20).images - truth).norm(),
        "sirt": (sirt(scanner, measured, 60, nonnegative=True).images - truth).norm(),
        "tv": (total_variation(scanner, measured, 1e-3, 400, nonnegative=True).images - truth).norm(),
    }
    assert errors["tv"] < 0.4 * errors["cgls"] and errors["tv"] < 0.4 * errors["sirt"] < 0.4 * truth.norm()


def test_the_callback_sees_every_iteration():
    matrix, measured = problem()
    seen = []
    cgls(Matrix(matrix, False), measured, 4, callback=lambda number, images: seen.append((number, images.clone())))
    assert [number for number, _ in seen] == [1, 2, 3, 4]
    torch.testing.assert_close(seen[-1][1], cgls(Matrix(matrix, False), measured, 4).images)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda op, y: cgls(op, y, 0), "iterations is 0"),
        (lambda op, y: cgls(op, y[:-1], 1), "measured has shape"),
        (lambda op, y: cgls(op, y * math.nan, 1), "measured contains NaN"),
        (lambda op, y: sirt(op, y, 1, torch.zeros(3)), "start has shape"),
        (lambda op, y: total_variation(op, y, -1.0, 1), "strength is -1.0"),
        (lambda op, y: sirt(Matrix(op.matrix + 0j, True), y + 0j, 1), "operator is complex"),
    ],
)
def test_refusals(call, said):
    matrix, measured = problem()
    with pytest.raises(ValueError, match=said):
        call(Matrix(matrix, False), measured)
