"""Shaped pulses against the Fourier transform, exact propagators, hard pulses and SigPy."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import windows
from torch.autograd import gradcheck

from medlab.physics.mri.spins import (
    GAMMA_MHZ_PER_T,
    ShapedPulse,
    Spins,
    gradient_for_slice,
    refocusing_profile,
    select_slice,
    windowed_sinc,
)

DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []
FREE = Spins(math.inf, math.inf, dtype=torch.float64)
THICKNESS, DURATION, TIME_BANDWIDTH = 5.0, 3.0, 6.0
GRADIENT = gradient_for_slice(THICKNESS, 1e3 * TIME_BANDWIDTH / DURATION)
PLACES = torch.linspace(-15, 15, 301, dtype=torch.float64)


def sinc(flip, **options):
    return windowed_sinc(flip, DURATION, TIME_BANDWIDTH, **options)


@pytest.mark.parametrize("window", ["none", "hann", "hamming"])
def test_a_small_flip_gives_the_fourier_transform_of_the_pulse(window):
    pulse = sinc(0.01, window=window, phase_deg=90.0)
    profile = select_slice(FREE, pulse, PLACES, GRADIENT).transverse
    # Of M' = i w M - i w1 M_z (M_z = 1) from -T/2 to T/2, rephased to the middle: -i times the transform of w1. Each
    # step is a box, whose transform is the sinc.
    frequency = 1e-3 * GAMMA_MHZ_PER_T * GRADIENT * PLACES  # per ms
    angle = 2e-3 * math.pi * pulse.rf_hz * pulse.step_ms
    waves = torch.polar(torch.ones(1).double(), -2 * math.pi * frequency[:, None] * pulse.time_ms)
    expected = -1j * (waves @ angle) * torch.sinc(frequency * pulse.step_ms)
    torch.testing.assert_close(profile, expected, atol=1e-7 * math.radians(0.01), rtol=0)
    # In the middle it is the flip angle itself, about y, so along x.
    assert abs(complex(profile[150]) - math.radians(0.01)) < 1e-11


@pytest.mark.parametrize(("window", "alpha"), [("none", 1.0), ("hann", 0.5), ("hamming", 0.54)])
def test_the_waveform_is_a_sinc_under_its_window(window, alpha):
    pulse = windowed_sinc(90.0, DURATION, TIME_BANDWIDTH, window=window, steps=100)
    # SciPy's window has its ends on samples; ours are the middles of the steps, every other sample of a finer one.
    taper = windows.general_hamming(201, alpha)[1::2]
    shape = np.sinc(TIME_BANDWIDTH * pulse.time_ms.numpy() / DURATION) * taper
    np.testing.assert_allclose(pulse.rf_hz.real.numpy(), 90 / 0.36 / DURATION * shape / shape.mean(), atol=1e-10)
    assert pulse.duration_ms == pytest.approx(DURATION)
    assert pulse.peak_ut == pytest.approx(float(pulse.rf_hz.abs().max()) / GAMMA_MHZ_PER_T)


def test_on_resonance_it_is_a_plain_pulse():
    for flip, phase in ((90.0, 0.0), (37.0, 50.0), (180.0, 90.0)):
        after = select_slice(FREE, sinc(flip, phase_deg=phase), 0.0, GRADIENT)
        torch.testing.assert_close(after.vector, FREE.pulse(flip, phase).vector, atol=1e-12, rtol=0)
    assert sinc(90.0).flip_angle_deg == pytest.approx(90.0, abs=1e-10)


def test_the_slice_has_the_thickness_asked_for():
    height = select_slice(FREE, sinc(1.0), PLACES, GRADIENT).transverse.abs()
    inside = PLACES[height > 0.5 * height[150]]
    assert abs(float(inside[-1] - inside[0]) - THICKNESS) < 0.21  # the places lie 0.1 mm apart
    assert height[PLACES.abs() > 1.5 * THICKNESS].max() < 0.01 * height[150]


def test_ninety_degrees_keep_a_slice_of_even_phase():
    after = select_slice(FREE, sinc(90.0, phase_deg=90.0), PLACES, GRADIENT)
    core = after.transverse[PLACES.abs() < 0.2 * THICKNESS]
    assert core.abs().min() > 0.99
    # Half an opposite lobe rephases the slice: at 90 degrees not quite, at small angles all but exactly.
    assert core.angle().abs().max() < 0.2
    without = select_slice(FREE, sinc(90.0, phase_deg=90.0), PLACES, GRADIENT, rephasing=0.0).transverse
    assert abs(complex(without[PLACES.abs() < 0.5 * THICKNESS].mean())) < 0.3
    torch.testing.assert_close(
        after.vector.square().sum(-1), torch.ones_like(PLACES), atol=1e-12, rtol=0
    )  # a rotation keeps the length


def test_inversion_and_refocusing_profiles():
    pulse = sinc(180.0)
    height = select_slice(FREE, pulse, PLACES, GRADIENT, rephasing=0.0).longitudinal
    assert abs(float(height[150]) + 1) < 1e-12
    assert height[PLACES.abs() > 1.5 * THICKNESS].min() > 0.98
    mirrored = refocusing_profile(pulse, PLACES, GRADIENT)
    # A rotation that leaves M_z = 1 - 2 |b|^2 mirrors the share |b|^2.
    torch.testing.assert_close(mirrored.abs(), (1 - height) / 2, atol=1e-12, rtol=0)
    hard = ShapedPulse(torch.full((10,), 120 / 0.36 / 1.0, dtype=torch.complex128), 0.1)
    assert refocusing_profile(hard, 0.0, 1.0).abs() == pytest.approx(math.sin(math.radians(60)) ** 2, abs=1e-12)


def test_off_resonance_and_carrier_shift_the_slice():
    hertz = 300.0
    shift = hertz / (GAMMA_MHZ_PER_T * GRADIENT)
    pulse = sinc(90.0)
    centred = select_slice(FREE, pulse, PLACES, GRADIENT, rephasing=0.0)
    off = Spins(math.inf, math.inf, hertz, dtype=torch.float64)
    moved = select_slice(off, pulse, PLACES - shift, GRADIENT, rephasing=0.0)
    torch.testing.assert_close(moved.vector, centred.vector, atol=1e-12, rtol=0)
    assert float(moved.off_resonance_hz) == hertz
    carried = select_slice(FREE, pulse.shifted(hertz), PLACES + shift, GRADIENT)
    # The turning phase is held during each step of 12 microseconds.
    torch.testing.assert_close(carried.longitudinal, centred.longitudinal, atol=3e-4, rtol=0)


@pytest.mark.parametrize(("steps", "allowed"), [(64, 6e-5), (256, 4e-6), (1024, 3e-7)])
def test_relaxation_is_split_with_an_error_of_second_order(steps, allowed):
    pulse = windowed_sinc(90.0, DURATION, TIME_BANDWIDTH, steps=steps, phase_deg=30.0)
    places = torch.linspace(-8, 8, 9, dtype=torch.float64)
    state = Spins(300.0, 20.0, 15.0, 0.9, dtype=torch.float64)
    ours = select_slice(state, pulse, places, GRADIENT, rephasing=0.0)
    exact = Spins(300.0, 20.0, 15.0 + GAMMA_MHZ_PER_T * GRADIENT * places, 0.9)
    for sample in pulse.rf_hz.tolist():
        exact = exact.irradiate(pulse.step_ms, (sample.real, sample.imag))
    assert (ours.vector - exact.vector).abs().max() < allowed


def test_without_relaxation_it_is_exact_at_any_step():
    pulse = windowed_sinc(140.0, DURATION, TIME_BANDWIDTH, steps=16, phase_deg=30.0)
    exact = Spins(math.inf, math.inf, GAMMA_MHZ_PER_T * GRADIENT * PLACES)
    for sample in pulse.rf_hz.tolist():
        exact = exact.irradiate(pulse.step_ms, (sample.real, sample.imag))
    ours = select_slice(FREE, pulse, PLACES, GRADIENT, rephasing=0.0)
    torch.testing.assert_close(ours.vector, exact.vector, atol=1e-11, rtol=0)


def test_the_rephasing_lobe_takes_its_time():
    state = Spins(300.0, 20.0, 40.0, dtype=torch.float64)
    pulse = sinc(60.0)
    apart = select_slice(state, pulse, 0.0, GRADIENT, rephasing=0.0).evolve(DURATION / 2)
    torch.testing.assert_close(select_slice(state, pulse, 0.0, GRADIENT).vector, apart.vector, atol=1e-12, rtol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_float32_follows_float64(device):
    narrow = select_slice(Spins(1084.0, 69.0, device=device), sinc(90.0), PLACES.float().to(device), GRADIENT)
    wide = select_slice(Spins(1084.0, 69.0, dtype=torch.float64), sinc(90.0), PLACES, GRADIENT)
    assert narrow.dtype == torch.float32 and narrow.device.type == device
    assert (narrow.vector.cpu() - wide.vector).abs().max() < 1e-5
    shifted = sinc(180.0).shifted(100.0)
    there = refocusing_profile(shifted, PLACES.float().to(device), GRADIENT)
    assert (there.cpu() - refocusing_profile(shifted, PLACES, GRADIENT)).abs().max() < 1e-5


def test_batches_of_spins_and_places():
    state = Spins(torch.tensor([[884.0], [1820.0]]), torch.tensor([[72.0], [99.0]]), dtype=torch.float64)
    both = select_slice(state, sinc(90.0), PLACES, GRADIENT)
    assert both.shape == (2, 301)
    one = select_slice(Spins(1820.0, 99.0, dtype=torch.float64), sinc(90.0), PLACES, GRADIENT)
    torch.testing.assert_close(both.vector[1], one.vector, atol=1e-12, rtol=0)


def test_gradients_flow_into_the_waveform():
    shape = torch.tensor([0.0, 40.0, 90.0, 0.0], dtype=torch.float64, requires_grad=True)
    state = Spins(500.0, 50.0, dtype=torch.float64)

    def profile(real):
        return select_slice(state, ShapedPulse(real + 0j, 0.5), torch.tensor([0.0, 2.0]).double(), 5.0).vector

    assert gradcheck(profile, (shape,))


def test_parity_with_sigpy():
    abrm = pytest.importorskip("sigpy.mri.rf.sim").abrm
    pulse = sinc(150.0, phase_deg=20.0)
    # There x = 1 is one turn over the whole pulse; the spinor (a, b) turns M_z to 2 conj(a) b and |a|^2 - |b|^2.
    turns = np.linspace(-12, 12, 241)
    a, b = abrm((2e-3 * math.pi * pulse.rf_hz * pulse.step_ms).numpy(), turns)
    places = torch.from_numpy(turns) / (1e-3 * GAMMA_MHZ_PER_T * GRADIENT * DURATION)
    ours = select_slice(FREE, pulse, places, GRADIENT, rephasing=0.0)
    np.testing.assert_allclose(ours.transverse.numpy(), 2 * a.conj() * b, atol=1e-12)
    np.testing.assert_allclose(ours.longitudinal.numpy(), np.abs(a) ** 2 - np.abs(b) ** 2, atol=1e-12)


RF = torch.ones(4, dtype=torch.complex64)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ShapedPulse(torch.ones(2, 2), 0.1), r"rf_hz is \(2, 2\), expected a tensor of shape \(steps,\)"),
        (lambda: ShapedPulse([1.0], 0.1), "rf_hz is list"),
        (lambda: ShapedPulse(RF * math.nan, 0.1), "rf_hz contains NaN"),
        (lambda: ShapedPulse(RF, 0.0), "step_ms is 0.0"),
        (lambda: ShapedPulse(RF, 0.1).shifted(math.inf), "frequency_hz contains infinity"),
        (lambda: windowed_sinc(90.0, 0.0), "duration_ms is 0.0"),
        (lambda: windowed_sinc(90.0, 1.0, -2.0), "time_bandwidth is -2.0"),
        (lambda: windowed_sinc(90.0, 1.0, window="boxcar"), "window is 'boxcar', expected one of none, hann, hamming"),
        (lambda: windowed_sinc(90.0, 1.0, steps=1), "steps is 1"),
        (lambda: windowed_sinc(math.nan, 1.0), "flip_angle_deg contains NaN"),
        (lambda: gradient_for_slice(0.0, 1000.0), "thickness_mm is 0.0"),
        (lambda: gradient_for_slice(5.0, math.nan), "bandwidth_hz is nan"),
        (lambda: select_slice(FREE, sinc(9.0), math.nan, 1.0), "position_mm contains NaN"),
        (lambda: select_slice(FREE, sinc(9.0), 0.0, math.inf), "gradient_mt_per_m contains infinity"),
        (lambda: select_slice(FREE, sinc(9.0), 0.0, 1.0, rephasing=-1.0), "rephasing is -1"),
        (
            lambda: select_slice(Spins(1000.0, torch.ones(2)), sinc(9.0), torch.ones(3), 1.0),
            "expected shapes that broadcast",
        ),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
