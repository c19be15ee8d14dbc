"""dHCP: sessions of a subject, ages in weeks, and the zoom that the paper uses."""

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.data.readers import read_dhcp
from medlab.data.readers.dhcp import normalise
from medlab.data.samples import Sample
from tests.data.readers import trees


@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
def test_each_session_is_a_sample(tmp_path, check):
    found = read_dhcp(trees.dhcp(tmp_path), check=check)
    assert found.subjects == ("CC00050XX01", "CC00063AN06", "CC00063AN06", "CC00099BN17")
    assert [sample.session for sample in found] == ["7201", "15102", "25000", "30100"]
    sample = found[2]
    assert sample.channels == ("T2",) and sample.label is None
    expected = trees.values(3)[::-1, ::-1]
    assert np.array_equal(sample.image.data[0].numpy(), expected)
    assert np.array_equal(sample.mask.numpy(), expected > 0)
    assert dict(sample.facts) == {
        "age_weeks": 41.14,
        "birth_age_weeks": 33.0,
        "sex": "male",
        "head_circumference_cm": 34.5,
    }


def test_what_is_not_known_is_not_among_the_facts(tmp_path):
    found = read_dhcp(trees.dhcp(tmp_path))
    assert "birth_age_weeks" not in found.facts(3)
    found = read_dhcp(trees.dhcp(tmp_path / "b", combined=True))
    assert dict(found.facts(0)) == {"age_weeks": 42.71, "sex": "female", "birth_age_weeks": 42.14}
    assert found.absent == ("CC00999XX99",)


def test_other_images_and_masks(tmp_path):
    root = trees.dhcp(tmp_path)
    sample = read_dhcp(root, image="native", mask="drawem")[0]
    expected = trees.values(1)[::-1, ::-1]
    assert np.array_equal(sample.image.data[0].numpy(), expected + 1)
    assert np.array_equal(sample.mask.numpy(), expected > 9)
    for path in root.rglob("*desc-bet*"):
        path.unlink()
    assert np.array_equal(read_dhcp(root)[0].mask.numpy(), expected > 9)  # the only mask there is
    with pytest.raises(ValueError, match="image is 'T1', expected one of restored, native"):
        read_dhcp(root, image="T1")
    with pytest.raises(ValueError, match="mask is 'fsl', expected one of bet, drawem"):
        read_dhcp(root, mask="fsl")


def test_normalise_zooms_over_the_same_field_of_view():
    places = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"))
    ball = np.exp(-((places - 9.5) ** 2).sum(0) / 40).astype(np.float32)
    sample = Sample(
        "P1", Volume(700 * torch.from_numpy(ball)[None]), ("T2",), mask=torch.from_numpy(ball > 0.5), session="1"
    )
    done = normalise(sample, shape=(15, 30, 25))
    assert done.image.shape == (1, 15, 30, 25) and done.session == "1"
    assert np.allclose(np.array(done.image.shape[1:]) * done.image.spacing, 20)
    assert np.allclose(done.image.to_world([-0.5] * 3), sample.image.to_world([-0.5] * 3))  # the edges stay
    assert np.allclose(done.image.to_world([14.5, 29.5, 24.5]), sample.image.to_world([19.5] * 3))
    where = done.image.to_world(np.stack(np.meshgrid(*map(np.arange, (15, 30, 25)), indexing="ij"), -1))
    exact = np.exp(-((where - 9.5) ** 2).sum(-1) / 40)
    assert float(done.image.data.max()) == 1 and float(done.image.data.min()) >= 0
    assert np.abs(done.image.data[0].numpy() - exact / exact.max()).max() < 0.005
    assert abs(float(done.mask.float().mean() - sample.mask.float().mean())) < 0.01


def test_normalise_refuses_an_image_without_signal():
    with pytest.raises(ValueError, match="subject P1: the image has no value above 0, expected a head"):
        normalise(Sample("P1", Volume(-torch.ones(1, 4, 4, 4)), ("T2",)), shape=(4, 4, 4))
