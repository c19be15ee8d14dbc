"""The fast path gives what the plain one gives, pulse by pulse."""

import math
import shutil

import pytest
import torch

from medlab.physics.mri.spins import Spins, pulse_train, run, spoiled_gradient_echo, train

DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []


def some_spins(count=300, dtype=torch.float64, device=None):
    generator = torch.Generator().manual_seed(1)
    chance = torch.rand(5, count, generator=generator, dtype=torch.float64).to(dtype)
    start = torch.stack((chance[3] - 0.5, chance[4] - 0.5, chance[3] * chance[4]), -1)
    return Spins(500 + 900 * chance[0], 40 + 60 * chance[1], 60 * chance[2] - 30, chance[3], start, device=device)


def some_steps(count=45):
    generator = torch.Generator().manual_seed(2)
    return 120 * torch.rand(count, generator=generator), 360 * torch.rand(count, generator=generator)


def step_by_step(spins, flip, phase, time):
    signals, longitudinals = [], []
    for angle, axis in zip(flip.tolist(), phase.tolist(), strict=True):
        spins = spins.pulse(angle, axis).evolve(time)
        signals.append(spins.signal())
        longitudinals.append(spins.longitudinal.mean())
    return spins, torch.stack(signals), torch.stack(longitudinals)


def test_every_step_is_a_pulse_and_a_delay(monkeypatch):
    flip, phase = some_steps()
    end, signal, longitudinal = step_by_step(some_spins(), flip, phase, 7.0)
    for block in (2**17, 128, 1):
        monkeypatch.setitem(train.BLOCK_OF_SPINS, "cpu", block)
        recording = pulse_train(some_spins(), flip, phase, 7.0, read=True)
        torch.testing.assert_close(recording.spins.vector, end.vector, atol=1e-12, rtol=0)
        torch.testing.assert_close(recording.signal, signal, atol=1e-12, rtol=0)
        torch.testing.assert_close(recording.longitudinal, longitudinal, atol=1e-12, rtol=0)
        torch.testing.assert_close(recording.time_ms, 7.0 * torch.arange(1, 46, dtype=torch.float64))


@pytest.mark.parametrize("device", DEVICES)
def test_float32_loses_little_in_a_thousand_steps(device):
    flip, phase = some_steps(1000)
    exact = pulse_train(some_spins(50), flip, phase, 7.0).spins.vector
    recording = pulse_train(some_spins(50, torch.float32, device), flip, phase, 7.0)
    assert (recording.spins.vector.cpu() - exact).abs().max() < 2e-6
    assert recording.spins.device.type == device
    assert recording.signal.shape == (0,)


def test_float32_without_relaxation_loses_more_but_not_much():
    # Nothing forgets here, so the rounding of every step stays.
    flip, phase = some_steps(1000)
    frequencies = torch.linspace(-30, 30, 50)
    exact = pulse_train(Spins(math.inf, math.inf, frequencies.double()), flip, phase, 7.0).spins
    narrow = pulse_train(Spins(math.inf, math.inf, frequencies), flip, phase, 7.0).spins
    assert (narrow.vector - exact.vector).abs().max() < 2e-4
    assert (exact.vector.norm(dim=-1) - 1).abs().max() < 1e-11


def test_what_comes_in_is_left_alone_and_shapes_stay():
    spins = Spins(torch.tensor([[600.0], [900.0]]), 80.0, torch.linspace(-5, 5, 7), 0.7)
    before = spins.vector
    recording = pulse_train(spins, torch.full((30,), 20.0), 0.0, 5.0)
    assert torch.equal(spins.vector, before)
    assert recording.spins.shape == (2, 7)
    end, _, _ = step_by_step(spins, torch.full((30,), 20.0), torch.zeros(30), 5.0)
    torch.testing.assert_close(recording.spins.vector, end.vector, atol=1e-6, rtol=0)
    assert recording.spins.pulse(30).evolve(4.0).shape == (2, 7)


