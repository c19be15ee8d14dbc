"""Frequency, polarisation, T2* and the distribution of off-resonances."""

import math

import pytest
import torch
from scipy import constants as codata

from medlab.physics.mri import spins
from medlab.physics.mri.spins import Spins, polarisation, polarisation_small_field


def test_constants_are_those_of_codata():
    # SciPy carries a CODATA edition of its own; successive editions agree to 10^-7 here.
    assert math.isclose(spins.GAMMA_RAD_PER_S_T, codata.value("proton gyromag. ratio"), rel_tol=1e-7)
    assert math.isclose(spins.GAMMA_MHZ_PER_T, codata.value("proton gyromag. ratio in MHz/T"), rel_tol=1e-7)
    assert math.isclose(spins.GAMMA_RAD_PER_S_T, 2e6 * math.pi * spins.GAMMA_MHZ_PER_T, rel_tol=1e-9)
    assert math.isclose(spins.HBAR_J_S, codata.hbar, rel_tol=1e-12)
    assert math.isclose(spins.PLANCK_J_S, codata.h, rel_tol=0)
    assert math.isclose(spins.BOLTZMANN_J_PER_K, codata.k, rel_tol=0)


def test_larmor_frequency_of_a_clinical_scanner():
    assert math.isclose(spins.larmor_frequency_mhz(1.5), 63.866, abs_tol=5e-4)
    fields = torch.tensor([0.5, 3.0, 7.0])
    torch.testing.assert_close(spins.larmor_frequency_mhz(fields), 42.577478 * fields)


def test_polarisation_follows_boltzmann():
    field, temperature = 1.5, 293.15
    gap = codata.hbar * spins.GAMMA_RAD_PER_S_T * field
    up, down = math.exp(gap / (2 * codata.k * temperature)), math.exp(-gap / (2 * codata.k * temperature))
    assert math.isclose(polarisation(field, temperature), (up - down) / (up + down), rel_tol=1e-9)


def test_polarisation_of_the_thesis_example_is_about_1e_5():
    # Eq. 3.1 as printed, with hbar over 4 pi, gives 8.3e-7; with h it gives the 10^-5 of its text.
    assert 5.1e-6 < polarisation(1.5, 293.15) < 5.3e-6
    printed = spins.GAMMA_RAD_PER_S_T * codata.hbar * 1.5 / (4 * math.pi * codata.k * 293.15)
    assert math.isclose(polarisation_small_field(1.5, 293.15) / printed, 2 * math.pi, rel_tol=1e-9)


def test_small_field_is_the_limit_and_saturation_is_not():
    assert math.isclose(polarisation(1.5, 300.0), polarisation_small_field(1.5, 300.0), rel_tol=1e-9)
    assert polarisation_small_field(10.0, 1e-3) > 1 > polarisation(10.0, 1e-3) > 0.99
    cold = polarisation(torch.tensor([1.5, 3.0]), torch.tensor(1e-3))
    torch.testing.assert_close(cold, torch.tanh(polarisation_small_field(torch.tensor([1.5, 3.0]), 1e-3)))
    assert cold.dtype == torch.float32


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_polarisation_refuses_impossible_temperatures(temperature):
    with pytest.raises(ValueError, match="temperature_k"):
        polarisation(1.5, temperature)


def test_t2_star_adds_rates():
    spread = 1e-7
    expected = 1 / (1 / 80.0 + spins.GAMMA_RAD_PER_S_T * spread / 1000)
    assert math.isclose(spins.t2_star_ms(80.0, spread), expected, rel_tol=1e-12)
    assert spins.t2_star_ms(80.0, 0.0) == 80.0
    half_width = spins.half_width_hz(spread)
    assert math.isclose(2 * math.pi * half_width, spins.GAMMA_RAD_PER_S_T * spread, rel_tol=1e-9)


@pytest.mark.parametrize("time_ms", [5.0, 20.0, 60.0])
def test_spaced_off_resonances_give_the_t2_star_of_the_thesis(time_ms):
    spread = 1e-7
    frequencies = spins.spaced_lorentzian_hz(100_000, spins.half_width_hz(spread))
    signal = Spins(1000.0, 80.0, frequencies).pulse(90, 90).evolve(time_ms).signal()
    expected = math.exp(-time_ms / spins.t2_star_ms(80.0, spread))
    assert abs(complex(signal) - expected) < 1e-3


def test_spaced_off_resonances_are_symmetric_quantiles():
    frequencies = spins.spaced_lorentzian_hz(1001, 10.0)
    torch.testing.assert_close(frequencies, -frequencies.flip(0), rtol=1e-9, atol=1e-9)
    # Half of a Lorentzian lies within its half width at half maximum.
    assert abs(int((frequencies.abs() < 10.0).sum()) / 1001 - 0.5) < 2e-3
    assert spins.spaced_lorentzian_hz(4, 0.0).tolist() == [0.0] * 4


def test_drawn_off_resonances_follow_the_same_law_and_their_seed():
    draw = spins.draw_lorentzian_hz((200, 500), 10.0, torch.Generator().manual_seed(3))
    again = spins.draw_lorentzian_hz((200, 500), 10.0, torch.Generator().manual_seed(3))
    assert torch.equal(draw, again)
    assert bool(draw.isfinite().all())
    # The characteristic function exp(-2 pi w t) at 2 pi w t = 1, within five standard errors.
    phases = draw / 10.0
    assert abs(float(torch.cos(phases).mean()) - math.exp(-1)) < 5 / math.sqrt(2 * draw.numel())


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: spins.spaced_lorentzian_hz(0, 1.0), "count"),
        (lambda: spins.spaced_lorentzian_hz(2.5, 1.0), "count"),
        (lambda: spins.spaced_lorentzian_hz(3, -1.0), "half_width_hz"),
        (lambda: spins.draw_lorentzian_hz(3, math.inf, torch.Generator()), "half_width_hz"),
        (lambda: spins.half_width_hz(-1e-7), "field_spread_t"),
        (lambda: spins.t2_star_ms(0.0, 1e-7), "t2_ms"),
        (lambda: spins.larmor_frequency_mhz(math.nan), "field_t"),
    ],
)
def test_impossible_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
