"""The ramp filter of filtered back-projection and its windows."""

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

# Each falls from 1 at frequency 0; f is in units of the detector's Nyquist frequency, 0 to 1.
WINDOWS = {
    "ramp": lambda f: torch.ones_like(f),
    "shepp-logan": lambda f: torch.sinc(f / 2),
    "cosine": lambda f: torch.cos(math.pi / 2 * f),
    "hann": lambda f: 0.5 + 0.5 * torch.cos(math.pi * f),
}


def frequency_response(window: str, length: int) -> Tensor:
    """The filter at the frequencies of rfft of an even length, float64 (length // 2 + 1,), for samples one unit apart.

    The ramp is the transform of the sampled, band-limited kernel (Kak and Slaney, Principles of Computerized
    Tomographic Imaging, 1988, eq. 3.61), not |f| itself, whose value 0 at f = 0 would lower every image by a constant.
    Raises ValueError for an unknown window.
    """
    if window not in WINDOWS:
        raise ValueError(f"window is {window!r}, expected one of {', '.join(WINDOWS)}")
    return torch.fft.rfft(ramp_kernel(length)).real * WINDOWS[window](torch.linspace(0, 1, length // 2 + 1).double())


def ramp_kernel(length: int) -> Tensor:
    """The ramp's kernel at the places of an FFT (0, 1, ..., -1): 1/4 at 0, -1/(pi n)^2 at odd n, 0 at even n."""
    place = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64)
    odd = place.long() % 2 != 0
    kernel = torch.where(odd, -1 / (math.pi * torch.where(odd, place, 1.0)).square(), 0.0)
    kernel[0] = 0.25
    return kernel


def filter_rows(sinograms: Tensor, response: Tensor, length: int) -> Tensor:
    """The convolution of each row (last dimension) with a filter given by `frequency_response(..., length)`."""
    spectrum = torch.fft.rfft(sinograms, n=length)
    return torch.fft.irfft(spectrum * response.to(sinograms), n=length)[..., : sinograms.shape[-1]]


def padded_length(detectors: int) -> int:
    """An even length at which the two ends of a row do not meet."""
    return 2 * next_fast_len(detectors, real=True)
