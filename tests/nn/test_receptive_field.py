"""Receptive fields: counted by hand, measured by gradients, and both alike."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlab.nn.receptive_field import Field, measured_receptive_field, receptive_field


@pytest.mark.parametrize(
    ("layers", "size", "jump"),
    [
        ([], 1, 1),
        ([(1,)], 1, 1),
        ([(3,)], 3, 1),
        ([(3,), (3,), (3,)], 7, 1),
        ([(7,)], 7, 1),
        ([(3, 1, 2)], 5, 1),
        ([(3, 1, 1), (3, 1, 2), (3, 1, 4)], 15, 1),
        ([(3, 2), (3, 2), (3, 2)], 15, 8),
        ([(3,), (3,), (2, 2), (3,), (3,)], 14, 2),  # U-Net's first two levels: 5, then 6, then + 2 * 2 twice
        ([(2, 2)] * 4, 16, 16),
        ([(5,)] * 3 + [(2, 2)], 14, 2),
    ],
)
def test_counted_by_hand(layers, size, jump):
    assert receptive_field(layers) == Field(size, jump)


def test_two_threes_see_as_much_as_one_five():
    assert receptive_field([(3,), (3,)]) == receptive_field([(5,)])


@pytest.mark.parametrize("layer", [(), (3, 1, 1, 1), 3, (0,), (3, 0), (3, 1, 0), (2.5,), (True,)])
def test_a_layer_that_is_none_is_refused(layer):
    with pytest.raises(ValueError, match=r"layer 1 is .*, expected"):
        receptive_field([(3,), layer])


def stack(layers, dimensions, channels=4, inputs=2, seed=0):
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    modules = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for kernel, stride, dilation in layers:
            modules += [
                kind(inputs if not modules else channels, channels, kernel, stride, dilation=dilation),
                nn.ReLU(),
            ]
        return nn.Sequential(*modules)


layer = st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 3))


@settings(max_examples=25, deadline=None)
@given(st.lists(layer, min_size=1, max_size=4), st.integers(0, 100))
def test_measured_is_counted(layers, seed):
    """A filled field has the size of the recursion; dilation leaves holes in it, not at its ends."""
    counted = receptive_field(layers)
    size = 2 * counted.size + 2 * counted.jump + 3
    found = measured_receptive_field(stack(layers, 1, channels=8, seed=seed), 2, (size,), draws=32)
    assert found.extent == (counted.size,) and not found.cut


def test_measured_is_counted_in_two_and_three_dimensions():
    layers = [(3, 1, 1), (3, 2, 1), (3, 1, 2)]
    size = receptive_field(layers).size
    assert size == 3 + 2 + 8
    for dimensions in (2, 3):
        found = measured_receptive_field(stack(layers, dimensions), 2, (31,) * dimensions)
        assert found.extent == (size,) * dimensions and not found.cut
        assert found.map.shape == (31,) * dimensions


def test_pooling_by_the_maximum_is_measured_whole():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2))
    found = measured_receptive_field(network, 1, (40, 40), draws=64)
    assert found.extent == (receptive_field([(3,), (2, 2), (3,), (2, 2)]).size,) * 2


def test_the_influence_of_equal_weights_is_known():
    """Two boxes of three, one behind the other, give 1 2 3 2 1 over 9, and a variance of 2 · 2/3."""
    network = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1, bias=False) for _ in range(2)))
    for one in network:
        nn.init.constant_(one.weight, 0.5)
    found = measured_receptive_field(network, 1, (11,))
    torch.testing.assert_close(found.map[3:8], torch.tensor([1.0, 2, 3, 2, 1], dtype=torch.float64) / 9)
    assert found.centre == (5,) and found.box == ((3, 8),)
    assert found.spread[0] == pytest.approx((4 / 3) ** 0.5)


def test_axes_are_told_apart():
    network = nn.Conv3d(1, 2, (1, 3, 5), padding=(0, 1, 2))
    nn.init.constant_(network.weight, 0.1)
    found = measured_receptive_field(network, 1, (9, 9, 9))
    assert found.extent == (1, 3, 5)
    assert found.spread == pytest.approx((0, (2 / 3) ** 0.5, 2**0.5), abs=1e-6)


def test_a_field_larger_than_the_image_says_so():
    found = measured_receptive_field(nn.Conv2d(1, 1, 9, padding=4), 1, (7, 7))
    assert found.cut and found.extent == (7, 7)


def test_a_norm_over_the_image_sees_all_of_it():
    plain, normed = nn.Conv2d(1, 2, 3, padding=1), nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.InstanceNorm2d(2))
    assert measured_receptive_field(plain, 1, (16, 16)).extent == (3, 3)
    assert measured_receptive_field(normed, 1, (16, 16)).extent == (16, 16)


def test_modes_and_running_statistics_are_left_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Conv2d(2, 1, 1))
    network.train()
    network[1].eval()  # somebody has frozen this one
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert measured_receptive_field(network, 1, (9, 9)).extent == (3, 3)
    assert network.training and network[2].training and not network[1].training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(one.grad is None for one in network.parameters())


def test_the_same_seed_gives_the_same_map():
    network = stack([(3, 1, 1)] * 3, 2)
    first, again, other = (measured_receptive_field(network, 2, (15, 15), seed=seed).map for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


class Constant(nn.Module):
    def forward(self, x):
        return torch.ones_like(x)


def test_what_depends_on_nothing_is_refused():
    with pytest.raises(ValueError, match="depends on no voxel of the input, expected"):
        measured_receptive_field(Constant(), 1, (5, 5))
    with pytest.raises(ValueError, match=r"the network gives \(1, 9\), expected a tensor with 4 axes"):
        measured_receptive_field(nn.Flatten(), 1, (3, 3))
    with pytest.raises(ValueError, match="size is 0, expected"):
        measured_receptive_field(nn.Conv2d(1, 1, 1), 1, (0, 5))
