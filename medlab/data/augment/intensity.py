"""Transforms of intensity: other contrast, other noise, other sharpness. Labels and masks stay as they are."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number, whole
from medlab.data.augment.base import Transform, drawn_range, with_channels
from medlab.data.chance import below, generator_for, uniform
from medlab.data.resample import resample
from medlab.data.samples import Sample
from medlab.physics.mri.snr import magnitude_with_noise


@dataclass(frozen=True)
class Gamma(Transform):
    """Another contrast curve: a power of what lies between a channel's lowest value (0) and its highest (1).

    log_gamma: the largest natural logarithm of the power, 0.3 for 0.74 to 1.35, either way. The range of each channel
    stays, and the order of its values: so it takes z-scores, HU and [0, 1] alike, and gives nothing outside them.
    """

    log_gamma: float = 0.3
    fields = ("gamma",)

    def __post_init__(self) -> None:
        number(self.log_gamma, "log_gamma", 0, 5)

    def _draw(self, generator: torch.Generator) -> dict:
        return {"gamma": math.exp(uniform(generator, -self.log_gamma, self.log_gamma))}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        gamma = number(parameters["gamma"], "gamma", 0, above=True)

        def curve(channel: Tensor) -> Tensor:
            low, high = torch.aminmax(channel)
            if low == high or gamma == 1:
                return channel
            return torch.lerp(low, high, ((channel - low) / (high - low)).pow_(gamma)).clamp_(low, high)

        return with_channels(sample, curve)


@dataclass(frozen=True)
class Noise(Transform):
    """Noise of its own in every voxel and channel.

    sigma: from and to, as a share of each channel's standard deviation (so in absolute units for z-scored channels).
    rician: noise in both parts of a complex signal of which the magnitude is shown, as in MR; the channel's lowest
    value counts as no signal, and where there is none the noise lifts it. Else Gaussian, as in CT.
    """

    sigma: tuple[float, float] = (0.0, 0.2)
    rician: bool = False
    fields = ("sigma", "rician", "seed")

    def __post_init__(self) -> None:
        drawn_range(self.sigma, "sigma", 0)

    def _draw(self, generator: torch.Generator) -> dict:
        return {"sigma": uniform(generator, *self.sigma), "rician": self.rician, "seed": below(generator, 2**31)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        share, chance = (
            number(parameters["sigma"], "sigma", 0),
            generator_for(whole(parameters["seed"], "seed", 0), "noise"),
        )

        def noisy(channel: Tensor) -> Tensor:
            sigma = share * float(channel.std(correction=0))
            if parameters["rician"]:
                low = channel.amin()
                return magnitude_with_noise(channel - low, sigma, chance) + low
            return channel + sigma * torch.randn(channel.shape, generator=chance).to(channel)

        return with_channels(sample, noisy)


@dataclass(frozen=True)
class Blur(Transform):
    """Smoothed by a Gaussian with the same standard deviation in mm along all axes; sigma_mm: from and to."""

    sigma_mm: tuple[float, float] = (0.0, 1.5)
    fields = ("sigma_mm",)

    def __post_init__(self) -> None:
        drawn_range(self.sigma_mm, "sigma_mm", 0)

    def _draw(self, generator: torch.Generator) -> dict:
        return {"sigma_mm": uniform(generator, *self.sigma_mm)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        sigma = number(parameters["sigma_mm"], "sigma_mm", 0) / np.array(sample.image.spacing)

        def smooth(channel: Tensor) -> Tensor:
            values = ndimage.gaussian_filter(channel.cpu().numpy(), sigma, mode="nearest")
            return torch.from_numpy(values).to(channel)

        return with_channels(sample, smooth)


@dataclass(frozen=True)
class LowResolution(Transform):
    """As if it had been scanned with thicker voxels along one axis of the grid, and brought back to the old grid.

    factor: from and to, by how much thicker, at least 1. Smoothed and interpolated by `medlab.data.resample`.
    """

    factor: tuple[float, float] = (1.0, 4.0)
    fields = ("axis", "factor")

    def __post_init__(self) -> None:
        drawn_range(self.factor, "factor", 1)

    def _draw(self, generator: torch.Generator) -> dict:
        return {"axis": below(generator, 3), "factor": uniform(generator, *self.factor)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        factor, axis = number(parameters["factor"], "factor", 1), whole(parameters["axis"], "axis", 0, 2)
        image = sample.image
        spacing = [step * (factor if index == axis else 1) for index, step in enumerate(image.spacing)]

        def thick(channel: Tensor) -> Tensor:
            coarse = resample(image.with_data(channel[None]), spacing)
            # Voxels are whole, so the coarse field of view may end a quarter of its voxel too early.
            return resample(coarse, like=image, fill=float(channel.amin())).data[0]

        return with_channels(sample, thick)
