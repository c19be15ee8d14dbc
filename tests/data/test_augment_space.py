"""Flips, affine maps and bends against what geometry says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.cohorts.deformation import affine_about
from medlab.data import Volume
from medlab.data.augment import Affine, Elastic, Flip
from medlab.data.augment.space import INJECTIVE, _spline_weights
from medlab.data.samples import Sample

PLAIN = np.diag([2.0, 2.0, 2.0, 1.0])
OBLIQUE = np.array([[0.3, -1.9, 0.2, 15.0], [1.8, 0.3, 0.3, -18.0], [-0.3, 0.2, 2.4, 3.0], [0, 0, 0, 1]])
STILL = {"scale": [1.0] * 3, "angles_deg": [0.0] * 3, "shift_mm": [0.0] * 3}


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def sample_of(image, affine=PLAIN, label=None, names=None, **more) -> Sample:
    return Sample("A01", Volume(image, affine), ("T1",) * len(image), label, names or {}, **more)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SLA"])
def test_flip_mirrors_the_patients_left_and_right(orientation):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        affine["RLAPSI".index(letter) // 2, axis] = 1 if letter in "RAS" else -1
    image = noise(2, 5, 6, 7)
    label = (10 * image[0]).to(torch.uint8)
    names = {value: str(value) for value in range(10)}
    sample = sample_of(image, affine, label, names, mask=image[1] > 0.5)
    axis = next(index for index, letter in enumerate(orientation) if letter in "LR")
    flipped = Flip().replay(sample, {"mirrored": True})
    assert torch.equal(flipped.image.data, image.flip(axis + 1))
    assert torch.equal(flipped.label, label.flip(axis)) and torch.equal(flipped.mask, sample.mask.flip(axis))
    assert flipped.image.orientation == orientation
    again = Flip().replay(flipped, {"mirrored": True})
    assert torch.equal(again.image.data, image) and torch.equal(again.label, label)
    assert Flip().replay(sample, {"mirrored": False}) is sample


def test_flip_is_as_frequent_as_it_says():
    assert 430 < sum(Flip().draw(seed)["mirrored"] for seed in range(1000)) < 570
    assert all(Flip(1.0).draw(seed)["mirrored"] for seed in range(50))
    assert not any(Flip(0.0).draw(seed)["mirrored"] for seed in range(50))


def test_flip_changes_what_has_a_side():
    label = torch.tensor([0, 1, 2, 3], dtype=torch.uint8).view(4, 1, 1).expand(4, 2, 2).contiguous()
    names = {0: "background", 1: "Left-Hippocampus", 2: "Right-Hippocampus", 3: "bright spot"}
    facts = {"bleeding_left": True, "bleeding_right": False, "side": "left", "age": 40, "handedness": "Right"}
    sample = sample_of(noise(1, 4, 2, 2), PLAIN, label, names, facts=facts)
    flipped = Flip().replay(sample, {"mirrored": True})
    assert flipped.label[:, 0, 0].tolist() == [3, 1, 2, 0]
    expected = {"bleeding_left": False, "bleeding_right": True, "side": "right", "age": 40, "handedness": "Left"}
    assert dict(flipped.facts) == expected
    assert dict(Flip().replay(flipped, {"mirrored": True}).facts) == facts


def test_flip_refuses_a_side_without_another_with_every_seed():
    label = torch.zeros(4, 2, 2, dtype=torch.uint8)
    sample = sample_of(noise(1, 4, 2, 2), PLAIN, label, {0: "background", 1: "left lesion"})
    for seed in range(5):
        with pytest.raises(ValueError, match="A01: label 'left lesion' cannot change sides, expected 'right lesion'"):
            Flip()(sample, seed)


@pytest.mark.parametrize("affine", [PLAIN, OBLIQUE], ids=["plain", "oblique"])
@pytest.mark.parametrize("seed", range(3))
def test_affine_moves_a_blob_where_the_matrix_says(affine, seed):
    """The convention is that of the cohorts: scaled, turned about x, y, z, then moved, in mm of the patient's axes."""
    shape = (40, 41, 42)
    volume = Volume(torch.zeros(1, *shape), affine)
    centre = volume.to_world((np.array(shape) - 1) / 2)
    place = centre + np.array([9.0, -7.0, 5.0])
    world = volume.to_world(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
    blob = torch.from_numpy(np.exp(-((world - place) ** 2).sum(-1) / (2 * 5.0**2))).float()
    parameters = Affine(0.2, 30.0, 8.0).draw(seed)
    moved = Affine().replay(sample_of(blob[None], affine), parameters).image.data[0].double().numpy()
    true = affine_about(tuple(centre), tuple(parameters["scale"]), tuple(parameters["angles_deg"]))
    expected = true[:3, :3] @ place + true[:3, 3] + parameters["shift_mm"]
    found = (moved[..., None] * world).sum((0, 1, 2)) / moved.sum()
    assert np.abs(found - expected).max() < 0.1
    assert moved.sum() / float(blob.double().sum()) == pytest.approx(np.prod(parameters["scale"]), rel=0.02)


def test_affine_draws_within_its_limits():
    transform = Affine(0.2, 15.0, 7.0)
    drawn = [transform.draw(seed) for seed in range(300)]
    for name, low, high in (("scale", np.exp(-0.2), np.exp(0.2)), ("angles_deg", -15, 15), ("shift_mm", -7, 7)):
        values = np.array([one[name] for one in drawn])
        assert values.min() >= low and values.max() <= high
        assert (values.min(0) < low + 0.1 * (high - low)).all() and (values.max(0) > high - 0.1 * (high - low)).all()
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.2
    assert Affine(0, 0, 0).draw(1) == STILL


def test_affine_that_does_nothing_and_whole_voxels():
    image = noise(2, 11, 12, 13)
    label = (4 * image[1]).to(torch.uint8)
    sample = sample_of(image, OBLIQUE, label, {value: str(value) for value in range(4)})
    same = Affine().replay(sample, STILL)
    torch.testing.assert_close(same.image.data, image, atol=1e-5, rtol=0)
    assert torch.equal(same.label, label)
    shifted = Affine(fill=7.0).replay(sample_of(image), STILL | {"shift_mm": [4.0, 0.0, -2.0]}).image.data
    torch.testing.assert_close(shifted[:, 2:, :, :-1], image[:, :-2, :, 1:], atol=1e-5, rtol=0)
    assert (shifted[:, :2] == 7).all() and (shifted[:, :, :, -1] == 7).all()


def test_a_quarter_turn_is_exact():
    image = noise(1, 12, 12, 9)
    label = (4 * image[0]).to(torch.uint8)
    sample = sample_of(image, PLAIN, label, {value: str(value) for value in range(4)}, mask=image[0] > 0.3)
    turned = Affine().replay(sample, STILL | {"angles_deg": [0.0, 0.0, 90.0]})
    torch.testing.assert_close(turned.image.data, image.rot90(1, (1, 2)), atol=1e-5, rtol=0)
    assert torch.equal(turned.label, label.rot90(1, (0, 1))) and torch.equal(turned.mask, sample.mask.rot90(1, (0, 1)))


def test_outside_is_each_channels_lowest_value():
    image = torch.stack([noise(10, 10, 10) - 3, noise(10, 10, 10) + 1])
    sample = sample_of(image, PLAIN, torch.ones(10, 10, 10, dtype=torch.uint8), {0: "none", 1: "all"})
    sample = replace(sample, mask=torch.ones(10, 10, 10, dtype=torch.bool))
    moved = Affine().replay(sample, STILL | {"shift_mm": [100.0, 0, 0]})
    assert torch.equal(moved.image.data, image.amin((1, 2, 3), keepdim=True).expand_as(image))
    assert not moved.label.any() and not moved.mask.any()


def test_spline_weights_reproduce_constants_and_lines():
    places = torch.linspace(0, 6, 61, dtype=torch.float64)
    weights = _spline_weights(places, 9)
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(61, dtype=torch.float64))
    torch.testing.assert_close(weights @ (torch.arange(9, dtype=torch.float64) - 1), places)


