"""The 3D autoencoder: its parameters counted, its shapes, what its blocks compute, that it learns."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.nn.autoencoder3d import Autoencoder3d, Doubling


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, 21_889), (2, 87_297), (4, 348_673), (8, 1_393_665), (16, 5_572_609), (32, 22_286_337), (64, 89_137_153)],
)
def test_parameters_of_every_size(size, expected):
    with torch.device("meta"):
        assert count(Autoencoder3d(size)) == expected


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
def test_parameters_counted_by_hand(levels):
    # Each block has 4^3 taps from every channel to every channel; no bias but one at the end.
    widths = [3 * 2**level for level in range(levels)]
    pairs = sum(one * other for one, other in pairwise(widths))
    assert count(Autoencoder3d(3, levels=levels)) == 64 * (2 * 3 + 2 * pairs) + 1


@given(sides=st.tuples(*[st.integers(3, 21)] * 3), levels=st.integers(1, 3), channels=st.integers(1, 2))
@settings(max_examples=20, deadline=None)
def test_any_size_comes_back(sides, levels, channels):
    x = torch.rand(1, channels, *sides)
    with torch.no_grad():
        assert Autoencoder3d(1, levels=levels, channels=channels)(x).shape == x.shape


def test_the_code_is_where_the_volume_is_smallest():
    network = Autoencoder3d(2, levels=3)
    code = network.encode(torch.rand(2, 1, 16, 24, 32))
    assert code.shape == (2, 8, 2, 3, 4)
    assert network.decode(code).shape == (2, 1, 16, 24, 32)


def test_all_goes_through_the_code():
    """No shortcut: two volumes with one code are drawn alike, and the output follows the code alone."""
    network = Autoencoder3d(1, levels=2).eval()
    x = torch.rand(1, 1, 8, 8, 8)
    torch.testing.assert_close(network(x), network.decode(network.encode(x)))


def test_doubling_spreads_one_voxel_by_its_kernel():
    layer = Doubling(1, 1)
    x = torch.zeros(1, 1, 3, 3, 3)
    x[..., 1, 1, 1] = 1.0
    y = layer(x)
    assert y.shape[2:] == (6, 6, 6)
    torch.testing.assert_close(y[0, 0, 1:5, 1:5, 1:5], layer.weight[0, 0])
    assert torch.equal(y.count_nonzero(), torch.tensor(64))


@pytest.mark.parametrize("side", [8, 16])
def test_bfloat16_on_tiny_maps_stays_finite(side):
    network = Autoencoder3d(2, levels=3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.rand(1, 1, side, side, side)).float().abs().mean()
    loss.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


def test_it_learns_one_volume():
    torch.manual_seed(0)
    network = Autoencoder3d(4, levels=2)
    x = torch.zeros(1, 1, 16, 16, 16)
    x[..., 4:12, 4:12, 4:12] = 0.5
    x[..., 6:10, 6:10, 6:10] = 1.0
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(120):
        loss = (network(x) - x).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3


def test_layouts_agree():
    network = Autoencoder3d(4, levels=3)
    x = torch.rand(2, 1, 16, 16, 16)
    plain = network(x)
    network.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last_3d)), plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 0}, "size is 0, expected a whole number of at least 1"),
        ({"size": 2, "levels": 9}, "levels is 9, expected a whole number from 1 to 8"),
        ({"size": 2, "channels": 0}, "channels is 0"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(ValueError, match=said):
        Autoencoder3d(**arguments)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"x has the shape \(1, 2, 8, 8, 8\), expected \(B, 1, X, Y, Z\)"):
        Autoencoder3d(1)(torch.rand(1, 2, 8, 8, 8))