def test_one_spin_without_a_batch():
    recording = pulse_train(Spins(600.0, 80.0), torch.tensor([90.0]), 90.0, 40.0, read=True)
    assert recording.spins.shape == ()
    torch.testing.assert_close(recording.signal[0], torch.tensor(math.exp(-0.5) + 0j, dtype=torch.complex64))


def test_a_gradient_takes_the_plain_way_to_the_same_numbers():
    flip, phase = some_steps(10)
    fast = pulse_train(some_spins(), flip, phase, 7.0, read=True)
    asked = flip.double().requires_grad_()
    plain = pulse_train(some_spins(), asked, phase, 7.0, read=True)
    torch.testing.assert_close(plain.signal, fast.signal, atol=1e-12, rtol=0)
    plain.signal[-1].abs().backward()
    assert bool(asked.grad.isfinite().all()) and bool((asked.grad != 0).any())
    with torch.no_grad():
        assert not pulse_train(some_spins(), asked, phase, 7.0).spins.vector.requires_grad


@pytest.mark.parametrize("way", ["for all backends", "for one backend"])
def test_a_process_that_allows_coarse_products_gets_fine_ones_and_keeps_its_setting(way):
    flip, phase = some_steps()
    spins = some_spins(50, torch.float32)
    fine = pulse_train(spins, flip, phase, 7.0).spins.vector
    if way == "for all backends":
        coarse, get, set_to = "medium", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    else:
        holder, name, coarse = torch.backends.cuda.matmul, "fp32_precision", "tf32"
        if not hasattr(holder, name):
            pytest.skip("this torch has no setting for one backend")
        get, set_to = lambda: getattr(holder, name), lambda value: setattr(holder, name, value)
    before = get()
    try:
        set_to(coarse)
        again = pulse_train(spins, flip, phase, 7.0).spins.vector
        assert get() == coarse
    finally:
        set_to(before)
    assert torch.equal(fine, again)


def test_no_transverse_magnetisation_survives_a_perfectly_spoiled_train():
    # T2 far below TR spoils by itself: the train then is the spoiled gradient echo.
    spins = Spins(1000.0, 1e-3, dtype=torch.float64)
    fast = pulse_train(spins, torch.full((200,), 15.0), 90.0, 20.0).spins
    slow = run(spins, spoiled_gradient_echo(15.0, 20.0, 200)).spins
    torch.testing.assert_close(fast.vector, slow.vector, atol=1e-12, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None, reason="torch.compile needs a compiler"
)
def test_compiled_is_eager():
    flip, phase = some_steps(2 * train.STEPS_A_KERNEL + 3)
    spins = some_spins(1000, torch.float32)
    compiled = pulse_train(spins, flip, phase, 7.0, compiled=True).spins.vector
    eager = pulse_train(spins, flip, phase, 7.0).spins.vector
    torch.testing.assert_close(compiled, eager, atol=2e-6, rtol=0)
    short = pulse_train(spins, flip[:1], phase[:1], 7.0, compiled=True).spins.vector
    torch.testing.assert_close(short, pulse_train(spins, flip[:1], phase[:1], 7.0).spins.vector, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"flip_angle_deg": torch.ones(2, 2)}, r"flip_angle_deg has shape \(2, 2\)"),
        ({"flip_angle_deg": torch.ones(0)}, r"flip_angle_deg has shape \(0,\)"),
        ({"phase_deg": torch.ones(3)}, r"phase_deg has shape \(3,\), expected \(4,\)"),
        ({"time_ms": torch.ones(4)}, r"time_ms has shape \(4,\)"),
        ({"time_ms": -1.0}, r"time_ms is -1\.0"),
        ({"flip_angle_deg": torch.full((4,), math.nan)}, "flip_angle_deg contains NaN"),
        ({"read": True, "compiled": True}, "read and compiled are both true"),
    ],
)
def test_impossible_trains_are_refused(change, sentence):
    arguments = {"flip_angle_deg": torch.ones(4), "phase_deg": 0.0, "time_ms": 5.0} | change
    with pytest.raises(ValueError, match=sentence):
        pulse_train(Spins(1000.0, 80.0), **arguments)
