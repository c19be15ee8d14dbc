r"""The Bloch equation solved exactly: pulses, free evolution, and both at once.

In the frame that turns with the reference frequency, with M = (M_x, M_y, M_z),

    dM/dt = W x M - (M_x / T2, M_y / T2, (M_z - M_0) / T1),    W = 2 pi (b_x, b_y, f),

(Bloch, Phys. Rev. 70, 460, 1946), where b is the amplitude gamma B1 / 2 pi of the radiofrequency field in Hz and f the
off-resonance in Hz. Times are in ms. Rotations are right-handed, so a positive off-resonance turns M_xy anticlockwise,
as thesis eq. 3.4 prints it. Protons precess clockwise about B0 (dM/dt = gamma M x B): our picture is the real one in
a mirror, and no observable here changes by that.

Nothing is integrated step by step: `pulse_coefficients` and `evolution_coefficients` are closed forms, `propagator` is
a matrix exponential. All are computed in float64 and differentiable.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins.arguments import (
    Real,
    as_duration,
    as_relaxation_times,
    broadcast_shape,
    choose_device,
    choose_dtype,
    together,
)


def pulse_coefficients(flip_angle_deg: Real, phase_deg: Real) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What an instantaneous rotation by the flip angle about (cos phase, sin phase, 0) does, as four numbers a spin.

    keep and upright are float64, swap and lift complex128, of the arguments' broadcast shape:

        M_xy' = keep M_xy + swap conj(M_xy) + lift M_z        keep = cos^2(flip / 2)
        M_z'  = upright M_z - Re(conj(lift) M_xy)             swap = exp(2 i phase) sin^2(flip / 2)
                                                              lift = -i exp(i phase) sin(flip), upright = cos(flip)

    `turn` applies them. It is Rodrigues' rotation written for a complex M_xy.
    """
    flip, phase = together(as_finite(flip_angle_deg, "flip_angle_deg"), as_finite(phase_deg, "phase_deg"))
    broadcast_shape(flip_angle_deg=flip, phase_deg=phase)
    angle, axis = torch.deg2rad(flip), torch.deg2rad(phase)
    direction = torch.polar(torch.ones_like(axis), axis)
    keep, sine = torch.cos(angle / 2).square(), torch.sin(angle)
    return keep, torch.sin(angle / 2).square() * direction.square(), -1j * sine * direction, torch.cos(angle)


