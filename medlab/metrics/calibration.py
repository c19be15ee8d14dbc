"""Whether probabilities mean what they say: of all that is called 70 % likely, 70 % should be true.

probability: numbers from 0 to 1, of any shape; truth: a mask of that shape; mask: only voxels in it count. For several
classes judge one class against the rest, or the largest probability against whether its class was right. Raises
ValueError for shapes that differ and for numbers that are no probabilities.
"""

from typing import NamedTuple

import numpy as np

from medlab.arguments import whole
from medlab.metrics.decisions import as_scores
from medlab.metrics.mask_pairs import Array

STRATEGIES = ("uniform", "quantile")


class CalibrationCurve(NamedTuple):
    """Of each bin with something in it: the mean probability, the share that was true, and how many there were."""

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def brier_score(probability: Array, truth: Array, *, mask: Array | None = None) -> float:
    """The mean squared distance of probability and truth, 0 to 1, lower is better (Brier, Mon. Weather Rev. 78, 1950).

    It rewards both calibration and sharpness. Always saying the prevalence p gives p (1 - p): compare with that.
    """
    values, positive = _probabilities(probability, truth, mask)
    return float(np.mean((values - positive) ** 2))


def calibration_curve(
    probability: Array, truth: Array, *, bins: int = 10, strategy: str = "uniform", mask: Array | None = None
) -> CalibrationCurve:
    """The reliability diagram: how often what was called likely came true.

    bins: how many there are at most. strategy: "uniform" cuts the range from 0 to 1 evenly, "quantile" so that bins
    hold about equally many. Other arguments: see the file.
    """
    values, positive = _probabilities(probability, truth, mask)
    whole(bins, "bins")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}, expected one of {', '.join(STRATEGIES)}")
    edges = np.linspace(0, 1, bins + 1)
    if strategy == "quantile":
        edges = np.unique(np.quantile(values, edges))
    at = np.searchsorted(edges[1:-1], values)  # a bin holds its right edge, as scikit-learn's does
    count = np.bincount(at, minlength=max(len(edges) - 1, 1))
    some = count > 0
    means = [np.bincount(at, weights, minlength=count.size)[some] / count[some] for weights in (values, positive)]
    return CalibrationCurve(*means, count[some])


def expected_calibration_error(
    probability: Array, truth: Array, *, bins: int = 10, strategy: str = "uniform", mask: Array | None = None
) -> float:
    """The mean distance of the curve from the diagonal, weighed by the count of each bin, 0 to 1 (Naeini et al. 2015).

    Few cases a bin make it too large by chance, and a wide easy background makes it small: mask that off. Arguments:
    see `calibration_curve`.
    """
    curve = calibration_curve(probability, truth, bins=bins, strategy=strategy, mask=mask)
    return float(np.abs(curve.predicted - curve.observed) @ curve.count / curve.count.sum())


def _probabilities(probability: Array, truth: Array, mask: Array | None) -> tuple[np.ndarray, np.ndarray]:
    values, positive = as_scores(probability, truth, mask)
    if not values.size:
        raise ValueError("probability holds no number, expected at least one")
    if values.min() < 0 or values.max() > 1:
        wrong = values[(values < 0) | (values > 1)][0]
        raise ValueError(f"probability holds {wrong:g}, expected numbers from 0 to 1")
    return values.astype(np.float64), positive
