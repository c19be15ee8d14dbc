"""Losses for segmentation, one door to all: of voxels, of regions, of outlines, and of both at once.

Losses of regions and outlines take probabilities, losses of voxels take logits (see `region_losses`, `boundary_losses`
and `pixel_losses`): a logarithm is exact only when it is made from logits, and an overlap means something only for
probabilities.
"""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.metrics.boundary_losses import boundary_loss, hausdorff_loss, signed_distance_map, signed_distance_maps
from medlab.metrics.pixel_losses import cross_entropy_loss, focal_loss
from medlab.metrics.region_losses import (
    Choices,
    generalised_dice_loss,
    soft_dice,
    soft_dice_loss,
    soft_iou,
    tversky_loss,
)

__all__ = [
    "boundary_loss",
    "cross_entropy_loss",
    "dice_cross_entropy_loss",
    "focal_loss",
    "generalised_dice_loss",
    "hausdorff_loss",
    "signed_distance_map",
    "signed_distance_maps",
    "soft_dice",
    "soft_dice_loss",
    "soft_iou",
    "tversky_loss",
]


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
