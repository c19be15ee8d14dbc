"""Faults of the code that was published with the thesis, each with a case that its code gets wrong and ours right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from medlab import nn
from medlab.data import Volume, load_volume
from medlab.data.augment import Affine, Compose, Elastic
from medlab.data.patches import PatchSampler
from medlab.data.samples import Sample, Samples
from medlab.data.splits import split_by_subject
from medlab.methods.segmentation import Segmentation, SubVolumes, judge, prepare, segment_volume
from medlab.metrics.losses import soft_dice, soft_dice_loss
from medlab.training import fit, training_batches
from tests.methods.hand_made import NAMES, SMALL, by_intensity, changed, nested


class Few(Samples):
    """Samples that are given."""

    def __init__(self, *samples: Sample):
        self.samples = samples

    @property
    def subjects(self):
        return tuple(sample.subject for sample in self.samples)

    def facts(self, index):
        return self.samples[index].facts

    def load(self, index):
        return self.samples[index]


def ones(shape, subject="ones") -> Sample:
    return Sample(subject, Volume(torch.ones(1, *shape), np.eye(4), subject), ("T1",))


def test_a_class_that_is_absent_does_not_count_as_an_error():
    label = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    perfect = F.one_hot(label, 4).movedim(-1, 1).float()
    assert float(1 - soft_dice(perfect, label, undefined=0.0).mean()) == pytest.approx(0.75)  # theirs
    logits = 40 * perfect - 20
    found = Segmentation(SMALL).losses(logits, label)
    assert float(found["loss"]) < 1e-6 and float(found["dice"]) < 1e-6
    # Not for free: voxels of an absent class are told off by the cross entropy.
    logits[0, :, 0, 0, 0] = torch.tensor([-20.0, 20.0, -20.0, -20.0])
    assert float(Segmentation(SMALL).losses(logits, label)["cross_entropy"]) > 0.05


def test_dice_is_hard_and_of_the_whole_scan():
    sample = nested((20, 18, 16))
    config = changed(channels=("T1",))
    method = Segmentation(config)
    method.network = torch.nn.Module()
    unsure = by_intensity(config)
    method.network.forward = lambda image: 0.01 * unsure(image)  # right, and hardly sure
    found = method.segment(sample)
    assert judge(found, sample, surface=False)["mean_dice_background"] > 0.99
    soft = float(soft_dice(found.probabilities[None], sample.label[None].long(), squared=True).mean())
    assert soft < 0.8
    # A number of the whole: it does not depend on how the scan is cut into windows.
    method.config = replace(config, patch=(5, 20, 7), overlap=0.0)
    again = judge(method.segment(sample), sample, surface=False)
    assert again["dice"] == pytest.approx(judge(found, sample, surface=False)["dice"], abs=0.02)


def test_a_sampler_ends_where_there_is_nothing_to_draw():
    empty = nested()
    empty = replace(empty, label=torch.zeros_like(empty.label))
    with pytest.raises(ValueError, match="no patch of 8 x 8 x 8 voxels holds any content"):
        SubVolumes(Few(empty), SMALL)


def test_a_single_voxel_of_tissue_is_found_at_once():
    label = torch.zeros(60, 60, 60, dtype=torch.uint8)
    label[59, 59, 59] = 1
    sample = replace(nested((60, 60, 60)), label=label, mask=None)
    stream = SubVolumes(Few(sample), SMALL)
    assert all((stream.draw(index)["label"] == 1).any() for index in range(20))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_last_position_is_drawn_as_often_as_any(axis):
    shape = [8, 8, 8]
    shape[axis] = 11
    starts = PatchSampler(ones(shape), 8).starts(4000, seed=1)[:, axis]
    counts = torch.bincount(starts, minlength=4)
    assert len(counts) == 4 and counts.min() > 850  # 1000 each, five deviations of 27


def test_two_axes_of_full_size_give_a_full_crop():
    sample = ones((8, 8, 12))
    patch = PatchSampler(sample, (8, 8, 4)).draw(5, seed=0)
    assert patch["image"].shape == (5, 1, 8, 8, 4)
    whole = PatchSampler(sample, (8, 8, 12)).cut((0, 0, 0))
    torch.testing.assert_close(whole["image"], sample.image.data)


def test_z_scores_stay_z_scores():
    sample = nested()
    image = prepare(sample, SMALL).image.data[:, sample.mask]
    torch.testing.assert_close(image.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(image.std(1, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert image.min() < -0.5 and image.max() > 1


def test_one_draw_turns_image_and_label():
    sample = nested((24, 24, 24))
    lopsided = sample.image.data.clone()
    lopsided[:, 12:] = 0
    label = sample.label.clone()
    label[12:] = 0
    sample = replace(sample, image=sample.image.with_data(lopsided), label=label, mask=None)
    for seed in range(5):
        turned = Compose((Affine(angle_deg=60, shift_mm=0.0, scale=0.0), Elastic(3.0, 12.0)))(sample, seed)
        seen, known = turned.image.data[0] > 100, turned.label > 0
        both = (seen & known).sum() / (seen | known).sum()
        assert both > 0.9, "image and label went different ways"


def test_labels_keep_their_classes_when_they_are_turned():
    sample = nested((24, 24, 24))
    label = torch.where(sample.label == 3, 3, 0).to(torch.uint8)  # between 3 and 0 a spline finds 1 and 2
    sample = replace(sample, label=label, label_names=NAMES)
    for seed in range(5):
        turned = Affine(angle_deg=45)(sample, seed).label
        assert set(turned.unique().tolist()) == {0, 3}


def test_parts_are_divided_by_subject_and_stratum_not_by_sorted_path():
    """Paths begin with HGG or LGG: a cut through the sorted list puts all low grades into one part."""
    blank = ones((1, 1, 1))
    scans = []
    for number in range(40):
        grade = "HGG" if number < 28 else "LGG"
        for session in "ab":
            scans.append(replace(blank, subject=f"{grade}/{number:03}", session=session, facts={"grade": grade}))
    samples = Few(*scans)
    parts = split_by_subject(samples, {"train": 0.75, "validation": 0.25}, seed=0, stratify="grade")
    assert not set(parts["train"].subjects) & set(parts["validation"].subjects)
    low = {name: np.mean(["LGG" in subject for subject in part.subjects]) for name, part in parts.items()}
    assert low["train"] == pytest.approx(0.3) and low["validation"] == pytest.approx(0.3)
    ordered = sorted(samples.subjects)
    assert np.mean(["LGG" in subject for subject in ordered[60:]]) == 1  # theirs


def test_a_validation_mean_is_divided_by_its_own_count(tmp_path):
    config = changed(steps=5, learning_rate=0.0)
    held_out = Few(nested(seed=1, subject="B"), nested((12, 13, 20), seed=2, subject="C"))
    method = Segmentation(config)
    by_hand = np.mean([judge(method.segment(one), one, surface=False)["mean_dice"] for one in held_out])
    done = fit(
        method,
        training_batches(SubVolumes(Few(nested()), config).draw, 1, 0),
        DataLoader(held_out, batch_size=None, collate_fn=lambda sample: sample),
        directory=tmp_path,
        steps=config.steps,
        profile="ci",
        validate_every=config.steps,
        checkpoint_every=config.steps,
        monitor="validation/dice",
        mode="max",
    )
    assert done.curve("validation/dice")[1][-1] == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("name", ["vnet", "vnet_light"])
@pytest.mark.parametrize("channels", [3, 5])
def test_a_vnet_takes_any_number_of_channels(name, channels):
    image = torch.randn(1, channels, 16, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    nn.build(name, channels, 4, width=4)(image).square().sum().backward()
    assert (image.grad.abs().amax((0, 2, 3, 4)) > 0).all()  # each is looked at


def test_a_scan_is_segmented_by_windows_that_overlap():
    """Seen alone, the border of a window is worth less: a network that is wrong there must not be heard there."""

    def wrong_at_the_border(image):
        logits = torch.zeros(len(image), 4, *image.shape[2:])
        logits[:, 3] = 9.0
        inner = (slice(None), slice(None), *(slice(2, -2),) * 3)
        logits[inner] = torch.tensor([0.0, 9.0, 0.0, 0.0])[:, None, None, None]
        return logits

    sample = replace(nested((24, 24, 24)), mask=torch.ones(24, 24, 24, dtype=torch.bool))
    config = changed(patch=(12, 12, 12))
    image = sample.image
    middle = (slice(4, 20),) * 3
    for overlap, all_right in ((0.5, True), (0.0, False)):
        found = segment_volume(wrong_at_the_border, image, replace(config, overlap=overlap), mask=sample.mask)
        assert bool((found.labels[middle] == 1).all()) == all_right


def test_a_result_is_a_nifti_file_on_the_scans_grid(tmp_path):
    affine = np.array([[0, -1.2, 0, 30], [0.9, 0, 0, -20], [0, 0, -2.0, 11], [0, 0, 0, 1.0]])
    sample = nested((12, 14, 10), affine=affine)
    found = segment_volume(by_intensity(), sample.image, changed(spacing_mm=(1.2, 0.9, 2.0)), mask=sample.mask)
    back = load_volume(found.save(tmp_path / "labels.nii.gz"))
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    assert (back.data[0] == sample.label).float().mean() > 0.99


def test_the_loss_of_an_absent_class_has_no_cliff():
    label = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    one_false = F.one_hot(label, 4).movedim(-1, 1).float()
    one_false[0, :, 0, 0, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert float(soft_dice_loss(one_false, label)) > 0.24  # the formula with a small epsilon: all for one voxel
    assert float(soft_dice_loss(one_false, label, absent="ignore")) < 0.01
