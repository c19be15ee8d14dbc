"""How far measured numbers can be trusted: the interval of a mean over subjects, seeds or raters."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit
from torch import Tensor

from medlab.arguments import number


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


def mean_interval(values: Iterable[float] | Tensor, confidence: float = 0.95) -> Interval:
    """The mean of independent values and its confidence interval by Student's t (Student, Biometrika 1908).

    values: at least two finite numbers, in any array or list. confidence: between 0 and 1, both excluded.
    Raises ValueError for fewer than two values, for one that is not finite, and for another confidence.
    """
    values = values.detach().cpu() if isinstance(values, Tensor) else list(values)
    found = np.asarray(values, dtype=np.float64).ravel()
    if found.size < 2:
        raise ValueError(
            f"values hold {found.size} number{'s' * (found.size != 1)}, expected at least 2 for an interval"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"values hold {found[~np.isfinite(found)][0]}, expected finite numbers")
    confidence = number(confidence, "confidence", 0, 1, above=True)
    if confidence == 1:
        raise ValueError("confidence is 1, expected less than 1")
    quantile = float(stdtrit(found.size - 1, (1 + confidence) / 2))
    return Interval(float(found.mean()), quantile * float(found.std(ddof=1)) / math.sqrt(found.size))
