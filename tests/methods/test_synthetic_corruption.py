"""Synthetic corruptions: exact masks, a stream that repeats itself, a network that learns them, and its files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.anomaly import seen
from medlab.methods.synthetic_corruption import (
    KINDS,
    Config,
    CorruptedPatches,
    SyntheticCorruption,
    corrupt,
    corrupted_head,
)
from medlab.methods.synthetic_corruption.corruptions import VISIBLE, blob, mixed, shifted, warped
from medlab.metrics.losses import cross_entropy_loss, soft_dice_loss
from medlab.profiles import Profile
from medlab.training import fit, load_weights, save_weights, training_batches

SMALL = replace(Config.for_profile(Profile("ci")), width=4, levels=2, patch=(16, 16, 16), radius_mm=(16.0, 40.0))


def head_of(seed=0, size=20, subject="A01") -> Sample:
    """A ball with some texture, in both channels of a prepared head."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for _ in range(3)), indexing="ij")
    radius = torch.stack(axes).square().sum(0).sqrt()
    chance = torch.rand(size, size, size, generator=torch.Generator().manual_seed(seed))
    inside = radius < 0.8
    equalised = inside * (0.6 - 0.3 * radius + 0.05 * chance)
    image = Volume(torch.stack([1000 * equalised, equalised]).float(), np.eye(4), subject)
    return Sample(subject, image, ("HU", "equalised"), mask=inside)


def image_of(seed=0):
    return seen(head_of(seed), "equalised").data[0]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000))
def test_masks_are_exact(kind, seed):
    image, other = image_of(0), image_of(1)
    found = corrupt(image, other, seed, kinds=(kind,), radius=(3.0, 6.0))
    outside, inside = ~found.mask, found.mask
    assert torch.equal(found.image[outside], image[outside])
    assert bool(((found.image - image)[inside].abs() > VISIBLE).all())
    assert not bool((inside & (image == 0)).any())
    assert found.image.min() >= 0 and found.image.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_something_and_not_the_input(kind):
    image, other = image_of(0), 1 - image_of(1)
    before = image.clone()
    counts = [int(corrupt(image, other, seed, kinds=(kind,), radius=(4.0, 6.0)).mask.sum()) for seed in range(8)]
    assert sum(count > 10 for count in counts) >= 5
    assert torch.equal(image, before)


def test_the_same_seed_gives_the_same_corruption():
    first, again, another = (corrupt(image_of(), image_of(1), seed) for seed in (3, 3, 4))
    assert torch.equal(first.image, again.image) and torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, another.mask)


def test_a_foreign_patch_mixes_both_heads_by_one_share():
    image, other = torch.zeros(12, 12, 12), torch.ones(12, 12, 12)
    centre, half = torch.tensor([5, 6, 7]), torch.tensor([2.0, 3.0, 1.0])
    found = mixed(image, other, centre, half, torch.Generator().manual_seed(0))
    box = found[3:8, 3:10, 6:9]
    assert 0.05 <= float(box[0, 0, 0]) <= 0.95 and bool((box == box[0, 0, 0]).all())
    assert int((found > 0).sum()) == box.numel() == 5 * 7 * 3


def test_a_blob_stays_within_its_half_widths_and_shifts_alike():
    centre, half = torch.tensor([10, 10, 10]), torch.tensor([4.0, 6.0, 8.0])
    weights = blob((21, 21, 21), centre, half, torch.Generator().manual_seed(0))
    axes = torch.meshgrid(*(torch.arange(21) - 10.0 for _ in range(3)), indexing="ij")
    away = sum((axis / h) ** 2 for axis, h in zip(axes, half, strict=True))
    assert not bool((weights[away >= 1] > 0).any()) and float(weights.max()) == 1.0
    found = shifted(torch.full((21, 21, 21), 0.5), weights, centre, half, torch.Generator().manual_seed(5))
    change = found - 0.5
    assert bool((change >= 0).all()) or bool((change <= 0).all())
    assert 0.1 <= float(change.abs().max()) <= 0.6


def test_a_warp_moves_and_invents_nothing():
    chance = torch.Generator().manual_seed(1)
    centre, half = torch.tensor([7, 7, 7]), torch.tensor([6.0, 6.0, 6.0])
    flat = torch.full((15, 15, 15), 0.3)
    torch.testing.assert_close(warped(flat, flat, centre, half, chance), flat)
    ramp = torch.linspace(0, 1, 15)[:, None, None].expand(15, 15, 15).contiguous()
    found = warped(ramp, ramp, centre, half, torch.Generator().manual_seed(1))
    axes = torch.meshgrid(*(torch.arange(15) - 7.0 for _ in range(3)), indexing="ij")
    outside = sum((axis / 6) ** 2 for axis in axes) >= 1
    torch.testing.assert_close(found[outside], ramp[outside])
    assert float((found - ramp).abs().max()) > 0.02
    assert found.min() >= 0 and found.max() <= 1


def test_air_alone_cannot_be_corrupted():
    found = corrupt(torch.zeros(8, 8, 8), torch.ones(8, 8, 8), 0)
    assert not found.mask.any() and not found.image.any()


def test_the_stream_follows_from_seed_and_index():
    heads = [head_of(seed) for seed in range(3)]
    stream, again = CorruptedPatches(heads, SMALL, 1), CorruptedPatches(heads, SMALL, 1)
    for index in (0, 5, 40):
        one, other = stream.draw(index), again.draw(index)
        assert one["image"].shape == (1, 16, 16, 16) and one["label"].dtype == torch.int64
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])
    clean = CorruptedPatches(heads, replace(SMALL, clean=1.0))
    assert not any(clean.draw(index)["label"].any() for index in range(5))
    ill = CorruptedPatches(heads, replace(SMALL, clean=0.0))
    assert sum(bool(ill.draw(index)["label"].any()) for index in range(10)) >= 8


