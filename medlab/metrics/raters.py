"""Several readings of the same thing: how far they agree beyond chance, and what they say together.

readings: one for each rater, in one order and of one shape: labels of patients, structures or voxels, as lists, arrays
or tensors of whole numbers. Every rater has read everything. Raises ValueError for fewer than two raters, for shapes
that differ, and for values that are no labels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import torch
from scipy.special import stdtrit
from torch import Tensor

from medlab.arguments import one_of, whole
from medlab.metrics.agreement import Estimate, as_confidence
from medlab.metrics.mask_pairs import Array, as_labels, as_mask
from medlab.metrics.overlap import dice

Readings = Sequence[Array] | Array
WEIGHTS = ("none", "linear", "quadratic")


class Staple(NamedTuple):
    """What raters say together: the probability of the truth, of their shape, and how good each of them is, 0 to 1."""

    probability: Tensor
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]


def cohen_kappa(
    first: Array,
    second: Array,
    *,
    weights: str = "none",
    labels: Sequence[int] | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Agreement of two raters beyond chance: 1 if perfect, 0 as by chance, down to -1 (Cohen, Psychol. Bull. 70, 1968).

    weights: "none" counts every disagreement alike, "linear" and "quadratic" by how many steps it spans. labels: all
    categories, in the order in which steps are counted; those that occur, sorted, where not given. The interval is by
    the asymptotic variance of Fleiss, Cohen and Everitt (1969), subjects being independent, and Student's t. NaN where
    both raters give one and the same label throughout: chance alone would agree.
    """
    confidence = as_confidence(confidence)
    one_of(weights, WEIGHTS, "weights")
    pair = _readings([first, second])
    categories, at = _coded(pair, labels)
    steps = np.abs(np.subtract.outer(np.arange(len(categories)), np.arange(len(categories)))).astype(np.float64)
    cost = {"none": np.sign(steps), "linear": steps, "quadratic": steps**2}[weights]
    shares = [np.bincount(one, minlength=len(categories)) / one.size for one in at]
    apart = cost[at[0], at[1]]
    seen, expected = float(apart.mean()), float(shares[0] @ cost @ shares[1])
    if expected == 0:
        return Estimate(np.nan, np.nan, np.nan)
    by_chance = (cost @ shares[1])[at[0]] + (cost.T @ shares[0])[at[1]] - 2 * expected
    return _interval(1 - seen / expected, (seen / expected * by_chance - (apart - seen)) / expected, confidence)


def fleiss_kappa(readings: Readings, *, confidence: float = 0.95) -> Estimate:
    """Agreement of two or more raters beyond chance, any number of categories (Fleiss, Psychol. Bull. 76, 1971).

    1 if perfect, 0 as by chance; raters are taken to be exchangeable. The interval is by the large-sample variance of
    Gwet (Educ. Psychol. Meas. 81, 2021), subjects being independent, and Student's t. NaN where only one label occurs.
    """
    confidence = as_confidence(confidence)
    stack = _readings(readings)
    raters = len(stack)
    categories, at = _coded(stack)
    votes = np.stack([(at == label).sum(0) for label in range(len(categories))], 1) / raters
    common = votes.mean(0)
    expected = float(common @ common)
    if len(categories) == 1:
        return Estimate(np.nan, np.nan, np.nan)
    agreed = ((votes**2).sum(1) * raters - 1) / (raters - 1)
    value = (float(agreed.mean()) - expected) / (1 - expected)
    effects = agreed - agreed.mean() - 2 * (1 - value) * (votes @ common - expected)
    return _interval(value, effects / (1 - expected), confidence)


def majority_vote(readings: Readings, *, tie: int | None = None) -> Tensor:
    """The label that most raters give, of the shape of a reading, int64.

    tie: what stands where two labels have the most votes; without it a tie raises ValueError, as no vote decides it.
    """
    stack = _readings(readings)
    categories, at = np.unique(stack, return_inverse=True)
    at = at.reshape(stack.shape)
    votes = np.stack([(at == label).sum(0, dtype=np.int32) for label in range(len(categories))])
    most = votes.max(0)
    tied = (votes == most).sum(0) > 1
    if tied.any() and tie is None:
        raise ValueError(f"readings are tied in {int(tied.sum())} places, expected a majority (or set tie)")
    result = categories[votes.argmax(0)]
    if tie is not None:
        result[tied] = whole(tie, "tie", -(2**62))
    return torch.from_numpy(result.astype(np.int64)).reshape(_shape(readings))


