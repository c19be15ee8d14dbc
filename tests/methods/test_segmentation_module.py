"""The Lightning module: its losses, its learning rate, training that learns, validation on whole scans."""

import pytest
import torch
from torch.utils.data import DataLoader

from medlab import nn
from medlab.methods.segmentation import Segmentation, SubVolumes, judge
from medlab.metrics.losses import dice_cross_entropy_loss
from medlab.training import fit, load_weights, save_weights, training_batches
from tests.methods.hand_made import SMALL, changed, nested


def batch_of(config=SMALL, count=2):
    stream = SubVolumes([nested()], config)
    items = [stream.draw(index) for index in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def test_the_loss_is_dice_and_cross_entropy():
    method, batch = Segmentation(SMALL), batch_of()
    logits = method(batch["image"])
    found = method.losses(logits, batch["label"])
    expected = dice_cross_entropy_loss(logits, batch["label"], absent="ignore")
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(found["loss"], found["dice"] + found["cross_entropy"])
    weighed = Segmentation(changed(dice_weight=0.5, cross_entropy_weight=2.0)).losses(logits, batch["label"])
    torch.testing.assert_close(weighed["loss"], 0.5 * found["dice"] + 2 * found["cross_entropy"])


def test_deep_supervision_weighs_each_depth_half_of_the_one_before():
    method = Segmentation(SMALL)
    label = torch.zeros(1, 8, 8, 8, dtype=torch.int64)
    label[:, ::2, ::2, ::2] = 1  # the corner of each block: all that the coarser depth is judged by
    fine = torch.randn(1, 4, 8, 8, 8)
    coarse = torch.full((1, 4, 4, 4, 4), -20.0)
    coarse[:, 1] = 20.0  # perfect there
    alone = method.losses(fine, label)
    both = method.losses((fine, coarse), label)
    torch.testing.assert_close(both["cross_entropy"], alone["cross_entropy"] * 2 / 3)


def test_networks_with_deep_supervision_train():
    config = changed(options=(("width", 2), ("levels", 3), ("deep_supervision", True)))
    method, batch = Segmentation(config).train(), batch_of(config)
    assert isinstance(method(batch["image"]), tuple)
    method.losses(method(batch["image"]), batch["label"])["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert method.segment(nested()).labels.shape == nested().label.shape


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before():
    torch.manual_seed(1)
    one = Segmentation(SMALL, seed=5)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    other = Segmentation(SMALL, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_learning_rate_warms_up_and_falls():
    config = changed(steps=100, warm_up=10, learning_rate=0.01)
    parts = Segmentation(config).configure_optimizers()
    rates = []
    for _ in range(100):
        rates.append(parts["optimizer"].param_groups[0]["lr"])
        parts["optimizer"].step()
        parts["lr_scheduler"]["scheduler"].step()
    assert rates[0] == pytest.approx(0.001) and max(rates) == pytest.approx(0.01) and rates[-1] < 1e-4
    assert isinstance(parts["optimizer"], torch.optim.AdamW)
    assert isinstance(Segmentation(changed(optimiser="sgd")).configure_optimizers()["optimizer"], torch.optim.SGD)


@pytest.mark.slow
def test_it_learns_nested_balls_and_validation_is_the_hard_dice_of_whole_scans(tmp_path):
    config = changed(options=(("width", 4), ("levels", 3)), steps=60, learning_rate=0.02, patch=(12, 12, 12), batch=2)
    samples = [nested(seed=seed, subject=str(seed)) for seed in range(3)]
    method = Segmentation(config)
    watched = DataLoader(samples[2:], batch_size=None, collate_fn=lambda sample: sample)
    found = fit(
        method,
        training_batches(SubVolumes(samples[:2], config).draw, config.batch),
        watched,
        directory=tmp_path,
        steps=config.steps,
        profile="ci",
        config=config.as_dict(),
        monitor="validation/dice",
        mode="max",
    )
    scores = judge(method.segment(samples[2]), samples[2])
    assert scores["mean_dice"] > 0.9
    assert found.curve("validation/dice")[1][-1] == pytest.approx(scores["mean_dice"], abs=1e-6)
    path = save_weights(method, tmp_path / "w.safetensors", {"method": "segmentation", "config": config.as_dict()})
    again = Segmentation.from_weights(*load_weights(path))
    assert torch.equal(again.segment(samples[2]).probabilities, method.segment(samples[2]).probabilities)


@pytest.mark.parametrize("network", [name for name in nn.NETWORKS if name != "unet2d"])
def test_every_network_of_the_zoo_segments_a_scan(network):
    narrow = {"growth": (2,) * 9, "reduction": (4, 4, 4)}
    options = narrow if network in ("densenet3d", "late_fusion", "early_fusion", "hyperdense") else {}
    if network == "unet3d":
        options = {"width": 2}
    config = changed(network=network, options=tuple(options.items()), patch=(16, 16, 16), overlap=0.0)
    found = Segmentation(config).segment(nested())
    assert found.labels.shape == nested().label.shape
    torch.testing.assert_close(found.probabilities.sum(0), torch.ones(nested().label.shape))
