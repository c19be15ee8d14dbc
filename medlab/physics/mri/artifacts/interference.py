"""What does not come from the patient: noise, a spark in the room, a transmitter nearby."""

import math

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.physics.mri.artifacts.arguments import largest, on_image
from medlab.physics.mri.encoding import to_image, to_kspace
from medlab.physics.mri.snr import complex_noise


def rician_noise(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """The image (..., X, Y) with independent Gaussian noise in its real and its imaginary part.

    strength: the standard deviation of each part as a share of the image's largest magnitude. The magnitude of the
    result follows Rice's distribution (Gudbjartsson and Patz, Magn. Reson. Med. 34, 910, 1995). generator: on the CPU.
    """
    number(strength, "strength", 0)

    def add(values: Tensor) -> Tensor:
        sigma = strength * float(largest(values))
        made = complex_noise(tuple(values.shape), sigma, generator, dtype=values.real.dtype, device=values.device)
        return values + made

    return on_image(image, add, strength)


def spike(
    image: Tensor, strength: float, *, place: tuple[int, int] | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """The image (..., X, Y) with one sample of its k-space too large: a plane wave over all of it.

    strength: the amplitude of the wave as a share of the image's largest magnitude. place: its waves over the field
    of view along X and Y, from -n // 2; drawn by the generator where absent, its phase too (else 0 in the middle).
    Raises ValueError where neither is given and for a place outside k-space.
    """
    number(strength, "strength", 0)
    shape = tuple(image.shape[-2:]) if isinstance(image, Tensor) else ()
    if place is None and generator is None:
        raise ValueError("place and generator are both None, expected one of them")
    if place is not None and (
        len(shape) != 2 or any(not 0 <= k + n // 2 < n for k, n in zip(place, shape, strict=True))
    ):
        raise ValueError(f"place is {place}, expected waves within the k-space of an image {shape}")

    def hit(values: Tensor) -> Tensor:
        where = place if place is not None else [_below(n, generator) - n // 2 for n in shape]
        phase = 0.0 if generator is None else 2 * math.pi * float(torch.rand((), generator=generator))
        kspace = to_kspace(values)
        size = strength * largest(values) * math.sqrt(math.prod(shape))
        at = (..., where[0] + shape[0] // 2, where[1] + shape[1] // 2)
        kspace[at] += size * complex(math.cos(phase), math.sin(phase))
        return to_image(kspace)

    return on_image(image, hit, strength)


def zipper(
    image: Tensor, strength: float, generator: torch.Generator, *, frequency_hz: float, bandwidth_hz: float
) -> Tensor:
    """The image (..., X, Y) while a transmitter sends at one frequency: a bright broken line along phase encoding.

    It stands at X // 2 + frequency_hz X / bandwidth_hz, since the readout takes the frequency for a place; its phase is
    another at each line of k-space, which spreads it over all of Y. strength: the root mean square of the line as a
    share of the image's largest magnitude. frequency_hz: from that of the scanner, within half the bandwidth.
    """
    number(strength, "strength", 0)
    number(bandwidth_hz, "bandwidth_hz", 0, above=True)
    if not abs(frequency_hz) <= bandwidth_hz / 2:
        raise ValueError(f"frequency_hz is {frequency_hz}, expected at most half the bandwidth of {bandwidth_hz} Hz")

    def send(values: Tensor) -> Tensor:
        size, lines = values.shape[-2:]
        time = torch.arange(size, dtype=torch.float64) - size // 2  # in dwell times from the middle of the line
        start = torch.rand(lines, generator=generator, dtype=torch.float64)
        turns = -time[:, None] * frequency_hz / bandwidth_hz + start
        signal = torch.polar(torch.ones_like(turns), 2 * math.pi * turns).to(values.dtype).to(values.device)
        return values + strength * largest(values) / math.sqrt(size) * to_image(signal)

    return on_image(image, send, strength)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
