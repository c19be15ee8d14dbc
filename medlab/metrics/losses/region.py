"""Losses of whole regions: soft measures of overlap, and what is left of 1.

All functions of this file take the same arguments and are differentiable with respect to the probabilities:

probabilities: (B, C, X, Y[, Z]) in 0 to 1, not logits; over the C classes they add up to 1. A single channel is the
foreground of two classes. target: labels (B, X, Y[, Z]), or shares of each class in the probabilities' shape; no
gradient reaches it. exclusive: False where channels are decided one by one (regions that contain one another): they
need not add up, and the target must have the probabilities' shape. squared: squares in the denominator (V-Net,
Milletari et al. 2016; thesis eq. 5.21) instead of plain sums. At probabilities of 0 and 1 both are the measure on
masks. Of a target of shares only squares have their best value at the target itself.

The losses go on: background: False leaves channel 0 out, where there are several. pooled: sums over the whole batch
instead of a loss for each sample; a class then has to be somewhere in the batch only. class_weights: C numbers of 0 or
more, by which classes count in the mean; it is divided by their sum, so a loss stays in 0 to 1. epsilon: 0 or more, in
voxels, above and below the fraction. absent: what a class without a voxel in the target is worth. "epsilon" leaves it
to the formula, which gives 0 where nothing is predicted either, and nearly 1 where as little as one voxel is; "ignore"
takes it out of the mean (where no class is left, the loss is 0). reduction: "mean", or "none" for (B, C), or (1, C)
where pooled, before weights; an ignored class is NaN there.

float16 and bfloat16 are summed in float32. Raises ValueError for NaN, for values outside 0 to 1 or that do not add up,
for shapes that do not fit, for labels without a class, and for options out of range.
"""

import math
from collections.abc import Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from medlab.arguments import number, one_of
from medlab.metrics.losses.soft_pairs import Sums, as_probabilities, as_target, as_weights, class_sums

ABSENT = ("epsilon", "ignore")
REDUCTIONS = ("mean", "none")
SMALL = 1e-5


class Choices(TypedDict, total=False):
    """What the losses of this file can be told by name; see the file's own text."""

    exclusive: bool
    background: bool
    pooled: bool
    class_weights: Sequence[float] | Tensor | None
    epsilon: float
    absent: str
    reduction: str


def soft_dice(
    probabilities: Tensor,
    target: Tensor,
    *,
    squared: bool = False,
    exclusive: bool = True,
    undefined: float = math.nan,
) -> Tensor:
    """Dice of probabilities, (B, C), 0 to 1; at 0 and 1 it is `dice`.

    undefined: what stands where a class is neither in the target nor predicted at all. Other arguments: see the file.
    """
    found = _sums(probabilities, target, squared, exclusive)
    return _ratio(2 * found.both, found.prediction_squared + found.target_squared, undefined)


def soft_iou(
    probabilities: Tensor,
    target: Tensor,
    *,
    squared: bool = False,
    exclusive: bool = True,
    undefined: float = math.nan,
) -> Tensor:
    """Intersection over union of probabilities, (B, C), 0 to 1; at 0 and 1 it is `iou`. Arguments: as `soft_dice`."""
    found = _sums(probabilities, target, squared, exclusive)
    return _ratio(found.both, found.prediction_squared + found.target_squared - found.both, undefined)


def soft_dice_loss(
    probabilities: Tensor, target: Tensor, *, squared: bool = True, **choices: Unpack[Choices]
) -> Tensor:
    """1 - Dice of probabilities (thesis eq. 5.21), 0 to 1; the mean over samples and classes.

    squared: True is the thesis and V-Net, False MONAI's default. Other arguments: see the file.
    """
    checked = _checked(**choices)
    found = _sums(probabilities, target, squared, checked["exclusive"], checked["pooled"])
    epsilon = checked["epsilon"]
    below = found.prediction_squared + found.target_squared
    loss = 1 - (2 * found.both + epsilon) / (below + epsilon).clamp(min=torch.finfo(below.dtype).tiny)
    return _reduced(loss, found, **checked)


