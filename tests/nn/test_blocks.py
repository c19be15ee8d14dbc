"""Blocks against PyTorch's own layers, cases counted by hand, and properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from medlab.nn.attention import AttentionGate
from medlab.nn.blocks import ConvNormAct, NormAct, UpConvolution, Upsample, activation, convolution, dropout
from medlab.nn.lean import InstanceNormLeaky
from medlab.nn.network import initialise
from medlab.nn.norms import BatchNorm, GroupNorm, InstanceNorm, recomputing
from medlab.nn.sizes import cut_back, fill_up
from medlab.nn.vnet import FirstStage


def gradients(module, x):
    x = x.detach().requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    (y * weights).sum().backward()
    return y.detach(), x.grad


@pytest.mark.parametrize("shape", [(1, 3, 5, 4, 6), (3, 3, 5, 4, 6), (2, 4, 7, 5)])
@pytest.mark.parametrize("last", [False, True])
def test_the_lean_step_is_normalisation_and_leaky_relu(shape, last):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    if last:
        x = x.to(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    found, gradient = gradients(InstanceNormLeaky(shape[1]), x)
    expected, wanted = gradients(lambda x: F.leaky_relu(F.instance_norm(x), 0.01), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)


def test_the_lean_step_has_the_gradient_of_finite_differences():
    x = torch.randn(2, 2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(InstanceNormLeaky(2), (x,))


def test_the_lean_step_keeps_one_map():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one.numel()) or one, lambda one: one):
        x = torch.randn(1, 4, 8, 8, 8, requires_grad=True)
        InstanceNormLeaky(4)(x)
    assert sum(kept) == x.numel() + 4  # the activated map, and a deviation for each channel


def test_the_lean_step_in_bfloat16_errs_as_bfloat16_does():
    torch.manual_seed(0)
    x = torch.randn(1, 4, 8, 8, 8)
    found, gradient = gradients(InstanceNormLeaky(4), x.bfloat16())
    expected, wanted = gradients(InstanceNormLeaky(4), x)
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(gradient.float(), wanted, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5, 6), (2, 1, 3, 3, 3)])
def test_an_up_convolution_is_repetition_and_convolution(shape):
    torch.manual_seed(0)
    layer = UpConvolution(shape[1], 2).double()
    x = torch.randn(shape, dtype=torch.float64)
    expected = F.conv3d(F.interpolate(x, scale_factor=2.0, mode="nearest"), layer.weight, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_an_up_convolution_learns_the_kernel_of_the_convolution():
    torch.manual_seed(0)
    layer = UpConvolution(2, 3).double()
    x = torch.randn(1, 2, 3, 4, 3, dtype=torch.float64)
    found = torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]
    other = F.conv3d(F.interpolate(x, scale_factor=2.0, mode="nearest"), layer.weight, padding=1)
    torch.testing.assert_close(found, torch.autograd.grad(other.square().sum(), layer.weight)[0])


@pytest.mark.parametrize("layer", [InstanceNorm(3), BatchNorm(3), GroupNorm(3), InstanceNormLeaky(3)])
def test_a_single_voxel_passes_in_training(layer):
    x = torch.tensor([1.0, -2.0, 3.0]).reshape(1, 3, 1, 1, 1).requires_grad_()
    y = layer.train()(x)
    assert y.isfinite().all()
    y.sum().backward()
    assert x.grad.isfinite().all()
    assert x.flatten().tolist() == [1, -2, 3]  # and is not overwritten


def test_a_single_voxel_of_an_instance_is_passed_on():
    x = torch.tensor([4.0, -2.0]).reshape(1, 2, 1, 1)
    assert InstanceNorm(2)(x).flatten().tolist() == [4, -2]


def test_two_voxels_become_minus_one_and_one():
    x = torch.tensor([3.0, 7.0]).reshape(1, 1, 2)
    torch.testing.assert_close(InstanceNorm(1, epsilon=0)(x).flatten(), torch.tensor([-1.0, 1.0]))


def test_batch_normalisation_counts_a_recomputed_pass_once():
    layer, x = BatchNorm(2), torch.randn(2, 2, 4, 4, 4)
    first = layer(x)
    mean = layer.running_mean.clone()
    with recomputing():
        torch.testing.assert_close(layer(x), first, rtol=0, atol=0)
    torch.testing.assert_close(layer.running_mean, mean, rtol=0, atol=0)
    layer(x)
    assert not torch.equal(layer.running_mean, mean)


def test_normalisation_before_a_shortcut_leaves_its_input():
    for norm in ("instance", "batch", "group", None):
        x = torch.randn(1, 8, 3, 3, 3)
        before = x.clone()
        NormAct(8, norm)(x)
        assert torch.equal(x, before), norm


def test_a_block_by_hand():
    block = ConvNormAct(1, 1, norm=None, act="relu").requires_grad_(False)
    block[0].weight.fill_(1.0)
    y = block(torch.ones(1, 1, 3, 3, 3))
    assert y[0, 0, 1, 1, 1] == 27 and y[0, 0, 0, 1, 1] == 18 and y[0, 0, 0, 0, 0] == 8  # zeros beyond the border


def test_the_input_of_the_vnet_is_repeated_in_turn():
    stage = FirstStage(3, 8, norm=None, act="elu", bias=False)
    assert stage.turn.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    torch.nn.init.zeros_(stage.convolution[0].weight)
    x = torch.rand(1, 3, 2, 2, 2)
    torch.testing.assert_close(stage(x), x[:, [0, 1, 2, 0, 1, 2, 0, 1]])  # ELU is the identity above 0


def test_dropout_of_nothing_is_no_layer():
    assert isinstance(dropout(0.0), torch.nn.Identity)
    torch.manual_seed(0)
    y = dropout(0.5)(torch.ones(1, 64, 2, 2, 2))
    assert {tuple(channel.unique().tolist()) for channel in y[0]} == {(0.0,), (2.0,)}  # whole channels


def test_an_attention_gate_weighs_from_zero_to_one():
    torch.manual_seed(0)
    gate = AttentionGate(4, 6)
    skip, coarse = torch.randn(2, 4, 8, 6, 4), torch.randn(2, 6, 4, 3, 2)
    alpha = gate.weights(skip, coarse)
    assert alpha.shape == (2, 1, 8, 6, 4) and alpha.min() > 0 and alpha.max() < 1
    torch.testing.assert_close(gate(skip, coarse), skip * alpha)
    torch.nn.init.zeros_(gate.psi.weight)
    torch.nn.init.zeros_(gate.psi.bias)
    torch.testing.assert_close(gate(skip, coarse), skip / 2)


def test_upsampling_by_hand():
    x = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    assert Upsample("nearest", axes=2)(x)[0, 0, 0].tolist() == [1, 1, 3, 3]
    assert Upsample("linear", axes=2)(x)[0, 0, 0].tolist() == [1, 1.5, 2.5, 3]


@pytest.mark.parametrize(("layer", "fan"), [(convolution(32, 64, 3), 32 * 27), (UpConvolution(32, 64), 32 * 27)])
def test_weights_are_drawn_as_stated(layer, fan):
    """A normal law of variance 2 / n."""
    torch.manual_seed(0)
    initialise(layer, slope=0.0)
    assert float(layer.weight.detach().std()) == pytest.approx((2 / fan) ** 0.5, rel=0.02)
    assert abs(float(layer.weight.detach().mean())) < 0.02 * (2 / fan) ** 0.5


def test_a_transposed_convolution_keeps_the_variance():
    torch.manual_seed(0)
    layer = torch.nn.ConvTranspose3d(64, 32, 2, 2, bias=True)
    initialise(layer, heads=(layer,))
    x = torch.randn(1, 64, 8, 8, 8)
    assert float(layer(x).detach().var()) == pytest.approx(1.0, rel=0.1)
    assert not layer.bias.any()


def test_activations_by_name():
    x = torch.tensor([[-1.0], [2.0]])
    assert activation("relu", 1)(x.clone()).flatten().tolist() == [0, 2]
    assert activation("leaky", 1)(x.clone()).flatten().tolist() == pytest.approx([-0.01, 2])
    assert activation("prelu", 1)(x).flatten().tolist() == [-0.25, 2]
    with pytest.raises(ValueError, match="activation is 'swish', expected one of leaky, relu, elu, prelu"):
        activation("swish", 1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=3), st.sampled_from([1, 2, 4, 8, 16]))
def test_filling_up_and_cutting_back_is_nothing(lengths, multiple):
    x = torch.randn(1, 2, *lengths)
    filled = fill_up(x, multiple)
    assert all(
        0 <= new - old < multiple and new % multiple == 0 for new, old in zip(filled.shape[2:], lengths, strict=True)
    )
    assert torch.equal(cut_back(filled, x.shape[2:]), x)
    for scale in (2, 4):
        coarse = filled[(slice(None), slice(None), *[slice(None, None, scale)] * len(lengths))]
        assert list(cut_back(coarse, x.shape[2:], scale).shape[2:]) == [-(-length // scale) for length in lengths]


def test_filling_repeats_the_last_plane():
    x = torch.arange(3.0).reshape(1, 1, 3, 1)
    assert fill_up(x, 4)[0, 0, :, 0].tolist() == [0, 1, 2, 2]
    assert fill_up(x, 1) is x
