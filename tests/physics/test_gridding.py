"""Kaiser-Bessel interpolation: the kernel's transform, an interpolated Fourier transform, the two kinds of tables."""

import math

import pytest
import torch

from medlab.physics.gridding import Interpolation, KaiserBessel


@pytest.mark.parametrize("width", [4, 6, 8])
def test_the_transform_is_that_of_the_kernel(width):
    kernel = KaiserBessel(width)
    place = torch.linspace(-width / 2, width / 2, 20_001, dtype=torch.float64)
    frequency = torch.tensor([0.0, 0.1, 0.25, 0.4, 0.7])
    wave = torch.cos(2 * math.pi * frequency.double()[:, None] * place)
    summed = torch.trapezoid(kernel(place) * wave, place)
    torch.testing.assert_close(kernel.transform(frequency), summed, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("width", "error"), [(6, 1e-5), (8, 1e-7)])
def test_a_fourier_transform_between_the_frequencies_of_the_grid(width, error):
    kernel, size = KaiserBessel(width), 24
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(size, generator=generator, dtype=torch.complex128)
    frequency = torch.rand(50, generator=generator, dtype=torch.float64) - 0.5
    place = torch.arange(size) - size / 2
    direct = torch.exp(-2j * math.pi * frequency[:, None] * place) @ signal
    fine = torch.fft.fft(torch.fft.ifftshift(torch.nn.functional.pad(signal / kernel.transform(place / 48), (12, 12))))
    index, weight = kernel.taps(frequency * 48)
    gridded = (fine[index.remainder(48)] * weight).sum(-1)
    assert float((gridded - direct).norm() / direct.norm()) < error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sparse_tables_are_the_dense_matrix(dtype):
    generator = torch.Generator().manual_seed(2)
    index = torch.randint(0, 7, (5, 3), generator=generator)
    weight = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    matrix = torch.zeros(5, 7, dtype=torch.float64)
    for row in range(5):
        matrix[row].index_add_(0, index[row], weight[row])
    interpolation = Interpolation(index, weight, 7)
    values, samples = torch.randn(7, 2, dtype=dtype), torch.randn(5, 2, dtype=dtype)
    torch.testing.assert_close(interpolation.forward(values), matrix.to(dtype) @ values)
    torch.testing.assert_close(interpolation.adjoint(samples), matrix.to(dtype).T @ samples)


def test_tables_without_sparse_matrices_give_the_same():
    """What runs where there are none, on the CPU."""
    interpolation = Interpolation(torch.tensor([[0, 2], [1, 1]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 3)
    values = torch.arange(6.0).reshape(3, 2)
    index, weight = interpolation._make(values, "plain")
    torch.testing.assert_close((values[index] * weight[..., None]).sum(1), interpolation.forward(values))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KaiserBessel(1), "width is 1"),
        (lambda: KaiserBessel(6, 1.0), "oversampling is 1.0"),
        (lambda: Interpolation(torch.tensor([[3]]), torch.ones(1, 1), 3), "index runs from 3 to 3, expected 0 to 2"),
        (lambda: Interpolation(torch.tensor([[0]]), torch.ones(1, 2), 3), "expected the same"),
    ],
)
def test_what_is_no_table_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
