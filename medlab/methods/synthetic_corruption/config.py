"""Everything that decides the detection of synthetic corruptions, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Self

from medlab.arguments import as_length, number, one_of, whole
from medlab.methods.synthetic_corruption.corruptions import KINDS
from medlab.profiles import Profile
from medlab.training.schedules import SHAPES

NETWORKS = ("unet3d", "unet2d")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Config:
    """A U-Net that finds corruptions, how it is trained and used. Made by `Config.paper` or `Config.for_profile`.

    volume: voxels along each edge of the cube that heads are laid into, spacing_mm: their size. kinds: of corruptions,
    see `corrupt`; radius_mm: their least and largest half-width; most: how many there are at most in a part; clean: the
    share of parts without any. network: "unet3d", or "unet2d", which sees each axial slice of a part by itself; width,
    levels: of it. patch: voxels of a part; batch: parts a step.
    dice_weight, cross_entropy_weight: of the loss. overlap: share of a window that its neighbour covers too, in use.
    Raises ValueError, naming the field, for what is out of range.
    """

    volume: int = 128
    spacing_mm: float = 2.0
    kinds: tuple[str, ...] = KINDS
    radius_mm: tuple[float, float] = (4.0, 24.0)
    most: int = 3
    clean: float = 0.2
    network: str = "unet3d"
    width: int = 8
    levels: int = 4

    patch: tuple[int, int, int] = (64, 64, 64)
    batch: int = 1
    steps: int = 1000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    schedule: str = "cosine"
    warm_up: int = 0
    clip: float | None = None
    dice_weight: float = 1.0
    cross_entropy_weight: float = 1.0
    precision: str = "32-true"
    channels_last: bool = False

    overlap: float = 0.5

    def __post_init__(self) -> None:
        for name in ("kinds", "radius_mm", "patch"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least in (
            ("volume", 8),
            ("most", 1),
            ("width", 1),
            ("levels", 2),
            ("batch", 1),
            ("steps", 1),
            ("warm_up", 0),
        ):
            whole(getattr(self, name), name, least)
        as_length(self.spacing_mm, "spacing_mm")
        if not self.kinds:
            raise ValueError(f"kinds are none, expected at least one of {', '.join(KINDS)}")
        for kind in self.kinds:
            one_of(kind, KINDS, "kinds")
        if len(self.radius_mm) != 2 or as_length(self.radius_mm[0], "radius_mm") > as_length(
            self.radius_mm[1], "radius_mm"
        ):
            raise ValueError(f"radius_mm is {self.radius_mm}, expected the least and the largest half-width")
        if len(self.patch) != 3:
            raise ValueError(f"patch is {self.patch}, expected three sizes")
        for side in self.patch:
            whole(side, "patch")
        one_of(self.network, NETWORKS, "network")
        one_of(self.schedule, SHAPES, "schedule")
        one_of(self.precision, PRECISIONS, "precision")
        for name, most in (("clean", 1), ("weight_decay", 1)):
            number(getattr(self, name), name, 0, most)
        number(self.learning_rate, "learning_rate", 0, above=True)
        for name in ("dice_weight", "cross_entropy_weight"):
            number(getattr(self, name), name, 0)
        if self.clip is not None:
            number(self.clip, "clip", 0, above=True)
        if number(self.overlap, "overlap", 0, 1) == 1:
            raise ValueError("overlap is 1, expected below 1")

    @property
    def radius_voxels(self) -> tuple[float, float]:
        """The half-widths of corruptions in voxels."""
        return self.radius_mm[0] / self.spacing_mm, self.radius_mm[1] / self.spacing_mm

    @classmethod
    def paper(cls) -> Self:
        """Foreign patches alone, as Tan et al. (2020): half-widths of 5 to 20 % of the volume, mixed by 5 to 95 %.

        Deviations: a 3D network of parts, where theirs is a wide residual network of whole slices; the target is where
        something was changed, where theirs is the share that was mixed in.
        """
        return replace(cls.for_profile(Profile("gpu")), kinds=("patch",), radius_mm=(12.8, 51.2), most=1, clean=0.0)

    @classmethod
    def for_profile(cls, profile: Profile) -> Self:
        """The same design at a profile's size.

        At `cpu` in two dimensions, a deviation: in the few minutes of a laptop a 3D network saw too few corruptions to
        learn anything (after 600 parts of 48^3 its Dice was 0), a 2D network sees ten times as many.
        """
        if profile.name == "gpu":
            return replace(
                cls(),
                volume=256,
                spacing_mm=1.0,
                width=16,
                levels=5,
                patch=(96, 96, 96),
                batch=2,
                steps=20_000,
                warm_up=200,
                clip=12.0,
                precision="bf16-mixed",
            )
        if profile.name == "cpu":
            return replace(
                cls(),
                network="unet2d",
                width=16,
                patch=(64, 64, 8),
                batch=4,
                steps=800,
                warm_up=20,
                clip=12.0,
                precision="bf16-mixed",
                channels_last=True,
                overlap=0.25,
            )
        return replace(
            cls(),
            volume=32,
            spacing_mm=8.0,
            radius_mm=(8.0, 32.0),
            levels=3,
            patch=(16, 16, 16),
            steps=4,
            overlap=0.25,
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
