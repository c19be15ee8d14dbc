"""The numbers of classifier-guided DDIM."""

from dataclasses import dataclass
from typing import Self

from medlab.arguments import number, whole
from medlab.methods.diffusion.config import SliceDiffusionConfig
from medlab.profiles import Profile


@dataclass(frozen=True)
class Config(SliceDiffusionConfig):
    """As `SliceDiffusionConfig`, and a classifier. Made by `Config.paper` or `Config.for_profile`.

    scale: how strongly the classifier guides, s in the paper. depth: how far a slice is encoded, L in the paper.
    classifier_width, classifier_multipliers, classifier_blocks, classifier_attention, classifier_heads: of the
    `NoisyImageClassifier2d`. Raises ValueError, naming the field, for what is out of range.
    """

    scale: float = 100.0
    depth: int = 500
    classifier_width: int = 16
    classifier_multipliers: tuple[int, ...] = (1, 2, 4, 4)
    classifier_blocks: int = 1
    classifier_attention: tuple[int, ...] = ()
    classifier_heads: int = 1

    def __post_init__(self) -> None:
        for name in ("classifier_multipliers", "classifier_attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        super().__post_init__()
        number(self.scale, "scale", 0)
        for name in ("classifier_width", "classifier_blocks", "classifier_heads"):
            whole(getattr(self, name), name)
        divisor = 2 ** (len(self.classifier_multipliers) - 1)
        if not self.classifier_multipliers or any(side % divisor for side in self.size):
            raise ValueError(f"size is {self.size}, expected multiples of {divisor}, which the classifier halves")
        for level in self.classifier_attention:
            whole(level, "classifier_attention", 0, len(self.classifier_multipliers) - 1)

    @property
    def classifier(self) -> dict[str, object]:
        """What the classifier is built with."""
        names = ("width", "multipliers", "blocks", "attention", "heads")
        return {**{name: getattr(self, f"classifier_{name}") for name in names}, "groups": self.groups}

    @classmethod
    def paper(cls) -> Self:
        """The publication's numbers (Wolleb et al. 2022, section 3; sizes of the networks are those of its code)."""
        return cls(
            size=(256, 256),
            pixel_mm=1.0,
            width=128,
            multipliers=(1, 1, 2, 2, 4, 4),
            blocks=2,
            attention=(4,),  # at 16 pixels
            groups=32,
            depth=500,
            scale=100.0,
            sampling_steps=1000,
            classifier_width=32,
            classifier_multipliers=(1, 1, 2, 2, 4, 4),
            classifier_blocks=4,
            classifier_attention=(3, 4, 5),  # at 32, 16 and 8 pixels
            batch=10,
            steps=60_000,
            learning_rate=1e-4,
            warm_up=0,
            schedule="constant",
            clip=None,
            flips=False,
            precision="32-true",
            channels_last=False,
            micro_batch=1,
        )

    @classmethod
    def for_profile(cls, profile: Profile) -> Self:
        """The same design at a profile's size. The deviations of `anoddpm.Config.for_profile` hold here too.

        scale: a classifier that has seen few bleeds, and often errs, draws streaks at the paper's 100; at cpu it is 30,
        by eye.
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
                latest=600,
                sampling_steps=200,
                classifier_width=32,
                classifier_multipliers=(1, 1, 2, 2, 4, 4),
                classifier_blocks=2,
                classifier_attention=(4, 5),
                batch=16,
                steps=20_000,
                learning_rate=1e-4,
                warm_up=500,
                micro_batch=32,
            )
        if profile.name == "cpu":
            return cls(latest=500, depth=400, sampling_steps=40, steps=500, scale=30.0)
        return cls(
            size=(24, 28),
            pixel_mm=8.0,
            stride=2,
            width=16,
            multipliers=(1, 2),
            classifier_width=8,
            classifier_multipliers=(1, 2),
            sampling_steps=12,
            batch=4,
            steps=4,
            precision="32-true",
        )
