"""How far measured numbers can be trusted: intervals of means and of any measure, limits of agreement."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit
from torch import Tensor

from medlab.arguments import number, whole

Numbers = Iterable[float] | np.ndarray | Tensor


class Interval(NamedTuple):
    """A mean and half the width of its confidence interval, both in the unit of the values."""

    mean: float
    half: float

    def shown(self, digits: int = 2) -> str:
        """As it stands in a table: `1.73 ± 0.04`; a width that would round to 0 reads `less than 0.01`."""
        rounded = f"{self.half:.{digits}f}"
        if float(rounded) == 0 < self.half:
            rounded = f"less than {10**-digits:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {rounded}"


class Estimate(NamedTuple):
    """A value and the ends of its confidence interval, which need not lie evenly around it."""

    value: float
    low: float
    high: float

    def shown(self, digits: int = 2) -> str:
        """As it stands in a table: `0.81 (0.74 to 0.87)`."""
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def mean_interval(values: Numbers, confidence: float = 0.95) -> Interval:
    """The mean of independent values and its confidence interval by Student's t (Student, Biometrika 1908).

    values: at least two finite numbers, in any array or list. confidence: between 0 and 1, both excluded.
    Raises ValueError for fewer than two values, for one that is not finite, and for another confidence.
    """
    found = as_column(values, "values")
    if found.size < 2:
        raise ValueError(
            f"values hold {found.size} number{'s' * (found.size != 1)}, expected at least 2 for an interval"
        )
    confidence = as_confidence(confidence)
    quantile = float(stdtrit(found.size - 1, (1 + confidence) / 2))
    return Interval(float(found.mean()), quantile * float(found.std(ddof=1)) / math.sqrt(found.size))


def bootstrap_interval(
    measure: Callable[..., float],
    *columns: Sequence | np.ndarray | Tensor,
    groups: Sequence | np.ndarray | Tensor | None = None,
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A measure of subjects and its percentile interval by the bootstrap (Efron, Ann. Statist. 7, 1979).

    measure: takes as many arrays as columns are given and returns a number; it is called once with the columns and once
    with each of `samples` resamplings of their rows. columns: arrays with one row a subject. groups: to whom each row
    belongs; rows of one group are drawn together or not at all, as they are not independent. A sample for which the
    measure is NaN (one without any positive, say) is left out.
    Raises ValueError for columns of different length, fewer than two subjects or groups, and a measure that is never
    defined.
    """
    confidence, samples = as_confidence(confidence), whole(samples, "samples", 20)
    if not columns:
        raise ValueError("bootstrap_interval got no column, expected at least one")
    rows = [one.detach().cpu().numpy() if isinstance(one, Tensor) else np.asarray(one) for one in columns]
    sizes = {len(one) for one in rows}
    if len(sizes) != 1:
        raise ValueError(f"columns have the lengths {sorted(sizes)}, expected one length")
    members = group_rows(groups, sizes.pop())
    if len(members) < 2:
        raise ValueError(f"columns hold {len(members)} independent row, expected at least 2 for an interval")
    chance = np.random.default_rng(whole(seed, "seed", 0))
    value = float(measure(*rows))
    drawn = np.empty(samples)
    for n in range(samples):
        chosen = chance.integers(0, len(members), len(members))
        at = np.concatenate([members[one] for one in chosen])
        drawn[n] = measure(*(one[at] for one in rows))
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        raise ValueError(f"measure is NaN in all {samples} samples, expected it to be defined in some")
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


class BlandAltman(NamedTuple):
    """How two measurements of the same subjects differ, in their unit; see `bland_altman`."""

    bias: Estimate
    lower: Estimate
    upper: Estimate
    means: np.ndarray
    differences: np.ndarray


def bland_altman(first: Numbers, second: Numbers, *, confidence: float = 0.95) -> BlandAltman:
    """Bias and 95 % limits of agreement of two measurements a subject (Bland and Altman, Lancet 327, 1986).

    first, second: finite numbers, one a subject, at least 3. Returns the mean of first - second (bias) and the limits
    bias +- 1.96 standard deviations between which 95 % of differences lie where they are normal, each with its
    confidence interval (Student's t; of the limits by the variance of Bland and Altman, Stat. Methods Med. Res. 8,
    1999), and what is drawn: the means of each pair and its differences, (subjects,).
    """
    one, other = as_column(first, "first"), as_column(second, "second")
    if one.shape != other.shape:
        raise ValueError(f"second holds {other.size} numbers, expected {one.size} as first")
    if one.size < 3:
        raise ValueError(f"first holds {one.size} numbers, expected at least 3")
    confidence, n = as_confidence(confidence), one.size
    apart = one - other
    bias, spread, z = float(apart.mean()), float(apart.std(ddof=1)), float(ndtri(0.975))
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    half = quantile * spread / math.sqrt(n)
    wide = quantile * spread * math.sqrt(1 / n + z**2 / (2 * (n - 1)))
    lower, upper = bias - z * spread, bias + z * spread
    ends = [Estimate(x, x - h, x + h) for x, h in ((bias, half), (lower, wide), (upper, wide))]
    return BlandAltman(*ends, (one + other) / 2, apart)


def as_column(values: Numbers, name: str) -> np.ndarray:
    """Finite numbers as one float64 array."""
    values = values.detach().cpu().double() if isinstance(values, Tensor) else values
    values = values if isinstance(values, np.ndarray | Tensor) else list(values)
    found = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(found).all():
        raise ValueError(f"{name} hold {found[~np.isfinite(found)][0]}, expected finite numbers")
    return found


def as_confidence(value: float) -> float:
    """A confidence between 0 and 1, both excluded."""
    confidence = number(value, "confidence", 0, 1, above=True)
    if confidence == 1:
        raise ValueError("confidence is 1, expected less than 1")
    return confidence


def group_rows(groups: Sequence | np.ndarray | Tensor | None, rows: int) -> list[np.ndarray]:
    """The row numbers of each group, one list a group; each row is its own group where there are none."""
    if groups is None:
        return list(np.arange(rows)[:, None])
    number_of = as_groups(groups, rows)
    return np.split(np.argsort(number_of, kind="stable"), np.cumsum(np.bincount(number_of))[:-1])


def as_groups(groups: Sequence | np.ndarray | Tensor, rows: int) -> np.ndarray:
    """The number of each row's group, from 0; names may be numbers or strings."""
    groups = groups.detach().cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if groups.shape != (rows,):
        raise ValueError(f"groups have the shape {groups.shape}, expected one name for each of the {rows} rows")
    return np.unique(groups, return_inverse=True)[1].reshape(-1)
