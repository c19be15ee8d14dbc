"""Pulses, free evolution and what a state refuses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from medlab.physics.mri.spins import Spins, propagator, rotation

DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []
angles = st.floats(-720, 720)


@pytest.mark.parametrize("device", DEVICES)
def test_thesis_equation_3_4(device):
    t1, t2, frequency = 900.0, 80.0, 12.5
    time = torch.linspace(0, 3000, 601)
    state = Spins(t1, t2, frequency, proton_density=0.7, device=device).pulse(90, phase_deg=90).evolve(time)
    t, m0 = time.double(), 0.7
    transverse = m0 * torch.exp(-t / t2)
    expected = torch.complex(
        transverse * torch.cos(2e-3 * math.pi * frequency * t), transverse * torch.sin(2e-3 * math.pi * frequency * t)
    )
    assert state.dtype == torch.float32
    assert (state.transverse.cpu() - expected).abs().max() < 1e-6
    assert (state.longitudinal.cpu() - m0 * -torch.expm1(-t / t1)).abs().max() < 1e-6


def test_equation_3_4_holds_after_many_turns():
    # 1,000 turns: in float32 the phase alone would be wrong by more than 10^-4.
    state = Spins(math.inf, math.inf, 500.0).pulse(90, 90).evolve(2000.0)
    assert abs(complex(state.transverse) - 1) < 1e-6


@pytest.mark.parametrize("device", DEVICES)
def test_180_degrees_refocus_a_thousand_off_resonant_spins(device):
    frequencies = torch.linspace(-200, 200, 1000)
    state = Spins(1000.0, 80.0, frequencies, device=device).pulse(90, 90).evolve(25.0)
    assert state.signal().abs() < 0.01
    echo = state.pulse(180).evolve(25.0)
    assert (echo.transverse - math.exp(-50 / 80)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("phase", "start", "end"),
    [(0, (0, 0, 1), (0, -1, 0)), (0, (0, 1, 0), (0, 0, 1)), (90, (0, 0, 1), (1, 0, 0)), (90, (1, 0, 0), (0, 0, -1))],
)
def test_quarter_turns_are_right_handed(phase, start, end):
    state = Spins(math.inf, math.inf, magnetisation=torch.tensor(start, dtype=torch.float32)).pulse(90, phase)
    torch.testing.assert_close(state.vector, torch.tensor(end, dtype=torch.float32), atol=1e-7, rtol=0)


def test_positive_off_resonance_turns_anticlockwise():
    state = Spins(math.inf, math.inf, 1.0).pulse(90, 90).evolve(250.0)
    torch.testing.assert_close(state.vector, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)


@given(angles, angles)
@settings(max_examples=50, deadline=None)
def test_rotations_are_orthonormal_and_are_what_pulse_does(flip, phase):
    matrix = rotation(torch.tensor(flip, dtype=torch.float64), phase)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert abs(float(torch.linalg.det(matrix)) - 1) < 1e-12
    start = torch.tensor([0.3, -0.5, 0.6], dtype=torch.float64)
    turned = Spins(math.inf, math.inf, magnetisation=start).pulse(flip, phase).vector
    torch.testing.assert_close(turned, matrix @ start, atol=1e-12, rtol=0)


@given(angles, angles, angles)
@settings(max_examples=50, deadline=None)
def test_rotations_about_one_axis_add(first, second, phase):
    start = torch.tensor([0.3, -0.5, 0.6], dtype=torch.float64)
    state = Spins(math.inf, math.inf, magnetisation=start)
    twice, once = state.pulse(first, phase).pulse(second, phase), state.pulse(first + second, phase)
    torch.testing.assert_close(twice.vector, once.vector, atol=1e-11, rtol=0)


@given(st.floats(0, 500), st.floats(0, 500), st.floats(1, 5000), st.floats(0.01, 2), st.floats(-300, 300))
@settings(max_examples=50, deadline=None)
def test_two_delays_are_one_and_nothing_grows(first, second, t1, ratio, frequency):
    start = torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64)
    state = Spins(t1, ratio * t1, frequency, magnetisation=start)
    twice, once = state.evolve(first).evolve(second), state.evolve(first + second)
    torch.testing.assert_close(twice.vector, once.vector, atol=1e-9, rtol=0)
    assert once.vector.norm() <= 1 + 1e-12


def test_batches_of_any_shape_give_the_spins_one_by_one():
    t1, t2 = torch.tensor([[800.0], [1200.0]]), torch.tensor([[70.0], [90.0]])
    frequencies = torch.tensor([-20.0, 0.0, 35.0])
    state = Spins(t1, t2, frequencies, proton_density=torch.tensor([1.0, 0.5, 0.8])).pulse(70, 20).evolve(30.0)
    assert state.shape == (2, 3)
    for row in range(2):
        for column in range(3):
            density = (1.0, 0.5, 0.8)[column]
            alone = Spins(float(t1[row]), float(t2[row]), float(frequencies[column]), density).pulse(70, 20).evolve(30)
            assert alone.shape == ()
            torch.testing.assert_close(state.vector[row, column], alone.vector)
    torch.testing.assert_close(state.signal(), state.transverse.mean())
    torch.testing.assert_close(state.signal(dim=-1), state.transverse.mean(-1))


def test_an_angle_and_a_time_for_each_spin():
    flips, times = torch.tensor([30.0, 60.0, 90.0]), torch.tensor([[0.0], [10.0]])
    state = Spins(1000.0, 80.0).pulse(flips, 90).evolve(times)
    assert state.shape == (2, 3)
    expected = torch.exp(-times / 80) * torch.sin(torch.deg2rad(flips))
    torch.testing.assert_close(state.transverse.real, expected)


@pytest.mark.parametrize("device", DEVICES)
def test_float32_stays_close_to_float64(device):
    frequencies = torch.linspace(-100, 100, 50)

    def play(state):
        return state.pulse(35, 10).evolve(12.0).irradiate(3.0, (80.0, 20.0)).pulse(180).evolve(12.0).vector

    narrow = play(Spins(700.0, 60.0, frequencies, device=device))
    wide = play(Spins(700.0, 60.0, frequencies, dtype=torch.float64))
    assert narrow.device.type == device
    assert (narrow.cpu() - wide).abs().max() < 1e-6


def test_a_finite_pulse_is_an_instant_one_where_it_is_short():
    state = Spins(1000.0, 80.0, 20.0, dtype=torch.float64)
    short = state.irradiate(1e-5, (0.0, 250.0 / 1e-5))
    torch.testing.assert_close(short.vector, state.pulse(90, 90).vector, atol=1e-5, rtol=0)
    matrix = propagator(1e-5, 1000.0, 80.0, torch.tensor(20.0, dtype=torch.float64), (0.0, 250.0 / 1e-5))
    torch.testing.assert_close(matrix[:3, 2] + matrix[:3, 3], short.vector)


def test_spoiling_leaves_the_longitudinal_alone():
    state = Spins(1000.0, 80.0).pulse(60)
    assert complex(state.spoil().transverse) == 0
    assert state.spoil().longitudinal == state.longitudinal


def test_a_state_is_never_changed():
    state = Spins(1000.0, 80.0, torch.tensor([1.0, 2.0]))
    before = state.vector
    state.pulse(90).evolve(10).spoil()
    assert torch.equal(state.vector, before)


def test_gradients_through_times_angles_and_the_start():
    def experiment(t1, t2, frequency, density, flip):
        state = Spins(t1, t2, frequency, density).pulse(flip, 30).evolve(15.0)
        state = state.irradiate(2.0, (60.0, 10.0)).pulse(2 * flip, 0).evolve(15.0)
        return state.vector

    values = (700.0, 60.0, 13.0, 0.8, 50.0)
    inputs = [torch.tensor([v, 1.1 * v], dtype=torch.float64, requires_grad=True) for v in values]
    assert gradcheck(experiment, inputs)


def test_numpy_enters_as_float32_and_a_tensor_decides():
    assert Spins(np.float64(800.0), np.array([70.0, 80.0])).dtype == torch.float32
    assert Spins(800.0, torch.tensor(70.0, dtype=torch.float64)).dtype == torch.float64
    moved = Spins(800.0, 70.0).pulse(30).to(dtype=torch.float64)
    assert moved.dtype == torch.float64
    assert moved.transverse.dtype == torch.complex128


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"t1_ms": 0.0}, "t1_ms is 0.0, expected a time above 0 ms"),
        ({"t2_ms": -5.0}, "t2_ms is -5.0"),
        ({"t1_ms": math.nan}, "t1_ms contains NaN"),
        ({"t1_ms": "long"}, "t1_ms is 'long'"),
        ({"t1_ms": 100.0, "t2_ms": 200.1}, "T2 <= 2 T1"),
        ({"t2_ms": math.inf}, "T2 <= 2 T1"),
        ({"off_resonance_hz": math.inf}, "off_resonance_hz contains infinity"),
        ({"proton_density": -0.1}, "proton_density is -0.1"),
        ({"magnetisation": torch.zeros(2)}, r"magnetisation has shape \(2,\)"),
        ({"magnetisation": torch.full((3,), math.nan)}, "magnetisation contains NaN"),
        ({"t1_ms": torch.ones(2), "t2_ms": torch.ones(3)}, r"t1_ms \(2,\), t2_ms \(3,\)"),
        ({"t1_ms": torch.ones(0)}, "at least one spin"),
        ({"t1_ms": torch.tensor(1j)}, "complex64, expected real"),
        ({"dtype": torch.float16}, "dtype is torch.float16"),
    ],
)
def test_spins_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        Spins(**({"t1_ms": 1000.0, "t2_ms": 80.0} | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: s.evolve(-1.0), "time_ms is -1.0"),
        (lambda s: s.evolve(math.inf), "time_ms contains infinity"),
        (lambda s: s.evolve(torch.ones(2)), "expected shapes that broadcast"),
        (lambda s: s.pulse(math.nan), "flip_angle_deg contains NaN"),
        (lambda s: s.pulse(90, math.inf), "phase_deg contains infinity"),
        (lambda s: s.pulse(torch.ones(2)), "expected shapes that broadcast"),
        (lambda s: s.irradiate(1.0, (math.inf, 0.0)), r"rf_hz\[0\] contains infinity"),
    ],
)
def test_impossible_moves_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(Spins(1000.0, 80.0, torch.zeros(3)))


def test_t2_may_be_exactly_twice_t1_in_float32():
    t1 = torch.tensor([33.3, 77.7, 1234.5])
    assert Spins(t1, 2 * t1).shape == (3,)
