"""Everything that decides a position regression, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

from medlab.arguments import as_length, number, one_of, whole
from medlab.methods.position_regression.frame import FRAMES
from medlab.nn.patch_regressor import PATCHES
from medlab.profiles import Profile
from medlab.training.schedules import SHAPES

SAMPLINGS = ("patches", "lattice")
COUNTS = ("any", "centre")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Config:
    """A patch regressor, what it learns from, and how its map is made.

    size: m of the network, 1 to 64; patch: edge of a patch in voxels. volume: voxels along each edge of the cube that
    heads are laid into, spacing_mm: their size. frame: coordinates of the volume ("cartesian", 0 to 1) or of the head
    ("barycentric", on four landmarks of the skull).

    counts: which patches do, in the loss and in the map: those that hold "any" foreground, as in the paper, or those
    whose "centre" is foreground. sampling: "patches", as in the paper: `patches` of them at independent uniform places
    of one volume; or "lattice": all patches of a volume that begin at a random voxel and every 4th after it. batch:
    volumes a step. steps: updates of the weights; learning_rate, schedule: of Adam.

    stride: the map's, 1 for the error at every voxel; what lies between is interpolated. memory_mb: of a tile of the
    dense evaluation. Raises ValueError, naming the field, for what is out of range.
    """

    size: int = 16
    patch: int = 31
    volume: int = 256
    spacing_mm: float = 1.0
    frame: str = "cartesian"

    counts: str = "any"
    sampling: str = "patches"
    patches: int = 256
    batch: int = 1
    steps: int = 222_000
    learning_rate: float = 1e-4
    schedule: str = "constant"
    precision: str = "32-true"

    stride: int = 1
    memory_mb: float = 512.0

    def __post_init__(self) -> None:
        whole(self.size, "size", 1, 64)
        if self.patch not in PATCHES:
            raise ValueError(f"patch is {self.patch!r}, expected one of {', '.join(map(str, PATCHES))}")
        whole(self.volume, "volume", 8)
        as_length(self.spacing_mm, "spacing_mm")
        for value, choices, name in (
            (self.frame, FRAMES, "frame"),
            (self.counts, COUNTS, "counts"),
            (self.sampling, SAMPLINGS, "sampling"),
            (self.schedule, SHAPES, "schedule"),
            (self.precision, PRECISIONS, "precision"),
        ):
            one_of(value, choices, name)
        for name in ("patches", "batch", "steps", "stride"):
            whole(getattr(self, name), name)
        number(self.learning_rate, "learning_rate", 0, 100)
        number(self.memory_mb, "memory_mb", 0, above=True)

    @classmethod
    def paper(cls, size: int = 16) -> Self:
        """The paper's numbers (sections 3 to 3.3): 31 voxels, 256 patches, 2,000 epochs of 111 volumes, Adam at 1e-4.

        m = 16 is the size of its figure 4.
        """
        return cls(size=size, steps=2000 * 111)

    @classmethod
    def for_profile(cls, profile: Profile, size: int = 16) -> Self:
        """The same design at a profile's size.

        At `cpu` voxels of 2 mm, patches of 15 of them (30 mm beside the paper's 31), on lattices, a learning rate
        that falls from 3e-3, a deviation: some twenty thousand patches a step instead of 256 make up for a hundredth of
        the paper's steps. Only patches around foreground count: the many that see a rim of skin far away are hard, and
        say nothing about brain or skull. At `gpu` the paper's volume and patches at 1 mm, on lattices too.
        """
        if profile.name == "gpu":
            return cls(
                size=size,
                counts="centre",
                sampling="lattice",
                steps=20_000,
                learning_rate=1e-3,
                schedule="cosine",
                precision="bf16-mixed",
                memory_mb=4096.0,
            )
        if profile.name == "cpu":
            return cls(
                size=size,
                patch=15,
                volume=128,
                spacing_mm=2.0,
                counts="centre",
                sampling="lattice",
                steps=2000,
                learning_rate=3e-3,
                schedule="cosine",
                precision="bf16-mixed",
                stride=2,
            )
        return cls(
            size=min(size, 2),
            patch=19,
            volume=32,
            spacing_mm=8.0,
            counts="centre",
            sampling="lattice",
            steps=20,
            learning_rate=3e-3,
            schedule="cosine",
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
