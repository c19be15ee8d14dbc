"""The parts of a training one by one: stream, average, schedules, deterministic mode, generators, curves."""

import os
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlab.training import (
    ExponentialAverage,
    deterministic_mode,
    rate_factor,
    read_history,
    scheduled,
    training_batches,
)
from medlab.training.generators import generator_states, own_generators, seed_generators, set_generator_states
from medlab.training.history import History, cut_history


def draw_anywhere(index: int) -> dict[str, torch.Tensor]:
    """From all three global generators."""
    return {
        "index": torch.tensor(index),
        "torch": torch.rand(2),
        "numpy": torch.tensor(np.random.rand()),  # noqa: NPY002 - others' code does
        "python": torch.tensor(random.random()),
    }


def read(loader) -> list[dict[str, torch.Tensor]]:
    return list(loader)


# ---- stream


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 50), length=st.integers(1, 6), batch=st.integers(1, 4), seed=st.integers(0, 99))
def test_any_stretch_is_a_part_of_the_whole(start, length, batch, seed):
    stream = training_batches(draw_anywhere, batch, seed)
    found = read(stream.loader(start, start + length))
    assert len(found) == length
    indices = torch.cat([one["index"] for one in found])
    assert indices.tolist() == list(range(start * batch, (start + length) * batch))
    item = stream.item(int(indices[-1]))
    assert all(torch.equal(found[-1][name][-1], item[name]) for name in item)


def test_items_differ_by_number_and_by_seed():
    stream, other = training_batches(draw_anywhere, 1, 0), training_batches(draw_anywhere, 1, 1)
    values = {float(stream.item(index)["torch"][0]) for index in range(50)}
    assert len(values) == 50
    assert float(other.item(0)["torch"][0]) not in values


def test_workers_change_no_item():
    alone = read(training_batches(draw_anywhere, 3, 5).loader(2, 6))
    helped = read(training_batches(draw_anywhere, 3, 5, workers=2).loader(2, 6))
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    expected = (float(torch.rand(())), float(np.random.rand()), random.random())  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    read(training_batches(draw_anywhere, 2).loader(0, 3))
    assert (float(torch.rand(())), float(np.random.rand()), random.random()) == expected  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"batch": 1, "seed": -1}, "seed is -1"),
        ({"batch": 1, "workers": -1}, "workers is -1"),
    ],
)
def test_streams_that_cannot_be_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        training_batches(draw_anywhere, **arguments)


def test_a_stretch_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="stop is 2, expected a whole number of at least 3"):
        training_batches(draw_anywhere, 1).loader(3, 2)


# ---- generators


def test_states_of_all_generators_come_back_through_plain_values(tmp_path):
    seed_generators(3)
    torch.randn(1), np.random.randn(), random.gauss(0, 1)  # noqa: NPY002 - leaves half a pair behind
    torch.save(generator_states(), tmp_path / "states.pt")
    expected = (torch.randn(3).tolist(), np.random.randn(3).tolist(), [random.gauss(0, 1) for _ in range(3)])  # noqa: NPY002
    set_generator_states(torch.load(tmp_path / "states.pt", weights_only=True))
    found = (torch.randn(3).tolist(), np.random.randn(3).tolist(), [random.gauss(0, 1) for _ in range(3)])  # noqa: NPY002
    assert found == expected


def test_own_generators_put_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), own_generators(7):
        torch.rand(5)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), before)


# ---- average


def test_the_average_of_three_steps_by_hand():
    module, average = nn.Linear(1, 1, bias=False), ExponentialAverage(0.5, warm_up=False)
    nn.init.constant_(module.weight, 8.0)
    average.on_train_start(None, module)
    for value in (4.0, 2.0, 0.0):
        nn.init.constant_(module.weight, value)
        average.update(module)
    # 8 -> (8 + 4) / 2 = 6 -> (6 + 2) / 2 = 4 -> (4 + 0) / 2 = 2
    assert float(average.average["weight"]) == 2.0
    average.put_in(module)
    assert module.weight.item() == 2.0
    average.take_out(module)
    assert module.weight.item() == 0.0


