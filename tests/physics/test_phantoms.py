"""Ellipses: drawn, projected and transformed, each against another way to the same number."""

import math

import pytest
import torch

from medlab.physics.phantoms import Ellipse, draw, fourier_transform, line_integrals, shepp_logan

ONE = Ellipse(2.0, 0.6, 0.3, x=0.1, y=-0.2, angle_deg=25)


def test_area_of_a_drawn_ellipse():
    image = draw([ONE], 256)
    assert float(image.sum() * (2 / 256) ** 2) == pytest.approx(2 * math.pi * 0.6 * 0.3, rel=1e-3)


def test_the_drawing_has_its_axes_where_the_numbers_say():
    image = draw([Ellipse(1.0, 0.1, 0.05, x=0.5, y=-0.25)], 200)
    x, y = (image.sum(1 - axis) @ torch.arange(200.0) / image.sum() for axis in (0, 1))
    assert float(x) == pytest.approx(149.5, abs=0.05) and float(y) == pytest.approx(74.5, abs=0.05)
    assert image.sum(1).count_nonzero() > image.sum(0).count_nonzero()


def test_integrals_of_the_drawing_meet_the_formula():
    image, size = draw([ONE], 400).double(), 400
    offset = -1 + (torch.arange(size) + 0.5) * 2 / size
    for angle, sums in ((0.0, image.sum(1)), (math.pi / 2, image.sum(0))):
        formula = line_integrals([ONE], torch.tensor(angle), offset)
        error = (sums * 2 / size - formula).norm() / formula.norm()
        assert error < 5e-3


def test_a_chord_through_the_centre_of_a_circle():
    assert float(line_integrals([Ellipse(3.0, 0.5, 0.5)], torch.tensor(1.1), torch.tensor(0.0))) == pytest.approx(3.0)
    assert float(line_integrals([Ellipse(3.0, 0.5, 0.5)], torch.tensor(1.1), torch.tensor(0.51))) == 0


def test_the_fourier_transform_of_a_projection_is_a_slice_of_the_fourier_transform():
    angle, k = torch.tensor(0.7), torch.tensor([0.0, 0.8, 2.3])
    offset = torch.linspace(-1.2, 1.2, 48_001, dtype=torch.float64)
    profile = line_integrals([ONE], angle, offset)
    wave = torch.exp(-2j * math.pi * k[:, None] * offset)
    direct = torch.trapezoid(profile * wave, offset)
    torch.testing.assert_close(
        direct, fourier_transform([ONE], k * math.cos(0.7), k * math.sin(0.7)), rtol=0, atol=1e-5
    )


def test_shepp_and_logan():
    image = draw(shepp_logan(), 128)
    assert float(image.max()) == pytest.approx(1.0) and float(image.min()) > -1e-6
    assert float(image[64, 64]) == pytest.approx(0.2)
    assert len(shepp_logan(contrast=False)) == 10


@pytest.mark.parametrize("wrong", [{"half_x": 0.0}, {"half_y": -1.0}])
def test_an_ellipse_without_extent_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a half axis above 0"):
        Ellipse(**{"value": 1.0, "half_x": 1.0, "half_y": 1.0, **wrong})


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match="size is 0"):
        draw([ONE], 0)
