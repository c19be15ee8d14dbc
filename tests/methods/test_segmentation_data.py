"""What a network learns from: standardised samples and a stream of sub-volumes."""

from dataclasses import replace

import pytest
import torch

from medlab.methods.segmentation import SubVolumes, prepare, standardise
from medlab.methods.segmentation.preparation import as_classes, as_values
from tests.methods.hand_made import NAMES, SMALL, changed, nested


def test_intensities_are_standardised_over_the_brain_only():
    sample = nested()
    ready = prepare(sample, SMALL)
    inside = ready.image.data[:, sample.mask]
    torch.testing.assert_close(inside.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(inside.std(1, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    # A scan of twice the intensity, such as another scanner gives, is the same to the network.
    double = standardise(sample.image.with_data(2 * sample.image.data), sample.mask)
    torch.testing.assert_close(double.data, ready.image.data)


def test_without_a_mask_voxels_that_are_not_zero_count():
    ready = prepare(nested(masked=False), SMALL)
    torch.testing.assert_close(ready.image.data, prepare(nested(), SMALL).image.data)


def test_channels_are_chosen_by_name():
    sample = nested()
    ready = prepare(sample, changed(channels=("T2",)))
    assert ready.channels == ("T2",) and ready.image.shape[0] == 1
    torch.testing.assert_close(ready.image.data[0], prepare(sample, SMALL).image.data[1])
    with pytest.raises(ValueError, match="subject A01: there is no channel 'FLAIR', expected one of T1, T2"):
        prepare(sample, changed(channels=("FLAIR",)))


def test_values_of_label_files_become_classes_and_come_back():
    config = changed(labels=(0, 10, 150, 250))  # as iSEG's files have them
    label = torch.tensor([[[0, 10, 150, 250]]], dtype=torch.uint8)
    classes = as_classes(label, config, "A01")
    assert classes.tolist() == [[[0, 1, 2, 3]]]
    assert torch.equal(as_values(classes, config), label)
    with pytest.raises(ValueError, match=r"subject A01: the label has the values \[7\], expected 0, 10, 150, 250"):
        as_classes(torch.full((1, 1, 1), 7, dtype=torch.uint8), config, "A01")


def test_an_item_follows_from_seed_and_index_alone():
    samples = [nested(seed=0, subject="A"), nested(seed=1, subject="B")]
    config = changed(augment=("flip", "gamma", "noise", "bias"))
    one, other = SubVolumes(samples, config, seed=3), SubVolumes(samples, config, seed=3)
    forward = [one.draw(index) for index in range(6)]
    torch.manual_seed(99)
    backward = [other.draw(index) for index in reversed(range(6))][::-1]
    for first, second in zip(forward, backward, strict=True):
        assert torch.equal(first["image"], second["image"]) and torch.equal(first["label"], second["label"])
    assert not torch.equal(forward[0]["image"], SubVolumes(samples, config, seed=4).draw(0)["image"])
    assert forward[0]["image"].shape == (2, 8, 8, 8) and forward[0]["label"].dtype == torch.int64


def test_every_subject_is_drawn_evenly_and_no_patch_is_empty():
    samples = [nested(seed=seed, subject=str(seed)) for seed in range(3)]
    stream = SubVolumes(samples, changed(patch=(4, 4, 4)))
    assert stream.subjects == ("0", "1", "2")
    drawn = [stream.draw(index) for index in range(300)]
    assert all(one["label"].any() for one in drawn)


def test_a_share_is_drawn_anywhere():
    sample = nested((20, 20, 20))
    stream = SubVolumes([sample], changed(patch=(4, 4, 4), anywhere=0.5))
    empty = sum(not stream.draw(index)["label"].any() for index in range(300))
    positions = 17**3
    tissue = torch.nn.functional.max_pool3d((sample.label > 0)[None].float(), 4, 1).sum()
    expected = 150 * float(1 - tissue / positions)
    assert abs(empty - expected) < 4 * expected**0.5


def test_image_and_label_stay_together_under_augmentation():
    # Intensity follows the label, so after any transform of space each class keeps its own range.
    stream = SubVolumes([nested()], changed(augment=("flip",), patch=(12, 12, 12)))
    for index in range(8):
        item = stream.draw(index)
        means = [item["image"][0][item["label"] == label].mean() for label in (1, 2, 3)]
        assert means[0] < means[1] < means[2]


def test_a_sample_without_label_is_refused():
    with pytest.raises(ValueError, match="subject A01: there is no label, expected one to learn from"):
        SubVolumes([replace(nested(), label=None, label_names=NAMES)], SMALL)
    with pytest.raises(ValueError, match="samples are none, expected one at least"):
        SubVolumes([], SMALL)
