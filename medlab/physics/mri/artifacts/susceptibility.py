"""A field that is not uniform: signal that is lost in its slopes, and tissue that appears elsewhere.

Air has another magnetic susceptibility than tissue, so the field bends around the sinuses and the ears.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.physics.mri.artifacts.arguments import on_image
from medlab.physics.mri.spins import GAMMA_MHZ_PER_T

LINES_AT_ONCE = 8  # X x X numbers each: few enough for the cache
AIR_IN_TISSUE_PPM = 9.4  # susceptibility of air minus that of water, in SI units (Schenck, Med. Phys. 23, 815, 1996)


def sphere_field_hz(
    places_mm: Tensor,
    centre_mm: tuple[float, float, float],
    radius_mm: float,
    *,
    field_t: float = 3.0,
    difference_ppm: float = AIR_IN_TISSUE_PPM,
) -> Tensor:
    """The off-resonance (...), float64, in Hz around a sphere of another susceptibility, B0 along z.

    difference_ppm / 3 x B0 x (radius / r)^3 x (3 cos^2 - 1) outside, 0 inside (where air gives no signal), to first
    order in the susceptibility (Schenck 1996). places_mm: (..., 3).
    """
    number(radius_mm, "radius_mm", 0, above=True)
    if not isinstance(places_mm, Tensor) or places_mm.shape[-1:] != (3,):
        found = tuple(places_mm.shape) if isinstance(places_mm, Tensor) else type(places_mm).__name__
        raise ValueError(f"places_mm is {found}, expected a tensor (..., 3)")
    away = places_mm.double() - torch.tensor(centre_mm, dtype=torch.float64)
    distance = away.norm(dim=-1).clamp(min=radius_mm)
    share = (radius_mm / distance).pow(3) * (3 * (away[..., 2] / distance).square() - 1)
    scale = difference_ppm / 3 * GAMMA_MHZ_PER_T * number(field_t, "field_t", 0)
    return torch.where(away.norm(dim=-1) < radius_mm, 0.0, scale * share)


def susceptibility(
    image: Tensor,
    field_hz: Tensor,
    strength: float = 1.0,
    *,
    echo_time_ms: float,
    bandwidth_hz: float,
    through_slice_hz: Tensor | None = None,
) -> Tensor:
    """A gradient-echo image (..., X, Y) in a field that is off resonance by strength times field_hz.

    field_hz: (X, Y). Three things happen. Along the readout, X, tissue appears X / bandwidth_hz voxels a Hz from where
    it is, towards +X for a positive field, and is brightened where it is crowded: each line is the exact sum over
    all voxels. At the echo time it has the phase -2 pi f TE. And where the field changes across a voxel its spins
    dephase: sinc(difference across the voxel x TE), for each direction in the plane and for through_slice_hz (X, Y),
    the difference across the slice. bandwidth_hz: over the whole readout. strength: 0 is a uniform field.
    """
    number(strength, "strength", 0)
    number(echo_time_ms, "echo_time_ms", 0)
    number(bandwidth_hz, "bandwidth_hz", 0, above=True)
    shape = tuple(image.shape[-2:]) if isinstance(image, Tensor) else ()
    maps = {"field_hz": field_hz} | ({} if through_slice_hz is None else {"through_slice_hz": through_slice_hz})
    for name, value in maps.items():
        if not isinstance(value, Tensor) or tuple(value.shape) != shape or not bool(value.isfinite().all()):
            found = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} is {found}, expected finite numbers of the image's shape {shape}")
    off = strength * field_hz.double().cpu()
    slopes = [*torch.gradient(off), *([] if through_slice_hz is None else [strength * through_slice_hz.double().cpu()])]

    def distort(values: Tensor) -> Tensor:
        kept = math.prod(torch.sinc(slope * echo_time_ms / 1000) for slope in slopes)
        turns = -off * echo_time_ms / 1000
        weight = torch.polar(kept.abs(), 2 * math.pi * turns) * kept.sign()
        return _read(values * weight.to(values), off, bandwidth_hz)

    return on_image(image, distort, strength)


def _read(values: Tensor, off_hz: Tensor, bandwidth_hz: float) -> Tensor:
    """Each readout line as a sum over its voxels, every one at the place where its frequency puts it.

    A sample at the time n / bandwidth sees the phase -2 pi n (x / X + off / bandwidth): the n-th power of one complex
    number for each voxel. Powers are made by doubling, so that few sines are needed; all of it in float64.
    """
    size, lines = values.shape[-2:]
    index = torch.arange(size, dtype=torch.float64) - size // 2
    once = -2 * math.pi * (index + size * off_hz.T / bandwidth_hz) / size  # (Y, X): the turn of one sample
    columns = values.reshape(-1, size, lines).permute(2, 1, 0)  # (Y, X, images)
    samples = []
    for step, part in zip(once.split(LINES_AT_ONCE), columns.split(LINES_AT_ONCE), strict=True):
        powers = _unit(-(size // 2) * step)[:, None]  # the phases at the first sample, (Y, 1, X)
        while powers.shape[1] < size:
            powers = torch.cat((powers, powers * _unit(powers.shape[1] * step)[:, None]), 1)
        samples.append(powers[:, :size].to(values.dtype).to(values.device) @ part)
    image = torch.cat(samples).permute(2, 1, 0).reshape(values.shape)  # k along X still, place along Y
    return torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(image, dim=-2), dim=-2), dim=-2)


def _unit(phase: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(phase), phase)
