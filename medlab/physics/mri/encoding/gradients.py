"""Encoding as it happens: spins at places, gradients that tie their frequency to the place, a coil that listens.

A gradient G (mT/m) shifts the frequency at the place r (mm) by gamma / 2 pi G . r. After a time its phase has grown to
2 pi k . r with

    k(t) = gamma / 2 pi  integral of G dt          (cycles a mm),

so that the sum over the spins is a sample of their Fourier transform (Ljunggren, J. Magn. Reson. 54, 338, 1983; Twieg,
Med. Phys. 10, 610, 1983). Our spins turn anticlockwise, protons in a magnet clockwise: the receiver of a real scanner
hears the complex conjugate of our signal, and we take it, which gives the usual exp(-2 pi i k . r).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.mri.spins import GAMMA_MHZ_PER_T, Spins
from medlab.physics.mri.spins.arguments import wide


def gradient_hz(gradient_mt_per_m: tuple[float | Tensor, ...], places_mm: Tensor) -> Tensor:
    """The shift of the frequency in Hz, float64, that a gradient causes at places (..., 2 or 3) in mm.

    gradient_mt_per_m: one number or tensor an axis; tensors broadcast with the places' leading dimensions. 1 mT/m
    over 1 mm is 10^-6 T, so the factor is gamma / 2 pi in MHz/T.
    """
    if places_mm.shape[-1] != len(gradient_mt_per_m):
        found = f"{tuple(places_mm.shape)} for {len(gradient_mt_per_m)} gradients"
        raise ValueError(f"places_mm has shape {found}, expected (..., one coordinate for each gradient)")
    shares = (axis * place for axis, place in zip(gradient_mt_per_m, wide(places_mm).unbind(-1), strict=True))
    return GAMMA_MHZ_PER_T * sum(shares)


@dataclass(frozen=True)
class Gradient:
    """An event for `spins.run`: free evolution for time_ms while a gradient adds frequency_hz to each spin's own.

    frequency_hz: a tensor that broadcasts with the spins, as `gradient_hz` gives it.
    """

    time_ms: float
    frequency_hz: Tensor

    def __post_init__(self) -> None:
        number(self.time_ms, "time_ms", 0)

    @property
    def duration_ms(self) -> float:
        return self.time_ms

    def part(self, time_ms: float) -> "Gradient":
        return replace(self, time_ms=time_ms)

    def apply(self, spins: Spins) -> Spins:
        # The turn of the gradient commutes with precession and relaxation, so the two steps are exact together.
        phase = 2e-3 * math.pi * wide(self.frequency_hz) * self.time_ms
        turn = torch.polar(torch.ones_like(phase), phase)
        later = spins.evolve(self.time_ms)
        return later.replace(turn.to(later.transverse.dtype).to(later.device) * later.transverse, later.longitudinal)


@dataclass(frozen=True)
class Readout:
    """How one slice is encoded: frequency along x, phase along y, one line of k-space after each excitation.

    matrix: samples (X, Y) in each direction; fov_mm: the field of view (x, y); dwell_ms: the time between two samples
    of a line; encode_ms: the time before the line in which k goes to its beginning.
    """

    matrix: tuple[int, int]
    fov_mm: tuple[float, float]
    dwell_ms: float = 0.01
    encode_ms: float = 1.0

    def __post_init__(self) -> None:
        for axis in range(2):
            whole(self.matrix[axis], f"matrix[{axis}]")
            number(self.fov_mm[axis], f"fov_mm[{axis}]", 0, above=True)
        number(self.dwell_ms, "dwell_ms", 0, above=True)
        number(self.encode_ms, "encode_ms", 0, above=True)

    @property
    def bandwidth_hz(self) -> float:
        """Samples a second, which is the range of frequencies over the field of view."""
        return 1000 / self.dwell_ms

    @property
    def echo_time_ms(self) -> float:
        """When a line passes k_x = 0."""
        return self.encode_ms + (self.matrix[0] // 2) * self.dwell_ms

    @property
    def readout_gradient_mt_per_m(self) -> float:
        """The gradient that moves k by 1 / field of view in one dwell time."""
        return 1000 / (GAMMA_MHZ_PER_T * self.fov_mm[0] * self.dwell_ms)

    def k_per_mm(self, axis: int) -> Tensor:
        """The sampled k along an axis in cycles a mm, float64: steps of 1 / field of view, 0 at index n // 2."""
        size = self.matrix[axis]
        return (torch.arange(size, dtype=torch.float64) - size // 2) / self.fov_mm[axis]

    def shift_voxels(self, off_resonance_hz: float) -> float:
        """How far a spin that is off resonance appears along x from where it is."""
        return off_resonance_hz * self.matrix[0] / self.bandwidth_hz

    def places_mm(self, finer: int = 1) -> Tensor:
        """The centres of the voxels, (X finer, Y finer, 2), place 0 in the middle voxel n // 2.

        finer: so many places a voxel and axis, spread evenly over it.
        """
        whole(finer, "finer")
        along = []
        for size, fov in zip(self.matrix, self.fov_mm, strict=True):
            inside = (torch.arange(finer, dtype=torch.float64) + 0.5) / finer - 0.5
            index = torch.arange(size, dtype=torch.float64)[:, None] - size // 2 + inside
            along.append(index.reshape(-1) * fov / size)
        return torch.stack(torch.meshgrid(*along, indexing="ij"), -1)


def encode(spins: Spins, places_mm: Tensor, readout: Readout) -> Tensor:
    """The k-space (X, Y), complex, of spins at places, by playing all gradients of a gradient echo.

    spins: a batch (S,), as the pulse has left it; each line starts from this state. Their T2, off-resonance and
    density count, so decay and shifts during the readout are in the result. places_mm: (S, 2). Scaled as `to_kspace`
    is: one spin a voxel, at `readout.places_mm()`, without decay and off-resonance, gives
    to_kspace(spins.transverse.conj()), and its image's x is the true x. S X Y steps: for slices of up to about 64².
    """
    if places_mm.ndim != 2 or places_mm.shape != (spins.longitudinal.numel(), 2) or spins.longitudinal.ndim != 1:
        found = f"{tuple(places_mm.shape)} for spins {tuple(spins.shape)}"
        raise ValueError(f"places_mm has shape {found}, expected (S, 2) for spins (S,)")
    starts, lines = readout.k_per_mm(0)[0], readout.k_per_mm(1)
    to_gradient = 1000 / (GAMMA_MHZ_PER_T * readout.encode_ms)  # from k in cycles a mm to mT/m over encode_ms
    prepare = gradient_hz((starts * to_gradient, lines[:, None] * to_gradient), places_mm[None])
    state = Gradient(readout.encode_ms, prepare).apply(spins)  # (Y lines, S)
    reading = Gradient(readout.dwell_ms, gradient_hz((readout.readout_gradient_mt_per_m, 0.0), places_mm))
    samples = [state.signal(-1)]
    for _ in range(readout.matrix[0] - 1):
        state = reading.apply(state)
        samples.append(state.signal(-1))
    # Each voxel's spins count by their mean: over N voxels, mean x sqrt(N) is sum / sqrt(N), as in `to_kspace`.
    return torch.stack(samples).conj().resolve_conj() * math.sqrt(math.prod(readout.matrix))
