"""The diffusion U-Net: its size, its time, and that nothing in it is idle."""

import math

import pytest
import torch

from medlab.nn.diffusion_unet2d import (
    DiffusionEncoder2d,
    DiffusionUNet2d,
    NoisyImageClassifier2d,
    SelfAttention2d,
    TimeResidualBlock2d,
    time_embedding,
)

PUBLIC = 113_675_524  # with four channels in and out
SMALL = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (1,), "heads": 2, "groups": 4}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def residual(inputs: int, outputs: int, embedded: int) -> int:
    """By hand: two norms, two 3 x 3 convolutions, the time, and a shortcut where the channels change."""
    shortcut = inputs * outputs + outputs if inputs != outputs else 0
    convolutions = 9 * inputs * outputs + outputs + 9 * outputs * outputs + outputs
    return 2 * inputs + 2 * outputs + convolutions + embedded * outputs + outputs + shortcut


def attention(channels: int) -> int:
    return 2 * channels + 3 * (channels**2 + channels) + channels**2 + channels


def unet_count(width, multipliers, blocks, levels, in_channels=1, out_channels=1) -> int:
    """The whole network, added up along its way."""
    embedded = 4 * width
    total = width * embedded + embedded + embedded**2 + embedded + 9 * in_channels * width + width
    kept, channels = [width], width
    for level, multiplier in enumerate(multipliers):
        for _ in range(blocks):
            total += residual(channels, width * multiplier, embedded)
            channels = width * multiplier
            total += attention(channels) if level in levels else 0
            kept.append(channels)
        if level < len(multipliers) - 1:
            total += 9 * channels**2 + channels
            kept.append(channels)
    total += 2 * residual(channels, channels, embedded) + (attention(channels) if levels else 0)
    for level in reversed(range(len(multipliers))):
        for _ in range(blocks + 1):
            total += residual(channels + kept.pop(), width * multipliers[level], embedded)
            channels = width * multipliers[level]
            total += attention(channels) if level in levels else 0
        total += 9 * channels**2 + channels if level else 0
    return total + 2 * channels + 9 * channels * out_channels + out_channels


@pytest.mark.parametrize(
    ("width", "multipliers", "blocks", "levels"),
    [(8, (1, 2), 1, ()), (32, (1, 2, 4), 1, ()), (16, (1, 2, 2, 4), 2, (2, 3))],
)
def test_parameters_are_those_counted_by_hand(width, multipliers, blocks, levels):
    network = DiffusionUNet2d(width=width, multipliers=multipliers, blocks=blocks, attention=levels, groups=8)
    assert count(network) == unet_count(width, multipliers, blocks, levels)


def test_the_public_size():
    with torch.device("meta"):
        network = DiffusionUNet2d(4, 4)
    assert count(network) == unet_count(128, (1, 1, 2, 2, 4, 4), 2, (4,), 4, 4) == PUBLIC
    assert len(network.down.kept) == 18


@pytest.mark.parametrize("levels", [(), (1,), (1, 2)])
def test_as_large_as_monai(levels):
    """Independently built: MONAI's has one attention in the middle always, and otherwise the same layers."""
    pytest.importorskip("einops")
    nets = pytest.importorskip("monai.networks.nets")
    peer = nets.DiffusionModelUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        num_res_blocks=2,
        channels=(16, 32, 32),
        attention_levels=tuple(level in levels for level in range(3)),
        norm_num_groups=8,
        num_head_channels=16,
    )
    ours = DiffusionUNet2d(width=16, multipliers=(1, 2, 2), blocks=2, attention=levels, groups=8)
    extra = 0 if levels else attention(32)
    assert count(peer) == count(ours) + extra


def test_the_embedding_by_hand():
    found = time_embedding(torch.tensor([0, 3]), 4)
    assert torch.allclose(found[0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    expected = [math.cos(3), math.cos(0.03), math.sin(3), math.sin(0.03)]
    assert torch.allclose(found[1], torch.tensor(expected), atol=1e-6)
    assert time_embedding(torch.tensor([1]), 5).shape == (1, 5)


def test_an_untrained_network_finds_no_noise_and_its_blocks_do_nothing():
    x = torch.randn(2, 1, 8, 12)
    assert torch.equal(DiffusionUNet2d(**SMALL)(x, torch.tensor([0, 999])), torch.zeros(2, 1, 8, 12))
    features = torch.randn(2, 8, 4, 4)
    assert torch.equal(TimeResidualBlock2d(8, 8, 4, 4)(features, torch.randn(2, 4)), features)
    assert torch.equal(SelfAttention2d(8, 2, 4)(features), features)


def trained(network: torch.nn.Module) -> torch.nn.Module:
    """With weights that are nowhere zero."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.mark.parametrize("network", [DiffusionUNet2d(2, 3, **SMALL), NoisyImageClassifier2d(2, 3, **SMALL)])
def test_the_gradient_reaches_every_weight(network):
    found = trained(network)(torch.randn(2, 2, 8, 8), torch.tensor([3, 700]))
    assert found.shape[:2] == (2, 3)
    (found * torch.randn_like(found)).sum().backward()
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert not idle


def test_the_answer_depends_on_the_time_and_on_the_own_image_only():
    network = trained(DiffusionUNet2d(**SMALL)).eval()
    x = torch.randn(2, 1, 8, 8)
    both = network(x, torch.tensor([5, 5]))
    assert not torch.allclose(both, network(x, torch.tensor([5, 400])), atol=1e-3)
    assert torch.allclose(both[:1], network(x[:1], torch.tensor([5])), atol=1e-5)


def test_attention_by_hand():
    """Two pixels, one head: the softmax of two products."""
    layer = trained(SelfAttention2d(4, 1, 2))
    x = torch.randn(1, 4, 1, 2)
    tokens = layer.norm(x)[0, :, 0].T
    q, k, v = (tokens @ layer.ask.weight.T + layer.ask.bias).chunk(3, 1)
    found = (q @ k.T / 2).softmax(1) @ v @ layer.give.weight.T + layer.give.bias
    assert torch.allclose(layer(x)[0, :, 0], x[0, :, 0] + found.T, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DiffusionEncoder2d(width=0), "width is 0"),
        (lambda: DiffusionEncoder2d(multipliers=()), "multipliers are none"),
        (lambda: DiffusionEncoder2d(width=8, multipliers=(1, 2), attention=(2,)), "attention is 2"),
        (lambda: SelfAttention2d(8, 3), "heads is 3"),
        (lambda: NoisyImageClassifier2d(1, 1, **SMALL), "classes is 1"),
        (lambda: DiffusionUNet2d(**SMALL)(torch.zeros(1, 2, 8, 8), torch.zeros(1)), r"expected \(B, 1, X, Y\)"),
        (lambda: DiffusionUNet2d(**SMALL)(torch.zeros(1, 1, 8, 9), torch.zeros(1)), "multiples of 2"),
        (lambda: DiffusionUNet2d(**SMALL)(torch.zeros(2, 1, 8, 8), torch.zeros(1)), "each of 2 images"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
