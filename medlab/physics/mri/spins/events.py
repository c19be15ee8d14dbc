"""An experiment as a list of events, and `run`, which plays it to the spins and keeps what is read."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from medlab.physics.mri.spins.state import Spins, mean_over


class Event(Protocol):
    """Anything that happens to spins: it takes duration_ms and turns one state into the next.

    An event that takes time can also be cut: `part(time_ms)` is its first so many milliseconds. The events here are
    the same at every moment, so the rest of one is a part of it too.
    """

    @property
    def duration_ms(self) -> float: ...

    def apply(self, spins: Spins) -> Spins: ...


class _Instant:
    """An event that takes no time."""

    duration_ms = 0.0


class _Lasting:
    """An event that takes time_ms and is the same at every moment of it."""

    time_ms: float

    def __post_init__(self):
        if not 0 <= self.time_ms < math.inf:
            raise ValueError(f"time_ms is {self.time_ms}, expected a finite time of 0 ms or more")

    @property
    def duration_ms(self) -> float:
        return self.time_ms

    def part(self, time_ms: float):
        return replace(self, time_ms=time_ms)


@dataclass(frozen=True)
class Pulse(_Instant):
    """`Spins.pulse`: an instantaneous rotation, in degrees."""

    flip_angle_deg: float
    phase_deg: float = 0.0

    def apply(self, spins: Spins) -> Spins:
        return spins.pulse(self.flip_angle_deg, self.phase_deg)


@dataclass(frozen=True)
class Spoil(_Instant):
    """`Spins.spoil`: no transverse magnetisation is left."""

    def apply(self, spins: Spins) -> Spins:
        return spins.spoil()


@dataclass(frozen=True)
class Read(_Instant):
    """The moment at which `run` keeps the signal; the spins are left alone."""

    def apply(self, spins: Spins) -> Spins:
        return spins


@dataclass(frozen=True)
class Delay(_Lasting):
    """`Spins.evolve`: free precession and relaxation for a time in ms."""

    time_ms: float

    def apply(self, spins: Spins) -> Spins:
        return spins.evolve(self.time_ms)


@dataclass(frozen=True)
class Irradiate(_Lasting):
    """`Spins.irradiate`: a constant radiofrequency field (b_x, b_y) in Hz for a time in ms."""

    time_ms: float
    rf_hz: tuple[float, float]

    def apply(self, spins: Spins) -> Spins:
        return spins.irradiate(self.time_ms, self.rf_hz)


@dataclass(frozen=True)
class Recording:
    """What was read, one row for each reading, and the state at the end.

    time_ms: (R,) float64, from the beginning; signal: (R, ...) complex mean of M_xy; longitudinal: (R, ...) mean of
    M_z, which no coil sees; spins: the state after the last event. "..." are the dimensions that were not averaged.
    """

    time_ms: Tensor
    signal: Tensor
    longitudinal: Tensor
    spins: Spins


def run(spins: Spins, events: Iterable[Event], dim: int | tuple[int, ...] | None = None) -> Recording:
    """Plays the events in order and reads at each `Read`: the mean over the batch, or over its dimensions dim.

    dim: () reads every spin by itself.
    Differentiable. An experiment without a `Read` gives an empty recording and the end state.
    """
    time, times, signals, longitudinals = 0.0, [], [], []
    for event in events:
        spins = event.apply(spins)
        time += event.duration_ms
        if isinstance(event, Read):
            times.append(time)
            signals.append(spins.signal(dim))
            longitudinals.append(mean_over(spins.longitudinal, dim))
    clock = torch.tensor(times, dtype=torch.float64)
    if not times:
        return Recording(clock, spins.transverse.new_empty(0), spins.longitudinal.new_empty(0), spins)
    return Recording(clock, torch.stack(signals), torch.stack(longitudinals), spins)


def read_at(events: Iterable[Event], times_ms: Iterable[float]) -> list[Event]:
    """The same experiment, read at these rising times in ms instead of where it was read before.

    Delays are cut where a reading falls into them, which changes nothing, since evolution is exact. A reading at the
    time of a pulse comes after it. Raises ValueError for times that fall or lie outside the experiment.
    """
    times = [float(time) for time in times_ms]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise ValueError("times_ms fall somewhere, expected times that rise")
    if not all(math.isfinite(time) and time >= 0 for time in times):
        raise ValueError("times_ms contain a negative or infinite time, expected times of 0 ms or more")
    kept = [event for event in events if not isinstance(event, Read)]
    total = math.fsum(event.duration_ms for event in kept)
    # Sums of decimal milliseconds differ in their last bits from the times that were meant.
    slack = 1e-9 * max(total, 1.0)
    if times and times[-1] > total + slack:
        raise ValueError(f"times_ms end at {times[-1]} ms, expected times within the experiment of {total} ms")
    result: list[Event] = []
    now, position = 0.0, 0
    for event in kept:
        end = now + event.duration_ms
        if event.duration_ms == 0:
            result.append(event)
            continue
        while position < len(times) and times[position] < end - slack:
            if times[position] > now + slack:
                result.append(event.part(times[position] - now))
                now = times[position]
            result.append(Read())
            position += 1
        result.append(event.part(end - now))
        now = end
    return result + [Read()] * (len(times) - position)
