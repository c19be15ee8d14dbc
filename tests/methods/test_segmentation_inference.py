"""Whole scans: any size, any orientation, any spacing; labels come back on the scan's own grid."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.data import Volume, load_volume
from medlab.methods.segmentation import Segmentation, judge, segment_volume, standardise
from medlab.metrics import dice
from tests.methods.hand_made import SMALL, by_intensity, changed, nested


def mean_dice(found, sample):
    return float(dice(found.labels, sample.label, labels=[1, 2, 3]).mean())


def test_a_perfect_network_gives_a_perfect_segmentation():
    sample = nested()
    found = segment_volume(by_intensity(), sample.image, SMALL, mask=sample.mask)
    assert torch.equal(found.labels, sample.label)
    torch.testing.assert_close(found.probabilities.sum(0), torch.ones(sample.label.shape))
    scores = judge(found, sample)
    assert scores["mean_dice"] == scores["mean_dice_background"] == 1 and max(scores["hd95"].values()) == 0


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(9, 21)] * 3), flips=st.booleans(), batch=st.integers(1, 4))
def test_any_size(shape, flips, batch):
    sample = nested(shape)
    found = segment_volume(by_intensity(), sample.image, changed(flips=flips), mask=sample.mask, batch=batch)
    assert found.labels.shape == shape and mean_dice(found, sample) > 0.97


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SAL"])
def test_any_orientation_and_the_file_has_the_scans_affine(axes, tmp_path):
    straight = nib.Nifti1Image(nested().image.data.permute(1, 2, 3, 0).numpy(), np.diag([1.0, 1.0, 1.0, 1.0]))
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(straight.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    turned = straight.as_reoriented(turn)
    scan = Volume(
        torch.from_numpy(np.ascontiguousarray(turned.get_fdata(dtype=np.float32))).permute(3, 0, 1, 2).contiguous(),
        turned.affine,
    )
    assert scan.orientation == axes
    found = segment_volume(by_intensity(), scan, SMALL)
    path = found.save(tmp_path / "labels.nii.gz")
    stored = nib.load(path)
    np.testing.assert_allclose(stored.affine, turned.affine, atol=1e-5)
    assert stored.shape == turned.shape[:3]
    expected = nib.Nifti1Image(nested().label.numpy(), np.eye(4)).as_reoriented(turn).get_fdata()
    np.testing.assert_array_equal(stored.get_fdata(), expected)


def test_another_spacing_is_brought_to_the_networks_and_back():
    affine = np.diag([0.5, 0.5, 0.8, 1.0])
    sample = nested((28, 30, 22), affine=affine)
    found = segment_volume(by_intensity(), sample.image, SMALL, mask=sample.mask)
    assert found.labels.shape == (28, 30, 22)
    assert mean_dice(found, sample) > 0.9  # borders move by partial volumes of the coarser grid
    torch.testing.assert_close(found.probabilities.sum(0), torch.ones(28, 30, 22), atol=1e-4, rtol=0)


def test_one_window_is_the_network_itself():
    scan = Volume(torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(1)) + 1)
    method = Segmentation(SMALL)
    with torch.no_grad():
        expected = method.eval()(standardise(scan).data[None]).softmax(1)[0]
    torch.testing.assert_close(method.segment(scan).probabilities, expected)


def test_the_mode_is_restored_and_no_gradient_is_kept():
    method = Segmentation(SMALL).train()
    found = method.segment(nested())
    assert method.training and not found.probabilities.requires_grad


def test_volumes_and_names():
    sample = nested(affine=np.diag([2.0, 1.0, 1.0, 1.0]))
    found = segment_volume(by_intensity(), sample.image, changed(spacing_mm=(2, 1, 1)), mask=sample.mask)
    assert found.volumes_ml()["white matter"] == pytest.approx(2e-3 * int((sample.label == 3).sum()))
    assert set(found.volumes_ml()) == {"fluid", "grey matter", "white matter"}


def test_flips_make_the_answer_symmetric():
    method = Segmentation(changed(flips=True, overlap=0.0, patch=(16, 16, 16)))
    sample = nested((16, 16, 16), masked=False)
    mirrored = sample.image.with_data(sample.image.data.flip(1))
    one, other = method.segment(sample.image), method.segment(mirrored)
    torch.testing.assert_close(one.probabilities, other.probabilities.flip(1), atol=1e-5, rtol=1e-4)


def test_missing_channels_and_labels_are_refused():
    sample = nested()
    with pytest.raises(ValueError, match="it has 1 channels, expected 2: T1, T2"):
        segment_volume(by_intensity(), sample.image.with_data(sample.image.data[:1]), SMALL)
    found = segment_volume(by_intensity(), sample.image, SMALL)
    with pytest.raises(ValueError, match="subject A01: there is no label, expected one to judge by"):
        judge(found, replace(sample, label=None))


def test_a_class_that_neither_has_is_not_counted():
    sample = nested()
    without = replace(sample, label=torch.where(sample.label == 3, 2, sample.label))
    found = segment_volume(by_intensity(), sample.image, SMALL, mask=sample.mask)
    found.labels[found.labels == 3] = 2
    scores = judge(found, without)
    assert np.isnan(scores["dice"]["white matter"]) and scores["mean_dice"] == 1


def test_a_saved_segmentation_reads_back(tmp_path):
    sample = nested()
    found = segment_volume(by_intensity(), sample.image, SMALL, mask=sample.mask)
    again = load_volume(found.save(tmp_path / "one.nii"))
    assert torch.equal(again.data[0].to(torch.uint8), found.labels)
