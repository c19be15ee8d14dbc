"""Overlap of masks and labels: four counts of voxels, and what is made of them.

All measures of this file take the same arguments and give float64 tensors of the shape (batch..., labels):

prediction, reference: masks (..., X, Y[, Z]) of bool, or of numbers that are all 0 or 1; with labels, label maps of
whole numbers. Tensors on any device, or arrays. labels: the values that are judged one by one; the result then has a
last axis with an entry for each. batch_dims: how many leading axes are samples, each judged by itself. undefined: what
stands where a measure is 0 / 0. NaN, the default, says that there was nothing to judge, so that no mean over subjects
counts it silently as a success or a failure. 1.0 is what the BraTS challenge gives for a class that is rightly absent;
0.0 is the strictest choice. Raises ValueError for shapes that differ and for values that are no mask or no label.
"""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.metrics.mask_pairs import Array, as_pair


class Counts(NamedTuple):
    """Numbers of voxels, each a float64 tensor of the shape (batch..., labels)."""

    true_positive: Tensor
    false_positive: Tensor
    false_negative: Tensor
    true_negative: Tensor


class Measure(Protocol):
    """How every measure of this file is called; see the file's own text.

    ratio: its numerator and denominator from counts, for who has counted already and wants many measures.
    """

    ratio: Callable[[Counts], tuple[Tensor, Tensor]]

    def __call__(
        self,
        prediction: Array,
        reference: Array,
        labels: Sequence[int] | None = None,
        *,
        batch_dims: int = 0,
        undefined: float = math.nan,
    ) -> Tensor: ...


def counts(prediction: Array, reference: Array, labels: Sequence[int] | None = None, *, batch_dims: int = 0) -> Counts:
    """The four counts, from which every measure follows. Arguments: see the file's own text."""
    ours, truth = as_pair(prediction, reference, labels, batch_dims)
    space = tuple(range(batch_dims, ours.ndim))
    voxels = math.prod(ours.shape[batch_dims:])
    found = []
    for value in (None,) if labels is None else labels:
        one, other = (ours, truth) if value is None else (ours == value, truth == value)
        both, of_one, of_other = (_count(mask, space) for mask in (one & other, one, other))
        found.append(Counts(both, of_one - both, of_other - both, voxels - of_one - of_other + both))
    return found[0] if labels is None else Counts(*(torch.stack(one, -1) for one in zip(*found, strict=True)))


def _count(mask: Tensor, space: tuple[int, ...]) -> Tensor:
    if len(space) == mask.ndim:
        return torch.count_nonzero(mask).double()
    return torch.count_nonzero(mask, dim=space).double()


def _ratio(above: Tensor, below: Tensor, undefined: float) -> Tensor:
    return torch.where(below == 0, undefined, above / below.clamp(min=1e-300))


def _measure(ratio: Callable[[Counts], tuple[Tensor, Tensor]]) -> Measure:
    """A measure from its definition, which gives a numerator and a denominator for counts."""

    @functools.wraps(ratio)
    def measured(prediction, reference, labels=None, *, batch_dims=0, undefined=math.nan):
        return _ratio(*ratio(counts(prediction, reference, labels, batch_dims=batch_dims)), undefined)

    measured.__signature__ = inspect.signature(Measure.__call__).replace(
        parameters=list(inspect.signature(Measure.__call__).parameters.values())[1:]
    )
    measured.ratio = ratio
    return measured


@_measure
def dice(c: Counts) -> tuple[Tensor, Tensor]:
    """Twice the common volume over the sum of the two (Dice, Ecology 26, 1945), 0 to 1."""
    return 2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative


@_measure
def iou(c: Counts) -> tuple[Tensor, Tensor]:
    """The common volume over that of the union (Jaccard 1912; thesis eq. 5.20), 0 to 1; dice / (2 - dice)."""
    return c.true_positive, c.true_positive + c.false_positive + c.false_negative


@_measure
def precision(c: Counts) -> tuple[Tensor, Tensor]:
    """The share of the prediction that is right, 0 to 1; undefined where nothing is predicted."""
    return c.true_positive, c.true_positive + c.false_positive


@_measure
def recall(c: Counts) -> tuple[Tensor, Tensor]:
    """The share of the reference that was found, 0 to 1; undefined where there is nothing to find. Also sensitivity."""
    return c.true_positive, c.true_positive + c.false_negative


@_measure
def specificity(c: Counts) -> tuple[Tensor, Tensor]:
    """The share of the background that was left alone, 0 to 1. Near 1 for whatever is small: it says little here."""
    return c.true_negative, c.true_negative + c.false_positive


@_measure
def accuracy(c: Counts) -> tuple[Tensor, Tensor]:
    """The share of voxels that are right, 0 to 1; for small structures that of the background."""
    return c.true_positive + c.true_negative, sum(c)


@_measure
def volume_similarity(c: Counts) -> tuple[Tensor, Tensor]:
    """1 - |P - R| / (P + R) of the two volumes, 0 to 1, wherever they lie (Taha and Hanbury 2015)."""
    total = 2 * c.true_positive + c.false_positive + c.false_negative
    return total - (c.false_positive - c.false_negative).abs(), total


@_measure
def signed_volume_difference(c: Counts) -> tuple[Tensor, Tensor]:
    """2 (P - R) / (P + R), -2 to 2, above 0 where too much is predicted: what SimpleITK calls volume similarity."""
    total = 2 * c.true_positive + c.false_positive + c.false_negative
    return 2 * (c.false_positive - c.false_negative), total


def f_beta(
    prediction: Array,
    reference: Array,
    labels: Sequence[int] | None = None,
    *,
    beta: float = 1.0,
    batch_dims: int = 0,
    undefined: float = math.nan,
) -> Tensor:
    """Dice where a missed voxel weighs beta² times as much as a false one (van Rijsbergen 1979), 0 to 1.

    beta: above 0; 1 gives Dice. Other arguments: see the file's own text.
    """
    weight = number(beta, "beta", 0, above=True) ** 2
    c = counts(prediction, reference, labels, batch_dims=batch_dims)
    right = (1 + weight) * c.true_positive
    return _ratio(right, right + weight * c.false_negative + c.false_positive, undefined)


def generalised_dice(
    prediction: Array,
    reference: Array,
    labels: Sequence[int],
    *,
    batch_dims: int = 0,
    undefined: float = math.nan,
) -> Tensor:
    """One Dice for all labels, each weighed by 1 / volume² of its reference (Sudre et al. 2017), (batch...), 0 to 1.

    A label without reference gets the largest finite weight of the others (as MONAI gives it); where no label has one,
    weights are equal. Other arguments: see the file's own text.
    """
    c = counts(prediction, reference, labels, batch_dims=batch_dims)
    volume = c.true_positive + c.false_negative
    weight = torch.where(volume > 0, 1 / volume.clamp(min=1).square(), 0)
    largest = weight.amax(-1, keepdim=True)
    weight = torch.where(volume > 0, weight, torch.where(largest > 0, largest, 1.0))
    above = (weight * 2 * c.true_positive).sum(-1)
    below = (weight * (2 * c.true_positive + c.false_positive + c.false_negative)).sum(-1)
    return _ratio(above, below, undefined)
