r"""Shaped radio-frequency pulses, and the slices that they select under a gradient.

A pulse is a train of short steps of constant field. In each step a spin at the place z turns about the effective axis
(b_x, b_y, f + gamma G z / 2 pi), an exact rotation, and relaxes. The two are split symmetrically: half the relaxation
of a step, the rotation, the other half. Without relaxation there is thus no error but rounding; with it the error is of
second order in the step, below 10^-5 for 256 steps of a millisecond pulse and T2 of tens of ms (the tests measure it
against the exact `Spins.irradiate`, which costs a matrix exponential a spin and step).

Frame and signs are those of `bloch`: times in ms, frequencies in Hz, gradients in mT/m, places in mm.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins.arguments import Real, as_duration, broadcast_shape, together, wide
from medlab.physics.mri.spins.constants import GAMMA_MHZ_PER_T
from medlab.physics.mri.spins.state import Spins

# Weights (a, b) of a + b cos(2 pi t), t from -1/2 to 1/2, that taper a sinc.
WINDOWS = {"none": (1.0, 0.0), "hann": (0.5, 0.5), "hamming": (0.54, 0.46)}


@dataclass(frozen=True, eq=False)
class ShapedPulse:
    """A waveform: rf_hz (steps,) complex, gamma B1 / 2 pi in Hz of each step of step_ms, constant within it.

    The real part turns about x, the imaginary part about y. Raises ValueError for another shape, values that are not
    finite and a step that is not above 0.
    """

    rf_hz: Tensor
    step_ms: float

    def __post_init__(self) -> None:
        if not isinstance(self.rf_hz, Tensor) or self.rf_hz.ndim != 1 or len(self.rf_hz) == 0:
            found = tuple(self.rf_hz.shape) if isinstance(self.rf_hz, Tensor) else type(self.rf_hz).__name__
            raise ValueError(f"rf_hz is {found}, expected a tensor of shape (steps,) with at least one step")
        if not bool(torch.view_as_real(self.rf_hz + 0j).isfinite().all()):
            raise ValueError("rf_hz contains NaN or infinity, expected finite numbers")
        if not 0 < self.step_ms < math.inf:
            raise ValueError(f"step_ms is {self.step_ms}, expected a finite time above 0 ms")

    @property
    def duration_ms(self) -> float:
        """The length of the whole pulse in ms."""
        return len(self.rf_hz) * self.step_ms

    @property
    def time_ms(self) -> Tensor:
        """The middle of each step in ms, counted from the middle of the pulse: (steps,), float64."""
        steps = len(self.rf_hz)
        return (torch.arange(steps, dtype=torch.float64) - (steps - 1) / 2) * self.step_ms

    @property
    def flip_angle_deg(self) -> float:
        """The flip angle on resonance in degrees, for a waveform of constant phase (negative lobes subtract)."""
        return 0.36 * self.step_ms * float(self.rf_hz.sum().abs())

    @property
    def peak_ut(self) -> float:
        """The strongest B1 in microtesla."""
        return float(self.rf_hz.abs().max()) / GAMMA_MHZ_PER_T

    def shifted(self, frequency_hz: float) -> "ShapedPulse":
        """The same pulse for spins that are off resonance by frequency_hz: its phase turns along with them.

        The turn is zero at the middle of the pulse. Under a gradient G it selects the slice at frequency_hz / (gamma
        G / 2 pi) in place of 0.
        """
        phase = 2e-3 * math.pi * float(as_finite(frequency_hz, "frequency_hz")) * self.time_ms
        waveform = self.rf_hz + 0j
        carrier = torch.polar(torch.ones_like(phase), phase).to(waveform.dtype).to(waveform.device)
        return ShapedPulse(waveform * carrier, self.step_ms)


def windowed_sinc(
    flip_angle_deg: float,
    duration_ms: float,
    time_bandwidth: float = 4.0,
    *,
    window: str = "hann",
    steps: int = 256,
    phase_deg: float = 0.0,
) -> ShapedPulse:
    """A sinc tapered by a window: the usual selective pulse (Bernstein et al., Handbook of MRI Pulse Sequences, 2004).

    flip_angle_deg: on resonance; duration_ms: above 0; time_bandwidth: duration times bandwidth, the number of zero
    crossings of the sinc, its end counted in, above 0; window: "none", "hann" or "hamming"; phase_deg: as in
    `Spins.pulse`. The profile of a small flip angle falls to half its height at +- time_bandwidth / 2 duration.
    complex128. Raises ValueError for other values.
    """
    for value, name in ((duration_ms, "duration_ms"), (time_bandwidth, "time_bandwidth")):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite value above 0")
    if window not in WINDOWS:
        raise ValueError(f"window is {window!r}, expected one of {', '.join(WINDOWS)}")
    if not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps is {steps}, expected a whole number of at least 2")
    flip, phase = as_finite(flip_angle_deg, "flip_angle_deg"), as_finite(phase_deg, "phase_deg")
    flat, bump = WINDOWS[window]
    time = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5
    shape = torch.sinc(time_bandwidth * time) * (flat + bump * torch.cos(2 * math.pi * time))
    amplitude = float(flip) / (0.36 * duration_ms) * shape / shape.mean()
    return ShapedPulse(
        torch.polar(torch.ones(()).double(), torch.deg2rad(phase.double())) * amplitude, duration_ms / steps
    )


def gradient_for_slice(thickness_mm: float, bandwidth_hz: float) -> float:
    """The gradient in mT/m under which a pulse of this bandwidth selects a slice of this thickness (both above 0)."""
    for value, name in ((thickness_mm, "thickness_mm"), (bandwidth_hz, "bandwidth_hz")):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite value above 0")
    return bandwidth_hz / (GAMMA_MHZ_PER_T * thickness_mm)  # 1 mT/m over 1 mm is 1 microtesla


def select_slice(
    spins: Spins, pulse: ShapedPulse, position_mm: Real, gradient_mt_per_m: Real, *, rephasing: float = 0.5
) -> Spins:
    """The spins after a shaped pulse under a constant gradient, and after the lobe that rephases them.

    position_mm: the place of each spin along the gradient; gradient_mt_per_m: G; numbers or tensors that broadcast
    with the spins, so Spins(t1, t2) of shape () and positions (P,) give a profile (P,) in .transverse and
    .longitudinal. rephasing: the area of the opposite lobe as a share of the pulse's, played with -G right after it:
    1/2 for an excitation with a symmetric pulse, 0 for an inversion. The spins' own off-resonance acts all the time
    and shifts the slice by -f / (gamma G / 2 pi). Differentiable in waveform, gradient and spins.
    Raises ValueError for values that are not finite, a negative rephasing and shapes that do not broadcast.
    """
    position, gradient = as_finite(position_mm, "position_mm"), as_finite(gradient_mt_per_m, "gradient_mt_per_m")
    lobe = float(as_duration(rephasing, "rephasing")) * pulse.duration_ms
    broadcast_shape(position_mm=position, gradient_mt_per_m=gradient, spins=spins.longitudinal)
    # 1 mT/m over 1 mm is 1 microtesla.
    gradient, position = together(wide(gradient), wide(position))
    place_hz = (GAMMA_MHZ_PER_T * gradient * position).to(spins.dtype).to(spins.device)
    own = spins.off_resonance_hz
    after = _irradiated(spins, pulse, own + place_hz)
    refocused = _with_frequency(after, own - place_hz).evolve(lobe) if lobe else after
    return _with_frequency(refocused, own)


def refocusing_profile(pulse: ShapedPulse, position_mm: Real, gradient_mt_per_m: Real) -> Tensor:
    """The share of the transverse magnetisation that a pulse mirrors at each place, as a complex number.

    M_xy before comes back as share * conj(M_xy); the magnitude, 0 to 1, is the amplitude of a spin echo whose crusher
    gradients destroy all else, sin^2(a / 2) for a hard pulse. Relaxation is left out. Arguments as `select_slice`.
    """
    dtype = torch.float64 if not isinstance(position_mm, Tensor) else position_mm.dtype
    shape = as_finite(position_mm, "position_mm").shape
    device = position_mm.device if isinstance(position_mm, Tensor) else None
    ends = []
    for start in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        state = torch.tensor(start, dtype=dtype, device=device).expand(*shape, 3)
        spins = Spins(math.inf, math.inf, magnetisation=state)
        ends.append(select_slice(spins, pulse, position_mm, gradient_mt_per_m, rephasing=0.0).transverse)
    # M' = keep M + share conj(M): from M = 1 and M = i follows 2 share = M'(1) + i M'(i).
    return (ends[0] + 1j * ends[1]) / 2


def _irradiated(spins: Spins, pulse: ShapedPulse, frequency_hz: Tensor) -> Spins:
    """All steps of the pulse on spins that precess at this frequency; the result keeps the spins' own."""
    turn_per_hz = 2e-3 * math.pi * pulse.step_ms
    frequency, transverse, longitudinal = torch.broadcast_tensors(frequency_hz, spins.transverse, spins.longitudinal)
    about_z = turn_per_hz * frequency
    waveform = (turn_per_hz * (pulse.rf_hz + 0j)).to(spins.transverse.dtype).to(spins.device)
    half = 0.5 * pulse.step_ms
    # Between two rotations the halves of two steps are one whole.
    halves, wholes = (
        [-torch.expm1(-time / relaxation) for relaxation in (spins.t2_ms, spins.t1_ms)] for time in (half, 2 * half)
    )
    equilibrium = spins.proton_density
    state = _relaxed(transverse, longitudinal, *halves, equilibrium)
    steps = waveform.unbind(0)
    for number, about_xy in enumerate(steps, start=1):
        state = _turned(*state, about_xy, about_z)
        state = _relaxed(*state, *(wholes if number < len(steps) else halves), equilibrium)
    return spins.replace(*state)


