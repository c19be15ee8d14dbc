"""Folding: how a smooth cortex becomes one with sulci, the same person's at every age and no two persons' alike.

The surface of the brain is the zero of one function. Outside of it is fluid: what lies outside of the smooth hull, or
within a sulcus, which is a sheet of some width that reaches a depth below the hull. The sheets of a person never
change; the depth grows from the first weeks to the last. So folding is continuous in age, and the pattern is a truth
that can be asked for. A brain really folds because its surface outgrows what is below it; here only the result is made.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy import ndimage
from torch import Tensor

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.grid import sample
from medlab.cohorts.growth.template import neonatal_template
from medlab.cohorts.growth.timetable import Stage, sulcal_depth_mm
from medlab.cohorts.texture import smooth_noise
from medlab.data.chance import generator_for

# Of a person's own pattern, in mm of the template: how far the sulci of the template lie elsewhere and on what length,
# the size of the patches in which sulci are missing or new, and the width of the band of the new ones' noise.
MOVED_MM, MOVED_LENGTH_MM, PATCH_MM, BAND_MM = 3.5, 11.0, 12.0, (5.5, 8.0)
NEW_ABOVE, GONE_ABOVE, FADING = 0.6, 0.9, 4.0  # of the patches' noise, in standard deviations, and mm for each of them
NEW_DEPTH_MM = 9.0  # below which, in mm of the template, new sulci end
ROUND_MM, FLOOR_MM = 1.6, 1.0  # how round the lips and the floors of sulci are
INSULA_MM = ((64.0, -8.0, 4.0), (18.0, 22.0, 12.0))  # centre and half axes of where the Sylvian fissure gapes
JOINED_MM = ((0.0, -8.0, 6.0), (20.0, 46.0, 26.0))  # and of what joins the hemispheres, which has no sulci


@dataclass(frozen=True, eq=False)
class Pattern:
    """A person's own folds on the control grid of `deformation`.

    moved: (3, X, Y, Z), where to look for the template's sulci, in mm. fields: (2, X, Y, Z), the noise of the patches
    and the one whose zeros are the new sulci, in mm from them.
    """

    moved: Tensor
    fields: Tensor


@lru_cache(maxsize=4)
def fold_pattern(seed: int) -> Pattern:
    """The pattern that belongs to a seed; left and right are as different as two people."""
    chance, shape = generator_for(seed, "cortical folds"), head_model(CONTROL_MM).shares.shape[1:]
    moved = torch.stack([smooth_noise(shape, MOVED_LENGTH_MM / CONTROL_MM, chance) for _ in range(3)])
    patches = smooth_noise(shape, PATCH_MM / CONTROL_MM, chance)
    fine, coarse = (width / CONTROL_MM for width in BAND_MM)
    wide = smooth_noise(shape, fine, chance)
    band = wide - torch.from_numpy(ndimage.gaussian_filter(wide.numpy(), (coarse**2 - fine**2) ** 0.5, mode="wrap"))
    # Divided by its mean slope the noise is about the distance to its zeros.
    slope = torch.stack(torch.gradient(band, spacing=float(CONTROL_MM))).norm(dim=0).mean()
    return Pattern(MOVED_MM * moved, torch.stack([patches, band / slope]))


def cortical_surface_mm(
    points: Tensor, surface: Tensor, early: Tensor, scale: float, pattern: Pattern, stage: Stage, age_weeks: float
) -> Tensor:
    """A function whose zero is the surface of the cerebrum at an age: about its distance in mm, negative inside.

    points: (..., 3) in template coordinates. surface, early: what the template has there (`NeonatalTemplate.shapes`),
    (...,). scale: mm of the neonate for one of the template. age_weeks: of folding.
    """
    template, affine = neonatal_template(), head_model(CONTROL_MM).affine
    own = sample(torch.cat([pattern.moved, pattern.fields[:1]]), affine, points)
    moved, patches = own[:3].movedim(0, -1), own[3]
    common = sample(template.sheets, template.affine, points + moved)[0]
    # New sulci are looked up where the nearest point of the surface lies: their sheets stand upright on it.
    normal = sample(template.normal, template.affine, points).movedim(0, -1)
    new = sample(pattern.fields[1:], affine, points - surface.clamp(-20, 20)[..., None] * normal)[0].abs()
    gone = FADING * (patches - GONE_ABOVE).clamp(min=0)
    absent = FADING * (NEW_ABOVE - patches).clamp(min=0) + 0.7 * (-surface - NEW_DEPTH_MM).clamp(min=0)
    sheet = scale * (torch.minimum(common + gone, new + absent) + _joined(points))
    below = scale * surface + stage.fluid_mm
    depth = sulcal_depth_mm(age_weeks, early) * (1 + 0.15 * patches.clamp(-1.5, 1.5))
    # Wide at the lips, and so narrow at the floor that the cortices of both walls touch.
    width = stage.sulcus_mm - stage.closing_mm * (-below / depth.clamp(min=1.0)).clamp(0, 1)
    sulcus = smooth_minimum(width - sheet, below + depth, FLOOR_MM)
    return -smooth_minimum(-below, -sulcus, ROUND_MM) + stage.gape_mm * _insula(points)


def _insula(points: Tensor) -> Tensor:
    centre, half = (torch.tensor(one) for one in INSULA_MM)
    either = torch.cat([points[..., :1].abs(), points[..., 1:]], -1)
    return torch.exp(-((either - centre) / half).square().sum(-1))


def _joined(points: Tensor) -> Tensor:
    """Added to the distance from a sulcus, it keeps sulci out of callosum, thalami and what else is in the middle."""
    centre, half = (torch.tensor(one) for one in JOINED_MM)
    return 20 * (1 - ((points - centre) / half).square().sum(-1)).clamp(min=0)


def smooth_minimum(a: Tensor, b: Tensor, width: float) -> Tensor:
    """The smaller of two, rounded off where they differ by less than the width (Quilez's polynomial)."""
    near = (width - (a - b).abs()).clamp(min=0)
    return torch.minimum(a, b) - near * near / (4 * width)
