"""Samples: what every dataset gives, whether it is read from disk or made by `medlab.cohorts`."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, overload

import torch
from torch import Tensor

from medlab.data.errors import VolumeError
from medlab.data.volume import Volume


@dataclass(frozen=True, eq=False)
class Sample:
    """One scan of one subject, with what is known about it.

    subject: whose it is; all samples of a subject belong into one part of a split. image: (C, X, Y, Z), one channel a
    sequence. channels: their names, in the same order. label: (X, Y, Z) uint8 on the image's grid, or None.
    label_names: what each value of the label means. mask: (X, Y, Z) bool, for example the brain, or None. session:
    which scan of the subject it is, empty where there is one. facts: age, sex, findings and the like, by name.
    Raises VolumeError, naming the subject, where these do not fit together.
    """

    subject: str
    image: Volume
    channels: tuple[str, ...]
    label: Tensor | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    mask: Tensor | None = None
    session: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.channels) != self.image.shape[0]:
            expected = f"one name for each of the image's {self.image.shape[0]} channels"
            raise VolumeError(f"subject {self.subject}: channels are {self.channels}, expected {expected}")
        grid = self.image.shape[1:]
        for name, dtype in (("label", torch.uint8), ("mask", torch.bool)):
            values = getattr(self, name)
            if values is not None and (values.dtype != dtype or tuple(values.shape) != grid):
                found = f"{str(values.dtype).removeprefix('torch.')} of shape {tuple(values.shape)}"
                wanted = f"{str(dtype).removeprefix('torch.')} of shape {grid}"
                raise VolumeError(f"subject {self.subject}: the {name} is {found}, expected {wanted}")
        if self.label is not None:
            unknown = sorted(set(self.label.unique().tolist()) - set(self.label_names))
            if unknown:
                expected = ", ".join(map(str, sorted(self.label_names)))
                raise VolumeError(f"subject {self.subject}: the label has the values {unknown}, expected {expected}")
        object.__setattr__(self, "label_names", MappingProxyType(dict(self.label_names)))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __reduce__(self):
        # Read-only mappings cannot be pickled, and a sample must travel between the processes of a data loader.
        arguments = (self.subject, self.image, self.channels, self.label, dict(self.label_names), self.mask)
        return type(self), (*arguments, self.session, dict(self.facts))

    def channel(self, name: str) -> Tensor:
        """The image of one sequence, (X, Y, Z). Raises VolumeError where there is none of this name."""
        if name not in self.channels:
            expected = ", ".join(self.channels)
            raise VolumeError(f"subject {self.subject}: there is no channel {name!r}, expected one of {expected}")
        return self.image.data[self.channels.index(name)]


class LeftOut(NamedTuple):
    """A subject that is not among the samples, and the sentence that says why."""

    subject: str
    reason: str


class Samples(Sequence[Sample]):
    """A dataset: samples that are read, or made, when they are asked for.

    `subjects` and `facts` are known without reading an image, so that a split costs nothing. `left_out` lists what
    was found but cannot be used.
    """

    name: str = "samples"
    left_out: tuple[LeftOut, ...] = ()

    @property
    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """The subject of each sample; a subject with several scans occurs several times."""

    @abstractmethod
    def facts(self, index: int) -> Mapping[str, object]:
        """What is known about a sample besides its image: age, sex, findings, by name."""

    @abstractmethod
    def load(self, index: int) -> Sample:
        """The sample at an index from 0 to len - 1."""

    def __len__(self) -> int:
        return len(self.subjects)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Samples": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return Subset(self, range(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"index is {index}, expected one of {len(self)} samples of {self.name}")
        return self.load(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(index) for index in range(len(self)))

    def choose(self, indices: Sequence[int]) -> "Samples":
        """The samples at these indices, in this order."""
        return Subset(self, indices)

    def __repr__(self) -> str:
        people = len(set(self.subjects))
        without = f", {len(self.left_out)} left out" if self.left_out else ""
        return f"{self.name}: {len(self)} samples of {people} subjects{without}"


class Subset(Samples):
    """Some samples of a dataset, in a given order."""

    def __init__(self, whole: Samples, indices: Sequence[int]):
        for index in indices:
            if not 0 <= index < len(whole):
                raise ValueError(f"indices contain {index}, expected whole numbers from 0 to {len(whole) - 1}")
        self.whole, self.indices, self.name = whole, tuple(indices), whole.name
        self.left_out = whole.left_out

    @property
    def subjects(self) -> tuple[str, ...]:
        found = self.whole.subjects
        return tuple(found[index] for index in self.indices)

    def facts(self, index: int) -> Mapping[str, object]:
        return self.whole.facts(self.indices[index])

    def load(self, index: int) -> Sample:
        return self.whole.load(self.indices[index])
