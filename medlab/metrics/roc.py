"""The receiver operating characteristic: its curve, the area below it with an interval, and points to operate at.

All functions take scores and truth of one shape: scores are numbers, higher for what is more suspicious; truth is a
mask of 0 and 1 (patients, structures or voxels). Lists, arrays, and tensors on any device. mask: only voxels in it
count. Raises ValueError for shapes that differ, for NaN, and where the truth has only one kind.

Of the area, ties count one half: it is the probability that a positive scores more than a negative (Mann and Whitney
1947). Work is that of sorting, so that 10^7 voxels take seconds.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from torch import Tensor

from medlab.arguments import number, one_of, whole
from medlab.metrics.agreement import Estimate, as_confidence, as_groups
from medlab.metrics.decisions import as_decisions, as_scores, parted
from medlab.metrics.mask_pairs import Array

Groups = Sequence | np.ndarray | Tensor
METHODS = ("delong", "bootstrap")
BLOCK = 4_000_000  # numbers that a step of the bootstrap holds at once


class RocCurve(NamedTuple):
    """Rates from 0 to 1 at falling thresholds, float64: what scores at least a threshold is called positive."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray


class OperatingPoint(NamedTuple):
    """A threshold, at or above which a score is called positive, and what it gives."""

    threshold: float
    sensitivity: float
    specificity: float


class AurocDifference(NamedTuple):
    """The area of one score less that of another on the same cases, and the two-sided p-value for no difference."""

    difference: Estimate
    p_value: float


def roc_curve(scores: Array, truth: Array, *, mask: Array | None = None, all_points: bool = False) -> RocCurve:
    """The curve, from (0, 0) at an infinite threshold to (1, 1); straight between its points.

    all_points: with those that lie on a straight line between two others, one for each distinct score. Other arguments:
    see the file.
    """
    positive, negative = as_decisions(scores, truth, mask)
    levels = np.unique(np.concatenate([positive, negative]))[::-1]
    hits, alarms = (_at_least(one, levels) for one in (positive, negative))
    if not all_points and len(levels) > 2:
        # Counts are whole numbers, so that a corner is found exactly.
        corner = (np.diff(hits, 2, prepend=0) != 0) | (np.diff(alarms, 2, prepend=0) != 0)
        keep = np.concatenate([corner, [True]])
        hits, alarms, levels = hits[keep], alarms[keep], levels[keep]
    rates = [np.concatenate([[0], one]) / of.size for one, of in ((alarms, negative), (hits, positive))]
    return RocCurve(*rates, np.concatenate([[np.inf], levels]))


