"""Filtered back-projection. Solvers that repeat projection and adjoint stand in `medlab.physics.solvers`."""

import math

import torch
from torch import Tensor

from medlab.physics.ct.filters import filter_rows, frequency_response, padded_length
from medlab.physics.ct.projection import FanBeam, ParallelBeam
from medlab.physics.operators import as_values


def fbp(sinograms: Tensor, scanner: ParallelBeam | FanBeam, window: str = "ramp") -> Tensor:
    """Filtered back-projection: sinograms (..., views, detectors) to images (..., X, Y) in 1/cm; differentiable.

    window: ramp, shepp-logan, cosine or hann. Parallel views must cover 180 degrees or whole multiples of it, fan views
    360; each view counts with the angle that is nearer to it than to its neighbours. Kak and Slaney (1988), chapter 3:
    equation 3.30 for parallel beams, 3.99 and 3.114 for equi-angular and flat fans.
    Raises ValueError for other shapes and an unknown window.
    """
    sinograms = as_values(sinograms, "sinograms", scanner.range_shape, False)
    length = padded_length(scanner.detectors)
    response = frequency_response(window, length)
    if isinstance(scanner, FanBeam):
        return _fan(sinograms, scanner, response, length)
    weight = angular_weights(scanner.angles_deg, 180.0).to(sinograms)
    filtered = filter_rows(sinograms, response, length) * weight[:, None]
    return scanner.backproject(filtered) / (scanner.detector_mm / 10)


def _fan(sinograms: Tensor, scanner: FanBeam, response: Tensor, length: int) -> Tensor:
    # Half, since 360 degrees see every line twice.
    weight = angular_weights(scanner.angles_deg, 360.0).to(sinograms)[:, None] / 2
    if scanner.flat:
        pitch = scanner.pitch_on_axis_mm / 10
        filtered = filter_rows(sinograms * torch.cos(scanner.fan_rad).to(sinograms), response, length) / pitch
    else:
        step = scanner.pitch_rad
        kernel = torch.fft.irfft(response.to(torch.complex128), n=length)
        place = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64) * step
        # A row of the padded detector may reach beyond 180 degrees, where no ray is and the sine comes back.
        stretch = torch.where(place.abs() < math.pi / 2, place / torch.sin(place.clamp(-1.57, 1.57)), 0.0)
        stretch[0] = 1.0
        response = torch.fft.rfft(kernel * stretch.square()).real
        source = scanner.source_mm / 10
        filtered = filter_rows(sinograms * torch.cos(scanner.fan_rad).to(sinograms) * source, response, length) / step
    return scanner.backproject(filtered * weight)


def angular_weights(angles_deg: Tensor, period_deg: float) -> Tensor:
    """How much of the half turn (or of the period) each view stands for, in radians, float64 (views,).

    Views of one direction share its part; the weights of a set sum to the period. For equally spaced views it is
    period / views.
    """
    folded = torch.remainder(angles_deg, period_deg)
    direction, member, count = torch.unique((folded * 1e9).round() / 1e9, return_inverse=True, return_counts=True)
    gap = torch.diff(direction, append=direction[:1] + period_deg)
    part = (gap + gap.roll(1)) / 2
    return torch.deg2rad(part / count)[member]
