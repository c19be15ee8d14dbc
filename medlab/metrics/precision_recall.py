"""Precision against recall, which see what is rare: their curve and the average precision.

Arguments are those of `roc`: scores, truth, mask. Precision depends on how frequent positives are: a value without the
prevalence beside it says nothing, and chance gives the prevalence, not 0.5.
"""

from typing import NamedTuple

import numpy as np

from medlab.metrics.decisions import as_decisions
from medlab.metrics.mask_pairs import Array


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall from 0 to 1 at falling thresholds, float64; the curve is a staircase, not straight lines."""

    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray


def precision_recall_curve(scores: Array, truth: Array, *, mask: Array | None = None) -> PrecisionRecallCurve:
    """Precision and recall at the score of each positive: recall changes nowhere else. Arguments: see `roc`."""
    positive, negative = as_decisions(scores, truth, mask)
    levels = np.unique(positive)
    hits = positive.size - np.searchsorted(np.sort(positive), levels, side="left")
    alarms = negative.size - np.searchsorted(np.sort(negative), levels, side="left")
    return PrecisionRecallCurve((hits / (hits + alarms))[::-1], (hits / positive.size)[::-1], levels[::-1])


def average_precision(scores: Array, truth: Array, *, mask: Array | None = None) -> float:
    """The mean of the precision over the positives found, 0 to 1: the area below the staircase, nothing interpolated.

    Ties are met together, as scikit-learn does. Chance gives the prevalence.
    """
    precision, recall, _ = precision_recall_curve(scores, truth, mask=mask)
    return float(precision @ np.diff(recall, prepend=0))
