"""Clinical measures: by hand, by gradients, by property, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.metrics.clinical import lesion_contrast_ratio, region_errors, volume_ml
from medlab.metrics.image import mae, mse, psnr

GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.rand(6, 7, 5, generator=GENERATOR, dtype=torch.float64) + 1
OTHER = IMAGE + 0.1 * torch.randn(6, 7, 5, generator=GENERATOR, dtype=torch.float64)
LESION = torch.zeros(6, 7, 5, dtype=torch.bool)
LESION[2:4, 3:5, 1:3] = True
NAWM = torch.zeros(6, 7, 5, dtype=torch.bool)
NAWM[:2] = True
REGIONS = {"lesion": LESION, "NAWM": NAWM}


def test_lesion_contrast_by_hand():
    image = torch.tensor([[6.0, 8.0, 100.0], [4.0, 3.0, 5.0]])
    lesion = torch.tensor([[1, 1, 0], [0, 0, 0]])
    nawm = np.array([[False, False, False], [True, True, True]])
    assert float(lesion_contrast_ratio(image, lesion, nawm)) == pytest.approx(7 / 4)
    assert float(lesion_contrast_ratio(image.int(), lesion, nawm)) == pytest.approx(7 / 4)
    inside = torch.tensor([[1, 0, 1], [1, 1, 0]])
    assert float(lesion_contrast_ratio(image, lesion, nawm, mask=inside)) == pytest.approx(6 / 3.5)
    both = lesion_contrast_ratio(torch.stack([image, 2 * image]), lesion, nawm, batch_dims=1)
    assert both.tolist() == pytest.approx([7 / 4, 7 / 4])


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 1e3), seed=st.integers(0, 99))
def test_lesion_contrast_ignores_scale_and_what_lies_elsewhere(scale, seed):
    image = torch.rand(6, 7, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5
    ratio = float(lesion_contrast_ratio(image, LESION, NAWM))
    elsewhere = image + 1e3 * ~(LESION | NAWM)
    assert float(lesion_contrast_ratio(scale * elsewhere, LESION, NAWM)) == pytest.approx(ratio)
    assert float(lesion_contrast_ratio(image.flip(0), LESION.flip(0), NAWM.flip(0))) == pytest.approx(ratio)
    lifted = torch.where(LESION, 2 * image, image)
    assert float(lesion_contrast_ratio(lifted, LESION, NAWM)) == pytest.approx(2 * ratio)


def test_a_volume_is_the_sum_of_shares():
    cube = torch.zeros(20, 20, 20, dtype=torch.bool)
    cube[5:15, 5:15, 5:15] = True
    assert float(volume_ml(cube)) == pytest.approx(1.0)  # 10 mm edges are 1 ml
    assert float(volume_ml(cube.numpy().astype(np.uint8), (2.0, 1.0, 0.5))) == pytest.approx(1.0)
    assert float(volume_ml(0.25 * cube, 2)) == pytest.approx(2.0)
    assert volume_ml(torch.stack([cube, ~cube]), batch_dims=1).tolist() == pytest.approx([1.0, 7.0])


def test_partial_volume_beats_a_threshold():
    # A ball of 2 mm radius in 2 mm voxels; its shares are counted on a grid eight times finer.
    fine = (np.stack(np.meshgrid(*[np.arange(-40, 40) + 0.5] * 3, indexing="ij")) / 8) + np.array([0.3, 0.6, 0.1])[
        :, None, None, None
    ]
    inside = ((fine**2).sum(0) < 1).astype(float)
    share = inside.reshape(10, 8, 10, 8, 10, 8).mean((1, 3, 5))
    truth = 4 / 3 * math.pi * 2**3 / 1000
    assert float(volume_ml(share, 2.0)) == pytest.approx(truth, rel=0.01)
    assert abs(float(volume_ml(share > 0.5, 2.0)) / truth - 1) > 0.04


@settings(max_examples=20, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.1, 9)] * 3), seed=st.integers(0, 99), axis=st.integers(0, 2), cut=st.integers(1, 4)
)
def test_volumes_add_up_and_scale(spacing, seed, axis, cut):
    share = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    whole = float(volume_ml(share, spacing))
    assert float(volume_ml(share.flip(axis), spacing)) == pytest.approx(whole)
    parts = share.narrow(axis, 0, cut), share.narrow(axis, cut, share.shape[axis] - cut)
    assert sum(float(volume_ml(part, spacing)) for part in parts) == pytest.approx(whole)
    assert float(volume_ml(share, tuple(2 * one for one in spacing))) == pytest.approx(8 * whole)


def test_every_region_is_judged_by_its_own_voxels():
    found = region_errors(OTHER, IMAGE, REGIONS, 2.0)
    assert list(found) == ["lesion", "NAWM", "other"]
    for name, mask in (*REGIONS.items(), ("other", ~(LESION | NAWM))):
        assert float(found[name].mae) == pytest.approx(float(mae(OTHER, IMAGE, mask=mask)))
        assert float(found[name].mse) == pytest.approx(float(mse(OTHER, IMAGE, mask=mask)))
        assert float(found[name].psnr) == pytest.approx(float(psnr(OTHER, IMAGE, 2.0, mask=mask)))
        assert int(found[name].voxels) == int(mask.sum())
    # Weighted by their voxels, regions without overlap make the whole.
    whole = sum(float(one.mse) * int(one.voxels) for one in found.values()) / IMAGE.numel()
    assert whole == pytest.approx(float(mse(OTHER, IMAGE)))


def test_an_error_stays_in_its_region():
    worse = torch.where(LESION, IMAGE + 3, IMAGE)
    found = region_errors(worse, IMAGE, REGIONS, 2.0)
    assert float(found["lesion"].mae) == pytest.approx(3) and float(found["lesion"].mse) == pytest.approx(9)
    assert float(found["NAWM"].mae) == 0 == float(found["other"].mse) and float(found["other"].psnr) == math.inf


def test_regions_masks_batches_and_nothing_to_judge():
    brain = torch.zeros_like(LESION)
    brain[2:] = True
    found = region_errors(OTHER, IMAGE, REGIONS, 2.0, mask=brain)
    assert math.isnan(found["NAWM"].mae) and int(found["NAWM"].voxels) == 0
    rest = mae(OTHER, IMAGE, mask=brain & ~LESION)
    assert float(found["other"].mae) == pytest.approx(float(rest))
    pair = [torch.stack([one, one + 1]) for one in (OTHER, IMAGE)]
    lesions = torch.stack([LESION, torch.zeros_like(LESION)])
    found = region_errors(*pair, {"lesion": lesions, "NAWM": NAWM}, 2.0, batch_dims=1)
    assert found["lesion"].mae.shape == (2,) and math.isnan(found["lesion"].mse[1])
    assert float(found["lesion"].mae[0]) == pytest.approx(float(mae(OTHER, IMAGE, mask=LESION)))
    covered = region_errors(OTHER, IMAGE, {"all": LESION | ~LESION}, 2.0)
    assert int(covered["other"].voxels) == 0 and math.isnan(covered["other"].psnr)


@pytest.mark.parametrize(
    "measure",
    [
        lambda x: lesion_contrast_ratio(x, LESION, NAWM),
        lambda x: volume_ml(x / 3),
        lambda x: torch.stack([torch.stack(one[:3]) for one in region_errors(x, IMAGE, REGIONS, 2.0).values()]),
        lambda x: region_errors(x, IMAGE, {"lesion": LESION, "none": LESION & NAWM}, 2.0)["lesion"].mae,
    ],
)
def test_gradients(measure):
    x = OTHER.clone().requires_grad_()
    assert torch.autograd.gradcheck(measure, (x,))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lesion_contrast_ratio(IMAGE, LESION & NAWM, NAWM), "lesion is empty, expected at least one voxel"),
        (lambda: lesion_contrast_ratio(IMAGE, LESION, NAWM, mask=LESION), "reference_region is empty"),
        (lambda: lesion_contrast_ratio(IMAGE, LESION, NAWM | LESION), "share 8 voxels, expected none"),
        (lambda: lesion_contrast_ratio(-IMAGE, LESION, NAWM), "in reference_region, expected a mean above 0"),
        (lambda: lesion_contrast_ratio(IMAGE, 2 * LESION, NAWM), "lesion holds 2, expected a mask of 0 and 1"),
        (lambda: lesion_contrast_ratio(IMAGE * math.nan, LESION, NAWM), "image contains NaN, expected finite numbers"),
        (
            lambda: lesion_contrast_ratio(IMAGE, LESION[:3], NAWM),
            r"lesion has the shape \(3, 7, 5\), expected",
        ),
        (lambda: lesion_contrast_ratio(IMAGE[0, 0], LESION, NAWM), "image has 1 axes of space, expected 2 or 3"),
        (lambda: volume_ml(IMAGE), "share holds 1.*, expected a mask or numbers from 0 to 1"),
        (lambda: volume_ml(-LESION.double()), "share holds -1, expected a mask or numbers from 0 to 1"),
        (lambda: volume_ml(LESION[0]), r"share has the shape \(7, 5\), expected \(X, Y, Z\)"),
        (lambda: volume_ml(LESION, -1.0), "spacing is -1.0, expected a length above 0 mm"),
        (lambda: volume_ml(LESION, (1.0, 1.0)), "spacing holds 2 numbers, expected one for each of 3 axes"),
        (lambda: region_errors(OTHER, IMAGE[:2], REGIONS, 1.0), "prediction has the shape"),
        (lambda: region_errors(OTHER, IMAGE, {}, 1.0), "regions is {}, expected a dict of one or more masks by name"),
        (lambda: region_errors(OTHER, IMAGE, {"other": LESION}, 1.0), "regions names 'other', expected another name"),
        (
            lambda: region_errors(OTHER, IMAGE, {"a": IMAGE}, 1.0),
            r"regions\['a'\] holds 1.* expected a mask",
        ),
        (lambda: region_errors(OTHER, IMAGE, {"a": LESION[1]}, 1.0), r"regions\['a'\] has the shape \(7, 5\)"),
        (lambda: region_errors(OTHER, IMAGE, REGIONS, 0.0), "data_range is 0.0, expected a number above 0"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
