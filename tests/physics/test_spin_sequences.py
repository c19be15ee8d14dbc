"""Experiments as lists of events against their closed forms."""

import math

import pytest
import torch

from medlab.physics.mri.spins import (
    Delay,
    Irradiate,
    Pulse,
    Read,
    Spins,
    Spoil,
    ernst_angle_deg,
    ernst_signal,
    free_induction_decay,
    inversion_recovery,
    multi_echo,
    read_at,
    run,
    spaced_lorentzian_hz,
    spin_echo,
    spoiled_gradient_echo,
)


def test_free_induction_decay():
    times = torch.linspace(0, 100, 21)
    recording = run(Spins(1000.0, 60.0, 8.0), read_at(free_induction_decay(100.0), times.tolist()))
    expected = torch.exp(torch.complex(-times / 60, 2e-3 * math.pi * 8 * times))
    torch.testing.assert_close(recording.time_ms, times.double())
    assert (recording.signal - expected).abs().max() < 2e-6
    assert (recording.longitudinal - -torch.expm1(-times / 1000)).abs().max() < 2e-6


@pytest.mark.parametrize("inversion_time", [0.0, 300.0, 1000 * math.log(2), 5000.0])
def test_inversion_recovery_is_signed(inversion_time):
    recording = run(Spins(1000.0, 80.0, proton_density=0.8), inversion_recovery(inversion_time))
    assert abs(complex(recording.signal[0]) - 0.8 * (1 - 2 * math.exp(-inversion_time / 1000))) < 1e-6


def test_a_spin_echo_has_t2_and_the_decay_before_it_t2_star():
    frequencies = spaced_lorentzian_hz(2000, 20.0)
    recording = run(Spins(1000.0, 80.0, frequencies), read_at(spin_echo(60.0), [0, 20, 60]))
    fast = math.exp(-20 * (1 / 80 + 2e-3 * math.pi * 20))
    expected = torch.tensor([1, fast, math.exp(-60 / 80)], dtype=torch.float64)
    torch.testing.assert_close(recording.signal.real, expected, atol=2e-2, rtol=0)
    assert abs(complex(recording.signal[2]) - math.exp(-60 / 80)) < 1e-5
    own = run(Spins(1000.0, 80.0, frequencies), spin_echo(60.0))
    torch.testing.assert_close(own.signal[0], recording.signal[2])


def test_a_train_of_echoes_decays_with_t2():
    state = Spins(1000.0, 80.0, torch.linspace(-50, 50, 101))
    recording = run(state, multi_echo(10.0, 16))
    torch.testing.assert_close(recording.time_ms, torch.arange(1, 17, dtype=torch.float64) * 10)
    assert (recording.signal - torch.exp(-recording.time_ms / 80)).abs().max() < 1e-5


def test_meiboom_and_gill_forgive_a_wrong_angle_that_carr_and_purcell_do_not():
    state = Spins(math.inf, math.inf, torch.linspace(-100, 100, 501))
    forgiving = run(state, multi_echo(10.0, 16, refocusing_angle_deg=160.0)).signal.abs()
    adding_up = run(state, multi_echo(10.0, 16, refocusing_angle_deg=160.0, refocusing_phase_deg=90.0)).signal.abs()
    assert forgiving[15] > 0.9
    assert adding_up[15] < 0.7 * forgiving[15]


@pytest.mark.parametrize("flip", [2.0, 11.421, 20.0, 45.0, 90.0])
def test_spoiled_gradient_echo_settles_at_ernst(flip):
    recording = run(Spins(1000.0, 80.0), spoiled_gradient_echo(flip, 20.0, 600))
    assert abs(complex(recording.signal[-1]) - ernst_signal(flip, 20.0, 1000.0)) < 1e-4
    # Far closer in float64, from a start at the steady state of another angle.
    wide = Spins(1000.0, 80.0, dtype=torch.float64).pulse(40).spoil()
    settled = run(wide, spoiled_gradient_echo(flip, 200.0, 200, echo_time_ms=5.0)).signal[-1]
    assert abs(complex(settled) - ernst_signal(flip, 200.0, 1000.0) * math.exp(-5 / 80)) < 1e-10