def displacement(transform, volume, parameters):
    """How many voxels away each voxel's source is, (X, Y, Z, 3)."""
    axes = [torch.arange(size, dtype=torch.float32) for size in volume.shape[1:]]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    return transform.source(volume, parameters)(points) - points


@pytest.mark.parametrize("seed", range(4))
def test_elastic_folds_nothing_even_at_its_largest(seed):
    spacing = 12.0
    volume = Volume(torch.zeros(1, 40, 38, 36), np.diag([1.0, 1.5, 1.2, 1]))
    parameters = {"displacement_mm": INJECTIVE * spacing, "spacing_mm": spacing, "seed": seed}
    moved = displacement(Elastic(1.0, spacing), volume, parameters) * torch.tensor(volume.spacing)
    assert float(moved.abs().max()) <= INJECTIVE * spacing
    assert float(moved.abs().max()) > 0.5 * INJECTIVE * spacing
    gradient = torch.stack(torch.gradient(moved, spacing=list(volume.spacing), dim=(0, 1, 2)), -1)
    determinant = torch.linalg.det(torch.eye(3) + gradient)
    assert float(determinant.min()) > 0 and float(determinant.min()) < 0.8


@pytest.mark.parametrize("pattern", range(8))
def test_the_worst_control_points_do_not_fold_either(pattern):
    """Every other control point the opposite way, along some of the axes: what random draws hardly ever find."""
    weights = _spline_weights(torch.linspace(0, 4, 81, dtype=torch.float64), 7)
    index = torch.stack(torch.meshgrid(*[torch.arange(7)] * 3, indexing="ij"))
    alternating = torch.tensor([pattern >> axis & 1 for axis in range(3)]).view(3, 1, 1, 1)
    sign = 1 - 2.0 * ((index * alternating).sum(0) % 2).double()
    control = INJECTIVE * torch.stack((sign, -sign, sign))
    moved = torch.einsum("dabc,xa,yb,zc->xyzd", control, weights, weights, weights)
    gradient = torch.stack(torch.gradient(moved, spacing=0.05, dim=(0, 1, 2)), -1)
    assert float(torch.linalg.det(torch.eye(3, dtype=torch.float64) + gradient).min()) > 0


