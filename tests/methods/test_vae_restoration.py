"""Restoration by a variational autoencoder: its bound, its descent, its slices, its training and its files."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Laplace, Normal, kl_divergence
from torch.utils.data import DataLoader

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.anomaly import seen
from medlab.methods.vae_restoration import (
    Config,
    Slices,
    VaeRestoration,
    as_slices,
    as_volume,
    gaussian_kl,
    negative_elbo,
    negative_log_likelihood,
    restoration_energy,
    restore,
    total_variation,
)
from medlab.nn.vae2d import Encoded
from medlab.profiles import Profile
from medlab.training import fit, load_weights, save_weights, training_batches

SMALL = replace(Config.for_profile(Profile("ci")), batch=4)


def head_of(seed=0, size=16, subject="A01") -> Sample:
    """A ball, brighter inside, in both channels of a prepared head."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for _ in range(3)), indexing="ij")
    radius = torch.stack(axes).square().sum(0).sqrt()
    chance = torch.rand(size, size, size, generator=torch.Generator().manual_seed(seed))
    inside = radius < 0.8
    equalised = inside * (0.9 - 0.5 * radius + 0.1 * chance)
    image = Volume(torch.stack([1000 * equalised, equalised]).float(), np.eye(4), subject)
    return Sample(subject, image, ("HU", "equalised"), mask=inside)


