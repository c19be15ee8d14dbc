"""The layers of a neonatal head at points of the template: from ventricles and deep grey matter out to the skin."""

import math

import numpy as np
import torch
from torch import Tensor

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.growth.folding import cortical_surface_mm, fold_pattern, smooth_minimum
from medlab.cohorts.growth.myelination import myelin
from medlab.cohorts.growth.template import LOWEST_MM, neonatal_template
from medlab.cohorts.growth.timetable import Stage

# In mm of the template, the skin lies so far outside of the inside of an adult's skull: the layers below it are thin.
OUTER_MM = 8.5
DURA_MM, FALX_MM = 0.3, 0.5
# Centre and half axes in mm of the template, of the right side: what is grey in the depth of the hemispheres.
DEEP_GREY = (
    ((10.5, -18.0, 7.0), (8.5, 13.0, 9.0)),  # thalamus
    ((25.0, -1.0, 1.0), (6.5, 16.0, 10.0)),  # putamen and pallidum
    ((12.0, 13.0, 7.0), (5.5, 8.0, 9.0)),  # head of the caudate nucleus
    ((17.0, -6.0, 21.0), (3.0, 16.0, 3.5)),  # its body
)
MATRIX = ((13.0, 4.0, 12.0), (9.0, 20.0, 12.0))  # where the germinal matrix lies at the ventricle's wall
# A face that is only sketched, small as a neonate's is, and the neck; eyes that are large as a neonate's are.
FACE, NECK = ((0.0, 30.0, -50.0), (44.0, 46.0, 46.0)), ((0.0, -12.0), (42.0, 44.0))
NECK_BELOW_MM, BLENDED_MM = -40.0, 8.0
EYE, NOSE = ((30.0, 57.0, -34.0), (12.5, 12.5, 12.5)), ((0.0, 58.0, -58.0), (8.0, 20.0, 13.0))
# The hindbrain shrinks about a point, less and less outside of an ellipsoid.
HINDBRAIN, HINDBRAIN_REACH = (0.0, -48.0, -22.0), (60.0, 45.0, 40.0)
REACH_MM = 12.0  # farther than this from its undeformed place lies nothing of a head
SUBPLATE_MM, SUBPLATE_WIDTH_MM = 2.4, 1.5  # how deep below the cortex the watery layer lies, and how thick it is


def hindbrain_velocity(stage: Stage) -> Tensor:
    """The velocity that makes cerebellum and brain stem as small as a neonate's, (3, X, Y, Z) on the control grid."""
    model = head_model(CONTROL_MM)
    shape = tuple(model.shares.shape[1:])
    centre = tuple((model.affine[:3, 3] + CONTROL_MM * (np.array(shape) - 1) / 2).tolist())
    away = Grid(shape, (float(CONTROL_MM),) * 3, centre).points() - torch.tensor(HINDBRAIN)
    near = torch.exp(-(away / torch.tensor(HINDBRAIN_REACH)).square().sum(-1, keepdim=True))
    return -stage.hindbrain * (near * away).movedim(-1, 0)


def skull_distance(away: Tensor, points: Tensor) -> Tensor:
    """The distance to the inside of the skull, closed at its floor, in mm of the template."""
    return torch.maximum(away, LOWEST_MM - points[..., 2])


def reached(points: Tensor) -> Tensor:
    """Which points of the undeformed template a deformed head can reach at all, (...,) bool."""
    away = _ellipsoid(points, (0.0, -14.0, 11.0), (90.0, 114.0, 92.0))
    return torch.minimum(away, _flesh(points)) < REACH_MM