def _at_least(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """How many values reach each level."""
    return values.size - np.searchsorted(np.sort(values), levels, side="left")


def auroc(scores: Array, truth: Array, *, mask: Array | None = None) -> float:
    """The area below the curve, 0 to 1; 0.5 is chance. Arguments: see the file."""
    positive, negative = as_decisions(scores, truth, mask)
    if positive.size <= negative.size:
        return float(_below(np.sort(positive), np.sort(negative)).mean())
    return 1 - float(_below(np.sort(negative), np.sort(positive)).mean())


def _below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of others below each value, ties by half: mid-ranks without ranking. Both sorted: so memory is near."""
    both = np.searchsorted(others, values, side="left") + np.searchsorted(others, values, side="right")
    return both / (2 * others.size)


def auroc_interval(
    scores: Array,
    truth: Array,
    *,
    groups: Groups | None = None,
    method: str = "delong",
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    mask: Array | None = None,
) -> Estimate:
    """The area with its confidence interval.

    groups: to whom each score belongs, (n,) or of the shape of scores; scores of one patient are not independent, and
    are then counted or resampled together. method: "delong" takes the variance of DeLong et al. (Biometrics 44, 1988)
    by the fast algorithm of Sun and Xu (IEEE Signal Process. Lett. 21, 2014), or with groups that of Obuchowski
    (Biometrics 53, 1997), and a normal law, cut off at 0 and 1; "bootstrap" resamples those with and those without a
    positive apart, so that there are always both, and takes percentiles of `samples` areas. Where all positives score
    higher than all negatives, both give an interval without width: the data then hold no more than a lower bound.
    Other arguments: see the file.
    """
    confidence = as_confidence(confidence)
    one_of(method, METHODS, "method")
    values, positive, owner = _grouped(scores, truth, groups, mask)
    value = auroc(values, positive)
    if method == "delong":
        half = float(ndtri((1 + confidence) / 2)) * math.sqrt(_variance(_effects(values, positive), positive, owner))
        return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))
    chance = np.random.default_rng(whole(seed, "seed", 0))
    whole(samples, "samples", 20)
    draw = _resampled if owner is None else _resampled_groups
    areas = draw(values, positive, samples, chance, *(() if owner is None else (owner,)))
    low, high = np.quantile(areas, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))


def auroc_difference(
    first: Array,
    second: Array,
    truth: Array,
    *,
    groups: Groups | None = None,
    confidence: float = 0.95,
    mask: Array | None = None,
) -> AurocDifference:
    """The area of first less that of second, both scores of the same cases (DeLong et al. 1988; groups: Obuchowski).

    Arguments: see `auroc_interval` and the file. The p-value is NaN where the difference has no variance.
    """
    confidence = as_confidence(confidence)
    one, positive, owner = _grouped(first, truth, groups, mask)
    other = _grouped(second, truth, groups, mask)[0]
    value = auroc(one, positive) - auroc(other, positive)
    spread = math.sqrt(_variance(_effects(one, positive) - _effects(other, positive), positive, owner))
    half = float(ndtri((1 + confidence) / 2)) * spread
    p_value = 2 * float(ndtr(-abs(value) / spread)) if spread else math.nan
    return AurocDifference(Estimate(value, value - half, value + half), p_value)


def _grouped(
    scores: Array, truth: Array, groups: Groups | None, mask: Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    values, positive = as_scores(scores, truth)
    owner = None
    if groups is not None:
        groups = groups.detach().cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
        owner = as_groups(groups.reshape(-1), values.size)
    if mask is not None:
        inside = as_scores(scores, mask)[1]
        values, positive, owner = values[inside], positive[inside], None if owner is None else owner[inside]
        owner = None if owner is None else as_groups(owner, values.size)
    parted(values, positive)
    return values, positive, owner


def _effects(values: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """How far the area of each case alone lies from the area of all, (n,)."""
    places = [np.flatnonzero(kind) for kind in (positive, ~positive)]
    places = [place[np.argsort(values[place], kind="stable")] for place in places]
    ours, others = (values[place] for place in places)
    alone = np.empty(values.size)
    alone[places[0]], alone[places[1]] = _below(ours, others), 1 - _below(others, ours)
    return alone - alone[positive].mean()


def _variance(effects: np.ndarray, positive: np.ndarray, owner: np.ndarray | None) -> float:
    """Of an area, from the effects of its cases; those of one owner go together."""
    owner = np.arange(effects.size) if owner is None else owner
    total = int(owner.max()) + 1
    sums, holders = [], []
    for kind in (positive, ~positive):
        count = np.bincount(owner[kind], minlength=total)
        sums.append(np.bincount(owner[kind], effects[kind], minlength=total) / kind.sum())
        holders.append(int((count > 0).sum()))
    if min(*holders, total) < 2:
        raise ValueError(f"truth has {holders[0]} independent positives and {holders[1]} negatives, expected 2 of each")
    apart = sum(n / (n - 1) * float(one @ one) for one, n in zip(sums, holders, strict=True))
    return max(apart + 2 * total / (total - 1) * float(sums[0] @ sums[1]), 0.0)


def _resampled(values: np.ndarray, positive: np.ndarray, samples: int, chance: np.random.Generator) -> np.ndarray:
    """Areas of samples of cases, positives and negatives apart."""
    levels, at = np.unique(values, return_inverse=True)
    kinds = [at[positive], at[~positive]]
    areas = []
    block = max(BLOCK // (values.size + levels.size), 1)
    for start in range(0, samples, block):
        counts = []
        for level in kinds:
            rows = np.arange(min(block, samples - start))[:, None] * levels.size
            drawn = level[chance.integers(0, level.size, (len(rows), level.size))] + rows
            counts.append(np.bincount(drawn.reshape(-1), minlength=len(rows) * levels.size).reshape(len(rows), -1))
        hits, alarms = counts
        areas.append((hits * (alarms.cumsum(1) - alarms / 2)).sum(1) / (kinds[0].size * kinds[1].size))
    return np.concatenate(areas)


def _resampled_groups(
    values: np.ndarray, positive: np.ndarray, samples: int, chance: np.random.Generator, owner: np.ndarray
) -> np.ndarray:
    """Areas of samples of groups. How often each group's positives beat each group's negatives is counted once, so that
    a sample costs no more than a small product, however many scores a group has."""
    total = int(owner.max()) + 1
    wins, mine = np.zeros((total, total)), [np.bincount(owner[kind], minlength=total) for kind in (positive, ~positive)]
    order = np.argsort(values[positive])
    hits, its = values[positive][order], owner[positive][order]
    order = np.argsort(owner[~positive], kind="stable")
    for g, others in enumerate(np.split(values[~positive][order], np.cumsum(mine[1])[:-1])):
        if others.size:
            wins[:, g] = np.bincount(its, _below(hits, np.sort(others)) * others.size, minlength=total)
    ill = mine[0] > 0
    areas = np.empty(samples)
    for n in range(samples):
        times = np.zeros(total)
        for kind in (np.flatnonzero(ill), np.flatnonzero(~ill)):
            if kind.size:
                times += np.bincount(kind[chance.integers(0, kind.size, kind.size)], minlength=total)
        pairs = float(times @ mine[0]) * float(times @ mine[1])
        areas[n] = float(times @ wins @ times) / pairs if pairs else math.nan
    return areas[~np.isnan(areas)]


def threshold_for_sensitivity(
    scores: Array, truth: Array, sensitivity: float, *, mask: Array | None = None
) -> OperatingPoint:
    """The highest threshold that still finds this share of the positives, above 0 and at most 1."""
    wanted = number(sensitivity, "sensitivity", 0, 1, above=True)
    positive, negative = as_decisions(scores, truth, mask)
    rank = min(max(math.ceil(wanted * positive.size - 1e-9), 1), positive.size)
    return _point(float(np.sort(positive)[positive.size - rank]), positive, negative)


def youden_threshold(scores: Array, truth: Array, *, mask: Array | None = None) -> OperatingPoint:
    """The threshold with the largest sensitivity + specificity - 1 (Youden, Cancer 3, 1950); of equals the highest.

    It was chosen on these cases, so what it gives here is more than it will give on new ones.
    """
    positive, negative = as_decisions(scores, truth, mask)
    false_rate, true_rate, thresholds = roc_curve(scores, truth, mask=mask)
    best = int(np.argmax(true_rate - false_rate))
    return _point(float(thresholds[best]), positive, negative)


def _point(threshold: float, positive: np.ndarray, negative: np.ndarray) -> OperatingPoint:
    return OperatingPoint(threshold, float((positive >= threshold).mean()), float((negative < threshold).mean()))
