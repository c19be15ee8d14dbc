"""What a result is worth: measures of images, masks, surfaces and decisions, and of how far to trust them.

Their differentiable kin, to train with, are in `medlab.metrics.losses`.
"""

from medlab.metrics.agreement import (
    BlandAltman,
    Estimate,
    Interval,
    bland_altman,
    bootstrap_interval,
    mean_interval,
)
from medlab.metrics.calibration import brier_score, calibration_curve, expected_calibration_error
from medlab.metrics.chooser import choose
from medlab.metrics.clinical import lesion_contrast_ratio, region_errors, volume_ml
from medlab.metrics.detection import froc, lesion_counts, structure_scores
from medlab.metrics.ensembles import ensemble_maps, ensemble_uncertainty
from medlab.metrics.head_circumference import head_circumference_cm
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
from medlab.metrics.precision_recall import average_precision, precision_recall_curve
from medlab.metrics.raters import cohen_kappa, fleiss_kappa, majority_vote, rater_dice, staple
from medlab.metrics.report import Report, evaluate
from medlab.metrics.roc import (
    auroc,
    auroc_difference,
    auroc_interval,
    roc_curve,
    threshold_for_sensitivity,
    youden_threshold,
)
from medlab.metrics.structural_similarity import multi_scale_ssim, ssim, ssim_maps
from medlab.metrics.surface import (
    average_surface_distance,
    hausdorff_distance,
    hausdorff_distance_95,
    normalized_surface_dice,
)
from medlab.metrics.surface_distances import SurfaceDistances, surface_distances

__all__ = [
    "BlandAltman",
    "Estimate",
    "Interval",
    "Report",
    "SurfaceDistances",
    "accuracy",
    "auroc",
    "auroc_difference",
    "auroc_interval",
    "average_precision",
    "average_surface_distance",
    "bland_altman",
    "bootstrap_interval",
    "brier_score",
    "calibration_curve",
    "choose",
    "cohen_kappa",
    "dice",
    "ensemble_maps",
    "ensemble_uncertainty",
    "evaluate",
    "expected_calibration_error",
    "f_beta",
    "fleiss_kappa",
    "froc",
    "generalised_dice",
    "hausdorff_distance",
    "hausdorff_distance_95",
    "head_circumference_cm",
    "iou",
    "lesion_contrast_ratio",
    "lesion_counts",
    "mae",
    "majority_vote",
    "mean_interval",
    "mse",
    "multi_scale_ssim",
    "mutual_information",
    "normalized_cross_correlation",
    "normalized_surface_dice",
    "precision",
    "precision_recall_curve",
    "psnr",
    "rater_dice",
    "recall",
    "region_errors",
    "roc_curve",
    "signed_volume_difference",
    "specificity",
    "ssim",
    "ssim_maps",
    "staple",
    "structure_scores",
    "surface_distances",
    "threshold_for_sensitivity",
    "volume_ml",
    "volume_similarity",
    "youden_threshold",
]
