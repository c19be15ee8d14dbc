"""The matrix exponential against closed forms and an ordinary solver of differential equations."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from medlab.physics.mri.spins import Spins, apply_propagator, propagator, rotation


def wide(value):
    return torch.tensor(value, dtype=torch.float64)


def solved(time, t1, t2, frequency, bx, by, m0, start):
    """The Bloch equation written out as W x M and relaxation, by Runge and Kutta."""
    turn = 2e-3 * math.pi * np.array([bx, by, frequency])

    def slope(_, m):
        return np.cross(turn, m) - np.array([m[0] / t2, m[1] / t2, (m[2] - m0) / t1])

    return solve_ivp(slope, (0, time), start, method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]


@pytest.mark.parametrize(
    ("time", "t1", "t2", "frequency", "bx", "by", "m0"),
    [
        (5.0, 900.0, 80.0, 30.0, 120.0, -40.0, 1.0),
        (40.0, 50.0, 20.0, -15.0, 10.0, 25.0, 0.6),
        (3.0, 300.0, 2.0, 0.0, 200.0, 0.0, 1.0),
        (20.0, 1000.0, 1500.0, 7.0, 0.0, 0.0, 1.3),
    ],
)
def test_propagator_against_an_ode_solver(time, t1, t2, frequency, bx, by, m0):
    start = [0.3, -0.5, 0.7]
    matrix = propagator(wide(time), t1, t2, frequency, (bx, by))
    ours = apply_propagator(matrix, wide(start), m0)
    np.testing.assert_allclose(ours.numpy(), solved(time, t1, t2, frequency, bx, by, m0, start), atol=1e-8)


def test_many_equal_steps_are_one_long_one():
    long = propagator(wide(50.0), 400.0, 60.0, 25.0, (30.0, 12.0))
    short = propagator(wide(0.5), 400.0, 60.0, 25.0, (30.0, 12.0))
    torch.testing.assert_close(torch.linalg.matrix_power(short, 100), long, atol=1e-12, rtol=0)


def test_without_field_it_is_free_evolution():
    frequencies = torch.linspace(-80, 80, 9, dtype=torch.float64)
    state = Spins(700.0, 60.0, frequencies, 0.9).pulse(70, 20)
    torch.testing.assert_close(state.irradiate(33.0, (0.0, 0.0)).vector, state.evolve(33.0).vector, atol=1e-12, rtol=0)


def test_without_relaxation_and_on_resonance_it_is_a_pulse():
    matrix = propagator(wide(2.0), math.inf, math.inf, 0.0, (100.0 * math.cos(0.4), 100.0 * math.sin(0.4)))
    expected = rotation(wide(72.0), math.degrees(0.4))  # 0.36 * 100 Hz * 2 ms
    torch.testing.assert_close(matrix[:3, :3], expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix[:3, 3], torch.zeros(3, dtype=torch.float64))


def test_without_relaxation_it_is_orthogonal():
    turn = propagator(wide(4.0), math.inf, math.inf, 60.0, (80.0, -30.0))[:3, :3]
    torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_long_field_saturates():
    # The steady state of the Bloch equation on resonance: M_z = M0 / (1 + w1^2 T1 T2).
    t1, t2, amplitude = 300.0, 50.0, 2.0
    end = Spins(t1, t2, 0.0, 1.5, dtype=torch.float64).irradiate(20_000.0, (amplitude, 0.0))
    w1 = 2e-3 * math.pi * amplitude
    assert math.isclose(float(end.longitudinal), 1.5 / (1 + w1**2 * t1 * t2), rel_tol=1e-9)


def test_shapes_broadcast_and_float32_is_the_default():
    matrix = propagator(torch.tensor([[1.0], [2.0]]), 500.0, 50.0, torch.zeros(3), (10.0, torch.ones(3)))
    assert matrix.shape == (2, 3, 4, 4)
    assert matrix.dtype == torch.float32
    assert apply_propagator(matrix, torch.zeros(3, 3), torch.ones(2, 1)).shape == (2, 3, 3)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(3, 3\) and \(3,\)"):
        apply_propagator(torch.eye(3), torch.zeros(3))
    with pytest.raises(ValueError, match="expected shapes that broadcast"):
        propagator(1.0, 500.0, 50.0, torch.zeros(3), (torch.zeros(2), 0.0))
    with pytest.raises(ValueError, match=r"time_ms is -1\.0"):
        propagator(-1.0, 500.0, 50.0)
