"""Padding, cropping and zooming: nothing moves in the world; equalisation keeps the order of values."""

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.data.readers.equalise import equalise
from medlab.data.readers.prepare import fit_to_shape, zoom_to_shape
from medlab.data.samples import Sample

NAMES = {0: "background", 1: "a", 2: "b"}


def sample(shape=(6, 7, 5)) -> Sample:
    generator = torch.Generator().manual_seed(4)
    affine = np.array([[0.0, 2, 0, 5], [-1, 0, 0, 3], [0, 0, 1.5, -7], [0, 0, 0, 1]])
    image = Volume(torch.rand(2, *shape, generator=generator) + 1, affine, "head")
    label = torch.randint(0, 3, shape, generator=generator).to(torch.uint8)
    return Sample("P1", image, ("T1", "T2"), label, NAMES, label > 0, "s1", {"age_years": 3.0})


@pytest.mark.parametrize("shape", [(9, 12, 8), (4, 4, 4), (6, 7, 5), (3, 20, 5)])
def test_every_voxel_keeps_its_place(shape):
    old = sample()
    new = fit_to_shape(old, shape, fill=-5.0)
    assert new.image.shape == (2, *shape) and new.label.shape == shape and new.mask.shape == shape
    assert new.mask.dtype == torch.bool and new.label.dtype == torch.uint8
    assert (new.subject, new.session, dict(new.facts)) == ("P1", "s1", {"age_years": 3.0})
    places = np.argwhere(np.ones(shape))
    there = np.round(old.image.to_voxels(new.image.to_world(places))).astype(int)
    inside = ((there >= 0) & (there < old.image.shape[1:])).all(1)
    assert inside.sum() == np.prod(np.minimum(shape, old.image.shape[1:]))
    here, old_place = places[inside].T, there[inside].T
    assert torch.equal(new.image.data[(slice(None), *here)], old.image.data[(slice(None), *old_place)])
    assert torch.equal(new.label[tuple(here)], old.label[tuple(old_place)])
    assert torch.equal(new.mask[tuple(here)], old.mask[tuple(old_place)])
    outside = tuple(places[~inside].T)
    assert (new.image.data[(slice(None), *outside)] == -5).all() and not new.label[outside].any()


def test_padding_and_cropping_back_is_the_identity():
    old = sample()
    back = fit_to_shape(fit_to_shape(old, (9, 10, 10)), old.image.shape[1:])
    assert torch.equal(back.image.data, old.image.data) and torch.equal(back.label, old.label)
    assert np.allclose(back.image.affine, old.image.affine)


def test_zoom_to_the_same_shape_and_by_a_whole_factor():
    old = sample((6, 8, 4))
    same = zoom_to_shape(old, (6, 8, 4))
    assert torch.equal(same.image.data, old.image.data) and torch.equal(same.label, old.label)
    twice = zoom_to_shape(old, (12, 16, 8), order="nearest")
    label = old.label.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(twice.label, label) and torch.equal(twice.mask, label > 0)
    assert np.allclose(twice.image.spacing, np.array(old.image.spacing) / 2)
    assert zoom_to_shape(Sample("P1", old.image, ("T1", "T2")), (3, 3, 3)).label is None


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 0), (3, 3, 2.5)])
def test_refuses_shapes(shape):
    for change in (fit_to_shape, zoom_to_shape):
        with pytest.raises(ValueError, match=r"shape is .*, expected"):
            change(sample(), shape)


def test_equalise_is_the_cumulative_distribution():
    values = torch.linspace(0, 3, 10001).square().reshape(1, -1)  # its share below v is sqrt(v) / 3
    mask = torch.ones_like(values, dtype=torch.bool)
    done = equalise(values, mask)
    torch.testing.assert_close(done, values.sqrt() / 3, rtol=0, atol=0.02)
    assert done[0, 0] == 0 and abs(float(done[0, -1]) - 1) < 1e-6 and (done[0].diff() >= 0).all()
    # What lies outside the mask has no influence and becomes 0.
    more = torch.cat([values, torch.full((1, 500), 1e6)], 1)
    again = equalise(more, more < 100)
    assert torch.equal(again[:, :10001], done) and not again[:, 10001:].any()
    for wrong in (mask & False, values == values[0, 7]):
        with pytest.raises(ValueError, match=r"voxels of one value, expected several values"):
            equalise(values, wrong)
