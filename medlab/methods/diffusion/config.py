"""What a method of diffusion on slices is made of: the part of the config that its methods share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

from medlab.arguments import number, one_of, whole
from medlab.methods.diffusion.noise import KINDS
from medlab.methods.diffusion.schedule import NoiseSchedule
from medlab.methods.diffusion.slices import SliceGrid

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class SliceDiffusionConfig:
    """A diffusion model of axial slices, how it is trained, and how far it noises and denoises.

    size, pixel_mm, least, stride: of the slices, see `SliceGrid`. width, multipliers, blocks, attention, heads, groups:
    of the U-Net, see `medlab.nn.diffusion_unet2d`.
    noise: "gaussian" or "simplex"; octaves, wavelength (pixels), persistence: of the latter.
    timesteps, first_beta, last_beta: the schedule in training; latest: training draws times below it. depth: how far a
    slice is noised, in these steps; sampling_steps: in how many steps all timesteps would be walked at inference.
    batch, steps, learning_rate, warm_up, schedule, weight_decay, clip, flips: of the training; flips: whether slices
    are mirrored, left to right, by half. micro_batch: slices at once at inference.
    Raises ValueError, naming the field, for what is out of range.
    """

    size: tuple[int, int] = (48, 56)
    pixel_mm: float = 4.0
    least: float = 0.15
    stride: int = 1
    width: int = 16
    multipliers: tuple[int, ...] = (1, 3, 6)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    heads: int = 1
    groups: int = 8
    noise: str = "gaussian"
    octaves: int = 4
    wavelength: float = 16.0
    persistence: float = 0.8
    timesteps: int = 1000
    first_beta: float = 1e-4
    last_beta: float = 0.02
    latest: int = 1000
    depth: int = 250
    sampling_steps: int = 100
    batch: int = 16
    steps: int = 500
    learning_rate: float = 1e-3
    warm_up: int = 20
    schedule: str = "cosine"
    weight_decay: float = 0.0
    clip: float | None = 1.0
    flips: bool = True
    precision: str = "bf16-mixed"
    channels_last: bool = True
    micro_batch: int = 16

    def __post_init__(self) -> None:
        for name in ("size", "multipliers", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _ = self.grid
        divisor = 2 ** (len(self.multipliers) - 1)
        if not self.multipliers or any(side % divisor for side in self.size):
            raise ValueError(f"size is {self.size}, expected multiples of {divisor}, which the levels halve")
        for name in ("width", "blocks", "heads", "groups", "octaves", "batch", "steps", "micro_batch"):
            whole(getattr(self, name), name)
        for level in self.attention:
            whole(level, "attention", 0, len(self.multipliers) - 1)
        whole(self.timesteps, "timesteps", 2)
        for name in ("depth", "latest"):
            whole(getattr(self, name), name, 1, self.timesteps)
        whole(self.sampling_steps, "sampling_steps", 2, self.timesteps), whole(self.warm_up, "warm_up", 0)
        if self.depth > self.latest:
            raise ValueError(f"depth is {self.depth}, expected at most latest, {self.latest}: the rest is not trained")
        one_of(self.noise, KINDS, "noise"), one_of(self.precision, PRECISIONS, "precision")
        for name in ("wavelength", "learning_rate", "first_beta", "last_beta"):
            number(getattr(self, name), name, 0, above=True)
        number(self.persistence, "persistence", 0), number(self.weight_decay, "weight_decay", 0, 1)
        if self.clip is not None:
            number(self.clip, "clip", 0, above=True)

    @property
    def grid(self) -> SliceGrid:
        """How slices are cut."""
        return SliceGrid(self.size, self.pixel_mm, self.least, self.stride)

    @property
    def unet(self) -> dict[str, object]:
        """What the U-Net is built with."""
        names = ("width", "multipliers", "blocks", "attention", "heads", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def noise_options(self) -> dict[str, float]:
        """What simplex noise is drawn with."""
        return {name: getattr(self, name) for name in ("octaves", "wavelength", "persistence")}

    def training_schedule(self) -> NoiseSchedule:
        """All timesteps."""
        return NoiseSchedule.linear(self.timesteps, self.first_beta, self.last_beta)

    def sampling_schedule(self) -> NoiseSchedule:
        """The steps of inference."""
        return self.training_schedule().respaced(self.sampling_steps)

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