def test_the_ernst_angle_gives_the_largest_signal():
    best = ernst_angle_deg(20.0, 1000.0)
    assert abs(best - 11.42) < 0.01
    signals = ernst_signal(torch.linspace(0, 90, 9001, dtype=torch.float64), 20.0, 1000.0)
    assert abs(float(signals.argmax()) / 100 - best) < 0.01
    assert ernst_signal(0.0, 20.0, 1000.0) == 0.0
    assert ernst_signal(0.0, 0.0, 1000.0) == 0.0
    assert math.isclose(ernst_signal(90.0, 20.0, 1000.0), -math.expm1(-0.02))


def test_reading_does_not_disturb():
    events = [Pulse(70, 20), Delay(13.0), Irradiate(4.0, (50.0, 20.0)), Delay(9.0), Spoil(), Pulse(30)]
    state = Spins(500.0, 50.0, 17.0, dtype=torch.float64)
    plain = run(state, events)
    assert plain.signal.shape == (0,)
    watched = run(state, read_at(events, [0.0, 0.1, 13.0, 15.5, 17.0, 17.0, 26.0]))
    torch.testing.assert_close(watched.spins.vector, plain.spins.vector, atol=1e-12, rtol=0)
    assert watched.time_ms.tolist() == pytest.approx([0.0, 0.1, 13.0, 15.5, 17.0, 17.0, 26.0])
    # At the time of an instant event the reading comes after it: here after spoiling and the last pulse.
    torch.testing.assert_close(watched.signal[-1], plain.spins.signal())


def test_readings_are_those_of_the_same_delays_by_hand():
    events = read_at([Pulse(90, 90), Delay(0.3), Delay(0.3)], [0.1, 0.3, 0.6])
    assert [type(event) for event in events] == [Pulse, Delay, Read, Delay, Read, Delay, Read]
    times = [event.time_ms for event in events if isinstance(event, Delay)]
    assert times == pytest.approx([0.1, 0.2, 0.3])


def test_dimensions_that_are_kept():
    state = Spins(torch.tensor([[800.0], [1200.0]]), 80.0, torch.zeros(5))
    recording = run(state, inversion_recovery(400.0), dim=-1)
    assert recording.signal.shape == (1, 2)
    torch.testing.assert_close(recording.signal[0].real, 1 - 2 * torch.exp(-400 / torch.tensor([800.0, 1200.0])))
    assert recording.longitudinal.shape == (1, 2)


def test_gradients_flow_through_an_experiment():
    t2 = torch.tensor(80.0, dtype=torch.float64, requires_grad=True)
    run(Spins(1000.0, t2), spin_echo(40.0)).signal[0].real.backward()
    assert math.isclose(float(t2.grad), math.exp(-0.5) * 40 / 80**2, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Delay(-1.0), "time_ms is -1"),
        (lambda: Irradiate(math.nan, (1.0, 0.0)), "time_ms is nan"),
        (lambda: multi_echo(10.0, 0), "echoes is 0"),
        (lambda: spoiled_gradient_echo(10.0, 20.0, 2.5), "repetitions is"),
        (lambda: spoiled_gradient_echo(10.0, 20.0, 2, 21.0), "echo_time_ms is 21"),
        (lambda: read_at([Delay(5.0)], [3.0, 2.0]), "expected times that rise"),
        (lambda: read_at([Delay(5.0)], [-1.0]), "times of 0 ms or more"),
        (lambda: read_at([Delay(5.0)], [6.0]), "within the experiment of 5"),
        (lambda: ernst_signal(10.0, 20.0, 0.0), "t1_ms is 0"),
        (lambda: ernst_angle_deg(-1.0, 100.0), "repetition_time_ms is -1"),
    ],
)
def test_impossible_experiments_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_no_dimension_to_average_reads_every_spin():
    spins = Spins(1000.0, torch.tensor([50.0, 100.0]), torch.tensor([3.0, -4.0]))
    apart, together = run(spins, spin_echo(30.0), dim=()), run(spins, spin_echo(30.0))
    assert apart.signal.shape == apart.longitudinal.shape == (1, 2)
    torch.testing.assert_close(apart.signal.mean(), together.signal[0])
    torch.testing.assert_close(spins.pulse(90).signal(()), spins.pulse(90).transverse)
