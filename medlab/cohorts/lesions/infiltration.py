"""A tumour's cells in the head model: where they can go, how they spread from a place, how dense they are at points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.grid import sample
from medlab.cohorts.lesions.places import model_points
from medlab.cohorts.lesions.reaction_diffusion import DAYS_PER_YEAR, grow
from medlab.cohorts.tissues import BRAIN

SEED_MM = 2.5  # the cells that it grows from: a Gaussian of this standard deviation
MIDLINE_DEEP_MM = 30.0  # white matter joins the hemispheres only at this depth: corpus callosum and brain stem
LOOKS = 12  # at the volume, while a tumour of even growth would get there
TOO_LONG = 8  # times longer than that, and the volume is not reached


@dataclass(frozen=True, eq=False)
class Infiltration:
    """Cells in a box of the head model's voxels. density, brain: (X, Y, Z) float32, 0 to 1; affine (4, 4) of the box.

    brain: the share of brain where cells can go, else 0. days: how long they grew.
    """

    density: Tensor
    brain: Tensor
    affine: np.ndarray
    days: float

    def volume_ml(self, threshold: float) -> float:
        """How much brain holds at least this density."""
        return _volume_ml(self.density, self.brain, threshold, float(self.affine[0, 0]))

    def corners_mm(self, margin_mm: float = 0.0) -> tuple[Tensor, Tensor]:
        """The least and greatest coordinates of places with a density above 0.01, with a margin; (3,) each."""
        found = (self.density > min(0.01, float(self.density.max()) / 2)).nonzero()  # there is always a densest place
        start, step = torch.tensor(self.affine[:3, 3]).float(), float(self.affine[0, 0])
        ends = found.amin(0) * step + start - step, found.amax(0) * step + start + step
        return ends[0] - margin_mm, ends[1] + margin_mm

    def at(self, points: Tensor) -> Tensor:
        """The density at points (..., 3) of the template: interpolated among the voxels that can hold cells only.

        So a voxel of fluid does not thin out the cells beside it, and none are on the far side of a furrow.
        """
        open_ = (self.brain > 0).float()
        cells, room = sample(torch.stack([self.density * open_, open_]), self.affine, points, outside="zeros")
        return cells / room.clamp(min=0.1)


def diffusivity_map(spacing_mm: int, white: float, grey_ratio: float) -> Tensor:
    """D in the voxels of `head_model(spacing_mm)`, in the unit of white, (X, Y, Z); in grey matter lower by grey_ratio.

    0 where less than half is brain: fluid, dura, bone. The falx, thinner than a voxel, is the plane between the
    hemispheres: there only white matter at depth lets cells through.
    """
    model = head_model(spacing_mm)
    matter, whole = model.share("white matter"), model.share(*BRAIN)
    found = white * (matter + (whole - matter) / grey_ratio) / whole.clamp(min=1e-6)
    x = torch.arange(whole.shape[0]) * spacing_mm + float(model.affine[0, 3])
    between = (x.abs() < spacing_mm)[:, None, None]
    shut = between & ((matter < 0.5) | (model.away_mm > -MIDLINE_DEEP_MM))
    return torch.where((whole < 0.5) | shut, 0.0, found)


def infiltrate(
    origin_mm: Sequence[float],
    diffusivity: float,
    proliferation: float,
    *,
    grey_ratio: float,
    spacing_mm: int,
    threshold: float,
    volume_ml: float | None = None,
    days: float | None = None,
    uneven: Tensor | None = None,
) -> Infiltration:
    """Cells grown from one place (see `reaction_diffusion.grow`) for days, or until a volume holds threshold or more.

    Only the box is computed that a tumour of twice the radius fills. uneven: (X, Y, Z) on the control grid of 4 mm, a
    factor of D, so that no tumour is round.
    Raises ValueError where no cell can live at the place, or where the volume is not reached in eight times the time
    that a ball would need.
    """
    model, place = head_model(spacing_mm), torch.tensor(origin_mm, dtype=torch.float32)
    speed = 2 * math.sqrt(diffusivity * proliferation) / DAYS_PER_YEAR  # mm/day
    radius = speed * days if days is not None else (0.75 * 1000 * volume_ml / math.pi) ** (1 / 3)
    half = 2 * radius + 15
    start = (place.numpy() - model.affine[:3, 3]) / spacing_mm
    sizes = np.array(model.shares.shape[1:])
    low = np.clip(np.floor(start - half / spacing_mm), 0, sizes - 1).astype(int)
    high = np.clip(np.ceil(start + half / spacing_mm) + 1, low + 1, sizes).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    affine = model.affine.copy()
    affine[:3, 3] += spacing_mm * low
    wander = diffusivity_map(spacing_mm, diffusivity, grey_ratio)[box]
    brain = model.share(*BRAIN)[box] * (wander > 0)
    points = model_points(spacing_mm)[box]
    if uneven is not None:
        wander = wander * sample(uneven[None], head_model(CONTROL_MM).affine, points)[0]
    distance = (points - place).square().sum(-1)
    cells = torch.exp(-distance / (2 * max(SEED_MM, spacing_mm) ** 2)) * (wander > 0)
    if float(wander.flatten()[distance.argmin()]) == 0:
        raise ValueError(f"origin_mm is {tuple(origin_mm)}, expected a place in white or grey matter")
    if days is not None:
        return Infiltration(grow(cells, wander, proliferation, days, spacing_mm), brain, affine, days)
    step = radius / speed / LOOKS
    before, passed = _volume_ml(cells, brain, threshold, spacing_mm), 0.0
    while passed < TOO_LONG * LOOKS * step:
        later = grow(cells, wander, proliferation, step, spacing_mm)
        after = _volume_ml(later, brain, threshold, spacing_mm)
        if after >= volume_ml > before:
            # Radii grow evenly, so the last stretch is shortened by them.
            part = (volume_ml ** (1 / 3) - before ** (1 / 3)) / (after ** (1 / 3) - before ** (1 / 3))
            cells = grow(cells, wander, proliferation, part * step, spacing_mm)
            return Infiltration(cells, brain, affine, passed + part * step)
        cells, before, passed = later, after, passed + step
    raise ValueError(f"volume_ml is {volume_ml:g}, expected one that is reached; it was {before:.1f} ml at the end")


def _volume_ml(density: Tensor, brain: Tensor, threshold: float, spacing_mm: float) -> float:
    # In double precision this sum is exact, so it is the same on any number of threads.
    return float((brain * (density >= threshold)).double().sum()) * spacing_mm**3 / 1000
