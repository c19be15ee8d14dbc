"""Myelination: where white matter has ripened at an age, and what that does to T1 and T2 at 3 T.

A neonate's white matter holds so much water that it is brighter than grey in T2-weighted and darker in T1-weighted
images, the reverse of an adult's. Myelin changes it along a known course: brain stem, thalamus and posterior limb of
the internal capsule first, then the rays towards the central sulcus, and on from the centre outwards and from back to
front, for years after the last age here (Barkovich et al., Radiology 166, 1988, and every textbook since).
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from medlab.cohorts.tissues import TISSUES, magnetic

# Of either side, points in template coordinates (|x|, y, z) and the age in weeks at which each is half ripe. The
# corticospinal tract: pons, cerebral peduncle, posterior limb, corona radiata, white matter below the motor cortex. And
# what comes up to the thalamus: lemnisci, lower and ventrolateral part.
TRACTS = (
    (
        ((10.0, -22.0, -40.0), (13.0, -18.0, -12.0), (22.0, -15.0, 5.0), (25.0, -20.0, 25.0), (30.0, -24.0, 50.0)),
        (27.0, 32.5, 37.5, 41.0, 44.0),
    ),
    (((5.0, -28.0, -14.0), (9.0, -22.0, 0.0), (12.0, -18.0, 8.0)), (28.5, 32.0, 35.0)),
)
TRACT_MM = 2.5  # their radius
OUTWARD_WEEKS_PER_MM = 0.7  # by so much later ripens what lies farther from a tract, in mm of the template
FORWARD_WEEKS = 4.0  # and by so much later the front than the back
STEM_MM, STEM_WEEKS, STEM_WEEKS_PER_MM = (0.0, -34.0, -32.0), 27.0, 0.35  # from the stem outwards in the hindbrain
RIPENING_WEEKS = 1.8  # how slowly a place ripens

# Round numbers at 3 T by postmenstrual age in weeks: T1 and T2 in ms and proton density, before myelin.
AGES = (26.0, 30.0, 34.0, 38.0, 42.0, 45.0)
_COURSE = {
    "white matter": ((3000, 2900, 2780, 2650, 2500, 2380), (300, 275, 250, 226, 203, 187), (0.95, 0.91)),
    "grey matter": ((2450, 2300, 2160, 2030, 1900, 1800), (182, 160, 143, 130, 119, 112), (0.92, 0.88)),
    "deep grey matter": ((2350, 2180, 2020, 1880, 1740, 1640), (172, 150, 133, 120, 110, 104), (0.91, 0.87)),
    # Skin, muscle and fat of a neonate hold more water than an adult's. Fat is brighter in a turbo spin echo than its
    # T2 between two pulses would have it, so this one is longer.
    "skin": ((1500, 1450, 1400, 1350, 1300, 1250), (115, 110, 105, 100, 95, 90), (0.85, 0.80)),
    "muscle": ((1900, 1850, 1800, 1750, 1700, 1650), (95, 90, 85, 80, 75, 70), (0.86, 0.83)),
    "fat": ((450, 440, 430, 420, 410, 400), (135, 132, 130, 128, 125, 122), (0.90, 0.90)),
}
# By which share full myelin lowers, and the layers of the early white matter raise, T1 and T2.
_BY_MYELIN = {"white matter": (0.34, 0.38), "grey matter": (0.06, 0.08), "deep grey matter": (0.15, 0.16)}
_BY_WATER = {"white matter": (0.05, 0.22)}


def ripe_weeks(points: Tensor, hindbrain: Tensor) -> Tensor:
    """The age at which half of the myelin of a place is there, in weeks, (...,).

    points: (..., 3) in template coordinates. hindbrain: distance to it in mm, (...,), negative in stem and cerebellum.
    """
    either = torch.cat([points[..., :1].abs(), points[..., 1:]], -1)
    found = torch.full(hindbrain.shape, float("inf"))
    for line, weeks in TRACTS:
        for (start, stop), (early, late) in zip(pairwise(line), pairwise(weeks), strict=True):
            a, way = torch.tensor(start), torch.tensor(stop) - torch.tensor(start)
            along = ((either - a) @ way / way.square().sum()).clamp(0, 1)
            aside = (either - a - along[..., None] * way).norm(dim=-1)
            ripe = early + along * (late - early) + OUTWARD_WEEKS_PER_MM * (aside - TRACT_MM).clamp(min=0)
            found = torch.minimum(found, ripe)
    found = found + FORWARD_WEEKS * torch.sigmoid((points[..., 1] + 5) / 14)
    behind = STEM_WEEKS + STEM_WEEKS_PER_MM * (points - torch.tensor(STEM_MM)).norm(dim=-1)
    # Over 4 mm from one rule to the other, so that no border shows which nobody has.
    share = (0.5 - hindbrain / 4).clamp(0, 1)
    return torch.lerp(found, torch.minimum(found, behind), share)


def myelin(points: Tensor, hindbrain: Tensor, age_weeks: float) -> Tensor:
    """How ripe the white matter would be at each place, 0 to 1; arguments as `ripe_weeks`."""
    return torch.sigmoid((age_weeks - ripe_weeks(points, hindbrain)) / RIPENING_WEEKS)


def neonatal_values(age_weeks: float, ripeness: Tensor) -> dict[str, Tensor]:
    """proton_density, t1_ms, t2_ms and t2_star_ms of all `TISSUES` at 3 T, (N, T) each: a neonate's `magnetic`.

    ripeness: (N,), from -1 (the most watery layer below an early cortex) over 0 (no myelin) to 1 (ripe). Before 26 and
    after 45 weeks the values of these ages hold. What no course is given for has an adult's values. Raises ValueError
    for a ripeness beyond -1 to 1.
    """
    if ripeness.ndim != 1 or not bool((ripeness.abs() <= 1).all()):
        raise ValueError(f"ripeness has shape {tuple(ripeness.shape)}, expected (N,), each from -1 to 1")
    values = {key: value.expand(len(ripeness), -1).clone() for key, value in magnetic(3.0).items()}
    ripe, watery = ripeness.clamp(min=0), (-ripeness).clamp(min=0)
    for name, (t1, t2, density) in _COURSE.items():
        at, shares = TISSUES.index(name), (_BY_MYELIN.get(name, (0, 0)), _BY_WATER.get(name, (0, 0)))
        for key, course, less, more in zip(("t1_ms", "t2_ms"), (t1, t2), *shares, strict=True):
            values[key][:, at] = float(np.interp(age_weeks, AGES, course)) * (1 - less * ripe) * (1 + more * watery)
        values["proton_density"][:, at] = float(np.interp(age_weeks, (AGES[0], AGES[-1]), density))
        values["t2_star_ms"][:, at] = 0.7 * values["t2_ms"][:, at]
    return values