def test_warm_up_forgets_the_start_sooner():
    module, average = nn.Linear(1, 1, bias=False), ExponentialAverage(0.999)
    nn.init.constant_(module.weight, 1.0)
    average.on_train_start(None, module)
    nn.init.constant_(module.weight, 0.0)
    average.update(module)
    assert float(average.average["weight"]) == pytest.approx(2 / 11)  # (1 + 1) / (10 + 1)


def test_counters_and_running_means_are_copied():
    module, average = nn.BatchNorm1d(2), ExponentialAverage(0.9)
    average.on_train_start(None, module)
    module(torch.randn(5, 2))
    average.update(module)
    assert int(average.average["num_batches_tracked"]) == 1
    assert torch.equal(average.average["running_mean"], module.running_mean)


# ---- schedules


def test_factors_by_hand():
    assert [rate_factor(step, 10, "constant", warm_up=4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rate_factor(5, 10, "cosine") == pytest.approx(0.5)
    assert rate_factor(5, 10, "linear", floor=0.2) == pytest.approx(0.6)
    assert rate_factor(5, 10, "polynomial") == pytest.approx(0.5**0.9)
    assert rate_factor(10, 10, "cosine", floor=0.1) == pytest.approx(0.1)


@given(st.integers(1, 300), st.sampled_from(["cosine", "linear", "polynomial"]), st.integers(0, 40), st.floats(0, 1))
def test_a_schedule_rises_then_falls_between_its_bounds(steps, shape, warm_up, floor):
    warm_up = min(warm_up, steps)
    factors = [rate_factor(step, steps, shape, warm_up, floor) for step in range(steps)]
    assert all(0 < one <= 1 + 1e-12 or (one >= floor) for one in factors)
    rising, falling = factors[:warm_up], factors[warm_up:]
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)


def test_the_optimiser_follows_and_a_peer_agrees():
    rates = []
    parameter = nn.Parameter(torch.zeros(1))
    made = scheduled(torch.optim.SGD([parameter], 0.2), 20)
    peer_of = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.2)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(peer_of, 20)
    for _ in range(20):
        rates.append((made["optimizer"].param_groups[0]["lr"], peer_of.param_groups[0]["lr"]))
        made["optimizer"].step(), made["lr_scheduler"]["scheduler"].step()
        peer_of.step(), peer.step()
    mine, theirs = zip(*rates, strict=True)
    assert mine == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("bad", [{"shape": "step"}, {"warm_up": 11}, {"floor": 2.0}])
def test_schedules_that_cannot_be_meant_are_refused(bad):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    with pytest.raises(ValueError, match=next(iter(bad))):
        scheduled(optimiser, 10, **bad)


# ---- deterministic mode


def test_deterministic_mode_is_put_back_also_after_an_error(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cudnn.benchmark
    with pytest.raises(RuntimeError), deterministic_mode():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark and torch.backends.cudnn.deterministic
        raise RuntimeError
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


# ---- curves


def test_a_curve_is_cut_back_to_a_step_and_an_unfinished_line_left_out(tmp_path):
    log = History(tmp_path)
    for step in range(4):
        log.log_metrics({"loss": 1.0 / (step + 1), "epoch": 0}, step)
    log.save()
    log.finalize("success")
    with (tmp_path / "history.csv").open("a") as file:
        file.write("5,loss,0.")
    assert read_history(tmp_path) == {"loss": ([1, 2, 3, 4], [1.0, 0.5, 1 / 3, 0.25])}
    cut_history(tmp_path, 2)
    assert (tmp_path / "history.csv").read_text().splitlines() == ["step,name,value", "1,loss,1.0", "2,loss,0.5"]


def test_values_of_one_step_are_averaged_and_nan_is_kept(tmp_path):
    log = History(tmp_path)
    log.log_metrics({"loss": 1.0}, 0)
    log.log_metrics({"loss": 3.0}, 0)
    log.log_metrics({"loss": float("nan")}, 1)
    log.finalize("success")
    steps, values = read_history(tmp_path)["loss"]
    assert steps == [1, 2] and values[0] == 2.0 and values[1] != values[1]


def test_no_file_is_no_curve(tmp_path):
    assert read_history(tmp_path) == {}