def turn(transverse: Tensor, longitudinal: Tensor, coefficients: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """M_xy (complex) and M_z (real) after the pulse of `pulse_coefficients`; all shapes broadcast."""
    keep, swap, lift, upright = coefficients
    after = keep * transverse + swap * transverse.conj() + lift * longitudinal
    return after, upright * longitudinal - (lift.conj() * transverse).real


def rotation(flip_angle_deg: Real, phase_deg: Real = 0.0) -> Tensor:
    """The matrix of a pulse, (..., 3, 3), acting on (M_x, M_y, M_z): right-handed about (cos phase, sin phase, 0).

    Angles in degrees, numbers or tensors that broadcast; float32 unless a tensor is float64. The matrix is
    orthogonal with determinant 1.
    """
    dtype = choose_dtype((flip_angle_deg, phase_deg))
    keep, swap, lift, upright = pulse_coefficients(flip_angle_deg, phase_deg)
    upright = upright.expand(lift.shape)
    rows = [
        [keep + swap.real, swap.imag, lift.real],
        [swap.imag, keep - swap.real, lift.imag],
        [-lift.real, -lift.imag, upright],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2).to(dtype)


def evolution_coefficients(
    time_ms: Real, t1_ms: Real, t2_ms: Real, off_resonance_hz: Real
) -> tuple[Tensor, Tensor, Tensor]:
    """Free evolution for a time: M_xy' = spin M_xy, M_z' = decay M_z + recovery M_0.

    spin = exp(-t / T2 + 2 pi i f t) is complex128, decay = exp(-t / T1) and recovery = 1 - exp(-t / T1) are float64,
    the latter without cancellation at short times. Starting from M_xy = M_0 and M_z = 0 this is thesis eq. 3.4.
    """
    time = as_duration(time_ms)
    t1, t2, off_resonance = _spin_properties(t1_ms, t2_ms, off_resonance_hz)
    broadcast_shape(time_ms=time, t1_ms=t1, t2_ms=t2, off_resonance_hz=off_resonance)
    time, t1, t2, off_resonance = together(time, t1, t2, off_resonance)
    size, phase = torch.exp(-time / t2), 2e-3 * math.pi * off_resonance * time
    spin = torch.complex(size * torch.cos(phase), size * torch.sin(phase))
    return spin, torch.exp(-time / t1), -torch.expm1(-time / t1)


def propagator(
    time_ms: Real,
    t1_ms: Real,
    t2_ms: Real,
    off_resonance_hz: Real = 0.0,
    rf_hz: tuple[Real, Real] = (0.0, 0.0),
) -> Tensor:
    """The exact solution with a constant radiofrequency field on: a matrix (..., 4, 4) on (M_x, M_y, M_z, M_0).

    time_ms: duration; t1_ms, t2_ms: relaxation times in ms (may be infinite); off_resonance_hz: f; rf_hz: (b_x, b_y),
    gamma B1 / 2 pi in Hz, so that b_x alone for t ms on resonance flips by 0.36 b_x t degrees about x. All are
    numbers or tensors of shapes that broadcast. With M_0 as a fourth component, which stays, the Bloch equation is
    linear, dV/dt = A V, and its solution is exp(A t). float32 unless a tensor is float64.
    Raises ValueError for what `Spins` refuses, for negative times and for fields that are not finite.
    """
    dtype = choose_dtype((time_ms, t1_ms, t2_ms, off_resonance_hz, *rf_hz))
    time = as_duration(time_ms)
    t1, t2, off_resonance = _spin_properties(t1_ms, t2_ms, off_resonance_hz)
    named = {"rf_hz[0]": as_finite(rf_hz[0], "rf_hz[0]"), "rf_hz[1]": as_finite(rf_hz[1], "rf_hz[1]")}
    named |= {"time_ms": time, "t1_ms": t1, "t2_ms": t2, "off_resonance_hz": off_resonance}
    broadcast_shape(**named)
    bx, by, time, t1, t2, off_resonance = torch.broadcast_tensors(*together(*named.values()))
    wx, wy, wz = (2e-3 * math.pi * frequency for frequency in (bx, by, off_resonance))
    r1, r2, zero = 1 / t1, 1 / t2, torch.zeros_like(time)
    rows = [[-r2, -wz, wy, zero], [wz, -r2, -wx, zero], [-wy, wx, -r1, r1], [zero, zero, zero, zero]]
    generator = torch.stack([torch.stack(row, -1) for row in rows], -2)
    solution = torch.linalg.matrix_exp(generator * time[..., None, None])
    return solution.to(dtype).to(choose_device(named.values()))


def apply_propagator(matrix: Tensor, magnetisation: Tensor, proton_density: Real = 1.0) -> Tensor:
    """The magnetisation (..., 3) after a propagator (..., 4, 4); proton_density is its equilibrium M_0 (...)."""
    if matrix.shape[-2:] != (4, 4) or magnetisation.shape[-1:] != (3,):
        found = f"{tuple(matrix.shape)} and {tuple(magnetisation.shape)}"
        raise ValueError(f"matrix and magnetisation have shapes {found}, expected (..., 4, 4) and (..., 3)")
    equilibrium = torch.as_tensor(proton_density, dtype=magnetisation.dtype, device=magnetisation.device)
    # Not `@`, which a training script may have allowed to round to TF32.
    turned = (matrix[..., :3, :3] * magnetisation[..., None, :]).sum(-1)
    return turned + matrix[..., :3, 3] * equilibrium[..., None]


def _spin_properties(t1_ms: object, t2_ms: object, off_resonance_hz: object) -> tuple[Tensor, Tensor, Tensor]:
    """T1, T2 and off-resonance as tensors, refused where no spin can have them."""
    return *as_relaxation_times(t1_ms, t2_ms), as_finite(off_resonance_hz, "off_resonance_hz")
