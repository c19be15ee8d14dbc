"""The nonuniform Fourier transform against the sum that it stands for, and radial scans."""

import math

import pytest
import torch

from medlab.physics import phantoms
from medlab.physics.gridding import KaiserBessel
from medlab.physics.mri.encoding import NonuniformFourier, radial_density, radial_trajectory, to_kspace
from tests.physics.battery import check_gradients, check_operator, check_refusals


def noise(shape, seed=0, dtype=torch.complex128):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def anywhere(count, seed=4):
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5


def direct(image, places):
    """The sum of the docstring, in float64."""
    x, y = (torch.arange(size, dtype=torch.float64) - size // 2 for size in image.shape)
    along_x = torch.exp(-2j * math.pi * places[:, :1] * x)
    along_y = torch.exp(-2j * math.pi * places[:, 1:] * y)
    return torch.einsum("kx,xy,ky->k", along_x, image, along_y) / math.sqrt(image.numel())


@pytest.mark.parametrize("shape", [(32, 24), (31, 25), (6, 64)])
@pytest.mark.parametrize(("width", "tolerance"), [(6, 1e-5), (8, 1e-7)])
def test_agrees_with_the_direct_sum(shape, width, tolerance):
    image, places = noise(shape), anywhere(500)
    places[:4] = torch.tensor([[-0.5, -0.5], [0.5, 0.5], [0.0, 0.0], [0.5, -0.25]])
    exact = direct(image, places)
    found = NonuniformFourier(shape, places, KaiserBessel(width, 2.0)).forward(image)
    assert float((found - exact).norm() / exact.norm()) < tolerance


def test_agrees_with_the_fft_on_the_grid():
    image = noise((16, 12))
    kx, ky = (torch.arange(16) - 8.0) / 16, (torch.arange(12) - 6.0) / 12
    grid = torch.stack(torch.meshgrid(kx, ky, indexing="ij"), -1)
    operator = NonuniformFourier((16, 12), grid, KaiserBessel(8, 2.0))
    assert operator.range_shape == (16, 12)
    torch.testing.assert_close(operator.forward(image), to_kspace(image), rtol=0, atol=1e-6)


def test_agrees_with_a_peer():
    finufft = pytest.importorskip("finufft")
    image, places = noise((20, 18)), anywhere(300)
    x, y = (2 * math.pi * places[:, axis].numpy().copy() for axis in (0, 1))
    expected = torch.from_numpy(finufft.nufft2d2(x, y, image.numpy(), eps=1e-12, isign=-1)) / math.sqrt(360)
    found = NonuniformFourier((20, 18), places).forward(image)
    assert float((found - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "golden"), [((8, 6), False), ((7, 9), True)])
def test_operator_passes_the_battery(shape, golden, dtype):
    operator = NonuniformFourier(shape, radial_trajectory(5, 8, golden=golden))
    check_operator(operator, dtype, batch=(2, 3))
    check_gradients(operator)
    check_refusals(operator)


def test_float32_is_nearly_as_good():
    image, places = noise((32, 32)), anywhere(400)
    operator = NonuniformFourier((32, 32), places)
    single = operator.forward(image.to(torch.complex64))
    assert single.dtype == torch.complex64
    assert float((single - direct(image, places)).norm() / single.norm()) < 1e-5


def test_spokes_are_diameters():
    spokes = radial_trajectory(4, 8)
    assert spokes.shape == (4, 8, 2)
    assert float(spokes[:, 4].abs().max()) == 0
    torch.testing.assert_close(spokes[2, :, 1], (torch.arange(8) - 4.0).double() / 8)
    golden = radial_trajectory(3, 8, golden=True)
    angle = torch.atan2(golden[1, -1, 1], golden[1, -1, 0])
    assert abs(math.degrees(float(angle)) - 111.246) < 1e-2
    assert float(spokes.abs().max()) == 0.5


def test_density_covers_the_disc():
    weights = radial_density(100, 64, (64, 64))
    # The sum over all samples is the area of the disc of radius 1/2 in units of grid cells, plus half a ring's width.
    assert abs(float(weights.sum() * 100) / (math.pi / 4 * 64**2) - 1) < 0.04
    assert float(weights.min()) == float(weights[32]) > 0


def test_radial_scan_of_an_ellipse_gives_it_back():
    size = 64
    disc = phantoms.draw([phantoms.Ellipse(1.0, 0.6, 0.6)], size).to(torch.complex128)
    scan = NonuniformFourier((size, size), radial_trajectory(160, 2 * size))
    weights = radial_density(160, 2 * size, (size, size))
    image = scan.adjoint(weights * scan.forward(disc)).real
    x = (torch.arange(size) - size / 2 + 0.5) / (size / 2)
    radius = torch.hypot(x[:, None], x)
    assert abs(float(image[radius < 0.4].mean()) - 1) < 0.02
    assert abs(float(image[(radius > 0.75) & (radius < 0.95)].mean())) < 0.02
    assert float((image[radius < 0.45] - 1).abs().max()) < 0.1


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: NonuniformFourier((8, 8), torch.full((3, 2), 0.6)), "trajectory has values beyond 1/2"),
        (lambda: NonuniformFourier((8, 8), torch.full((3, 2), math.nan)), "trajectory has values beyond 1/2 or NaN"),
        (lambda: NonuniformFourier((8, 8), torch.zeros(3, 3)), "trajectory is"),
        (lambda: NonuniformFourier((8, 8), [0.0]), "trajectory is list"),
        (lambda: NonuniformFourier((8, 1), torch.zeros(3, 2)), r"shape\[1\] is 1"),
        (lambda: radial_trajectory(0, 8), "spokes is 0"),
        (lambda: radial_trajectory(3, 1), "samples is 1"),
        (lambda: radial_density(3, 8, (0, 8)), r"shape\[0\] is 0"),
    ],
)
def test_refusals(act, said):
    with pytest.raises(ValueError, match=said):
        act()
