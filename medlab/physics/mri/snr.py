r"""Noise: how strong it is beside the signal, and what the magnitude of an image makes of it.

The receiver adds Gaussian noise of the same strength to the real and the imaginary part of every sample. The image is
linear in the samples, so its noise is Gaussian too, until the magnitude is taken: then it follows Rice's distribution.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins.arguments import COMPLEX_OF, Real, broadcast_shape, choose_dtype, wide


@dataclass(frozen=True)
class Acquisition:
    """The choices that set the signal-to-noise ratio of a Cartesian image.

    voxel_mm: the three sides of a voxel in mm; averages: how often all is repeated (NEX); bandwidth_hz: the whole
    bandwidth of the receiver, which takes one sample each 1 / bandwidth; readout_samples, phase_encodes,
    partitions: samples along a line, lines, and lines along the third axis (1 in a 2D image); field_t: B0 in T.
    Raises ValueError for values that are not above 0, and counts that are not whole.
    """

    voxel_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    averages: int = 1
    bandwidth_hz: float = 50_000.0
    readout_samples: int = 256
    phase_encodes: int = 256
    partitions: int = 1
    field_t: float = 3.0

    def __post_init__(self) -> None:
        if len(self.voxel_mm) != 3 or not all(0 < side < math.inf for side in self.voxel_mm):
            raise ValueError(f"voxel_mm is {self.voxel_mm}, expected three lengths above 0 mm")
        for name in ("averages", "readout_samples", "phase_encodes", "partitions"):
            count = getattr(self, name)
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} is {count}, expected a whole number of at least 1")
        for name in ("bandwidth_hz", "field_t"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a finite value above 0")

    @property
    def voxel_volume_mm3(self) -> float:
        return math.prod(self.voxel_mm)

    @property
    def listening_time_ms(self) -> float:
        """How long the receiver is open in the whole scan: samples x lines x partitions x averages / bandwidth."""
        samples = self.readout_samples * self.phase_encodes * self.partitions * self.averages
        return 1e3 * samples / self.bandwidth_hz


def relative_snr(acquisition: Acquisition, reference: Acquisition, *, field_exponent: float = 1.0) -> float:
    """The signal-to-noise ratio of one acquisition, as a multiple of that of a reference.

    Voxel volume times the square root of the listening time (Nishimura, Principles of MRI, 2010; Haacke et al., 1999,
    chapter 15), times B0 to the field_exponent: 1 where the noise comes from the patient, as in all heads from 1 T up,
    7/4 where it comes from the coil (Hoult and Richards, J. Magn. Reson. 24, 71, 1976). What relaxation, and its
    change with the field, does to the signal is not in it: that is a factor of its own (`sequences`).
    """
    exponent = float(as_finite(field_exponent, "field_exponent"))
    volume = acquisition.voxel_volume_mm3 / reference.voxel_volume_mm3
    listening = acquisition.listening_time_ms / reference.listening_time_ms
    return volume * math.sqrt(listening) * (acquisition.field_t / reference.field_t) ** exponent


def complex_noise(
    shape: int | tuple[int, ...],
    sigma: float,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Complex Gaussian noise whose real and imaginary part each have the standard deviation sigma (0 or more).

    dtype: float32 or float64, the precision of the parts. generator: on the CPU, so that a seed gives the same noise on
    every device. Raises ValueError for another sigma or dtype.
    """
    _refuse_sigma(sigma)
    dtype = choose_dtype((), dtype)
    size = (shape,) if isinstance(shape, int) else tuple(shape)
    parts = sigma * torch.randn((2, *size), dtype=dtype, generator=generator)
    return torch.complex(*parts).to(device or "cpu")


def magnitude_with_noise(image: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """The magnitude of an image after `complex_noise` has been added: Rician, and never below 0.

    image: real or complex, any shape, finite; sigma: 0 or more, in the image's own unit. Real, of the image's shape
    and device, float32 unless the image is of double precision.
    """
    if not isinstance(image, Tensor):
        raise ValueError(f"image is {type(image).__name__}, expected a tensor")
    parts = as_finite(torch.view_as_real(image) if image.is_complex() else image, "image")
    dtype = choose_dtype((parts,))
    noise = complex_noise(tuple(image.shape), sigma, generator, dtype=dtype, device=image.device)
    return (image.to(COMPLEX_OF[dtype]) + noise).abs()


def rician_mean(signal: Real, sigma: Real) -> Tensor:
    """The mean magnitude of a signal A in complex noise of sigma a part, in float64.

    sigma sqrt(pi / 2) ((1 + x) I0(x / 2) + x I1(x / 2)) exp(-x / 2), x = A^2 / 2 sigma^2 (Gudbjartsson and Patz, Magn.
    Reson. Med. 34, 910, 1995). Without signal it is sigma sqrt(pi / 2), the floor that no averaging of magnitudes
    lowers; with a strong one A + sigma^2 / 2A. signal: 0 or more; sigma: above 0; they broadcast.
    """
    amplitude, width = _signal_and_sigma(signal, sigma)
    half = (amplitude / width).square() / 4
    bessel = (1 + 2 * half) * torch.special.i0e(half) + 2 * half * torch.special.i1e(half)
    return width * math.sqrt(math.pi / 2) * bessel


def rician_std(signal: Real, sigma: Real) -> Tensor:
    """The standard deviation of the magnitude: sqrt(A^2 + 2 sigma^2 - mean^2), 0.655 sigma without signal, in float64.

    Arguments as `rician_mean`. It tends to sigma; for signals above 1,000 sigma rounding sets in, and sigma is given.
    """
    amplitude, width = _signal_and_sigma(signal, sigma)
    square = amplitude.square() + 2 * width.square() - rician_mean(amplitude, width).square()
    return torch.where(amplitude > 1e3 * width, width, square.clamp(min=0).sqrt())


def _signal_and_sigma(signal: object, sigma: object) -> tuple[Tensor, Tensor]:
    amplitude, width = as_finite(signal, "signal"), as_finite(sigma, "sigma")
    if bool((amplitude < 0).any()):
        raise ValueError(f"signal is {float(amplitude.min())}, expected a magnitude of 0 or more")
    if bool((width <= 0).any()):
        raise ValueError(f"sigma is {float(width.min())}, expected a standard deviation above 0")
    broadcast_shape(signal=amplitude, sigma=width)
    return wide(amplitude), wide(width)


def _refuse_sigma(sigma: object) -> None:
    if not (isinstance(sigma, int | float) and 0 <= sigma < math.inf):
        raise ValueError(f"sigma is {sigma!r}, expected a finite standard deviation of 0 or more")
