"""A neonate: one head that can be drawn at every age from 24 to 46 weeks after its mother's last menstruation."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.deformation import Deformation, affine_about, random_velocity
from medlab.cohorts.grid import HEAD_CENTRE_MM, Grid, sample
from medlab.cohorts.growth.layers import OUTER_MM, drawn_layers, hindbrain_velocity, reached, skull_distance
from medlab.cohorts.growth.size import OLDEST_WEEKS, YOUNGEST_WEEKS, head_circumference_cm, largest_perimeter_mm
from medlab.cohorts.growth.template import neonatal_template
from medlab.cohorts.growth.timetable import stage_at
from medlab.cohorts.subject import Person, Subject
from medlab.cohorts.tissues import TISSUES
from medlab.data.chance import generator_for

FIELD_OF_VIEW_MM = 152.0  # a cube of this edge holds every head to 45 weeks: `Grid.cube(size, FIELD_OF_VIEW_MM)`
FINEST_MM = 2.0  # a coarser grid is drawn finer than this and averaged, else sulci would fall between its voxels
# Around HEAD_CENTRE_MM: what of template space can hold tissue, with the neck.
REACH_MM = ((-105.0, -128.0, -230.0), (105.0, 128.0, 105.0))
MEASURED_MM, MEASURED_BETWEEN_MM = 4.0, (-24.0, 44.0)  # where the largest slice is looked for, z of the template


@dataclass(frozen=True)
class Neonate:
    """Who a neonate is, at every age the same; drawn by `draw_neonate`, and can be set by hand.

    seed: from which shape and tissue values follow. folds_seed: of the cortical pattern; twins share all but this.
    centile_z: of the head circumference, in standard deviations, the same at all ages. proportions: along x, y and z;
    only their ratios count. ventricles_mm: walls outside of the normal, mm of the template. ahead_weeks: how much
    riper than normal. shape_mm: of the smooth deformation, in mm of the template. angles_deg, shift_mm: pose.
    """

    seed: int
    folds_seed: int
    centile_z: float = 0.0
    proportions: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ventricles_mm: float = 0.0
    ahead_weeks: float = 0.0
    shape_mm: float = 2.0
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        whole(self.seed, "seed", 0)
        whole(self.folds_seed, "folds_seed", 0)
        number(self.centile_z, "centile_z", -5, 5)
        number(self.ahead_weeks, "ahead_weeks", -4, 4)
        number(self.ventricles_mm, "ventricles_mm", -2, 6)
        number(self.shape_mm, "shape_mm", 0)
        for name in ("proportions", "angles_deg", "shift_mm"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) != 3 or not np.isfinite(value).all():
                raise ValueError(f"{name} is {value!r}, expected three finite numbers, as a tuple")
        if min(self.proportions) <= 0:
            raise ValueError(f"proportions are {self.proportions}, expected three numbers above 0")


@dataclass(frozen=True, eq=False, kw_only=True)
class NeonatalSubject(Subject):
    """A `Subject` that is a neonate of an age.

    ripeness: (X, Y, Z) float32, of white matter, from -1 (the watery layer below an early cortex) over 0 (no myelin)
    to 1 (ripe); see `growth.myelination`. deformation: to the adult template, growth included. person: size and seed.
    """

    neonate: Neonate
    age_weeks: float
    ripeness: Tensor


def draw_neonate(seed: int, **changes: object) -> Neonate:
    """A healthy neonate at random; named fields of `Neonate` in changes replace what was drawn."""
    generator = generator_for(whole(seed, "seed", 0), "neonate")
    size, x, y, z, ventricles, ahead, tilt, nod, turn, right, front, up = torch.randn(12, generator=generator).tolist()
    drawn = Neonate(
        seed,
        seed,
        centile_z=float(np.clip(size, -2.5, 2.5)),
        proportions=tuple(round(float(np.exp(0.02 * one)), 5) for one in (x, y, z)),
        ventricles_mm=float(np.clip(0.5 * ventricles, -1, 1.5)),
        ahead_weeks=float(np.clip(0.6 * ahead, -1.5, 1.5)),
        angles_deg=(2.0 * nod, 1.5 * tilt, 1.5 * turn),
        shift_mm=(right, front, up),
    )
    return replace(drawn, **changes) if changes else drawn


def draw_neonatal_subject(neonate: Neonate, age_weeks: float, grid: Grid) -> NeonatalSubject:
    """The neonate's head at a postmenstrual age from 24 to 46 weeks, on a grid of a field of view that holds it.

    Its true head circumference is `head_circumference_cm(age_weeks, neonate.centile_z)`. Nearly the same age: nearly
    the same head; same neonate, age and grid: same numbers. Coarse voxels hold means of what is in them.
    """
    if not isinstance(neonate, Neonate):
        raise ValueError(f"neonate is {neonate!r}, expected a Neonate")
    age = number(age_weeks, "age_weeks", YOUNGEST_WEEKS, OLDEST_WEEKS)
    stage = stage_at(age + neonate.ahead_weeks)
    flow = Deformation(_velocity(neonate.seed, neonate.shape_mm) + hindbrain_velocity(stage), _proportioned(neonate))
    size = 10 * head_circumference_cm(age, neonate.centile_z) / _circumference_mm(flow)
    scale = tuple(size * one for one in neonate.proportions)
    affine = affine_about(HEAD_CENTRE_MM, scale, neonate.angles_deg)
    affine[:3, 3] += neonate.shift_mm

    finer = np.maximum(np.ceil(np.array(grid.spacing_mm) / FINEST_MM - 1e-6), 1).astype(int)
    fine = Grid(
        tuple((np.array(grid.shape) * finer).tolist()),
        tuple((np.array(grid.spacing_mm) / finer).tolist()),
        grid.centre_mm,
    )
    box = _box(fine, affine)
    # Flow and affine map apart: the flow is the one whose displacement has been computed for the size already.
    unposed = flow.affine @ np.linalg.inv(affine)
    matrix, shift = (torch.from_numpy(part.copy()).float() for part in (unposed[:3, :3], unposed[:3, 3]))
    points = _points(fine, box) @ matrix.T + shift
    within = reached(points)
    if not bool(within.any()):
        raise ValueError(f"grid is centred at {grid.centre_mm} mm and holds none of the head, expected one that does")
    drawn, ripeness = drawn_layers(
        flow.to_template(points[within]),
        within,
        float(np.prod(scale)) ** (1 / 3),
        fine.spacing_mm,
        stage,
        age + neonate.ahead_weeks,
        neonate.folds_seed,
        neonate.ventricles_mm,
    )
    # Differences of shares may miss 0 by a rounding.
    shares = {name: _whole_grid(share.clamp(min=0), within, fine, box, finer) for name, share in drawn.items()}
    shares["air"] = (1 - sum(shares.values())).clamp(min=0)
    return NeonatalSubject(
        {name: shares[name] for name in TISSUES if name in shares and bool(shares[name].any())},
        grid,
        Person(neonate.seed, scale, neonate.angles_deg, neonate.shift_mm, neonate.shape_mm),
        Deformation(flow.velocity_mm, affine),
        neonate=neonate,
        age_weeks=age,
        ripeness=_whole_grid(ripeness, within, fine, box, finer),
    )


@lru_cache(maxsize=4)
def _velocity(seed: int, shape_mm: float) -> Tensor:
    chance = generator_for(seed, "neonatal shape")
    return random_velocity(chance, shape_mm, 30.0) + random_velocity(chance, shape_mm / 3, 15.0)


def _proportioned(neonate: Neonate) -> np.ndarray:
    return affine_about(HEAD_CENTRE_MM, neonate.proportions, (0.0, 0.0, 0.0))


def _circumference_mm(flow: Deformation) -> float:
    """The head circumference before the head is brought to its size, in its own axial planes."""
    low, high = MEASURED_BETWEEN_MM
    shape = (52, 64, int((high - low) / MEASURED_MM))
    grid = Grid(shape, (MEASURED_MM,) * 3, (*HEAD_CENTRE_MM[:2], (low + high) / 2))
    points = flow.to_template(grid.points())
    template = neonatal_template()
    away = skull_distance(sample(template.shapes[3:4], template.affine, points)[0], points)
    return largest_perimeter_mm((away - OUTER_MM).numpy(), (MEASURED_MM, MEASURED_MM))


def _box(grid: Grid, affine: np.ndarray) -> tuple[slice, slice, slice]:
    """The part of the grid that can hold the head."""
    corners = np.stack(np.meshgrid(*zip(*REACH_MM, strict=True), indexing="ij"), -1).reshape(-1, 3)
    placed = (corners + np.array(HEAD_CENTRE_MM)) @ affine[:3, :3].T + affine[:3, 3]
    indices = (placed - grid.affine[:3, 3]) / np.array(grid.spacing_mm)
    spans = zip(indices.min(0), indices.max(0), grid.shape, strict=True)
    # At least two voxels, so that slopes can be taken, even where the grid misses the head.
    bounds = [(int(np.clip(np.floor(low), 0, max(n - 2, 0))), int(np.ceil(high)) + 1, n) for low, high, n in spans]
    return tuple(slice(low, min(max(high, low + 2), n)) for low, high, n in bounds)


def _points(grid: Grid, box: tuple[slice, slice, slice]) -> Tensor:
    axes = [axis[part] for axis, part in zip(grid.axes(), box, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _whole_grid(
    values: Tensor, within: Tensor, fine: Grid, box: tuple[slice, slice, slice], finer: np.ndarray
) -> Tensor:
    """Values (N,) within a box of the fine grid, zeros around them, as means over the voxels of the grid asked for."""
    full = torch.zeros(fine.shape)
    full[box][within] = values
    if finer.max() == 1:
        return full
    return full.reshape([k for n, f in zip(fine.shape, finer.tolist(), strict=True) for k in (n // f, f)]).mean(
        (1, 3, 5)
    )
