"""The variational autoencoder of images: its size, its parts, and what it refuses."""

import pytest
import torch
from torch.distributions import Normal

from medlab.nn.vae2d import Encoded, Vae2d, drawn, standard_normal


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def small(**options):
    return Vae2d(16, 5, **{"width": 4, "levels": 2, **options})


def test_parameters_by_hand():
    # Encoder 1-4-8 (3x3), norms of 4 and 8, 8 maps of 4x4 = 128 numbers to mean and log variance of 5, back to 128;
    # decoder 8-4-2 (4x4), norms of 4 and 2, a head 2-1 (3x3) with its bias.
    encoder = 9 * (1 * 4 + 4 * 8) + 2 * (4 + 8)
    dense = 2 * (128 * 5 + 5) + (5 * 128 + 128)
    decoder = 16 * (8 * 4 + 4 * 2) + 2 * (4 + 2) + 9 * 2 + 1
    assert count(small()) == encoder + dense + decoder
    assert count(Vae2d()) == 1_875_921


def test_width_code_and_size_are_free():
    for size, latent, levels, channels in ((32, 3, 3, 2), (8, 1, 1, 1), (48, 7, 4, 1)):
        network = Vae2d(size, latent, channels=channels, width=2, levels=levels)
        decoded, found = network(torch.rand(2, channels, size, size))
        assert decoded.shape == (2, channels, size, size)
        assert found.mean.shape == found.log_variance.shape == (2, latent)


def test_codes_follow_the_posterior():
    found = Encoded(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.4]]))
    noise = standard_normal(torch.empty(20_000, 1), 2, torch.Generator().manual_seed(0))
    codes = drawn(found, noise)
    law = Normal(found.mean, (found.log_variance / 2).exp())
    torch.testing.assert_close(codes.mean(0), law.mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(codes.std(0), law.stddev[0], atol=0.05, rtol=0)
    assert torch.equal(drawn(found, None), found.mean)


def test_gradients_reach_both_parts_of_the_posterior():
    network = small()
    decoded, _ = network(torch.rand(2, 1, 16, 16), torch.ones(2, 5))
    decoded.sum().backward()
    assert network.mean.weight.grad.abs().sum() > 0
    assert network.log_variance.weight.grad.abs().sum() > 0


def test_bounded_or_not():
    torch.manual_seed(0)
    codes = 100 * torch.randn(8, 5)
    free, kept = small(bounded=False).eval().decode(codes), small().eval().decode(codes)
    assert kept.min() >= 0 and kept.max() <= 1
    assert free.min() < 0 or free.max() > 1


def test_refusals():
    with pytest.raises(ValueError, match="size is 18, expected a multiple of 4"):
        Vae2d(18, 5, levels=2)
    with pytest.raises(ValueError, match=r"x has the shape \(1, 1, 15, 16\), expected \(B, 1, 16, 16\)"):
        small()(torch.zeros(1, 1, 15, 16))
    with pytest.raises(ValueError, match=r"code has the shape \(1, 4\), expected \(B, 5\)"):
        small().decode(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="latent is 0"):
        Vae2d(16, 0)
