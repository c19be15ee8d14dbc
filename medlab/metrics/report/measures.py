"""The values in a report: of one structure, of its lesions, of a pair of images."""

import math

import torch
from torch import Tensor

from medlab.metrics.detection import LesionCounts
from medlab.metrics.image import mae, mse, mutual_information, normalized_cross_correlation, psnr
from medlab.metrics.overlap import Counts
from medlab.metrics.report.columns import DEFINED_WHEN_EMPTY, OVERLAP, REFERENCE, Options
from medlab.metrics.structural_similarity import SCALE_WEIGHTS, multi_scale_ssim, ssim
from medlab.metrics.surface_distances import SurfaceDistances

WINDOW = 11  # of structural similarity


def of_structure(c: Counts, found: SurfaceDistances, content: float, flat: bool, options: Options) -> dict[str, float]:
    """All values of one structure from its four counts and its distances. content: of a voxel, in ml or mm²."""
    tp, fp, fn = (float(one) for one in c[:3])
    nothing = tp + fp + fn == 0
    values = {}
    for measure in OVERLAP:
        above, below = (float(one) for one in measure.ratio(c))
        missing = options.when_empty if nothing and measure not in DEFINED_WHEN_EMPTY else math.nan
        values[measure.__name__] = above / below if below else missing
    right, weight = (1 + options.beta**2) * tp, options.beta**2
    values["f_beta"] = options.when_empty if nothing else right / (right + weight * fn + fp)
    name, unit = ("area", "mm2") if flat else ("volume", "ml")
    values[f"prediction_{name}_{unit}"] = (tp + fp) * content
    values[f"reference_{name}_{unit}"] = (tp + fn) * content
    values[f"{name}_difference_{unit}"] = (fp - fn) * content
    values |= {field: float(one) for field, one in zip(Counts._fields, c, strict=True)}
    return values | _of_surfaces(found, options)


def _of_surfaces(found: SurfaceDistances, options: Options) -> dict[str, float]:
    if all(found.is_empty):
        share = options.when_empty
        distances = [{0: math.inf, 1: 0.0}.get(share, math.nan)] * 3
    elif any(found.is_empty):
        share, distances = 0.0, [math.inf] * 3
    else:
        share = found.within(options.tolerance_mm)
        distances = [
            found.percentile(100),
            found.percentile(options.percentile, options.rule or "directed"),
            found.average(options.rule or "pooled"),
        ]
    names = ("hausdorff_distance_mm", f"hausdorff_distance_{options.percentile:g}_mm", "average_surface_distance_mm")
    return dict(zip(names, distances, strict=True)) | {"normalized_surface_dice": share}


def of_lesions(found: LesionCounts) -> dict[str, float]:
    """The values of lesions counted one by one."""
    lesions, hits, alarms = (float(one) for one in found)
    return {
        "reference_lesions": lesions,
        "found_lesions": hits,
        "false_alarm_lesions": alarms,
        "lesion_recall": hits / lesions if lesions else math.nan,
        "lesion_f1": 2 * hits / (hits + lesions + alarms) if lesions + alarms else math.nan,
    }


def of_images(
    ours: Tensor, truth: Tensor, mask: Tensor | None, names: tuple[str, str], options: Options
) -> tuple[dict[str, float], list[str]]:
    """All values of a pair of images, and what was left out. Raises ValueError for an image that is constant."""
    spans = []
    for image, name in zip((ours, truth), names, strict=True):
        low, high = (float(one) for one in torch.aminmax(image if mask is None else image[mask]))
        if low == high:
            where = "" if mask is None else " in the mask"
            raise ValueError(f"{name} is {low:g} everywhere{where}, expected an image that varies")
        spans.append(high - low)
    values = {"mae": float(mae(ours, truth, mask=mask)), "mse": float(mse(ours, truth, mask=mask))}
    notes = []
    span = spans[1] if options.data_range == REFERENCE else options.data_range
    if span is None:
        notes.append(
            "No data range was given, and none is guessed: PSNR and SSIM are left out. Give the span of values of the "
            "modality, or ask for each reference's own."
        )
    else:
        values["psnr_db"] = float(psnr(ours, truth, span, mask=mask))
        if options.data_range == REFERENCE:
            values["data_range"] = span
        notes += _structural(values, ours, truth, mask, span)
    values["normalized_cross_correlation"] = float(normalized_cross_correlation(ours, truth, mask=mask))
    values["mutual_information_nats"] = float(mutual_information(ours, truth, mask=mask))
    return values, notes


def _structural(values: dict[str, float], ours: Tensor, truth: Tensor, mask: Tensor | None, span: float) -> list[str]:
    """Adds the structural similarities that the size and the mask allow; says which they do not."""
    smallest, coarsest = min(ours.shape), WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
    middle = None if mask is None else mask[(slice(WINDOW // 2, -(WINDOW // 2)),) * mask.ndim]
    if smallest < WINDOW:
        return [f"SSIM is left out: {smallest} voxels along an axis, and its window has {WINDOW}."]
    if middle is not None and not bool(middle.any()):
        return ["SSIM is left out: the mask holds no middle of a whole window."]
    values["ssim"] = float(ssim(ours, truth, span, mask=mask))
    if mask is not None:
        return ["Multi-scale SSIM is left out: it knows no mask."]
    if smallest < coarsest:
        return [f"Multi-scale SSIM is left out: {smallest} voxels along an axis, and its five scales need {coarsest}."]
    values["multi_scale_ssim"] = float(multi_scale_ssim(ours, truth, span))
    return []
