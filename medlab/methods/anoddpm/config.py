"""The numbers of AnoDDPM."""

from dataclasses import dataclass
from typing import Self

from medlab.methods.diffusion.config import SliceDiffusionConfig
from medlab.profiles import Profile


@dataclass(frozen=True)
class Config(SliceDiffusionConfig):
    """As `SliceDiffusionConfig`, with simplex noise. Made by `Config.paper` or `Config.for_profile`."""

    noise: str = "simplex"

    @classmethod
    def paper(cls) -> Self:
        """The publication's numbers (Wyatt et al. 2022, section 3 and 4; the widths are those of its public code)."""
        return cls(
            size=(256, 256),
            pixel_mm=1.0,
            width=128,
            multipliers=(1, 1, 2, 2, 4, 4),
            blocks=2,
            attention=(4, 5),  # at 16 and 8 pixels
            heads=2,
            groups=32,
            octaves=6,
            wavelength=64.0,
            persistence=0.8,
            latest=1000,
            depth=250,
            sampling_steps=1000,
            batch=1,
            steps=3000 * 100,  # 3,000 epochs of one slice from each of 100 volumes
            learning_rate=1e-4,
            warm_up=0,
            schedule="constant",
            weight_decay=0.0,
            clip=None,
            flips=False,
            precision="32-true",
            channels_last=False,
            micro_batch=1,
        )

    @classmethod
    def for_profile(cls, profile: Profile) -> Self:
        """The same design at a profile's size.

        Deviations: the field of view is cut to the head, and training draws only such times as inference passes, so
        that a laptop's few hundred steps are not spent on noise that is never used. Both everywhere.
        """
        if profile.name == "gpu":
            return cls(
                size=(192, 224),
                pixel_mm=1.0,
                stride=2,
                width=64,
                multipliers=(1, 1, 2, 2, 4, 4),
                blocks=2,
                attention=(4,),
                groups=32,
                octaves=6,
                wavelength=64.0,
                latest=400,
                sampling_steps=200,
                batch=16,
                steps=20_000,
                learning_rate=1e-4,
                warm_up=500,
                micro_batch=32,
            )
        if profile.name == "cpu":
            return cls(latest=400, depth=250, sampling_steps=60, steps=500)
        return cls(
            size=(24, 28),
            pixel_mm=8.0,
            stride=2,
            width=16,
            multipliers=(1, 2),
            octaves=3,
            wavelength=8.0,
            latest=400,
            sampling_steps=12,
            batch=4,
            steps=4,
            precision="32-true",
        )
