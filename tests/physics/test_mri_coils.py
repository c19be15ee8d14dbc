"""Fields of loops, operators of several coils and the ways to combine them."""

import math

import pytest
import torch

from medlab.physics.mri.encoding import (
    MultiCoil,
    combine,
    equispaced_lines,
    loop_field,
    loop_sensitivities,
    root_sum_of_squares,
    to_image,
)
from tests.physics.battery import check_gradients, check_operator, check_refusals


def noise(shape, seed=0, dtype=torch.complex128):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_field_on_the_axis_of_a_loop_is_the_textbooks():
    normal = torch.tensor([1.0, 2.0, -0.5]).double()
    normal = normal / normal.norm()
    centre = torch.tensor([10.0, -20.0, 5.0]).double()
    distance = torch.linspace(-100, 150, 26).double()
    field = loop_field(centre + distance[:, None] * normal, centre, normal, 40.0)
    expected = 40.0**2 / (2 * (40.0**2 + distance**2).pow(1.5))
    torch.testing.assert_close(field, expected[:, None] * normal, rtol=1e-12, atol=1e-15)


def test_far_field_of_a_loop_is_that_of_a_dipole():
    place = torch.tensor([[3000.0, 1000.0, -2000.0]]).double()
    axis = torch.tensor([0.0, 0.0, 1.0]).double()
    distance = place.norm()
    unit = place / distance
    moment = math.pi * 5.0**2
    expected = moment * (3 * unit[:, 2:] * unit - axis) / (4 * math.pi * distance**3)
    torch.testing.assert_close(loop_field(place, torch.zeros(3), axis, 5.0), expected, rtol=1e-4, atol=0)


def test_field_has_no_sources():
    place = torch.tensor([12.0, -30.0, 25.0]).double().requires_grad_()
    jacobian = torch.autograd.functional.jacobian(
        lambda p: loop_field(p[None], torch.tensor([0.0, 100, 0]), torch.tensor([0.0, -1, 0]), 40.0)[0], place
    )
    assert abs(float(jacobian.trace())) < 1e-12 * float(jacobian.abs().max()) / 1e-4
    torch.testing.assert_close(jacobian, jacobian.T, rtol=0, atol=1e-12)  # nor a curl, away from the wire


def test_sensitivities_are_smooth_scaled_and_turn_with_the_coil():
    maps = loop_sensitivities((64, 64), 8)
    assert maps.shape == (8, 64, 64) and maps.dtype == torch.complex64
    assert abs(float(root_sum_of_squares(maps)[32, 32]) - 1) < 1e-6
    # Coil 0 lies towards +x: its sensitivity rises along x; coil 4 opposite is its mirror image.
    assert bool((maps[0, 1:, 32].abs() > maps[0, :-1, 32].abs()).all())
    torch.testing.assert_close(maps[4, 1:, 32].abs().flip(0), maps[0, 1:, 32].abs())
    # A quarter turn of the coil turns the map with it, and the field's direction too.
    torch.testing.assert_close(maps[2, 1:, 1:], -1j * maps[0, 1:, 1:].rot90(1))
    assert float((maps[:, 1:] - maps[:, :-1]).abs().max()) < 0.1 * float(maps.abs().max())
    on_axis = maps[0].abs()[[16, 48], 32]
    x = torch.tensor([-60.0, 60.0])
    expected = (70.0**2 + (180 - x) ** 2).pow(-1.5)
    assert abs(float(on_axis[0] / on_axis[1] / (expected[0] / expected[1])) - 1) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mask", [None, equispaced_lines(5, 2)])
def test_operator_passes_the_battery(mask, dtype):
    operator = MultiCoil(noise((3, 6, 5)), mask)
    check_operator(operator, dtype, batch=(2, 3))
    check_gradients(operator)
    check_refusals(operator)


def test_all_coils_together_give_the_image_back():
    maps, image = noise((4, 8, 7)), noise((8, 7), seed=1)
    coil_images = to_image(MultiCoil(maps).forward(image))
    torch.testing.assert_close(combine(coil_images, maps), image)
    covariance = torch.eye(4).double() + 0.2
    torch.testing.assert_close(combine(coil_images, maps, covariance), image)
    shading = root_sum_of_squares(maps)
    torch.testing.assert_close(root_sum_of_squares(coil_images), image.abs() * shading)
    maps[:, 0] = 0
    assert float(combine(coil_images, maps)[0].abs().max()) == 0


def test_weighting_by_sensitivity_has_the_best_signal_to_noise():
    maps = loop_sensitivities((8, 8), 4).to(torch.complex128)
    generator = torch.Generator().manual_seed(3)
    mixing = torch.eye(4).to(torch.complex128) + 0.5 * noise((4, 4), seed=9)
    covariance = mixing @ mixing.mH
    draws = torch.randn(4000, 4, 8, 8, generator=generator, dtype=torch.complex128)
    correlated = torch.einsum("ab,nbxy->naxy", mixing, draws)
    best = combine(maps + correlated, maps, covariance).var(0)
    for other in (combine(maps + correlated, maps).var(0), ((maps + correlated) / maps).mean(1).var(0)):
        assert bool((best < other).all())
    # Its variance is 1 / (s' C^-1 s), and no unbiased weighting has less.
    bound = 1 / torch.einsum("axy,ab,bxy->xy", maps.conj(), torch.linalg.inv(covariance), maps).real
    assert float((best / bound - 1).abs().max()) < 0.1


def test_root_sum_of_squares_has_a_noise_floor():
    draws = noise((8, 200, 200))  # each of variance 1
    floor = float(root_sum_of_squares(draws).mean())
    expected = math.exp(math.lgamma(8.5) - math.lgamma(8))  # the mean of a chi distribution of 16 degrees, over sqrt 2
    assert abs(floor / expected - 1) < 0.005


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: loop_sensitivities((8, 8), 0), "coils is 0"),
        (lambda: loop_sensitivities((8, 8), distance_mm=160.0), "distance_mm is 160.0, expected more than half"),
        (lambda: loop_sensitivities((8, 0)), r"shape\[1\] is 0"),
        (lambda: loop_field(torch.zeros(1, 3), torch.zeros(3), torch.ones(3), 0), "radius_mm is 0"),
        (lambda: MultiCoil(torch.ones(3, 3)), "sensitivities has shape"),
        (lambda: MultiCoil(torch.ones(1, 2, 3, 3)), "sensitivities has shape"),
        (lambda: MultiCoil(torch.ones(2, 3, 3), torch.ones(2, dtype=torch.bool)), "mask has shape"),
        (lambda: combine(torch.ones(2, 3, 3), torch.ones(3, 3, 3)), "images and sensitivities have shapes"),
        (lambda: combine(torch.ones(2, 3, 3), torch.ones(2, 3, 3), torch.eye(3)), "covariance has shape"),
        (lambda: root_sum_of_squares(torch.ones(3, 3)), "images has shape"),
    ],
)
def test_refusals(act, said):
    with pytest.raises(ValueError, match=said):
        act()