# Both steps are written as "what was, plus a change": factors near 1, rounded once and applied hundreds of times, would
# add up their rounding errors.


def _relaxed(
    transverse: Tensor, longitudinal: Tensor, lost2: Tensor, lost1: Tensor, equilibrium: Tensor
) -> tuple[Tensor, Tensor]:
    """Relaxation by the shares 1 - exp(-t / T2) and 1 - exp(-t / T1)."""
    return transverse - lost2 * transverse, longitudinal + lost1 * (equilibrium - longitudinal)


def _turned(transverse: Tensor, longitudinal: Tensor, about_xy: Tensor, about_z: Tensor) -> tuple[Tensor, Tensor]:
    """Rodrigues' rotation by the vector w = (Re about_xy, Im about_xy, about_z), whose length is the angle in radians.

    M' = M + sinc(w) w x M + (1 - cos(w)) / w^2 ((w . M) w - w^2 M), in a form that holds at w = 0 with its gradient.
    """
    square = about_xy.real.square() + about_xy.imag.square() + about_z.square()
    angle = torch.sqrt(square + torch.finfo(square.dtype).tiny)
    sine, bend = torch.sinc(angle / math.pi), 0.5 * torch.sinc(angle / (2 * math.pi)).square()
    mixed = about_xy.conj() * transverse
    along = mixed.real + about_z * longitudinal
    across = sine * 1j * (about_z * transverse - about_xy * longitudinal)
    upward = sine * mixed.imag + bend * (along * about_z - square * longitudinal)
    return transverse + (across + bend * (along * about_xy - square * transverse)), longitudinal + upward


def _with_frequency(spins: Spins, off_resonance_hz: Tensor) -> Spins:
    changed = spins.replace(spins.transverse, spins.longitudinal)
    changed.off_resonance_hz = off_resonance_hz
    return changed