def tversky_loss(
    probabilities: Tensor, target: Tensor, *, alpha: float = 0.3, beta: float = 0.7, **choices: Unpack[Choices]
) -> Tensor:
    """Dice loss with a price for each kind of error (Salehi et al. 2017), 0 to 1; the mean over samples and classes.

    1 - (T + epsilon) / (T + alpha F + beta M + epsilon) with the soft counts T of what is right, F of false and M of
    missed voxels. alpha, beta: 0 or more; 0.5 and 0.5 is the plain Dice loss (with twice the epsilon), 1 and 1 that of
    IoU. Above 0.5, beta buys recall with precision. Other arguments: see the file.
    """
    alpha, beta = number(alpha, "alpha", 0), number(beta, "beta", 0)
    checked = _checked(**choices)
    found = _sums(probabilities, target, False, checked["exclusive"], checked["pooled"])
    epsilon = checked["epsilon"]
    false, missed = found.prediction - found.both, found.target - found.both
    below = found.both + alpha * false + beta * missed + epsilon
    loss = 1 - (found.both + epsilon) / below.clamp(min=torch.finfo(below.dtype).tiny)
    return _reduced(loss, found, **checked)


def generalised_dice_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    exclusive: bool = True,
    background: bool = True,
    pooled: bool = False,
    epsilon: float = SMALL,
    reduction: str = "mean",
) -> Tensor:
    """1 - one Dice for all classes, each weighed by 1 / volume² of its target (Sudre et al. 2017), 0 to 1.

    A class without target gets the largest weight of the others, as `generalised_dice` gives it. Weights are scaled so
    that the largest is 1: only their ratio matters, and epsilon stays a number of voxels (with weights as they are, a
    volume of a million voxels counts 1e-6, and the usual epsilon of 1e-5 hides it). reduction: "none" gives (B,).
    Other arguments: see the file.
    """
    checked = _checked(exclusive=exclusive, background=background, pooled=pooled, epsilon=epsilon, reduction=reduction)
    found = _sums(probabilities, target, False, exclusive, pooled)
    if not background and found.both.shape[1] > 1:
        found = Sums(*(one[:, 1:] for one in found))
    volume = torch.where(found.target > 0, found.target, math.inf)
    smallest = volume.amin(1, keepdim=True)
    weight = torch.where(found.target > 0, (smallest / volume).square(), 1.0)
    epsilon = checked["epsilon"]
    above = 2 * (weight * found.both).sum(1) + epsilon
    below = (weight * (found.prediction + found.target)).sum(1) + epsilon
    loss = 1 - above / below.clamp(min=torch.finfo(below.dtype).tiny)
    return loss.mean() if reduction == "mean" else loss


def _sums(probabilities: Tensor, target: Tensor, squared: bool, exclusive: bool, pooled: bool = False) -> Sums:
    ours = as_probabilities(probabilities, exclusive)
    found = class_sums(ours, as_target(target, ours, exclusive), squared)
    return Sums(*(one.sum(0, keepdim=True) for one in found)) if pooled else found


def _ratio(above: Tensor, below: Tensor, undefined: float) -> Tensor:
    """With the undefined ones taken out before the division: NaN would reach their gradient otherwise."""
    nothing = below <= 0
    return torch.where(nothing, undefined, above / torch.where(nothing, 1, below))


def _checked(
    *,
    exclusive: bool = True,
    background: bool = True,
    pooled: bool = False,
    class_weights: Sequence[float] | Tensor | None = None,
    epsilon: float = SMALL,
    absent: str = "epsilon",
    reduction: str = "mean",
) -> dict:
    """All choices, with defaults for those that were not made."""
    one_of(absent, ABSENT, "absent")
    one_of(reduction, REDUCTIONS, "reduction")
    return {
        "exclusive": exclusive,
        "background": background,
        "pooled": pooled,
        "class_weights": class_weights,
        "epsilon": number(epsilon, "epsilon", 0),
        "absent": absent,
        "reduction": reduction,
    }


def _reduced(loss: Tensor, found: Sums, *, background, class_weights, absent, reduction, **_) -> Tensor:
    """The mean over the classes that count, or (B, C)."""
    counted = torch.ones_like(loss) if absent == "epsilon" else (found.target > 0).to(loss.dtype)
    if class_weights is not None:
        class_weights = as_weights(class_weights, loss.shape[1], loss)
    if not background and loss.shape[1] > 1:
        loss, counted = loss[:, 1:], counted[:, 1:]
        class_weights = None if class_weights is None else class_weights[1:]
    if reduction == "none":
        return torch.where(counted > 0, loss, math.nan)
    weight = counted if class_weights is None else counted * class_weights
    return (weight * loss).sum() / weight.sum().clamp(min=torch.finfo(loss.dtype).tiny)
