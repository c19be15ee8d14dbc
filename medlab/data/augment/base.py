"""What all augmentations share: parameters are drawn once from a seed, and applied apart from that."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.data.chance import generator_for, seed_for, uniform
from medlab.data.samples import Sample

# Strings, numbers, truth values and lists of them: what JSON keeps exactly. None where nothing is to be done.
Parameters = dict[str, object] | None


class Augmentation(ABC):
    """A random change of a sample. Called with the same sample and seed it gives the same bytes.

    Nothing depends on, or changes, the global state of a random number generator.
    """

    @property
    def name(self) -> str:
        """What it is called in the parameters of a `Compose`."""
        return type(self).__name__

    def __call__(self, sample: Sample, seed: int) -> Sample:
        """Another sample, of the same subject and grid. seed: a whole number of 0 or more."""
        return self.replay(sample, self.draw(seed))

    @abstractmethod
    def draw(self, seed: int) -> Parameters:
        """The parameters that belong to a seed: one draw for image, label and mask, and for all channels."""

    @abstractmethod
    def replay(self, sample: Sample, parameters: Parameters) -> Sample:
        """The sample under these parameters; itself where they are None.

        Raises ValueError where they are not those of this augmentation.
        """


class Transform(Augmentation):
    """One augmentation; a subclass says how its parameters, of these names, are drawn and what they do."""

    fields: tuple[str, ...] = ()

    def draw(self, seed: int) -> Parameters:
        return self._draw(generator_for(whole(seed, "seed", 0), self.name))

    def replay(self, sample: Sample, parameters: Parameters) -> Sample:
        return sample if parameters is None else self._apply(sample, self.checked(parameters))

    def checked(self, parameters: Parameters) -> dict:
        """The parameters, if they are those of this transform."""
        if not isinstance(parameters, dict) or set(parameters) != set(self.fields):
            found = sorted(parameters) if isinstance(parameters, dict) else repr(parameters)
            raise ValueError(f"parameters of {self.name} are {found}, expected {', '.join(self.fields)}")
        return parameters

    @abstractmethod
    def _draw(self, generator: torch.Generator) -> dict: ...

    @abstractmethod
    def _apply(self, sample: Sample, parameters: dict) -> Sample: ...


class Joinable(Transform):
    """A transform that, with its neighbours of the same kind, is applied in one go."""

    @abstractmethod
    def joins(self, following: Augmentation) -> bool:
        """Whether the following one can be applied together with this one."""

    @abstractmethod
    def replay_joined(self, sample: Sample, steps: list[tuple[Transform, dict]]) -> Sample:
        """What the steps, of which this is the first, make of the sample one after the other."""


@dataclass(frozen=True)
class Sometimes(Augmentation):
    """Another augmentation, applied with this probability; its parameters are None where it is not."""

    step: Augmentation
    probability: float = 0.5

    def __post_init__(self) -> None:
        number(self.probability, "probability", 0, 1)

    @property
    def name(self) -> str:
        return self.step.name

    def draw(self, seed: int) -> Parameters:
        chance = uniform(generator_for(whole(seed, "seed", 0), f"whether {self.name}"), 0, 1)
        return self.step.draw(seed) if chance < self.probability else None

    def replay(self, sample: Sample, parameters: Parameters) -> Sample:
        return self.step.replay(sample, parameters)


@dataclass(frozen=True)
class Compose(Augmentation):
    """Several augmentations, one after the other.

    Each draws from a seed of its own, which follows from its name and from how many of this name come before it:
    adding a step of another kind changes nothing in the others. An `Affine` directly before an `Elastic`, or before
    another `Affine`, is joined with it, so that the image is interpolated only once.
    """

    steps: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if not isinstance(step, Augmentation):
                raise ValueError(f"steps contain {step!r}, expected augmentations")

    def draw(self, seed: int) -> Parameters:
        whole(seed, "seed", 0)
        names = [step.name for step in self.steps]
        drawn = []
        for index, name in enumerate(names):
            own = seed_for(seed, f"step {name} {names[:index].count(name)}")
            drawn.append({"transform": name, "parameters": self.steps[index].draw(own)})
        return {"steps": drawn}

    def replay(self, sample: Sample, parameters: Parameters) -> Sample:
        waiting: list[tuple[Joinable, dict]] = []  # maps of space that are still to be sampled, all at once
        for step, values in self._known(parameters):
            if waiting and not waiting[-1][0].joins(step):
                sample, waiting = _joined(sample, waiting), []
            if isinstance(step, Joinable):
                waiting.append((step, step.checked(values)))
            else:
                sample = step.replay(sample, values)
        return _joined(sample, waiting) if waiting else sample

    def _known(self, parameters: Parameters) -> list[tuple[Augmentation, dict]]:
        """The steps that are to be applied, with their parameters."""
        drawn = [] if parameters is None else parameters.get("steps") if isinstance(parameters, dict) else None
        expected = [] if parameters is None else [step.name for step in self.steps]
        try:
            found = [one["transform"] for one in drawn]
            values = [one["parameters"] for one in drawn]
        except (TypeError, KeyError):
            raise ValueError(f"parameters of Compose are {parameters!r:.80}, expected what draw gives") from None
        if found != expected:
            raise ValueError(f"parameters of Compose are those of {found}, expected {expected}")
        inner = [_inside(step) for step in self.steps[: len(found)]]
        return [(step, one) for step, one in zip(inner, values, strict=True) if one is not None]


def _inside(step: Augmentation) -> Augmentation:
    return _inside(step.step) if isinstance(step, Sometimes) else step


def _joined(sample: Sample, steps: list[tuple[Joinable, dict]]) -> Sample:
    first, values = steps[0]
    return first.replay(sample, values) if len(steps) == 1 else first.replay_joined(sample, steps)


def with_channels(sample: Sample, change: Callable[[Tensor], Tensor]) -> Sample:
    """The sample with each channel, (X, Y, Z), changed by itself."""
    new = torch.empty_like(sample.image.data)
    for old, channel in zip(sample.image.data, new, strict=True):
        channel.copy_(change(old))
    return replace(sample, image=sample.image.with_data(new))


def drawn_range(values: object, name: str, least: float, most: float = float("inf")) -> tuple[float, float]:
    """Two numbers, the second not below the first, both from least to most."""
    if not isinstance(values, tuple) or len(values) != 2:
        raise ValueError(f"{name} is {values!r}, expected two numbers, from and to, as a tuple")
    low, high = (number(value, name, least, most) for value in values)
    if low > high:
        raise ValueError(f"{name} is {values!r}, expected the second number not to be below the first")
    return low, high
