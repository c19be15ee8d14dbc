"""When what happens: how far a brain has come at an age, in a few numbers that change smoothly.

All of them are round: sizes and order of events as textbooks and atlases of the third trimester show them, made so
that the pictures resemble those of the developing Human Connectome Project, and not measured.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """A head at one age; lengths in mm of the neonate, unless said.

    cortex_mm: thickness of the grey matter. fluid_mm: between the gyri's crowns and the hull that the folded brain
    fills. gape_mm: how far the Sylvian fissure, not yet covered, lies open over the insula. sulcus_mm: half the width
    of a sulcus at its lips. closing_mm: by so much less at its floor. ventricles_mm: the ventricles' walls outside of
    an adult's, in mm of the template. matrix_mm: thickness of the germinal matrix at them. bone_mm, scalp_mm: thickness
    of skull and scalp. hindbrain: by exp(-hindbrain) cerebellum and brain stem are smaller, beside the rest of the
    brain, than an adult's. layers: how clearly the white matter is still layered, 0 to 1.
    """

    cortex_mm: float
    fluid_mm: float
    gape_mm: float
    sulcus_mm: float
    closing_mm: float
    ventricles_mm: float
    matrix_mm: float
    bone_mm: float
    scalp_mm: float
    hindbrain: float
    layers: float


def stage_at(age_weeks: float) -> Stage:
    """What is normal at a postmenstrual age."""
    late = rise(age_weeks, 34.0, 3.0)
    return Stage(
        cortex_mm=1.1 + 0.95 * late,
        fluid_mm=0.3 + 1.7 * (1 - rise(age_weeks, 29.0, 1.8)),
        gape_mm=7.0 * (1 - rise(age_weeks, 31.0, 1.8)),
        sulcus_mm=0.35 + 0.2 * (1 - rise(age_weeks, 34.0, 2.0)),
        closing_mm=0.6 * rise(age_weeks, 33.0, 2.0),
        ventricles_mm=0.3 + 1.8 * (1 - rise(age_weeks, 31.0, 2.5)),
        matrix_mm=2.2 * (1 - rise(age_weeks, 30.5, 1.3)),
        bone_mm=0.9 + 0.9 * late,
        scalp_mm=1.8 + 1.2 * late,
        hindbrain=0.35 + 0.012 * (40.0 - age_weeks),
        layers=1 - rise(age_weeks, 32.5, 1.5),
    )


def sulcal_depth_mm(age_weeks: float, early: Tensor) -> Tensor:
    """How deep sulci are, in mm; early: 0 for those of the last weeks, to 1 for the first ones; of its shape.

    Those that come first become the deepest: nearly nothing at 26 weeks, about 6 mm (late) and 16 mm (early) at 45.
    """
    begin = 38.0 - 6.5 * early
    return (7.0 + 9.0 * early) * torch.sigmoid((age_weeks - begin) / 2.6) * (0.55 + 0.45 * rise(age_weeks, 34.0, 3.0))


def rise(age_weeks: float, middle_weeks: float, width_weeks: float) -> float:
    """From 0 to 1, 0.5 at the middle, most of it within twice the width to either side."""
    return 1 / (1 + math.exp(-(age_weeks - middle_weeks) / width_weeks))
