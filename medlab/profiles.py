"""Profiles: the one place where sizes, steps and devices are chosen.

`ci` is tiny and checks that everything runs, `cpu` gives the published book on a laptop, `gpu` goes to
paper scale. A profile shrinks a configuration, never the code.
"""

import os
from dataclasses import dataclass
from typing import TypeVar

import torch

NAMES = ("ci", "cpu", "gpu")
ENVIRONMENT_VARIABLE = "MEDLAB_PROFILE"
T = TypeVar("T")


@dataclass(frozen=True)
class Profile:
    """A named size of work: `ci`, `cpu` or `gpu`."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"profile is {self.name!r}, expected one of {', '.join(NAMES)}")

    @property
    def device(self) -> torch.device:
        """CUDA or MPS for `gpu` (in that order), the CPU for the others and where there is neither."""
        if self.name == "gpu":
            return accelerator() or torch.device("cpu")
        return torch.device("cpu")

    def pick(self, *, ci: T, cpu: T, gpu: T) -> T:
        """The value that belongs to this profile."""
        return {"ci": ci, "cpu": cpu, "gpu": gpu}[self.name]


def accelerator() -> torch.device | None:
    """The accelerator of this machine, or None."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return None


def choose(name: str | None = None) -> Profile:
    """The profile by name; without one, by the environment variable MEDLAB_PROFILE; else by the machine.

    Raises ValueError where the name is not a profile's.
    """
    name = name or os.environ.get(ENVIRONMENT_VARIABLE) or ("gpu" if accelerator() else "cpu")
    return Profile(name)
