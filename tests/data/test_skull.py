"""Skull stripping: close to the true brain, of any unit and orientation, and refused where there is no head."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import T1, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data import Volume, VolumeError
from medlab.data.skull import otsu_threshold, strip_skull, tissue_depth_mm

GRID = Grid((62, 76, 62), (3.0, 3.0, 3.0))


@pytest.fixture(scope="module")
def head():
    subject = draw_subject(replace(draw_person(0), angles_deg=(0.0, 0.0, 0.0), shift_mm=(0.0, 0.0, 0.0)), GRID)
    return Volume(mr_image(subject, T1, 0)[None], GRID.affine, "head"), brain_mask(subject)


def dice(a, b):
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_brain_is_found(head):
    image, brain = head
    found = strip_skull(image)
    assert found.dtype == torch.bool and found.shape == brain.shape
    assert dice(found, brain) > 0.93
    assert ndimage.label(found.numpy())[1] == 1 and not (ndimage.binary_fill_holes(found) ^ found.numpy()).any()


def test_too_small_a_radius_leaves_the_scalp_and_too_large_a_one_takes_brain(head):
    image, brain = head
    left, taken = strip_skull(image, radius_mm=1.0), strip_skull(image, radius_mm=11.0)
    assert float(left.sum()) > 1.3 * float(brain.sum()) and dice(left, brain) < 0.85
    assert float(taken.sum()) < 0.9 * float(brain.sum()) and dice(taken, brain) < 0.93


def test_units_and_the_order_of_voxels_do_not_matter(head):
    image, _ = head
    found = strip_skull(image)
    assert float((strip_skull(image.with_data(image.data * 1000)) ^ found).float().mean()) < 1e-4
    turned = Volume(image.data.flip(1).transpose(1, 3).contiguous(), image.affine[:, [2, 1, 0, 3]])
    assert torch.equal(strip_skull(turned), found.flip(0).transpose(0, 2))


def test_depth_is_in_mm():
    values = torch.zeros(1, 20, 20, 30)
    values[:, 4:15, 4:15, 6:23] = 1 + 0.01 * torch.rand(11, 11, 17, generator=torch.Generator().manual_seed(0))
    values[:, 9, 9, 14] = 5.0  # fat
    depth = tissue_depth_mm(Volume(values, np.diag([2.0, 2.0, 0.5, 1.0])))
    assert depth[9, 9, 14] == 0 and depth[9, 9, 15] == 0.5 and depth[3, 9, 14] == 0
    assert depth[4, 9, 14] == 2 and depth[9, 9, 6] == 0.5


def test_otsu_is_the_best_of_all_thresholds():
    random = np.random.default_rng(3)
    values = np.concatenate([random.normal(10, 2, 3000), random.normal(30, 4, 1000)])
    found = otsu_threshold(values)
    assert 15 < found < 25

    def variance(threshold):
        low, high = values[values < threshold], values[values >= threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    # Up to what half a bin's rounding of the means does.
    others = [variance(threshold) for threshold in np.linspace(5, 35, 400)]
    assert variance(found) > 0.999 * max(others)


NOISE = torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("data", "radius", "message"),
    [
        (torch.zeros(1, 8, 8, 8), 3.0, "every voxel is 0, expected a T1-weighted head"),
        (NOISE, 3.0, "it has 2 channels, expected one"),
        (NOISE[:1], 9.0, "no tissue lies deeper than 9 mm, expected a T1-weighted head, or a smaller radius_mm"),
        (NOISE[:1], 0.0, "radius_mm is 0.0, expected a length above 0 mm"),
    ],
)
def test_refuses(data, radius, message):
    with pytest.raises(ValueError, match=message) as refusal:
        strip_skull(Volume(data, name="noise"), radius_mm=radius)
    assert isinstance(refusal.value, VolumeError) or "radius_mm is" in message
