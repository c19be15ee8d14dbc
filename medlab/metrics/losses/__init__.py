"""Losses for segmentation: of voxels, of regions, of outlines, and of both at once.

Losses of regions and outlines take probabilities, losses of voxels take logits (see `region`, `boundary` and `pixel`):
a logarithm is exact only when it is made from logits, and an overlap means something only for probabilities.
"""

from medlab.metrics.losses.boundary import boundary_loss, hausdorff_loss, signed_distance_map, signed_distance_maps
from medlab.metrics.losses.combined import dice_cross_entropy_loss
from medlab.metrics.losses.pixel import cross_entropy_loss, focal_loss
from medlab.metrics.losses.region import generalised_dice_loss, soft_dice, soft_dice_loss, soft_iou, tversky_loss

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
