"""Classifier-guided DDIM: without guidance a slice comes back, with it a lesion goes; what each network learns from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.methods.classifier_guidance import ClassifierGuidance, Config
from medlab.profiles import Profile

CI = Config.for_profile(Profile("ci"))
SPREAD, LESION = 0.4, (slice(None), slice(None), slice(6, 10), slice(8, 12))


class Known(ClassifierGuidance):
    """Slices are N(0, SPREAD^2) in every pixel; they are healthy where the mean over the lesion's place is low."""

    def __init__(self, config: Config, slope: float = 5.0):
        super().__init__(config)
        # Not a module of the parent: the guidance calls it with slices and times.
        del self.classifier
        self.classifier = lambda x, time: torch.stack(
            [-slope * x[LESION].mean((1, 2, 3)), slope * x[LESION].mean((1, 2, 3))], 1
        )

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = self.noising.alpha_bar[int(time[0])].float()
        return (1 - level).sqrt() * x / (level * SPREAD**2 + 1 - level)


def slices() -> torch.Tensor:
    x = SPREAD * torch.randn(2, 1, 24, 28, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    x[LESION] = 0.9
    return x


def test_without_guidance_a_slice_comes_back():
    method = Known(replace(CI, sampling_steps=1000, depth=300))
    back = method.restored(slices(), torch.Generator(), scale=0.0)
    assert float((back - slices()).abs().max()) < 0.02


def test_guidance_takes_the_lesion_away_and_leaves_the_rest():
    method = Known(replace(CI, sampling_steps=200, depth=500, scale=20.0))
    back = method.restored(slices(), torch.Generator())
    moved = (back - slices()).abs()
    assert float(moved[LESION].min()) > 0.2
    outside = moved.clone()
    outside[LESION] = 0
    assert float(outside.max()) < 0.1
    weaker = method.restored(slices(), torch.Generator(), scale=10.0)
    assert float((weaker - slices())[LESION].abs().max()) < float(moved[LESION].min()) + 0.2
    assert bool(((slices() - weaker)[LESION] > 0).all())  # towards healthy, that is, darker


def test_the_guided_noise_of_one_state():
    """The gradient of log p by hand: log sigmoid of -2 slope m, over the pixels of the mean."""
    method = Known(CI, slope=5.0)
    state, k, scale = slices(), 4, 3.0
    ill = torch.sigmoid(10.0 * state[LESION].mean((1, 2, 3)))
    gradient = torch.zeros_like(state)
    gradient[LESION] = (-10.0 * ill / 16)[:, None, None, None]
    level = float(method.sampling.alpha_bar[k])
    expected = method.noise_in(state, k) - scale * (1 - level) ** 0.5 * gradient
    assert torch.allclose(method.guided(state, k, scale), expected, atol=1e-5)


def test_nothing_is_drawn():
    method = ClassifierGuidance(CI, seed=1)
    data = torch.zeros(1, 32, 32, 32)
    data[:, 6:26, 4:28, 4:28] = 0.5
    head = Volume(data, np.diag([8.0, 8.0, 8.0, 1.0]))
    found = method.error_map(head, seed=0)
    assert found.values.shape == (32, 32, 32)
    assert torch.equal(found.values, method.error_map(head, seed=1).values)


def test_losses_of_two_networks_that_do_not_see_each_other():
    torch.manual_seed(0)
    method = ClassifierGuidance(CI)
    batch = {
        "image": torch.zeros(4, 1, 24, 28),
        "noise": torch.randn(4, 1, 24, 28),
        "time": torch.tensor([3, 20, 100, 400]),
        "kind": torch.tensor([0, 1, 0, 1]),
    }
    found = method.losses(batch)
    assert float(found["loss"]) == pytest.approx(float(found["noise"] + found["kind"]), rel=1e-6)
    assert 0 <= float(found["accuracy"]) <= 1
    found["kind"].backward()
    assert all(value.grad is None for value in method.network.parameters())
    assert all(value.grad is not None for value in method.classifier.parameters())
    assert "accuracy" not in {name for name, value in found.items() if value.requires_grad}


def test_the_paper_and_the_profiles():
    paper = Config.paper()
    assert (paper.timesteps, paper.depth, paper.scale, paper.batch) == (1000, 500, 100.0, 10)
    for name in ("ci", "cpu", "gpu"):
        config = Config.for_profile(Profile(name))
        assert Config.from_dict(config.as_dict()) == config
    method = ClassifierGuidance(Config.for_profile(Profile("cpu")))
    assert sum(one.numel() for one in method.network.parameters()) == 1_324_721


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scale": -1.0}, "scale is -1.0"),
        ({"classifier_width": 0}, "classifier_width is 0"),
        ({"classifier_multipliers": (1, 2, 2, 2)}, "which the classifier halves"),
        ({"classifier_attention": (2,)}, "classifier_attention is 2"),
    ],
)
def test_refusals(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(CI, **change)
