"""A loss of voxels and one of regions at once."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.metrics.losses.pixel import cross_entropy_loss
from medlab.metrics.losses.region import Choices, soft_dice_loss


def dice_cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    cross_entropy_class_weights: Sequence[float] | Tensor | None = None,
    squared: bool = True,
    **choices: Unpack[Choices],
) -> Tensor:
    """The weighted sum of `soft_dice_loss` and `cross_entropy_loss`, 0 or more (thesis, end of section 5.3.2).

    logits: (B, C, X, Y[, Z]); target: labels (B, X, Y[, Z]), or shares in the logits' shape. dice_weight,
    cross_entropy_weight: 0 or more. squared and further choices go to the Dice loss, where classes exclude one another
    and the mean is taken; cross_entropy_class_weights go to the cross entropy. Raises ValueError as both do.
    """
    weights = number(dice_weight, "dice_weight", 0), number(cross_entropy_weight, "cross_entropy_weight", 0)
    for name in ("exclusive", "reduction"):
        if name in choices:
            raise ValueError(f"{name} is given, expected none: classes exclude one another, and the mean is taken")
    entropy = cross_entropy_loss(logits, target, class_weights=cross_entropy_class_weights)
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    probabilities = wide.sigmoid() if wide.shape[1] == 1 else wide.softmax(1)
    overlap = soft_dice_loss(probabilities, target, squared=squared, **choices)
    return weights[0] * overlap + weights[1] * entropy
