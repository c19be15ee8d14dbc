"""Flows: undone by their inverse, folding nothing, and equal to what mathematics knows of simple velocities."""

import math

import numpy as np
import pytest
import torch

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import (
    CONTROL_MM,
    Deformation,
    affine_about,
    asymmetry_velocity,
    atrophy_velocity,
    flow,
    random_velocity,
    ventricle_velocity,
)
from medlab.cohorts.grid import Grid, sample

GRID = Grid.cube(48, 192.0)


def in_brain(points):
    model = head_model(CONTROL_MM)
    return sample(model.away_mm[None], model.affine, points)[0] < 0


def strong(seed):
    generator = torch.Generator().manual_seed(seed)
    velocity = random_velocity(generator, 3.0, 30.0) + random_velocity(generator, 1.5, 13.0)
    velocity = velocity + ventricle_velocity(3.0) + atrophy_velocity(1.5) + asymmetry_velocity(2.0)
    return Deformation(velocity, affine_about((0, -17, 12), (1.06, 0.95, 1.02), (4, -3, 5)))


@pytest.mark.parametrize("seed", range(4))
def test_the_inverse_brings_every_point_of_the_brain_back(seed):
    deformation, points = strong(seed), GRID.points()
    inside = in_brain(points)
    there = deformation.to_subject(points)
    assert float((there - points).norm(dim=-1)[inside].max()) > 5, "it must move something"
    back = deformation.to_template(there)
    assert float((back - points).norm(dim=-1)[inside].max()) < 0.1
    again = deformation.to_subject(deformation.to_template(points))
    assert float((again - points).norm(dim=-1)[inside].max()) < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_folded(seed):
    assert float(strong(seed).jacobian_determinant().min()) > 0.1


def test_a_constant_velocity_is_a_shift():
    velocity = torch.zeros_like(random_velocity(torch.Generator().manual_seed(0)))
    velocity[1] = 7.0
    torch.testing.assert_close(flow(velocity), velocity, rtol=0, atol=1e-4)


def test_a_linear_velocity_is_an_exponential():
    model = head_model(CONTROL_MM)
    y = torch.arange(model.shares.shape[2]) * CONTROL_MM + float(model.affine[1, 3])
    rate = 0.05
    velocity = torch.zeros(3, *model.shares.shape[1:])
    velocity[1] = rate * y[None, :, None]
    middle = (y.abs() < 40).nonzero()[:, 0]
    expected = (math.exp(rate) - 1) * y[middle]
    torch.testing.assert_close(flow(velocity)[1, 20, middle, 20], expected, rtol=2e-3, atol=1e-3)


def test_flows_of_half_the_velocity_compose_to_the_whole():
    velocity = random_velocity(torch.Generator().manual_seed(5), 3.0, 30.0)
    half, full = Deformation(velocity / 2, np.eye(4)), Deformation(velocity, np.eye(4))
    points = GRID.points()
    inside = in_brain(points)
    twice = half.to_subject(half.to_subject(points))
    assert float((twice - full.to_subject(points)).norm(dim=-1)[inside].max()) < 0.15


def test_ventricles_grow_and_the_skull_stays():
    points = GRID.points()
    wider = Deformation(ventricle_velocity(3.0), np.eye(4))
    model = head_model(2)
    before = sample(model.share("ventricular csf")[None], model.affine, points)[0]
    after = sample(model.share("ventricular csf")[None], model.affine, wider.to_template(points))[0]
    assert float(after.sum()) > 1.3 * float(before.sum())
    thinner = Deformation(atrophy_velocity(1.5), np.eye(4))
    at_skull = sample(head_model(CONTROL_MM).away_mm[None], head_model(CONTROL_MM).affine, points)[0].abs() < 1
    assert float((thinner.to_subject(points) - points).norm(dim=-1)[at_skull].max()) < 0.8
    fluid = model.share("outer csf")[None]
    grown = sample(fluid, model.affine, thinner.to_template(points))[0]
    assert float(grown.sum()) > 1.05 * float(sample(fluid, model.affine, points)[0].sum())


def test_an_affine_turns_about_its_centre():
    centre = (3.0, -4.0, 5.0)
    affine = affine_about(centre, (1.0, 1.0, 1.0), (0, 0, 90))
    np.testing.assert_allclose(affine[:3, :3] @ centre + affine[:3, 3], centre, atol=1e-12)
    np.testing.assert_allclose(affine[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    scaled = affine_about(centre, (2.0, 1.0, 0.5), (10, 20, 30))
    assert np.linalg.det(scaled[:3, :3]) == pytest.approx(1.0)


def test_refusals():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="amplitude_mm is -1, expected a number of at least 0"):
        random_velocity(generator, -1)
    with pytest.raises(ValueError, match="length_mm is 0, expected a number above 0"):
        random_velocity(generator, 1.0, 0)
    with pytest.raises(ValueError, match="shape is 0, expected a whole number"):
        Grid((0, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"spacing_mm is -1\.0, expected a length above 0 mm"):
        Grid((4, 4, 4), (1.0, -1.0, 1.0))
    with pytest.raises(ValueError, match="expected three numbers, as a tuple"):
        Grid((4, 4), (1.0, 1.0, 1.0))
