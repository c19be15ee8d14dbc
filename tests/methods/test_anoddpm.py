"""AnoDDPM: with a network that knows the healthy data exactly, a lesion is replaced and stands out; and its config."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.methods.anoddpm import AnoDDPM, Config
from medlab.profiles import Profile
from medlab.training import load_weights, save_weights

CI = Config.for_profile(Profile("ci"))
SPREAD = 0.05


class Perfect(AnoDDPM):
    """Healthy slices are a known image with a little independent noise: the best guess is known in closed form."""

    def __init__(self, config: Config, healthy: torch.Tensor):
        super().__init__(config)
        self.healthy = healthy

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = self.noising.alpha_bar[int(time[0])].float()
        return (1 - level).sqrt() * (x - level.sqrt() * self.healthy) / (level * SPREAD**2 + 1 - level)


def head(bleed: bool = False) -> Volume:
    data = torch.zeros(1, 32, 32, 32)
    data[:, 6:26, 4:28, 4:28] = 0.5
    if bleed:
        data[:, 10:14, 10:14, 14:18] = 0.9
    return Volume(data, np.diag([8.0, 8.0, 8.0, 1.0]), "a head")


@pytest.mark.parametrize("noise", ["simplex", "gaussian"])
def test_a_lesion_is_replaced_and_the_rest_comes_back(noise):
    config = replace(CI, noise=noise, depth=400, sampling_steps=50, stride=1)
    healthy = 2 * config.grid.slices(head())[0][:1] - 1
    found = Perfect(config, healthy).error_map(head(bleed=True)).values
    assert found.shape == (32, 32, 32)
    lesion = torch.isclose(head(bleed=True).data[0], torch.tensor(0.9))
    inside = head().data[0] > 0
    assert float(found[lesion].mean()) == pytest.approx(0.4, abs=0.06)
    assert float(found[inside & ~lesion].mean()) < 0.06
    assert not found[~inside].any()


def test_at_a_depth_of_one_step_nothing_happens_to_the_slice():
    config = replace(CI, depth=1, sampling_steps=1000)
    x = torch.rand(2, 1, 24, 28) * 2 - 1
    back = Perfect(config, x).restored(x, torch.Generator().manual_seed(0))
    assert float((back - x).abs().max()) < 0.1


def test_the_map_is_the_same_every_time_and_depends_on_the_seed_and_the_weights():
    method = AnoDDPM(CI, seed=1)
    first = method.error_map(head()).values
    assert torch.equal(first, method.error_map(head()).values)
    assert not torch.equal(first, method.error_map(head(), seed=1).values)
    assert method.training
    other = AnoDDPM(CI, seed=1)
    assert all(torch.equal(one, two) for one, two in zip(method.parameters(), other.parameters(), strict=True))


def test_micro_batches_are_a_matter_of_memory():
    """With the perfect network and nothing drawn (a depth of one state), batches give what single slices give."""
    config = replace(CI, noise="gaussian", depth=1, sampling_steps=1000)
    healthy = torch.zeros(1, 1, 24, 28)
    many = Perfect(replace(config, micro_batch=32), healthy).error_map(head(True)).values
    few = Perfect(replace(config, micro_batch=5), healthy).error_map(head(True)).values
    assert float((many - few).abs().max()) < 0.05


def test_the_loss_is_that_of_the_noise():
    method = AnoDDPM(CI)
    batch = {
        "image": torch.zeros(2, 1, 24, 28),
        "noise": torch.full((2, 1, 24, 28), 2.0),
        "time": torch.tensor([3, 200]),
    }
    found = method.losses(batch)
    assert set(found) == {"loss", "noise"}
    assert float(found["noise"].detach()) == pytest.approx(4.0)  # an untrained network finds no noise at all
    assert found["loss"].requires_grad


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    method = AnoDDPM(replace(CI, width=8, groups=2, learning_rate=1e-2, warm_up=0, schedule="constant"))
    optimiser = method.configure_optimizers()["optimizer"]
    losses = []
    for _ in range(15):
        batch = {
            "image": torch.zeros(4, 1, 24, 28),
            "noise": torch.randn(4, 1, 24, 28),
            "time": torch.randint(300, 400, (4,)),
        }
        loss = method.losses(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_weights_at_half_precision_are_taken(tmp_path):
    method = AnoDDPM(CI, seed=2)
    half = {name: value.half() for name, value in method.state_dict().items()}
    path = save_weights(half, tmp_path / "one.safetensors", {"config": CI.as_dict(), "method": "anoddpm"})
    again = AnoDDPM.from_weights(*load_weights(path))
    assert again.config == CI and not again.training
    assert all(value.dtype == torch.float32 for value in again.parameters())
    assert again.network.down.first.weight.allclose(method.network.down.first.weight, atol=1e-3)


def test_the_paper_and_the_profiles():
    paper = Config.paper()
    assert (paper.timesteps, paper.depth, paper.noise) == (1000, 250, "simplex")
    assert (paper.octaves, paper.persistence, paper.wavelength, paper.size) == (6, 0.8, 64.0, (256, 256))
    for name in ("ci", "cpu", "gpu"):
        config = Config.for_profile(Profile(name))
        assert Config.from_dict(config.as_dict()) == config
    parameters = sum(one.numel() for one in AnoDDPM(Config.for_profile(Profile("cpu"))).parameters())
    assert parameters == 1_324_721


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": 401}, "depth is 401"),
        ({"size": (24, 27)}, "multiples of 2"),
        ({"noise": "pink"}, "noise is 'pink'"),
        ({"sampling_steps": 1}, "sampling_steps is 1"),
        ({"precision": "64"}, "precision is '64'"),
        ({"attention": (2,)}, "attention is 2"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_refusals(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(CI, **change)


def test_refusals_of_volumes_and_fields():
    with pytest.raises(ValueError, match="2 channels"):
        AnoDDPM(CI).error_map(Volume(torch.zeros(2, 8, 8, 8)))
    with pytest.raises(ValueError, match="field 'lambda'"):
        Config.from_dict({"lambda": 1})
    with pytest.raises(ValueError, match="no slice with enough foreground"):
        AnoDDPM(CI).restored_slice(Volume(torch.zeros(1, 32, 32, 32), np.diag([8.0, 8.0, 8.0, 1.0])))
