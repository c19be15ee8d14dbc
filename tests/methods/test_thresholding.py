"""Thresholding: each step by hand, a bleed in a phantom, what it cannot see, refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.data import Volume
from medlab.data.errors import VolumeError
from medlab.methods.thresholding import Config, Thresholding, excess, gaps, without_small
from medlab.profiles import Profile


def phantom(bleed_hu=None, gap=False, spacing=4.0, side=64):
    """A ball of brain (30 HU, a little noise) in a closed shell of bone (900 HU); and where the bleed lies."""
    axis = (torch.arange(side) - (side - 1) / 2) * spacing
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = (x**2 + y**2 + z**2).sqrt()
    values = torch.full((side,) * 3, -1000.0)
    values[radius < 92] = 40.0
    values[radius < 84] = 900.0
    values[radius < 76] = 30.0 + 2 * torch.randn(int((radius < 76).sum()), generator=torch.Generator().manual_seed(0))
    blood = ((x - 30) ** 2 + y**2 + z**2).sqrt() < 12
    if bleed_hu is not None:
        values[blood] = bleed_hu
    if gap:
        values[(radius >= 76) & (radius < 84) & (z > 0) & (z < 3) & (x > 0)] = 40.0
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -(side - 1) / 2 * spacing
    return Volume(values[None], affine, "phantom"), blood, radius


def test_excess_by_hand():
    values = torch.tensor([10.0, 30.0, 30.0, 31.0, 60.0, 900.0]).view(6, 1, 1)
    inside = torch.tensor([True, True, True, True, True, False]).view(6, 1, 1)
    found = excess(values, inside, (1.0, 1.0, 1.0), 15.0)
    assert found.flatten().tolist() == [0, 0, 0, 0, 15, 0]


def test_what_is_brighter_than_blood_does_not_count():
    values, inside = torch.tensor([30.0, 30.0, 60.0, 400.0]).view(4, 1, 1), torch.ones(4, 1, 1, dtype=torch.bool)
    assert excess(values, inside, (1.0,) * 3, 5.0, ceiling=90.0).flatten().tolist() == [0, 0, 25, 0]


@given(shift=st.floats(-500, 500), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_what_is_added_to_all_changes_nothing(shift, seed):
    generator = torch.Generator().manual_seed(seed)
    values = 50 * torch.randn(6, 5, 4, generator=generator)
    inside = torch.rand(6, 5, 4, generator=generator) < 0.7
    inside[0, 0, 0] = True
    one, other = (excess(part, inside, (1.0, 1.0, 1.0), 20.0, smooth_mm=3.0) for part in (values, values + shift))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)
    assert float(one.min()) >= 0 and not bool(one[~inside].any())


def test_the_rim_is_measured_in_mm():
    values, inside = torch.full((9, 9, 9), 0.0), torch.zeros(9, 9, 9, dtype=torch.bool)
    inside[1:8, 1:8, 1:8] = True
    values[inside] = 100.0
    values[4, 4, 4], values[1:8, 1:8, 1:3] = 100.0, 0.0  # the median stays 100
    found = excess(values, inside, (2.0, 2.0, 2.0), -10.0, rim_mm=4.0)
    assert int((found > 0).sum()) == 27  # deeper than 4 mm: the third to the fifth of seven voxels
    whole = torch.ones(5, 5, 5, dtype=torch.bool)
    assert int((excess(values[:5, :5, :5], whole, (2.0, 2.0, 2.0), -1000.0, rim_mm=2.0) > 0).sum()) == 27


def test_small_components_go():
    values = torch.zeros(12, 12, 12)
    values[1:3, 1:3, 1:3] = 5.0  # 8 voxels of 8 mm^3: 0.064 ml
    values[6, 6, 6] = values[7, 7, 7] = 9.0  # two that touch with a corner: 0.016 ml
    spacing = (2.0, 2.0, 2.0)
    assert torch.equal(without_small(values, 0.016, spacing), values)
    kept = without_small(values, 0.05, spacing)
    assert int((kept > 0).sum()) == 8 and float(kept.max()) == 5.0
    assert not bool(without_small(values, 0.1, spacing).any())


def test_a_gap_is_as_deep_as_it_is_dark():
    values = torch.full((9, 9, 9), 700.0)
    values[4] = 100.0
    found = gaps(values, (1.0, 1.0, 1.0), 3.0)
    assert bool((found[4] == 600).all()) and not bool(found[:4].any())
    values[3:6] = 100.0  # wider than what is looked for
    assert not bool(gaps(values, (1.0, 1.0, 1.0), 3.0)[4].any())


def test_a_bleed_is_found_where_it_is():
    volume, blood, radius = phantom(bleed_hu=65.0)
    found = Thresholding().error_map(volume).values
    assert float(found[blood].mean()) > 15
    assert not bool(found[~blood & (radius < 70)].any())
    assert float(found[blood].max()) == pytest.approx(65 - 30 - 15, abs=1)


def test_a_bleed_as_dense_as_brain_is_not():
    """The failure that the method has by design: an old bleed has the density of brain."""
    for hu in (30.0, 40.0):
        assert not bool(Thresholding().error_map(phantom(bleed_hu=hu)[0]).values.any())


def test_gaps_in_bone_are_asked_for():
    volume, _, radius = phantom(gap=True, spacing=3.0)
    bone = (radius >= 77) & (radius < 83)
    assert not bool(Thresholding().error_map(volume).values[bone].any())
    assert float(Thresholding().error_map(volume, bone=True).values[bone].max()) > 500
    assert float(Thresholding().error_map(phantom()[0], bone=True).values[bone].max()) < 1


def test_configs():
    assert Config.from_dict(Config(least_ml=2.0).as_dict()) == Config(least_ml=2.0)
    assert Config.for_profile(Profile("ci")).rim_mm == 0 and Config.for_profile(Profile("cpu")) == Config.paper()
    with pytest.raises(ValueError, match="least_ml is -1"):
        Config(least_ml=-1.0)
    with pytest.raises(ValueError, match="config has the field 'height'"):
        Config.from_dict({"height": 1})


def test_refusals():
    with pytest.raises(VolumeError, match="expected a whole head in HU"):
        Thresholding().error_map(Volume(torch.full((1, 32, 32, 32), 30.0), np.diag([8.0, 8.0, 8.0, 1.0]), "no head"))
    with pytest.raises(ValueError, match="inside chooses no voxel"):
        excess(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2, dtype=torch.bool), (1.0, 1.0, 1.0), 1.0)
