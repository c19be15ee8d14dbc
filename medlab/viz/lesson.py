"""How a lesson begins and keeps its numbers: one line of facts, a seed, and a record with tolerance bands."""

import math
import platform
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from IPython.display import display

import medlab
from medlab import profiles
from medlab.profiles import Profile
from medlab.viz import style

T = TypeVar("T")
# The prefix by which myst-nb's {glue:text} role finds a number without showing it twice.
HIDDEN = "application/papermill.record/"


class OutOfBand(AssertionError):
    """A recorded number lies outside its tolerance band."""


@dataclass
class Run:
    """What a lesson runs with: profile, device, seed and the generator that all its randomness comes from."""

    profile: Profile
    device: torch.device
    seed: int
    generator: torch.Generator
    recorded: dict[str, float] = field(default_factory=dict)

    def pick(self, *, ci: T, cpu: T, gpu: T) -> T:
        """The value that belongs to this run's profile."""
        return self.profile.pick(ci=ci, cpu=cpu, gpu=gpu)

    def fresh_generator(self, offset: int = 0) -> torch.Generator:
        """A generator of its own for one experiment, so that cells may be run again in any order."""
        return torch.Generator().manual_seed(self.seed + offset)

    def record(
        self,
        name: str,
        value: float,
        *,
        low: float,
        high: float,
        unit: str = "",
        digits: int = 3,
        scientific: bool = False,
    ) -> None:
        """Keep a number under a name, for prose ({glue:text}`name`), for the record and for CI.

        low, high: the tolerance band, both ends included. digits: those shown after the point.
        Raises OutOfBand (an AssertionError) where the value lies outside the band or is not a number.
        """
        value = float(value)
        if math.isnan(value) or not low <= value <= high:
            raise OutOfBand(f"{name} is {value:g}{unit and ' ' + unit}, expected from {low:g} to {high:g}")
        self.recorded[name] = value
        text = _scientific(value, digits) if scientific else f"{value:.{digits}f}"
        text = f"{text} {unit}".rstrip()
        facts = {"name": name, "value": value, "low": low, "high": high, "unit": unit}
        display(
            # A page reads a bare number as one, and would print 0.80 as 0.8: as a quoted text it stays what it is.
            {HIDDEN + "text/plain": text if unit or scientific else repr(text)},
            raw=True,
            metadata={"scrapbook": {"name": name, "mime_prefix": HIDDEN}, "medlab": facts},
        )


def start(profile: str | None = None, seed: int = 0) -> Run:
    """Begin a lesson: choose the profile and device, set the look of the figures, print one line of facts."""
    style.apply()
    chosen = profiles.choose(profile)
    run = Run(chosen, chosen.device, seed, torch.Generator().manual_seed(seed))
    print(
        f"medlab {medlab.__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"device {run.device}, profile {chosen.name}, seed {seed}"
    )
    return run


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{raised}"