def drawn_layers(
    points: Tensor,
    within: Tensor,
    scale: float,
    spacing_mm: tuple[float, float, float],
    stage: Stage,
    age_weeks: float,
    folds_seed: int,
    ventricles_mm: float,
) -> tuple[dict[str, Tensor], Tensor]:
    """The share of each tissue but air in each voxel, and the ripeness of white matter, (N,) each.

    points: (N, 3), where those voxels lie in the template that within, (X, Y, Z) bool, selects of a box. scale: mm of
    the neonate for one of the template. age_weeks: of folding and myelin. A voxel that a surface cuts is shared by how
    far it lies from the voxel's middle.
    """
    template, voxel = neonatal_template(), math.prod(spacing_mm) ** (1 / 3)

    def inside(distance_mm: Tensor) -> Tensor:
        return (0.5 - distance_mm / voxel).clamp(0, 1)

    surface, ventricles, hindbrain, away, early = sample(template.shapes, template.affine, points)
    below_skin = scale * (skull_distance(away, points) - OUTER_MM)
    under_scalp = inside(below_skin + stage.scalp_mm)
    cranium = inside(below_skin + stage.scalp_mm + stage.bone_mm)
    cortex = cortical_surface_mm(points, surface, early, scale, fold_pattern(folds_seed), stage, age_weeks)
    cortex = cortex / _slope(cortex, within, spacing_mm)

    either = torch.cat([points[..., :1].abs(), points[..., 1:]], -1)
    behind = (0.5 - hindbrain / 2).clamp(0, 1)
    white, grey, blood = sample(template.hindbrain, template.affine, points)
    room = scale * (ventricles - stage.ventricles_mm - ventricles_mm)
    nuclei = scale * torch.stack([_ellipsoid(either, *one) for one in DEEP_GREY]).amin(0)
    matrix = torch.maximum(room - stage.matrix_mm, scale * _ellipsoid(either, *MATRIX))
    core, brain = inside(cortex + stage.cortex_mm), inside(cortex)
    free = 1 - inside(room)
    deep = inside(torch.minimum(nuclei, matrix))
    shares = {
        "white matter": cranium * torch.lerp(core * free * (1 - deep), white, behind),
        "grey matter": cranium * torch.lerp((brain - core) * free, grey, behind),
        "deep grey matter": cranium * core * free * deep * (1 - behind),
        "ventricular csf": cranium * brain * (1 - free) * (1 - behind),
    }
    fluid = (cranium - sum(shares.values())).clamp(min=0)
    # Meninges and blood take their room from the fluid.
    shares["blood"] = fluid * blood
    fluid = fluid - shares["blood"]
    layer = cranium - inside(below_skin + stage.scalp_mm + stage.bone_mm + DURA_MM)
    falx = ((FALX_MM + voxel) / 2 - scale * either[..., 0]).clamp(0, min(FALX_MM, voxel)) / voxel
    falx = falx * ((points[..., 2] > 14) | (points[..., 1] > 34))
    shares["dura mater"] = fluid * torch.maximum(layer, falx)
    shares["outer csf"] = fluid - shares["dura mater"]
    # The skull of a neonate has no marrow between its tables yet.
    shares["inner table"] = shares["outer table"] = (under_scalp - cranium) / 2
    skin = smooth_minimum(below_skin, scale * _flesh(either), BLENDED_MM)
    eye, nose = (inside(scale * _ellipsoid(either, *one)) for one in (EYE, NOSE))
    outer, middle, inner = (inside(skin + deep) for deep in (0.0, 0.4 * stage.scalp_mm, stage.scalp_mm + 0.3))
    solid = (1 - eye) * (1 - nose)
    shares["skin"] = (outer - middle) * solid
    shares["fat"] = (middle - torch.maximum(inner, under_scalp)).clamp(min=0) * solid
    shares["muscle"] = (inner - under_scalp).clamp(min=0) * solid
    shares["vitreous body"] = (outer - under_scalp).clamp(min=0) * eye
    watery = stage.layers * torch.exp(-((cortex + stage.cortex_mm + SUBPLATE_MM) / SUBPLATE_WIDTH_MM).square())
    ripe = myelin(points, hindbrain, age_weeks)
    return shares, ripe - watery * (1 - ripe) * (1 - behind)


def _slope(values: Tensor, within: Tensor, spacing_mm: tuple[float, float, float]) -> Tensor:
    """How steep values (N,) of the voxels within are, by which they become distances.

    On ridges and in furrows the slope is small, and nowhere taken as below 0.6, lest they burst.
    """
    box = torch.full(within.shape, 20.0)
    box[within] = values
    steps = {axis: spacing_mm[axis] for axis, size in enumerate(box.shape) if size > 1}
    parts = torch.gradient(box, spacing=tuple(steps.values()), dim=tuple(steps))
    square = sum(part[within].square() for part in parts)
    return square.sqrt().clamp(0.6, 1.5)


def _flesh(points: Tensor) -> Tensor:
    """About the distance to face and neck; the neck goes on downwards."""
    (x, y), (half_x, half_y) = NECK
    neck = (((points[..., 0] - x) / half_x).square() + ((points[..., 1] - y) / half_y).square()).sqrt() - 1
    return torch.minimum(_ellipsoid(points, *FACE), torch.maximum(half_x * neck, points[..., 2] - NECK_BELOW_MM))


def _ellipsoid(points: Tensor, centre: tuple[float, ...], half: tuple[float, ...]) -> Tensor:
    """About the distance to an ellipsoid, negative inside."""
    return (((points - torch.tensor(centre)) / torch.tensor(half)).norm(dim=-1) - 1) * min(half)