def test_parts_larger_than_a_head_are_filled_up():
    stream = CorruptedPatches([head_of(0, 12), head_of(1, 12)], SMALL)
    assert stream.draw(0)["image"].shape == (1, 16, 16, 16)


def test_the_loss_is_dice_of_the_corrupted_and_cross_entropy():
    torch.manual_seed(0)
    method, logits = SyntheticCorruption(replace(SMALL, dice_weight=0.5)), torch.randn(1, 2, 4, 4, 4)
    label = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    label[:, :2] = 1
    found = method.losses(logits, label)
    torch.testing.assert_close(found["dice"], soft_dice_loss(logits.softmax(1), label, background=False))
    torch.testing.assert_close(found["cross_entropy"], cross_entropy_loss(logits, label))
    torch.testing.assert_close(found["loss"], 0.5 * found["dice"] + found["cross_entropy"])
    assert float(method.losses(logits, torch.zeros_like(label))["dice"]) == 0  # nothing to find, nothing to judge


def test_the_map_is_a_probability_on_the_grid_of_the_scan():
    method = SyntheticCorruption(SMALL).eval()
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    image = Volume(torch.zeros(1, 30, 17, 21), affine, "A01")
    image.data[:, 4:25, 3:14, 2:20] = torch.rand(1, 21, 11, 18) * 0.5 + 0.25
    found = method.error_map(image)
    assert found.volume.shape == image.shape and np.array_equal(found.volume.affine, affine)
    assert found.values.min() >= 0 and found.values.max() <= 1
    assert not bool(found.values[image.data[0] == 0].any()) and bool(found.values[image.data[0] > 0].all())
    assert not method.error_map(image.with_data(torch.zeros_like(image.data))).values.any()


def test_in_two_dimensions_each_slice_is_seen_by_itself():
    method = SyntheticCorruption(replace(SMALL, network="unet2d")).eval()
    image = torch.rand(2, 1, 8, 12, 3)
    found = method(image)
    assert found.shape == (2, 2, 8, 12, 3)
    for item, at in ((0, 0), (1, 2)):
        alone = method.network(image[item : item + 1, ..., at])
        torch.testing.assert_close(found[item : item + 1, ..., at], alone)


def test_training_learns_and_is_kept(tmp_path):
    config = replace(SMALL, steps=30, kinds=("blob",), clean=0.0, learning_rate=1e-2, patch=(12, 12, 12))
    stream = CorruptedPatches([head_of(seed) for seed in range(3)], config)
    method = SyntheticCorruption(config)
    done = fit(
        method,
        training_batches(lambda index: stream.draw(3), 1),  # one and the same: it can be learnt by heart
        DataLoader([head_of(9)], batch_size=None, collate_fn=lambda one: one),
        directory=tmp_path / "run",
        steps=30,
        profile="ci",
        monitor="validation/dice",
        mode="max",
    )
    _, loss = done.curve("train/loss")
    assert loss[-1] < loss[0] / 2
    assert 0 <= done.best_value <= 1
    path = save_weights(method, tmp_path / "s.safetensors", {"config": config.as_dict()})
    again = SyntheticCorruption.from_weights(*load_weights(path))
    scan = seen(head_of(5), "equalised")
    assert torch.equal(again.error_map(scan).values, method.error_map(scan).values)
    image, mask = corrupted_head(head_of(7), config)
    assert torch.equal(image, corrupted_head(head_of(7), config).image) and mask.any()


def test_configs_and_sizes():
    for config in (Config.paper(), *(Config.for_profile(Profile(name)) for name in ("ci", "cpu", "gpu"))):
        assert Config.from_dict(config.as_dict()) == config
    assert Config.paper().kinds == ("patch",)
    cpu = Config.for_profile(Profile("cpu"))
    assert cpu.radius_voxels == (2.0, 12.0)
    assert sum(parameter.numel() for parameter in SyntheticCorruption(cpu).parameters()) == 481_058


def test_refusals():
    with pytest.raises(ValueError, match="kinds is 'noise', expected one of blob, warp, patch"):
        Config(kinds=("noise",))
    with pytest.raises(ValueError, match="network is 'vnet', expected one of unet3d, unet2d"):
        Config(network="vnet")
    with pytest.raises(ValueError, match="kinds are none"):
        Config(kinds=())
    with pytest.raises(ValueError, match="radius_mm is"):
        Config(radius_mm=(9.0, 3.0))
    with pytest.raises(ValueError, match="clean is 2"):
        Config(clean=2)
    with pytest.raises(ValueError, match="config has the field 'depth'"):
        Config.from_dict({"depth": 3})
    with pytest.raises(ValueError, match="other has the shape"):
        corrupt(torch.zeros(4, 4, 4), torch.zeros(4, 4, 5), 0)
    with pytest.raises(ValueError, match="kinds is 'noise'"):
        corrupt(torch.zeros(4, 4, 4), torch.zeros(4, 4, 4), 0, kinds=("noise",))
    with pytest.raises(ValueError, match="heads are 1, expected two"):
        CorruptedPatches([head_of()], SMALL)
    with pytest.raises(ValueError, match="has 2 channels, expected 1"):
        SyntheticCorruption(SMALL).error_map(Volume(torch.zeros(2, 4, 4, 4), np.eye(4), "A01"))
