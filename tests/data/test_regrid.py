"""Samples on another grid: image, label, mask and places stay together, and nothing else changes."""

import pickle

import numpy as np
import pytest
import torch

from medlab.data import Volume, resample
from medlab.data.regrid import OnGrid, on_grid
from medlab.data.samples import LeftOut, Sample, Samples

NAMES = {0: "background", 2: "left", 7: "right"}
AFFINE = np.array([[2.0, 0, 0, -13], [0, 1.5, 0, 4], [0, 0, 3, 20], [0, 0, 0, 1]])


class Two(Samples):
    """Two samples: one with all that there is, one with an image alone; they count how often they are asked for."""

    name = "two"
    left_out = (LeftOut("P3", "no file"),)
    loads = 0

    @property
    def subjects(self):
        return ("P1", "P2")

    def facts(self, index):
        return {"age_years": 30.0 + index}

    def load(self, index):
        type(self).loads += 1
        x, y, z = torch.meshgrid(*(torch.arange(n).float() for n in (12, 14, 9)), indexing="ij")
        image = Volume(torch.stack([x + 10 * y, 5 * z])[: 2 - index], AFFINE, self.subjects[index])
        if index:
            return Sample("P2", image, ("T1",), facts=self.facts(1))
        label = torch.zeros(12, 14, 9, dtype=torch.uint8)
        label[:6], label[6:] = 2, 7
        return Sample("P1", image, ("T1", "T2"), label, NAMES, y > 3, "s2", self.facts(0))


def test_a_linear_image_keeps_its_values_at_their_places():
    moved = OnGrid(Two(), (9, 11, 13), (1.5, 1.2, 1.1))[0]
    old = Two().load(0)
    assert moved.image.shape == (2, 9, 11, 13) and np.allclose(moved.image.spacing, (1.5, 1.2, 1.1))
    middles = [image.to_world((np.array(image.shape[1:]) - 1) / 2) for image in (moved.image, old.image)]
    assert np.allclose(*middles)
    places = np.argwhere(np.ones(moved.image.shape[1:]))
    there = old.image.to_voxels(moved.image.to_world(places))
    at = tuple(places.T)
    assert np.allclose(moved.image.data[0].numpy()[at], there[:, 0] + 10 * there[:, 1], atol=1e-3)
    assert np.allclose(moved.image.data[1].numpy()[at], 5 * there[:, 2], atol=1e-3)
    nearest = np.floor(there + 0.5 + 1e-6).astype(int)
    assert np.array_equal(moved.label.numpy()[at], np.where(nearest[:, 0] < 6, 2, 7))
    assert np.array_equal(moved.mask.numpy()[at], nearest[:, 1] > 3)
    assert moved.label.dtype == torch.uint8 and moved.mask.dtype == torch.bool


def test_everything_else_of_a_sample_stays():
    samples = OnGrid(Two(), (4, 4, 4), (4, 4, 4))
    first, second = samples
    assert (first.subject, first.channels, first.session) == ("P1", ("T1", "T2"), "s2")
    assert dict(first.label_names) == NAMES and dict(first.facts) == {"age_years": 30.0}
    assert second.label is None and second.mask is None and second.image.shape == (1, 4, 4, 4)
    assert samples.name == "two" and samples.left_out == Two.left_out and len(samples) == 2
    assert first.image.name == "P1" and first.image.orientation == "RAS"


def test_subjects_and_facts_are_known_without_reading():
    samples, before = OnGrid(Two(), (4, 4, 4), (4, 4, 4)), Two.loads
    assert samples.subjects == ("P1", "P2") and samples.facts(1) == {"age_years": 31.0}
    assert samples[:1].subjects == ("P1",) and samples.choose([1]).subjects == ("P2",)
    assert Two.loads == before
    samples[1]
    assert Two.loads == before + 1


def test_the_same_grid_changes_nothing_and_twice_is_once():
    old = Two().load(0)
    same = OnGrid(Two(), (12, 14, 9), (2, 1.5, 3))[0]
    assert torch.equal(same.image.data, old.image.data) and np.allclose(same.image.affine, AFFINE)
    assert torch.equal(same.label, old.label) and torch.equal(same.mask, old.mask)
    first, second = (OnGrid(Two(), (5, 6, 7), (3, 2, 2))[0] for _ in range(2))
    assert torch.equal(first.image.data, second.image.data) and torch.equal(first.label, second.label)


@pytest.mark.parametrize("outside", [0.0, -1024.0])
def test_beyond_the_image_is_air(outside):
    moved = OnGrid(Two(), (30, 30, 31), (2, 1.5, 3), outside=outside)[0]
    inside = moved.label > 0
    assert int(inside.sum()) == 12 * 14 * 9
    assert bool((moved.image.data[:, ~inside] == outside).all()) and not bool(moved.mask[~inside].any())


def test_a_coarser_grid_is_smoothed_first():
    noise = Volume(torch.randn(1, 24, 24, 24, generator=torch.Generator().manual_seed(1)), np.eye(4))
    grid = Volume(torch.zeros(1, 6, 6, 6), np.diag([4.0, 4, 4, 1]))
    done = on_grid(Sample("P1", noise, ("T1",)), grid)
    assert torch.equal(done.image.data, resample(noise, like=grid).data)
    assert float(done.image.data.std()) < 0.5 * float(resample(noise, like=grid, antialias=False).data.std())


def test_on_grid_takes_turned_images():
    turned = AFFINE[:, [1, 0, 2, 3]].copy()  # voxels run along y first
    old = Two().load(0)
    swapped = Sample(
        "P1",
        Volume(old.image.data.transpose(1, 2).contiguous(), turned),
        old.channels,
        old.label.transpose(0, 1).contiguous(),
        NAMES,
        old.mask.transpose(0, 1).contiguous(),
    )
    done = on_grid(swapped, old.image)
    torch.testing.assert_close(done.image.data, old.image.data, rtol=0, atol=1e-4)
    assert torch.equal(done.label, old.label) and torch.equal(done.mask, old.mask)


def test_it_travels_to_a_data_loaders_processes():
    samples = pickle.loads(pickle.dumps(OnGrid(Two(), (4, 4, 4), (4, 4, 4))))
    assert torch.equal(samples[0].label, OnGrid(Two(), (4, 4, 4), (4, 4, 4))[0].label)


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [
        ((4, 4), (1, 1, 1), "expected three numbers each"),
        ((4, 4, 4), (1, 1), "expected three numbers each"),
        ((4, 4, 0), (1, 1, 1), "shape is 0, expected a whole number"),
        ((4, 4, 2.5), (1, 1, 1), "shape is 2.5, expected a whole number"),
        ((4, 4, 4), (1, 1, 0), "spacing_mm is 0, expected a length above 0 mm"),
        ((4, 4, 4), (1, 1, float("nan")), "spacing_mm is nan, expected a length above 0 mm"),
    ],
)
def test_refuses_grids(shape, spacing, message):
    with pytest.raises(ValueError, match=message):
        OnGrid(Two(), shape, spacing)
