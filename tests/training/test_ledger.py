"""The memory ledger: every byte of a small network counted by hand; prediction against what the allocator gave."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlab.nn import build
from medlab.training.ledger import MIB, PARTS, kept_memory, measure_memory, predict_memory
from medlab.training.ledger.resident import ResidentPeak

CONVOLUTION, LINEAR = 4 * 2 * 27, 4 * (128 * 3 + 3)  # bytes of weights in float32


def small():
    """(B, 1, 4, 4, 4) to (B, 3): one convolution, one linear layer."""
    return nn.Sequential(nn.Conv3d(1, 2, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(128, 3))


def total(output, _target):
    """A loss that keeps nothing but its value."""
    return output.sum()


def both(network, shape, **options):
    target = torch.zeros(shape[0], *shape[2:], dtype=torch.long)
    predicted = predict_memory(network, shape, **options)
    return predicted, measure_memory(network, (torch.randn(shape), target), **options)


@pytest.mark.parametrize("what", ["predicted", "measured"])
def test_every_byte_of_a_small_network(what):
    if what == "predicted":
        ledger = predict_memory(small(), (1, 1, 4, 4, 4), loss=total, target_shape=(1,), optimiser="adam")
    else:
        batch = torch.randn(1, 1, 4, 4, 4), torch.zeros(1, dtype=torch.long)
        ledger = measure_memory(small(), batch, total, "adam")
    assert ledger.source == what
    assert ledger.parameters == ledger.gradients == CONVOLUTION + LINEAR
    # Two averages, and a count of steps for each of three tensors.
    assert ledger.optimiser_state == 2 * (CONVOLUTION + LINEAR) + 3 * 4
    assert ledger.batch == 64 * 4 + 8
    # The linear layer needs the convolution's output; the loss is one number; the sum needs only a shape.
    assert ledger.by_layer == {"0": 128 * 4, "(loss)": 4}
    assert ledger.activations == 516
    assert ledger.standing == ledger.parameters + ledger.optimiser_state + ledger.batch
    assert ledger.timeline[-1].held == ledger.standing + ledger.gradients


def test_the_peak_of_a_small_network_by_hand():
    ledger = predict_memory(small(), (1, 1, 4, 4, 4), loss=total, target_shape=(1,), optimiser="sgd")
    # Adding up the gradient of the linear layer: its weights' and biases', that of its input, and on the way here the
    # gradient of the loss, 4 bytes; the convolution's output (512) is held until the linear layer is done.
    at_the_linear_layer = ledger.standing + 516 + 4 + LINEAR + 512
    assert ledger.peak_phase == "backward"
    assert abs(ledger.peak - at_the_linear_layer) <= 16
    assert sum(ledger.parts.values()) == ledger.peak


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("name", "size"), [("unet3d", 16), ("vnet_light", 16), ("densenet3d", 8)])
def test_prediction_agrees_with_measurement(name, size, precision):
    predicted, measured = both(build(name, 2, 4), (2, 2, size, size, size), precision=precision)
    assert predicted.tensor_peak == predicted.peak
    assert predicted.tensor_peak == pytest.approx(measured.tensor_peak, rel=0.02)
    assert predicted.activations == pytest.approx(measured.activations, rel=0.01)
    assert predicted.gradients == measured.gradients
    assert predicted.optimiser_state == measured.optimiser_state
    for layer, size in predicted.by_layer.items():
        assert size == pytest.approx(measured.by_layer.get(layer, 0), rel=0.05, abs=512)
    for ledger in (predicted, measured):
        assert tuple(ledger.parts) == PARTS and sum(ledger.parts.values()) == ledger.peak
        assert sum(ledger.by_layer.values()) == sum(ledger.by_group(2).values()) == ledger.activations


def test_a_network_in_channels_last():
    network = build("unet3d", 2, 4, levels=3).to(memory_format=torch.channels_last_3d)
    predicted, measured = both(network, (2, 2, 16, 16, 16), optimiser="sgd")
    assert predicted.tensor_peak == pytest.approx(measured.tensor_peak, rel=0.02)


def test_workspace_is_seen_where_a_kernel_copies():
    """Batch 1 in float32: PyTorch unrolls the volume into 27 shifted copies, inside the convolution."""
    network = nn.Sequential(nn.Conv3d(8, 8, 3, padding=1), nn.Conv3d(8, 4, 3, padding=1))
    _, measured = both(network, (1, 8, 16, 16, 16), optimiser="sgd")
    assert measured.peak - measured.tensor_peak > 0.5 * 27 * 8 * 16**3 * 4
    assert measured.parts["workspace"] > 0


def test_checkpointing_lowers_activations():
    for ledger in (
        lambda on: predict_memory(build("unet3d", 2, 4, levels=3), (2, 2, 16, 16, 16), checkpointing=on),
        lambda on: both(build("unet3d", 2, 4, levels=3, checkpointing=on), (2, 2, 16, 16, 16))[1],
    ):
        without, with_it = ledger(False), ledger(True)
        assert with_it.activations < 0.7 * without.activations
        assert with_it.tensor_peak < without.tensor_peak


def test_shared_parameters_are_counted_once():
    layer = nn.Conv3d(4, 4, 3, padding=1, bias=False)
    predicted, measured = both(nn.Sequential(layer, nn.ReLU(), layer), (1, 4, 4, 4, 4), optimiser="momentum")
    for ledger in (predicted, measured):
        assert ledger.parameters == ledger.gradients == ledger.optimiser_state == 4 * 4 * 4 * 27


@pytest.mark.parametrize(("optimiser", "times"), [("sgd", 0), ("momentum", 1), ("adam", 2), ("adamw", 2)])
def test_state_of_optimisers(optimiser, times):
    ledger = predict_memory(small(), (1, 1, 4, 4, 4), loss=total, optimiser=optimiser)
    counts = 3 * 4 if times == 2 else 0
    assert ledger.optimiser_state == times * ledger.parameters + counts


def test_an_optimiser_of_ones_own():
    def factory(parameters):
        return torch.optim.RMSprop(parameters, momentum=0.5, centered=True)

    ledger = predict_memory(small(), (1, 1, 4, 4, 4), loss=total, optimiser=factory)
    assert ledger.optimiser_state == 3 * ledger.parameters + 3 * 4


def test_accumulation_halves_activations_and_keeps_gradients():
    network, shape = build("unet3d", 2, 4, levels=3), (4, 2, 16, 16, 16)
    whole, halves = (predict_memory(network, shape, accumulation=parts) for parts in (1, 2))
    assert 0.49 * whole.activations < halves.activations < 0.6 * whole.activations  # not all of it grows with the batch
    assert halves.parts["gradients"] == halves.gradients > whole.parts["gradients"]
    measured = both(network, shape, accumulation=2)[1]
    assert halves.tensor_peak == pytest.approx(measured.tensor_peak, rel=0.01)


def test_a_volume_that_no_laptop_holds():
    with torch.device("meta"):
        network = build("unet3d", 2, 4, width=16, levels=3)
    with ResidentPeak() as resident:
        ledger = predict_memory(network, (1, 2, 256, 256, 256))
    assert ledger.peak > 10 * 2**30
    assert resident.growth < 500 * MIB


def test_the_network_stays_as_it_was():
    network = build("unet3d", 1, 2).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predict_memory(network, (1, 1, 16, 16, 16), checkpointing=True)
    assert not network.training and not network.checkpointing
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


@settings(max_examples=10, deadline=None)
@given(batch=st.integers(1, 5), size=st.integers(2, 6))
def test_activations_grow_with_voxels(batch, size):
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv3d(2, 1, 1))
    ledger = predict_memory(network, (batch, 1, size, size, size), loss=total, optimiser="sgd")
    # The ReLU's output serves the ReLU and the next layer; the convolution's own output is nobody's need.
    assert ledger.by_layer == {"1": batch * 2 * size**3 * 4, "(loss)": 4}


def test_resident_peak_sees_what_is_gone_again():
    with ResidentPeak() as resident:
        torch.ones(256 * MIB // 4)
    assert 200 * MIB < resident.growth < 600 * MIB  # a part of it may fill what the process held before


def test_what_a_step_leaves_behind():
    history, network = [], nn.Linear(1000, 1000)

    def step(keep):
        loss = network(torch.ones(8, 1000)).square().sum()
        history.append(keep(loss))

    step(torch.Tensor.item)
    assert kept_memory(lambda: step(torch.Tensor.item)) == 0
    assert kept_memory(lambda: step(lambda loss: loss)) >= 2 * 8 * 1000 * 4  # the graph keeps input and output


def test_tables():
    ledger = predict_memory(small(), (1, 1, 4, 4, 4), loss=total)
    assert [name for name, _ in ledger.table()] == [*PARTS, "peak"]
    assert dict(ledger.table("B"))["parameters"] == f"{CONVOLUTION + LINEAR:,} B"
    assert "fullest in" in str(ledger)
    with pytest.raises(ValueError, match="unit is 'MB', expected one of"):
        ledger.table("MB")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (0, 1, 4, 4, 4)}, r"shape\[0\] is 0, expected a whole number of at least 1"),
        ({"accumulation": 2}, "accumulation is 2, expected a divisor of the 1 samples"),
        ({"optimiser": "adagrad"}, "optimiser is 'adagrad', expected one of sgd"),
        ({"precision": "16"}, "precision is '16', expected one of 32-true"),
        ({"checkpointing": True}, "checkpointing is True, expected None: Sequential has no such option"),
        ({"network": nn.ReLU()}, "network has no parameter to train"),
    ],
)
def test_prediction_refuses(options, sentence):
    given = {"network": small(), "shape": (1, 1, 4, 4, 4)} | options
    with pytest.raises(ValueError, match=sentence):
        predict_memory(given.pop("network"), given.pop("shape"), loss=total, **given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"network": small().to("meta")}, "device is meta, expected a CPU or CUDA"),
        (
            {"batch": (torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, device="meta"))},
            "batch is on cpu and meta, expected cpu",
        ),
        ({"accumulation": 3}, "accumulation is 3, expected a divisor of the 1 samples"),
        ({"precision": "half"}, "precision is 'half', expected one of"),
    ],
)
def test_measurement_refuses(options, sentence):
    batch = torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, dtype=torch.long)
    given = {"network": small(), "batch": batch} | options
    with pytest.raises(ValueError, match=sentence):
        measure_memory(given.pop("network"), given.pop("batch"), total, **given)
