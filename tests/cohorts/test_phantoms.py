"""Phantoms in space against their formulas, and bars against their means."""

import math

import pytest
import torch

from medlab.cohorts.phantoms import (
    Ellipsoid,
    draw_volume,
    fourier_transform_3d,
    resolution_bars,
    shepp_logan,
    shepp_logan_3d,
)


def test_a_drawn_ellipsoid_has_its_volume_and_place():
    one = Ellipsoid(2.0, (0.6, 0.3, 0.4), (0.1, -0.2, 0.15), 30)
    volume = draw_volume([one], 48)
    unit = (2 / 48) ** 3
    assert float(volume.sum()) * unit == pytest.approx(2 * one.volume, rel=0.005)
    along = (torch.arange(48) + 0.5) * 2 / 48 - 1
    for axis in range(3):
        weight = volume.sum([a for a in range(3) if a != axis])
        assert float((weight * along).sum() / weight.sum()) == pytest.approx(one.centre[axis], abs=0.01)


def test_the_transform_of_a_volume_is_that_of_the_formula():
    phantom = [
        Ellipsoid(1.0, (0.6, 0.5, 0.4), (0.1, 0.0, -0.1), 20),
        Ellipsoid(-0.5, (0.2, 0.3, 0.25), (0.0, 0.2, 0.0)),
    ]
    size = 64
    volume = draw_volume(phantom, size, finer=2).double()
    at = ((torch.arange(size) + 0.5) * 2 / size - 1).double()
    step = 2 / size
    for k in ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.5, -1.0, 0.5), (1.0, 0.5, -1.0)):
        waves = [torch.exp(-2j * math.pi * one * at) for one in k]
        found = torch.einsum("xyz,x,y,z->", volume.to(torch.complex128), *waves) * step**3
        exact = fourier_transform_3d(phantom, *(torch.tensor(one) for one in k))
        assert abs(complex(found) - complex(exact)) < 0.005 * phantom[0].volume


def test_the_transform_is_continuous_where_the_series_ends():
    ball = [Ellipsoid(1.0, (1.0, 1.0, 1.0))]
    near = fourier_transform_3d(ball, torch.tensor([0.000999, 0.001001]), torch.zeros(1), torch.zeros(1)).real
    assert abs(float(near[0] - near[1])) < 1e-6
    assert float(fourier_transform_3d(ball, *[torch.zeros(1)] * 3).real) == pytest.approx(4 / 3 * math.pi)


def test_the_head_in_space_shows_the_head_in_the_plane():
    flat, solid = shepp_logan(), shepp_logan_3d()
    assert [one.value for one in flat] == [one.value for one in solid]
    assert [(one.half_x, one.half_y) for one in flat[:5]] == [one.half[:2] for one in solid[:5]]
    volume = draw_volume(solid, 40)
    assert float(volume.min()) >= -1e-6 and float(volume.max()) <= 1 + 1e-6
    assert float(volume[20, 20, 20]) == pytest.approx(0.2)


def test_bars_have_their_period_and_mean():
    image = resolution_bars(120, (4, 10))
    left, right = image[30], image[90]
    assert float(left.mean()) == pytest.approx(0.5) == float(right.mean())
    torch.testing.assert_close(left[:30], left[30:60])
    torch.testing.assert_close(right[:12], right[12:24])
    assert left[:15].eq(1).all() and left[15:30].eq(0).all()
    finest = resolution_bars(100, (100,))[50]
    torch.testing.assert_close(finest, torch.full((100,), 0.5))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Ellipsoid(1.0, (1.0, 0.0, 1.0)), "half axis along y is 0.0, expected a number above 0"),
        (lambda: draw_volume([], 0), "size is 0, expected a whole number"),
        (lambda: resolution_bars(10, ()), "line_pairs is empty"),
        (lambda: resolution_bars(10, (0.0,)), "line_pairs is 0.0, expected a number above 0"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
