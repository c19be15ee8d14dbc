"""What goes wrong with the geometry: a patient who moves, too few views, a detector that is too short."""

import math

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_positive_number
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.operators import as_values


def moved_sinogram(images: Tensor, scanner: ParallelBeam, shift_mm: Tensor, turn_deg: Tensor) -> Tensor:
    """The sinogram of an object that has a place of its own in every view: (..., views, detectors).

    images: (..., X, Y) in 1/cm. shift_mm: (views, 2), how far it lies along x and y; turn_deg: (views,), by which angle
    it is turned anticlockwise (from x towards y) about the image's centre, before it is shifted. Zeros mean no motion.
    A turned object is the resting one seen from another angle, and a shifted one moves its shadow by the shift's part
    along the detector: so no image is resampled. Shadows are shifted in the Fourier domain.
    Raises ValueError for another scanner and wrong shapes.
    """
    if not isinstance(scanner, ParallelBeam):
        raise ValueError(f"scanner is a {type(scanner).__name__}, expected a ParallelBeam")
    views = len(scanner.angles_deg)
    shift, turn = as_finite(shift_mm, "shift_mm"), as_finite(turn_deg, "turn_deg")
    for name, value, shape in (("shift_mm", shift, (views, 2)), ("turn_deg", turn, (views,))):
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {shape}")
    shift, turn = shift.detach().cpu().double(), turn.detach().cpu().double()
    seen = ParallelBeam(
        scanner.angles_deg - turn,
        scanner.image_size,
        detectors=scanner.detectors,
        pixel_mm=scanner.pixel_mm,
        detector_mm=scanner.detector_mm,
        detector_shift_mm=scanner.detector_shift_mm,
    )
    sinogram = seen.forward(images)
    angle = torch.deg2rad(scanner.angles_deg)
    away = (shift[:, 0] * torch.cos(angle) + shift[:, 1] * torch.sin(angle)) / scanner.detector_mm
    if not bool(away.any()):
        return sinogram
    # Twice the length: what leaves the detector on one side does not come in on the other.
    length = 2 * scanner.detectors
    frequency = torch.fft.rfftfreq(length, dtype=torch.float64)
    phase = torch.polar(torch.ones(1, dtype=torch.float64), -2 * math.pi * away[:, None] * frequency)
    spectrum = torch.fft.rfft(sinogram, n=length, dim=-1)
    moved = torch.fft.irfft(spectrum * phase.to(spectrum.dtype).to(spectrum.device), n=length, dim=-1)
    return moved[..., : scanner.detectors]


def every_nth_view(sinograms: Tensor, scanner: ParallelBeam, step: int) -> tuple[Tensor, ParallelBeam]:
    """The sinogram and the scanner of every step-th view only; a step of 1 changes nothing."""
    sinograms = as_values(sinograms, "sinograms", scanner.range_shape, False)
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise ValueError(f"step is {step}, expected a whole number of at least 1")
    fewer = ParallelBeam(
        scanner.angles_deg[::step],
        scanner.image_size,
        detectors=scanner.detectors,
        pixel_mm=scanner.pixel_mm,
        detector_mm=scanner.detector_mm,
        detector_shift_mm=scanner.detector_shift_mm,
    )
    return sinograms[..., ::step, :], fewer


def truncated(sinograms: Tensor, scanner: ParallelBeam, radius_mm: float, extended: bool = False) -> Tensor:
    """The sinogram of a detector that reaches only to radius_mm on either side: (..., views, detectors).

    Beyond, it holds 0, which makes a bright rim; or, with extended, the last value falls off as a squared cosine over
    half of the radius, a common repair. An infinite radius changes nothing.
    """
    sinograms = as_values(sinograms, "sinograms", scanner.range_shape, False)
    if radius_mm == math.inf:
        return sinograms
    radius = as_positive_number(radius_mm, "radius_mm", "mm")
    place = scanner.offsets_mm
    inside = place.abs() <= radius
    if not bool(inside.any()):
        raise ValueError(f"radius_mm is {radius:g}, expected enough for one detector element")
    kept = torch.nonzero(inside).flatten()
    if not extended:
        return sinograms * inside.to(sinograms)
    nearest = torch.arange(len(place)).clamp(int(kept[0]), int(kept[-1]))
    beyond = ((place.abs() - place[nearest].abs()) / (radius / 2)).clamp(0, 1)
    fall = torch.cos(beyond * math.pi / 2).square()
    return sinograms[..., nearest.to(sinograms.device)] * fall.to(sinograms.dtype).to(sinograms.device)
