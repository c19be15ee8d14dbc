"""The battery itself, on operators that are right and on one whose adjoint is wrong."""

import pytest
import torch

from medlab.physics.operators import LinearOperator
from tests.physics.battery import check_gradients, check_operator, check_refusals


class Matrix(LinearOperator):
    """A dense matrix, real or complex."""

    def __init__(self, matrix, domain_complex, transposed=None):
        self.matrix, self.domain_complex, self.range_complex = matrix, domain_complex, matrix.is_complex()
        self.back = matrix.mH if transposed is None else transposed
        self.range_shape, self.domain_shape = (matrix.shape[0],), (matrix.shape[1],)

    def _forward(self, images):
        matrix = self.matrix.to(torch.promote_types(self.matrix.dtype, images.dtype))
        return images.to(matrix.dtype) @ matrix.T

    def _adjoint(self, measured):
        result = measured @ self.back.T.to(measured.dtype)
        return result if self.domain_complex else result.real


def random_matrix(is_complex):
    generator = torch.Generator().manual_seed(5)
    dtype = torch.complex128 if is_complex else torch.float64
    return torch.randn(5, 4, generator=generator, dtype=dtype)


@pytest.mark.parametrize(("is_complex", "domain_complex"), [(False, False), (True, True), (True, False)])
def test_matrices_pass_the_battery(is_complex, domain_complex):
    operator = Matrix(random_matrix(is_complex), domain_complex)
    check_operator(operator, batch=(2, 3))
    check_gradients(operator)
    check_refusals(operator)


def test_a_wrong_adjoint_is_caught():
    matrix = random_matrix(False)
    with pytest.raises(AssertionError, match="A'y"):
        check_operator(Matrix(matrix, False, matrix.T + 0.01))


def test_a_missing_conjugate_is_caught():
    matrix = random_matrix(True)
    with pytest.raises(AssertionError, match="A'y"):
        check_operator(Matrix(matrix, True, matrix.T))


def test_complex_images_for_a_real_scanner_are_refused():
    with pytest.raises(ValueError, match="images is complex, expected real numbers"):
        Matrix(random_matrix(False), False).forward(torch.ones(4, dtype=torch.complex64))
