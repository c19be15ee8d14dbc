"""Closed signal equations against the Bloch simulation, played until it has settled."""

import math

import pytest
import torch

from medlab.physics.mri.sequences import (
    balanced_ssfp_signal,
    flair_signal,
    inversion_recovery_signal,
    null_inversion_time_ms,
    spin_echo_signal,
    spoiled_gradient_echo_signal,
)
from medlab.physics.mri.spins import Delay, Pulse, Read, Spins, Spoil, run

DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []
DENSITY = torch.tensor([0.7, 0.83, 1.0, 0.9], dtype=torch.float64)
T1 = torch.tensor([884.0, 1820.0, 4300.0, 343.0], dtype=torch.float64)
T2 = torch.tensor([72.0, 99.0, 2000.0, 58.0], dtype=torch.float64)
MAPS = (DENSITY, T1, T2)
TIGHT = {"atol": 1e-9, "rtol": 0}


def spins():
    return Spins(T1, T2, proton_density=DENSITY)


def last(events, times=30):
    return run(spins(), events * times, dim=()).signal[-1]


def settled(events):
    """The first reading of a cycle of events in its steady state, found as the fixed point of the simulation.

    A cycle takes a magnetisation v to A v + b; four starts give A and b. Some repetitions more must change nothing.
    """
    starts = torch.cat((torch.zeros(1, 3), torch.eye(3))).double()[:, None]
    ends = run(Spins(T1, T2, proton_density=DENSITY, magnetisation=starts.expand(4, 4, 3)), events).spins.vector
    shift, columns = ends[0], (ends[1:] - ends[0]).permute(1, 2, 0)
    fixed = torch.linalg.solve(torch.eye(3).double() - columns, shift)
    state = Spins(T1, T2, proton_density=DENSITY, magnetisation=fixed)
    readings = run(state, events * 5, dim=()).signal
    torch.testing.assert_close(readings[-len(readings) // 5], readings[0], **TIGHT)
    return readings[0]


@pytest.mark.parametrize(("echo", "repetition"), [(0.0, 300.0), (12.0, 600.0), (100.0, 6000.0), (90.0, 100.0)])
def test_spin_echo(echo, repetition):
    half = Delay(echo / 2)
    events = [Pulse(90, 90), half, Pulse(180, 0), half, Read(), Delay(repetition - echo), Spoil()]
    ours = spin_echo_signal(*MAPS, echo_time_ms=echo, repetition_time_ms=repetition)
    torch.testing.assert_close(ours, last(events).real, **TIGHT)
    assert bool((ours >= 0).all())


@pytest.mark.parametrize(
    ("inversion", "echo", "repetition"),
    [(0.0, 10.0, 500.0), (250.0, 20.0, 1500.0), (2500.0, 100.0, 9000.0), (400.0, 0.0, 450.0)],
)
def test_inversion_recovery(inversion, echo, repetition):
    half = Delay(echo / 2)
    readout = [Pulse(90, 90), half, Pulse(180, 0), half, Read(), Delay(repetition - inversion - echo), Spoil()]
    simulated = last([Pulse(180, 90), Delay(inversion), Spoil(), *readout]).real
    times = {"inversion_time_ms": inversion, "echo_time_ms": echo, "repetition_time_ms": repetition}
    torch.testing.assert_close(inversion_recovery_signal(*MAPS, **times, signed=True), simulated, **TIGHT)
    torch.testing.assert_close(inversion_recovery_signal(*MAPS, **times), simulated.abs(), **TIGHT)


def test_inversion_recovery_from_equilibrium():
    times = {"inversion_time_ms": 300.0, "echo_time_ms": 0.0, "repetition_time_ms": 1e6}
    expected = DENSITY * (1 - 2 * torch.exp(-300.0 / T1))
    torch.testing.assert_close(inversion_recovery_signal(*MAPS, **times, signed=True), expected, **TIGHT)


@pytest.mark.parametrize("echo", [0.0, 80.0, 140.0])
@pytest.mark.parametrize("repetition", [2000.0, 9000.0, 1e7])
def test_the_null_is_a_null(echo, repetition):
    inversion = null_inversion_time_ms(T1, repetition_time_ms=repetition, echo_time_ms=echo)
    times = {"inversion_time_ms": inversion, "echo_time_ms": echo, "repetition_time_ms": repetition}
    signal = inversion_recovery_signal(*MAPS, **times, signed=True)
    torch.testing.assert_close(signal, torch.zeros_like(signal), atol=1e-14, rtol=0)
    assert bool((inversion <= T1 * math.log(2)).all())
    before = inversion_recovery_signal(*MAPS, **(times | {"inversion_time_ms": inversion - 1}), signed=True)
    assert bool((before < 0).all())


def test_the_null_in_the_limit_and_of_numbers():
    assert null_inversion_time_ms(4300.0, repetition_time_ms=math.inf) == pytest.approx(4300 * math.log(2), abs=1e-9)
    # TR = 2 T1, TE = 0: e^-TI = (1 + e^-2) / 2 by hand.
    by_hand = -1000 * math.log((1 + math.exp(-2)) / 2)
    assert null_inversion_time_ms(1000.0, repetition_time_ms=2000.0) == pytest.approx(by_hand, abs=1e-9)
    assert null_inversion_time_ms(1000.0, repetition_time_ms=2000.0, echo_time_ms=80.0) < by_hand


def test_flair_nulls_fluid_in_the_simulation_too():
    echo, repetition = 100.0, 9000.0
    inversion, half = null_inversion_time_ms(4300.0, repetition_time_ms=repetition, echo_time_ms=echo), Delay(echo / 2)
    readout = [Pulse(90, 90), half, Pulse(180, 0), half, Read(), Delay(repetition - inversion - echo), Spoil()]
    simulated = last([Pulse(180, 90), Delay(inversion), Spoil(), *readout], 15).real.abs()
    ours = flair_signal(*MAPS, echo_time_ms=echo, repetition_time_ms=repetition)
    torch.testing.assert_close(ours, simulated, **TIGHT)
    assert ours[2] < 1e-12 < 0.05 < ours[0]
    narrow = flair_signal(*(value.float() for value in MAPS), echo_time_ms=echo, repetition_time_ms=repetition)
    assert narrow.dtype == torch.float32 and narrow[2] < 1e-6


@pytest.mark.parametrize(("flip", "repetition", "echo"), [(8.0, 20.0, 5.0), (30.0, 50.0, 0.0), (90.0, 400.0, 40.0)])
def test_spoiled_gradient_echo(flip, repetition, echo):
    events = [Pulse(flip, 90), Delay(echo), Read(), Delay(repetition - echo), Spoil()]
    ours = spoiled_gradient_echo_signal(*MAPS, flip_angle_deg=flip, echo_time_ms=echo, repetition_time_ms=repetition)
    torch.testing.assert_close(ours, settled(events).real, **TIGHT)
    if flip == 90.0:
        torch.testing.assert_close(ours, last(events, 100).real, **TIGHT)


@pytest.mark.parametrize(
    ("flip", "repetition", "echo"), [(50.0, 5.0, None), (10.0, 20.0, 3.0), (70.0, 100.0, None), (180.0, 100.0, None)]
)
def test_balanced_ssfp(flip, repetition, echo):
    read = repetition / 2 if echo is None else echo
    pair = []
    for sign in (1, -1):
        pair += [Pulse(sign * flip, 90), Delay(read), Read(), Delay(repetition - read)]
    times = {"repetition_time_ms": repetition, "echo_time_ms": echo}
    ours = balanced_ssfp_signal(*MAPS, flip_angle_deg=flip, **times)
    torch.testing.assert_close(ours, settled(pair).real, **TIGHT)
    if flip == 180.0:  # and from equilibrium, pulse by pulse
        assert (last(pair, 250).real.abs() - ours.abs()).abs().max() < 1e-5


def test_balanced_ssfp_of_fluid_reaches_half_of_its_magnetisation():
    # With T1 = T2 and TR -> 0 the largest signal is M0 / 2, at 90 degrees (Freeman and Hill).
    signal = balanced_ssfp_signal(1.0, 2000.0, 2000.0, flip_angle_deg=90.0, repetition_time_ms=0.01)
    assert abs(float(signal) - 0.5) < 1e-4


def test_float32_keeps_its_digits_where_tr_is_short():
    wide = spin_echo_signal(*MAPS, echo_time_ms=0.1, repetition_time_ms=1.0)
    narrow = spin_echo_signal(*(value.float() for value in MAPS), echo_time_ms=0.1, repetition_time_ms=1.0)
    torch.testing.assert_close(narrow.double(), wide, rtol=2e-6, atol=0)
    wide = balanced_ssfp_signal(*MAPS, flip_angle_deg=30.0, repetition_time_ms=1.0)
    narrow = balanced_ssfp_signal(*(value.float() for value in MAPS), flip_angle_deg=30.0, repetition_time_ms=1.0)
    torch.testing.assert_close(narrow.double(), wide, rtol=2e-6, atol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_gives_the_same_images(device):
    maps = [value.float().to(device) for value in MAPS]
    times = {"echo_time_ms": 20.0, "repetition_time_ms": 5000.0}
    pairs = [
        (spin_echo_signal, times),
        (flair_signal, times),
        (inversion_recovery_signal, times | {"inversion_time_ms": 400.0}),
        (spoiled_gradient_echo_signal, times | {"flip_angle_deg": 30.0}),
        (balanced_ssfp_signal, {"flip_angle_deg": 30.0, "repetition_time_ms": 5.0}),
    ]
    for equation, settings in pairs:
        ours = equation(*maps, **settings)
        assert ours.dtype == torch.float32 and ours.device.type == device
        torch.testing.assert_close(ours.cpu().double(), equation(*MAPS, **settings), atol=1e-6, rtol=0)


def test_maps_and_settings_broadcast_and_gradients_flow():
    t1 = torch.full((5, 1), 900.0, dtype=torch.float64, requires_grad=True)
    density, echo = torch.rand(7, dtype=torch.float64), torch.tensor([10.0, 50.0]).reshape(2, 1, 1)
    signal = spin_echo_signal(density, t1, 80.0, echo_time_ms=echo, repetition_time_ms=600.0)
    assert signal.shape == (2, 5, 7)
    assert torch.autograd.gradcheck(
        lambda t: spin_echo_signal(0.8, t, 80.0, echo_time_ms=10.0, repetition_time_ms=600.0), t1[:1]
    )
    assert spin_echo_signal(1.0, 900.0, 80.0, echo_time_ms=10.0, repetition_time_ms=600.0).dtype == torch.float32


TIMES = {"echo_time_ms": 10.0, "repetition_time_ms": 500.0}
GRE = TIMES | {"flip_angle_deg": 10.0}
NAN = math.nan


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: spin_echo_signal(1.0, 0.0, 80.0, **TIMES), "t1_ms is 0.0, expected a time above 0"),
        (lambda: spin_echo_signal(1.0, 900.0, -1.0, **TIMES), "t2_ms is -1.0, expected a time above 0"),
        (lambda: spin_echo_signal(1.0, 100.0, 300.0, **TIMES), "t2_ms is more than twice t1_ms"),
        (lambda: spin_echo_signal(-0.1, 900.0, 80.0, **TIMES), "proton_density is -0.1"),
        (lambda: spin_echo_signal(NAN, 900.0, 80.0, **TIMES), "proton_density contains NaN"),
        (lambda: spin_echo_signal(1.0, NAN, 80.0, **TIMES), "t1_ms contains NaN"),
        (lambda: spin_echo_signal(1.0, 900.0, 80.0, **(TIMES | {"echo_time_ms": 501.0})), "echo_time_ms is 501"),
        (lambda: spin_echo_signal(1.0, 900.0, 80.0, **(TIMES | {"echo_time_ms": -1.0})), "echo_time_ms is -1"),
        (lambda: spin_echo_signal(1.0, 900.0, 80.0, **(TIMES | {"repetition_time_ms": NAN})), "repetition_time_ms con"),
        (lambda: spin_echo_signal(torch.ones(2), torch.ones(3), 1.0, **TIMES), "expected shapes that broadcast"),
        (lambda: spin_echo_signal("a", 900.0, 80.0, **TIMES), "proton_density is 'a'"),
        (
            lambda: inversion_recovery_signal(1.0, 900.0, 80.0, inversion_time_ms=500.0, **TIMES),
            "inversion_time_ms is 500, expected less than repetition_time_ms",
        ),
        (lambda: inversion_recovery_signal(1.0, 900.0, 80.0, inversion_time_ms=495.0, **TIMES), "expected TI . TE <="),
        (
            lambda: inversion_recovery_signal(1.0, 900.0, 80.0, inversion_time_ms=-5.0, **TIMES),
            "inversion_time_ms is -",
        ),
        (lambda: null_inversion_time_ms(0.0, repetition_time_ms=500.0), "t1_ms is 0"),
        (lambda: null_inversion_time_ms(900.0, repetition_time_ms=-1.0), "repetition_time_ms is -1"),
        (lambda: null_inversion_time_ms(900.0, repetition_time_ms=NAN), "repetition_time_ms contains NaN"),
        (
            lambda: null_inversion_time_ms(4300.0, repetition_time_ms=100.0, echo_time_ms=100.0),
            "repetition_time_ms is 100, expected one long enough",
        ),
        (lambda: spoiled_gradient_echo_signal(1.0, 900.0, 0.0, **GRE), "t2_star_ms is 0.0"),
        (lambda: spoiled_gradient_echo_signal(1.0, -9.0, 50.0, **GRE), "t1_ms is -9.0"),
        (lambda: spoiled_gradient_echo_signal(1.0, 9.0, 5.0, **(GRE | {"flip_angle_deg": NAN})), "flip_angle_deg con"),
        (lambda: spoiled_gradient_echo_signal(1.0, 9.0, 5.0, **(GRE | {"echo_time_ms": 600.0})), "echo_time_ms is 600"),
        (lambda: balanced_ssfp_signal(1.0, 900.0, 80.0, **(GRE | {"echo_time_ms": 600.0})), "echo_time_ms is 600"),
        (lambda: balanced_ssfp_signal(1.0, 900.0, 0.0, **GRE), "t2_ms is 0.0"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
