"""What a result is worth: measures of images, masks, surfaces and decisions, and of how far to trust them."""

from medlab.metrics.agreement import Interval, mean_interval
from medlab.metrics.image import mae, mse, mutual_information, normalized_cross_correlation, psnr
from medlab.metrics.overlap import (
    accuracy,
    dice,
    f_beta,
    generalised_dice,
    iou,
    precision,
    recall,
    signed_volume_difference,
    specificity,
    volume_similarity,
)
from medlab.metrics.report import Report, evaluate
from medlab.metrics.structural_similarity import multi_scale_ssim, ssim, ssim_maps
from medlab.metrics.surface import (
    average_surface_distance,
    hausdorff_distance,
    hausdorff_distance_95,
    normalized_surface_dice,
)
from medlab.metrics.surface_distances import surface_distances

__all__ = [
    "Interval",
    "Report",
    "accuracy",
    "average_surface_distance",
    "dice",
    "evaluate",
    "f_beta",
    "generalised_dice",
    "hausdorff_distance",
    "hausdorff_distance_95",
    "iou",
    "mae",
    "mean_interval",
    "mse",
    "multi_scale_ssim",
    "mutual_information",
    "normalized_cross_correlation",
    "normalized_surface_dice",
    "precision",
    "psnr",
    "recall",
    "signed_volume_difference",
    "specificity",
    "ssim",
    "ssim_maps",
    "surface_distances",
    "volume_similarity",
]
