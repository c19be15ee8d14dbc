"""Closed forms that a simulation must meet."""

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_real
from medlab.physics.mri.spins.arguments import Real, as_duration


def ernst_signal(flip_angle_deg: Real, repetition_time_ms: Real, t1_ms: Real) -> Real:
    """The steady-state signal of a perfectly spoiled gradient echo at echo time 0, for M_0 = 1.

    sin(a) (1 - E1) / (1 - E1 cos(a)) with E1 = exp(-TR / T1) (Ernst and Anderson, Rev. Sci. Instrum. 37, 93, 1966).
    Numbers give a number, tensors that broadcast a tensor. Raises ValueError for a repetition time below 0 or a T1
    that is not above 0; where TR is 0 there is no time to recover and the signal is 0.
    """
    flip, time, t1 = (
        as_finite(flip_angle_deg, "flip_angle_deg"),
        as_duration(repetition_time_ms, "repetition_time_ms"),
        _t1(t1_ms),
    )
    angle, recovery = torch.deg2rad(flip), -torch.expm1(-time / t1)
    # 1 - E1 cos(a) without cancellation: (1 - E1) + 2 E1 sin^2(a / 2). At a = 0 and TR = 0 it is 0 / 0, so we add
    # the smallest number there is.
    below = recovery + 2 * (1 - recovery) * torch.sin(angle / 2).square()
    signal = torch.sin(angle) * recovery / (below + torch.finfo(below.dtype).tiny)
    return _as_given(signal, flip_angle_deg, repetition_time_ms, t1_ms)


def ernst_angle_deg(repetition_time_ms: Real, t1_ms: Real) -> Real:
    """The flip angle in degrees, 0 to 90, at which `ernst_signal` is largest: cos(a) = exp(-TR / T1)."""
    time, t1 = as_duration(repetition_time_ms, "repetition_time_ms"), _t1(t1_ms)
    return _as_given(torch.rad2deg(torch.acos(torch.exp(-time / t1))), repetition_time_ms, t1_ms)


def _t1(t1_ms: object) -> Tensor:
    t1 = as_real(t1_ms, "t1_ms")
    if bool((t1 <= 0).any()):
        raise ValueError(f"t1_ms is {float(t1.min())}, expected a time above 0 ms")
    return t1


def _as_given(result: Tensor, *arguments: object) -> Real:
    """A number where only numbers were given."""
    return result if any(isinstance(argument, Tensor) for argument in arguments) else float(result)