def test_elastic_is_the_same_bend_on_a_finer_grid():
    parameters = {"displacement_mm": 10.0, "spacing_mm": 30.0, "seed": 3}
    coarse = Volume(torch.zeros(1, 20, 22, 24), np.diag([4.0, 4, 4, 1]))
    fine = Volume(torch.zeros(1, 60, 22, 24), np.diag([4 / 3, 4, 4, 1]))
    one = displacement(Elastic(), coarse, parameters) * torch.tensor(coarse.spacing)
    other = displacement(Elastic(), fine, parameters)[1::3] * torch.tensor(fine.spacing)
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_elastic_grows_with_its_parameter_and_rests_at_zero():
    image = noise(1, 20, 20, 20)
    sample = sample_of(image)
    still = Elastic().replay(sample, {"displacement_mm": 0.0, "spacing_mm": 40.0, "seed": 1})
    torch.testing.assert_close(still.image.data, image, atol=1e-5, rtol=0)
    one, two = (
        displacement(Elastic(), sample.image, {"displacement_mm": size, "spacing_mm": 40.0, "seed": 1})
        for size in (2.0, 4.0)
    )
    torch.testing.assert_close(2 * one, two, atol=1e-4, rtol=1e-4)
    assert all(0 <= Elastic().draw(seed)["displacement_mm"] <= 8 for seed in range(50))