def test_the_divergence_in_closed_form():
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    # By hand: 1/2 (1 + 1 - 1 - 0) + 1/2 (0 + 4 - 1 - log 4)
    assert float(gaussian_kl(Encoded(mean, log_variance))) == pytest.approx(0.5 + (3 - math.log(4)) / 2)
    torch.manual_seed(0)
    found = Encoded(torch.randn(6, 5), torch.randn(6, 5))
    peer = kl_divergence(Normal(found.mean, (found.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_kl(found), peer)
    assert float(gaussian_kl(Encoded(torch.zeros(1, 3), torch.zeros(1, 3)))) == 0


@pytest.mark.parametrize(("law", "peer"), [("gaussian", Normal), ("laplace", Laplace)])
def test_the_likelihood_is_that_of_the_law(law, peer):
    torch.manual_seed(0)
    x, mean = torch.rand(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    expected = -peer(mean, 0.3).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(negative_log_likelihood(x, mean, law, 0.3), expected)


def test_the_bound_by_hand():
    x, mean = torch.tensor([[[[0.0, 0.2]]]]), torch.tensor([[[[0.1, 0.2]]]])
    parts = negative_elbo(x, mean, Encoded(torch.tensor([[2.0]]), torch.tensor([[0.0]])), "gaussian", 0.1, 3.0)
    assert float(parts["reconstruction"]) == pytest.approx(0.5 + 2 * math.log(0.1 * math.sqrt(2 * math.pi)), rel=1e-5)
    assert float(parts["kl"]) == pytest.approx(2.0)
    assert float(parts["loss"]) == pytest.approx(float(parts["reconstruction"]) + 6.0)


def test_the_bound_is_one():
    """For a linear Gaussian model log p(x) is known: the bound stays below it, and reaches it at the true posterior."""
    # x = z + noise of deviation s, z standard normal: p(x) = N(0, 1 + s²), posterior N(x / (1 + s²), s² / (1 + s²)).
    s, x = 0.7, torch.full((200_000, 1, 1, 1), 0.9)
    variance = s**2 / (1 + s**2)
    noise = torch.randn(len(x), 1, generator=torch.Generator().manual_seed(0))
    evidence = float(Normal(0.0, math.sqrt(1 + s**2)).log_prob(torch.tensor(0.9)))

    def bound(mean, spread):
        found = Encoded(torch.full((len(x), 1), mean), torch.full((len(x), 1), math.log(spread)))
        decoded = (found.mean + math.sqrt(spread) * noise)[..., None, None]
        return -float(negative_elbo(x, decoded, found, "gaussian", s)["loss"].mean())

    assert bound(0.9 / (1 + s**2), variance) == pytest.approx(evidence, abs=5e-3)
    for mean, spread in ((0.0, variance), (0.9 / (1 + s**2), 2 * variance), (0.9, 0.5 * variance)):
        assert bound(mean, spread) < evidence - 0.01


def test_the_loss_is_a_sum_over_pixels_and_a_mean_over_the_batch():
    method = VaeRestoration(SMALL).eval()
    image = torch.rand(1, 1, 16, 16)
    once, twice = method.losses(image), method.losses(image.repeat(2, 1, 1, 1))
    for name in ("loss", "reconstruction", "kl"):
        torch.testing.assert_close(once[name], twice[name])
    decoded = method(image)
    expected = -Normal(decoded, SMALL.scale).log_prob(image).sum()
    torch.testing.assert_close(once["reconstruction"], expected)


def test_variation_by_hand():
    image = torch.zeros(1, 1, 4, 4)
    image[..., 1:3, 1:3] = 2.0  # a square of 2 x 2: its outline has 8 edges
    assert float(total_variation(image)) == 16.0


@given(st.floats(-3, 3), st.floats(0.1, 5))
def test_variation_of_a_shifted_and_scaled_image(shift, factor):
    image = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        total_variation(factor * image + shift), factor * total_variation(image), rtol=1e-3, atol=1e-3
    )


def dull() -> VaeRestoration:
    """A model whose every code is the prior's and every image 0.5: it explains the grey image perfectly."""
    method = VaeRestoration(SMALL).eval()
    with torch.no_grad():
        for part in (method.network.mean, method.network.log_variance, method.network.head):
            part.weight.zero_()
            part.bias.zero_()
    return method


def test_what_is_explained_perfectly_stays():
    grey = torch.full((2, 1, 16, 16), 0.5)
    found = restore(dull().network, grey, steps=10, weight=2.0)
    assert torch.equal(found, grey)


def test_what_is_not_is_taken_away():
    image = torch.full((1, 1, 16, 16), 0.5)
    image[..., 5:9, 5:9] = 0.9
    found = restore(dull().network, image, scale=0.1, rate=1e-3, steps=30, weight=0.0)
    # Each step takes a tenth of the difference away.
    torch.testing.assert_close(found - 0.5, (image - 0.5) * 0.9**30, atol=1e-5, rtol=0)
    half = restore(dull().network, image, scale=0.1, rate=1e-3, steps=1, weight=0.0)
    torch.testing.assert_close(half - 0.5, (image - 0.5) * 0.9)


def test_variation_keeps_what_has_many_edges():
    """A difference in one pixel costs four edges: a weight above a quarter of its pull keeps it as it is."""
    image = torch.full((1, 1, 16, 16), 0.5)
    image[..., 7, 7] = 0.6  # pulled by 0.1 / 0.1² = 10 nats a unit
    found = {w: restore(dull().network, image, weight=w, steps=50, rate=1e-4) for w in (0.0, 5.0)}
    assert float(found[0.0][..., 7, 7]) == pytest.approx(0.5 + 0.1 * 0.99**50, abs=1e-4)
    assert float(found[5.0][..., 7, 7]) > 0.59


def test_restoration_lowers_its_energy():
    method = VaeRestoration(SMALL, seed=3).eval()
    seen_image = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    choices = {"law": "gaussian", "scale": 0.1, "weight": 1.0}
    energies = [
        restoration_energy(
            method.network, restore(method.network, seen_image, rate=1e-4, steps=n, **choices), seen_image, **choices
        ).sum()
        for n in range(6)
    ]
    assert all(after < before for before, after in pairwise(energies))


def test_restoration_gives_no_gradient_to_the_weights_and_works_without_gradients():
    method = VaeRestoration(SMALL).eval()
    with torch.no_grad():
        found = restore(method.network, torch.rand(1, 1, 16, 16), steps=2)
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in method.parameters())


def test_slices_are_averages():
    values = torch.arange(4 * 4 * 3, dtype=torch.float32).reshape(4, 4, 3)
    found = as_slices(values, 2)
    assert found.shape == (3, 1, 2, 2)
    assert float(found[1, 0, 1, 0]) == float(values[2:4, 0:2, 1].mean())


@given(st.tuples(*[st.integers(3, 9)] * 3))
def test_slices_there_and_back(shape):
    side = max(shape[:2])
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(as_volume(as_slices(values, side), shape), values)
    assert as_volume(as_slices(values, 5), shape).shape == shape


def test_the_stream_follows_from_seed_and_index_and_leaves_air_out():
    stream = Slices([head_of(0), head_of(1)], 16, seed=4)
    empty = int((as_slices(seen(head_of(), "equalised").data[0], 16) > 0).float().mean((1, 2, 3)).lt(0.02).sum())
    assert len(stream) == 2 * (16 - empty) and empty > 0
    again = Slices([head_of(0), head_of(1)], 16, seed=4)
    assert all(torch.equal(stream.draw(i)["image"], again.draw(i)["image"]) for i in (0, 7, 100))
    assert not torch.equal(stream.draw(0)["image"], stream.draw(1)["image"])


def test_the_map_is_on_the_grid_of_the_scan():
    method = VaeRestoration(SMALL).eval()
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    image = Volume(torch.rand(1, 20, 17, 5), affine, "A01")
    image.data[..., 2] = 0
    for kind in ("restoration", "reconstruction"):
        found = method.error_map(image, kind)
        assert found.volume.shape == image.shape and np.array_equal(found.volume.affine, affine)
        assert found.values.min() >= 0 and found.values[..., 2].abs().max() == 0 < found.values[..., 1].max()
    images = as_slices(image.data[0], 16)
    expected = as_volume((images - method.made(images, "reconstruction")).abs(), (20, 17, 5))
    expected[..., 2] = 0
    torch.testing.assert_close(method.error_map(image, "reconstruction").values, expected, atol=1e-5, rtol=1e-4)
    assert set(method.maps(head_of())) == {"restoration", "reconstruction"}
    assert method.training is False


def test_training_learns_and_is_kept(tmp_path):
    config = replace(SMALL, steps=20, learning_rate=1e-2)
    stream = Slices([head_of(seed) for seed in range(3)], config.slice_size)
    method = VaeRestoration(config)
    done = fit(
        method,
        training_batches(stream.draw, 4),
        DataLoader([head_of(9)], batch_size=None, collate_fn=lambda one: one),
        directory=tmp_path / "run",
        steps=20,
        profile="ci",
        monitor="validation/elbo",
        mode="max",
        validate_every=10,
    )
    _, curve = done.curve("validation/elbo")
    assert curve[-1] > curve[0] + 50
    _, loss = done.curve("train/loss")
    assert loss[-1] < loss[0] - 50

    card = {"method": "vae_restoration", "config": config.as_dict()}
    path = save_weights(method, tmp_path / "vae.safetensors", card)
    again = VaeRestoration.from_weights(*load_weights(path))
    scan = seen(head_of(5), "equalised")
    torch.testing.assert_close(again.error_map(scan).values, method.error_map(scan).values)


def test_configs():
    for config in (Config.paper(), *(Config.for_profile(Profile(name)) for name in ("ci", "cpu", "gpu"))):
        assert Config.from_dict(config.as_dict()) == config
    assert (Config.paper().slice_size, Config.paper().latent, Config.paper().variation) == (128, 128, 1.8)
    with pytest.raises(ValueError, match="config has the field 'depth'"):
        Config.from_dict({"depth": 3})
    for field, value in (("law", "cauchy"), ("scale", 0), ("latent", 0), ("map", "residual"), ("kl_weight", -1.0)):
        with pytest.raises(ValueError, match=f"{field} is"):
            Config(**{field: value})
    with pytest.raises(ValueError, match="slice_size is 60, expected a multiple of 16"):
        Config(slice_size=60)


def test_refusals():
    method = VaeRestoration(SMALL)
    with pytest.raises(ValueError, match="has 2 channels, expected 1"):
        method.error_map(Volume(torch.zeros(2, 4, 4, 4), np.eye(4), "A01"))
    with pytest.raises(ValueError, match="kind is 'residual'"):
        method.error_map(Volume(torch.zeros(1, 4, 4, 4), np.eye(4), "A01"), "residual")
    with pytest.raises(ValueError, match="heads hold no slice"):
        Slices([], 16)
    with pytest.raises(ValueError, match="law is 'cauchy'"):
        negative_log_likelihood(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), "cauchy")
    with pytest.raises(ValueError, match="mean has the shape"):
        negative_log_likelihood(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3))
    with pytest.raises(ValueError, match="rate is 0"):
        restore(method.network, torch.zeros(1, 1, 16, 16), rate=0)
