"""Everything that decides an autoencoder, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

from medlab.arguments import as_length, number, one_of, whole
from medlab.profiles import Profile
from medlab.training.schedules import SHAPES

FILTERS = ("none", "median", "erosion")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Config:
    """An autoencoder, how it is trained, and how its map is made.

    size: m of the network, 1 to 64; levels: how often it halves the volume. volume: voxels along each edge of the cube
    that heads are laid into, spacing_mm: their size. batch: whole volumes a step; steps: updates of the weights;
    learning_rate, schedule: of Adam. channels_last: another way to the same numbers, up to
    rounding.

    filter: what is done to the map, "none", "median" or "erosion" of filter_voxels voxels along each axis, an odd
    number. Raises ValueError, naming the field, for what is out of range.
    """

    size: int = 16
    levels: int = 5
    volume: int = 256
    spacing_mm: float = 1.0

    batch: int = 4
    steps: int = 55_500
    learning_rate: float = 1e-3
    schedule: str = "constant"
    precision: str = "32-true"
    channels_last: bool = False

    filter: str = "none"
    filter_voxels: int = 5

    def __post_init__(self) -> None:
        whole(self.size, "size", 1, 64)
        whole(self.levels, "levels", 1, 8)
        whole(self.volume, "volume", 8)
        as_length(self.spacing_mm, "spacing_mm")
        for name in ("batch", "steps"):
            whole(getattr(self, name), name)
        number(self.learning_rate, "learning_rate", 0, 100)
        for value, choices, name in (
            (self.schedule, SHAPES, "schedule"),
            (self.precision, PRECISIONS, "precision"),
            (self.filter, FILTERS, "filter"),
        ):
            one_of(value, choices, name)
        if whole(self.filter_voxels, "filter_voxels") % 2 == 0:
            raise ValueError(f"filter_voxels is {self.filter_voxels}, expected an odd number: it has a middle")

    @classmethod
    def paper(cls, size: int = 16) -> Self:
        """The paper's numbers (section 4.1, appendix C): 4 volumes a step, 2,000 epochs of 111, Adam at 1e-3.

        The filter depends on the finding, median for fractures and erosion for bleeds: ask `error_map` for it.
        """
        return cls(size=size, steps=2000 * 111 // 4)

    @classmethod
    def for_profile(cls, profile: Profile, size: int = 16) -> Self:
        """The same design at a profile's size.

        At `cpu` voxels of 2 mm, one volume a step and a learning rate that falls, a deviation: a laptop has hundreds of
        steps. Filters are 3 voxels wide there, 6 mm beside the paper's 5, and nothing at `ci`, whose voxels are 8 mm.
        """
        if profile.name == "gpu":
            return cls(size=size, steps=8_000, schedule="cosine", precision="bf16-mixed", channels_last=True)
        if profile.name == "cpu":
            return cls(
                size=size,
                volume=128,
                spacing_mm=2.0,
                batch=1,
                steps=400,
                learning_rate=2e-3,
                schedule="cosine",
                precision="bf16-mixed",
                channels_last=True,
                filter_voxels=3,
            )
        return cls(
            size=min(size, 2),
            levels=3,
            volume=32,
            spacing_mm=8.0,
            batch=1,
            steps=20,
            learning_rate=3e-3,
            schedule="cosine",
            filter_voxels=1,
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
