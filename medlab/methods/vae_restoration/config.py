"""Everything that decides the restoration by a variational autoencoder, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Self

from medlab.arguments import as_length, number, one_of, whole
from medlab.methods.vae_restoration.elbo import LAWS
from medlab.profiles import Profile
from medlab.training.schedules import SHAPES

MAPS = ("restoration", "reconstruction")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Config:
    """A variational autoencoder of axial slices, its training and its map. Made by `paper` or `for_profile`.

    volume: voxels along each edge of the cube that heads are laid into, spacing_mm: their size. slice_size: pixels of
    a side of what the network sees of a slice; latent, width, levels: see `medlab.nn.vae2d.Vae2d`. law, scale: of a
    pixel given the code (see `negative_log_likelihood`), in units of the equalised image. kl_weight: 1 for the bound
    itself. batch: slices a step.

    map: "restoration", the difference between image and restored image, or "reconstruction", that to the decoded one.
    restore_steps, restore_rate, variation: see `restore`; variation is its weight.
    Raises ValueError, naming the field, for what is out of range.
    """

    volume: int = 128
    spacing_mm: float = 2.0
    slice_size: int = 64
    latent: int = 64
    width: int = 32
    levels: int = 4
    law: str = "gaussian"
    scale: float = 0.1
    kl_weight: float = 1.0

    batch: int = 64
    steps: int = 1000
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warm_up: int = 0
    clip: float | None = None
    precision: str = "32-true"
    channels_last: bool = False

    map: str = "restoration"
    restore_steps: int = 20
    restore_rate: float = 1e-3
    variation: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (
            ("volume", 8),
            ("slice_size", 1),
            ("latent", 1),
            ("width", 2),
            ("levels", 1),
            ("batch", 1),
            ("steps", 1),
            ("warm_up", 0),
            ("restore_steps", 0),
        ):
            whole(getattr(self, name), name, least)
        as_length(self.spacing_mm, "spacing_mm")
        for name, choices in (("law", LAWS), ("schedule", SHAPES), ("map", MAPS), ("precision", PRECISIONS)):
            one_of(getattr(self, name), choices, name)
        for name in ("scale", "restore_rate", "learning_rate"):
            number(getattr(self, name), name, 0, above=True)
        for name in ("kl_weight", "variation"):
            number(getattr(self, name), name, 0)
        if self.clip is not None:
            number(self.clip, "clip", 0, above=True)
        if self.slice_size % 2**self.levels:
            raise ValueError(f"slice_size is {self.slice_size}, expected a multiple of {2**self.levels} for its levels")

    @classmethod
    def paper(cls) -> Self:
        """The numbers of Baur et al. (Med. Image Anal. 69, 2021) for this method, as their public code has them.

        Slices of 128 x 128, a code of 128 numbers at the end of four halvings, L1 summed over pixels, 150 steps of 1e-3
        with a variation of 1.8. Widths are ours, and so are batch and steps (they stop early).
        """
        return cls(
            volume=256,
            spacing_mm=1.0,
            slice_size=128,
            latent=128,
            law="laplace",
            scale=1.0,
            batch=64,
            steps=20_000,
            learning_rate=1e-4,
            schedule="constant",
            restore_steps=150,
            restore_rate=1e-3,
            variation=1.8,
        )

    @classmethod
    def for_profile(cls, profile: Profile) -> Self:
        """The same design at a profile's size.

        Everywhere the law is a Gaussian with a deviation of 0.1, a deviation from the paper's L1: a scale of 1 for
        numbers between 0 and 1 leaves a pixel so little weight that the code is hardly used.
        """
        if profile.name == "gpu":
            return replace(
                cls(),
                volume=256,
                spacing_mm=1.0,
                slice_size=128,
                latent=128,
                steps=20_000,
                warm_up=200,
                clip=1e4,
                precision="bf16-mixed",
                restore_steps=50,
            )
        if profile.name == "cpu":
            return replace(
                cls(), steps=1500, warm_up=50, clip=1e4, precision="bf16-mixed", channels_last=True, learning_rate=2e-3
            )
        return replace(
            cls(),
            volume=32,
            spacing_mm=8.0,
            slice_size=16,
            latent=8,
            width=8,
            levels=2,
            batch=8,
            steps=4,
            restore_steps=3,
        )

    def as_dict(self) -> dict[str, object]:
        """The config as JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, object]) -> Self:
        """The config that `as_dict` gave. Raises ValueError where a field is unknown."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(found) - known):
            raise ValueError(f"config has the field {unknown[0]!r}, expected one of {', '.join(sorted(known))}")
        return cls(**found)
