"""The state of a batch of spins, and what can be done to it."""

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins import bloch
from medlab.physics.mri.spins.arguments import (
    COMPLEX_OF,
    Real,
    as_relaxation_times,
    broadcast_shape,
    choose_device,
    choose_dtype,
    refuse_missing_precision,
)


class Spins:
    """A batch of isochromats: groups of spins that share T1, T2 and one precession frequency.

    A state is never changed: every method returns a new one, so that `spins.pulse(90).evolve(20).signal()` reads as
    the experiment does. Gradients flow through all of it. Frame and signs are those of `bloch`.

    t1_ms, t2_ms: relaxation times in ms, above 0, T2 <= 2 T1; infinity means no relaxation.
    off_resonance_hz: the precession frequency in the rotating frame.
    proton_density: the equilibrium magnetisation M_0, 0 or more.
    magnetisation: (..., 3), the M_x, M_y, M_z to start from; by default equilibrium, (0, 0, M_0).
    Numbers, tensors or arrays; their shapes (without the 3) broadcast to the shape of the batch. The state is
    float32 on the CPU unless a tensor is float64 or on another device, or dtype and device say so.
    Raises ValueError for values, shapes and types other than these.
    """

    __slots__ = ("longitudinal", "off_resonance_hz", "proton_density", "t1_ms", "t2_ms", "transverse")

    def __init__(
        self,
        t1_ms: Real,
        t2_ms: Real,
        off_resonance_hz: Real = 0.0,
        proton_density: Real = 1.0,
        magnetisation: Tensor | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ):
        given = (t1_ms, t2_ms, off_resonance_hz, proton_density, magnetisation)
        dtype, device = choose_dtype(given, dtype), choose_device(given, device)
        refuse_missing_precision(dtype, device)
        values = [*as_relaxation_times(t1_ms, t2_ms), as_finite(off_resonance_hz, "off_resonance_hz")]
        values.append(as_finite(proton_density, "proton_density"))
        if bool((values[-1] < 0).any()):
            raise ValueError(f"proton_density is {float(values[-1].min())}, expected 0 or more")
        names = ("t1_ms", "t2_ms", "off_resonance_hz", "proton_density")
        named = dict(zip(names, values, strict=True))
        if magnetisation is not None:
            start = as_finite(magnetisation, "magnetisation")
            if start.shape[-1:] != (3,):
                raise ValueError(f"magnetisation has shape {tuple(start.shape)}, expected (..., 3)")
            named["magnetisation"] = start[..., 2]
        shape = broadcast_shape(**named)
        t1, t2, off_resonance, density = (value.to(dtype).to(device) for value in values)
        if magnetisation is None:
            longitudinal = density.expand(shape).clone()
            transverse = torch.zeros(shape, dtype=COMPLEX_OF[dtype], device=device)
        else:
            x, y, z = start.to(dtype).to(device).expand(*shape, 3).unbind(-1)
            longitudinal, transverse = z.clone(), torch.complex(x, y)
        self.t1_ms, self.t2_ms, self.off_resonance_hz, self.proton_density = t1, t2, off_resonance, density
        self.transverse: Tensor = transverse
        self.longitudinal: Tensor = longitudinal

    def __repr__(self) -> str:
        return f"Spins(shape={tuple(self.shape)}, dtype={self.dtype}, device={self.device})"

    @property
    def shape(self) -> torch.Size:
        """The shape of the batch; the properties of the spins broadcast to it."""
        return self.longitudinal.shape

    @property
    def dtype(self) -> torch.dtype:
        """The real precision of the state, float32 or float64."""
        return self.longitudinal.dtype

    @property
    def device(self) -> torch.device:
        """Where the state lies."""
        return self.longitudinal.device

    @property
    def vector(self) -> Tensor:
        """The magnetisation as (..., 3): M_x, M_y, M_z."""
        return torch.stack((self.transverse.real, self.transverse.imag, self.longitudinal), -1)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Spins":
        """The same state on another device or in another precision."""
        return Spins(
            self.t1_ms,
            self.t2_ms,
            self.off_resonance_hz,
            self.proton_density,
            self.vector.to(device or self.device),
            device=device or self.device,
            dtype=dtype or self.dtype,
        )

    def pulse(self, flip_angle_deg: Real, phase_deg: Real = 0.0) -> "Spins":
        """An instantaneous right-handed rotation about (cos phase, sin phase, 0), in degrees.

        `pulse(90)` turns M_z to -M_y, `pulse(90, phase_deg=90)` turns M_z to +M_x. A tensor gives each spin its own
        angle (an inhomogeneous B1); shapes broadcast, so angles (A, 1) on spins (N,) make a batch (A, N).
        """
        coefficients = [self._like(c) for c in bloch.pulse_coefficients(flip_angle_deg, phase_deg)]
        self._check_shape("flip_angle_deg and phase_deg", coefficients[2])
        return self.replace(*bloch.turn(self.transverse, self.longitudinal, coefficients))

    def evolve(self, time_ms: Real) -> "Spins":
        """Free precession and relaxation for a time of 0 ms or more, exact for any length.

        Times of shape (T, 1) on spins (N,) make a batch (T, N): a whole decay curve in one call.
        """
        shared = (time_ms, self.t1_ms, self.t2_ms, self.off_resonance_hz)
        spin, decay, recovery = map(self._like, bloch.evolution_coefficients(*shared))
        self._check_shape("time_ms", spin)
        longitudinal = decay * self.longitudinal + recovery * self.proton_density
        return self.replace(spin * self.transverse, longitudinal)

    def irradiate(self, time_ms: Real, rf_hz: tuple[Real, Real]) -> "Spins":
        """A constant radiofrequency field (b_x, b_y) in Hz for a time, with precession and relaxation, exact.

        See `bloch.propagator`: a pulse that takes time, on spins that do not wait for it.
        """
        matrix = bloch.propagator(time_ms, self.t1_ms, self.t2_ms, self.off_resonance_hz, rf_hz)
        matrix = self._like(matrix)
        self._check_shape("time_ms and rf_hz", matrix[..., 0, 0])
        x, y, z = bloch.apply_propagator(matrix, self.vector, self.proton_density).unbind(-1)
        return self.replace(torch.complex(x, y), z)

    def spoil(self) -> "Spins":
        """Perfect spoiling: the transverse magnetisation is gone, the longitudinal stays."""
        return self.replace(torch.zeros_like(self.transverse), self.longitudinal)

    def signal(self, dim: int | tuple[int, ...] | None = None) -> Tensor:
        """What a coil receives: the mean of M_xy over the whole batch, or over the dimensions dim (complex).

        dim: () keeps every spin apart. Each spin counts with its proton density, which its magnetisation carries.
        """
        return mean_over(self.transverse, dim)

    def replace(self, transverse: Tensor, longitudinal: Tensor) -> "Spins":
        """The same spins with another magnetisation; nothing is checked, shapes broadcast."""
        spins = object.__new__(Spins)
        spins.t1_ms, spins.t2_ms, spins.off_resonance_hz = self.t1_ms, self.t2_ms, self.off_resonance_hz
        spins.proton_density = self.proton_density
        spins.transverse, spins.longitudinal = torch.broadcast_tensors(transverse, longitudinal)
        return spins

    def _like(self, tensor: Tensor) -> Tensor:
        """A coefficient in the precision and on the device of the state."""
        dtype = COMPLEX_OF[self.dtype] if tensor.is_complex() else self.dtype
        return tensor.to(dtype).to(self.device)

    def _check_shape(self, name: str, tensor: Tensor) -> None:
        broadcast_shape(**{name: tensor, "spins": self.longitudinal})


def mean_over(values: Tensor, dim: int | tuple[int, ...] | None) -> Tensor:
    """The mean over these dimensions, over all for None; () averages over none (torch.mean would over all)."""
    if dim == ():
        return values
    return values.mean() if dim is None else values.mean(dim)
