"""How folded a cortex is: its surface as a multiple of the surface of the room that it lies in."""

import math

import torch
from torch import Tensor

from medlab.cohorts.subject import Subject
from medlab.cohorts.tissues import BRAIN, FLUID


def gyrification(subject: Subject) -> float:
    """The area of the border between white and grey matter over that of the inside of the skull.

    Smooth brains have about 1 or less, for white matter is smaller than the skull; every fold adds to it. It is not
    the gyrification index of Zilles (the outer contour over its hull), which thin sulci make hard to measure on voxels.
    """
    inner = subject.share("white matter", "deep grey matter", "ventricular csf")
    cavity = subject.share(*BRAIN, *FLUID, "blood", "dura mater")
    areas = [border_area_mm2(share, subject.grid.spacing_mm) for share in (inner, cavity)]
    if not areas[1]:
        raise ValueError("subject has no brain on this grid, expected one")
    return areas[0] / areas[1]


def border_area_mm2(share: Tensor, spacing_mm: tuple[float, float, float]) -> float:
    """The area of the border of what has this share of the voxels, (X, Y, Z), 0 to 1, in mm².

    The integral of the slope: every path across the border climbs by 1 in all, however soft it is (coarea formula).
    """
    square = sum(part.square() for part in torch.gradient(share, spacing=spacing_mm))
    return float(square.sqrt().double().sum()) * math.prod(spacing_mm)