def staple(readings: Readings, *, mask: Array | None = None) -> Staple:
    """The hidden truth and each rater's quality, estimated in turn (Warfield et al., IEEE TMI 23, 2004; SimpleITK).

    readings: masks. mask: only voxels in it take part, and elsewhere the probability is 0. The share of voxels that
    raters mark is the prior, so that a wide background makes every specificity near 1: mask it off. Raters are taken
    to err independently of one another; where they share an error, it becomes the truth.
    """
    shape = _shape(readings)
    masks = [as_mask(_array(one), "readings").cpu().reshape(-1) for one in readings]
    _readings(masks)
    inside = torch.ones(masks[0].numel(), dtype=torch.bool)
    if mask is not None:
        inside = as_mask(mask, "mask").cpu()
        if inside.shape != shape or not bool(inside.any()):
            raise ValueError(f"mask has the shape {tuple(inside.shape)}, expected {tuple(shape)} with a voxel in it")
        inside = inside.reshape(-1)
    marked = [one[inside] for one in masks]
    if not any(bool(one.any()) for one in marked) or all(bool(one.all()) for one in marked):
        raise ValueError("readings mark all voxels alike, expected some that are marked and some that are not")
    filter_ = sitk.STAPLEImageFilter()
    filter_.SetForegroundValue(1.0)
    # Voxels are independent in this model, so that a row of them serves for every shape.
    found = filter_.Execute([sitk.GetImageFromArray(one.numpy().astype(np.uint8)[None]) for one in marked])
    probability = torch.zeros(inside.numel(), dtype=torch.float64)
    probability[inside] = torch.from_numpy(sitk.GetArrayFromImage(found)[0].astype(np.float64))
    return Staple(probability.reshape(shape), tuple(filter_.GetSensitivity()), tuple(filter_.GetSpecificity()))


def rater_dice(readings: Readings, labels: Sequence[int] | None = None) -> Tensor:
    """Dice of every pair of readings, (raters, raters) or with labels (raters, raters, labels) float64.

    Of several raters it is inter-rater agreement, of repeated readings by one rater intra-rater agreement. The diagonal
    is 1. Pairs share raters: an interval over them would be too narrow. labels: as in `overlap`; NaN where both are
    empty.
    """
    stack = [torch.from_numpy(one).reshape(_shape(readings)) for one in _readings(readings)]
    rows = [[dice(one, other, labels) for other in stack] for one in stack]
    return torch.stack([torch.stack(row) for row in rows])


def _array(reading: object) -> Array:
    return np.asarray(reading) if isinstance(reading, list | tuple) else reading


def _shape(readings: Readings) -> torch.Size:
    return torch.Size(_array(readings[0]).shape)


def _readings(readings: Readings) -> np.ndarray:
    """(raters, n) of whole numbers."""
    if len(readings) < 2:
        raise ValueError(f"readings hold {len(readings)} rater, expected at least 2")
    labels = [as_labels(_array(one), "readings").cpu() for one in readings]
    shapes = {tuple(one.shape) for one in labels}
    if len(shapes) > 1 or not labels[0].numel():
        raise ValueError(f"readings have the shapes {sorted(shapes)}, expected one shape with at least one place")
    return np.stack([one.reshape(-1).to(torch.int64).numpy() for one in labels])


def _coded(stack: np.ndarray, labels: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The categories, and for each reading the number of its category."""
    categories, at = np.unique(stack, return_inverse=True)
    at = at.reshape(stack.shape)
    if labels is None:
        return categories, at
    order = {int(label): n for n, label in enumerate(labels)}
    if missing := [int(label) for label in categories if int(label) not in order]:
        raise ValueError(f"readings hold {missing[0]}, expected one of the labels {list(labels)}")
    return np.asarray(labels), np.array([order[int(label)] for label in categories])[at]


def _interval(value: float, effects: np.ndarray, confidence: float) -> Estimate:
    """From how far each subject moves the value; no kappa is above 1 or below -1."""
    n = effects.size
    if n < 2:
        return Estimate(value, -1.0, 1.0)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(np.std(effects, ddof=1)) / n**0.5
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0))
