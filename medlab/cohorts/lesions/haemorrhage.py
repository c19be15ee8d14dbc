"""Intracranial haemorrhages as CQ500 has them: drawn at random, and read as its radiologists report them."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from medlab.arguments import whole
from medlab.cohorts.lesions.breaks import Fracture
from medlab.cohorts.lesions.extra_axial import (
    REGIONS,
    EpiduralHaematoma,
    SubarachnoidHaemorrhage,
    SubduralHaematoma,
)
from medlab.cohorts.lesions.intra_axial import SITES, IntraparenchymalHaemorrhage, IntraventricularHaemorrhage
from medlab.cohorts.lesions.lesion import Lesion
from medlab.cohorts.lesions.room import Mass
from medlab.cohorts.lesions.vault import SIDES, sign_of
from medlab.data.chance import generator_for

HAEMORRHAGES = {
    "IPH": IntraparenchymalHaemorrhage,
    "IVH": IntraventricularHaemorrhage,
    "SDH": SubduralHaematoma,
    "EDH": EpiduralHaematoma,
    "SAH": SubarachnoidHaemorrhage,
}
# How often each kind is drawn: about as often as CQ500 has it (Chilamkurthy et al., Lancet 392, 2018), round.
FREQUENCIES = {
    "intraparenchymal": 0.45,
    "subarachnoid": 0.2,
    "subdural": 0.2,
    "intraventricular": 0.1,
    "epidural": 0.05,
}
# Places of their middles, azimuth and elevation in degrees: over temporal, parietal, frontal and occipital bone.
EPIDURAL_PLACES = ((-8.0, 4.0), (-22.0, 30.0), (58.0, 18.0), (-72.0, 8.0))
MASS_EFFECT_ML, MIDLINE_SHIFT_MM = 10.0, 3.0  # from where on a report says so; round


def draw_haemorrhage(seed: int, kind: str | None = None, side: str | None = None) -> Lesion:
    """A bleed at random; kind (one of `FREQUENCIES`) and side ("left" or "right") where they are given.

    Every third intraventricular bleed whose side is not given is on both sides. Same seed and arguments: same lesion.
    Raises ValueError for another kind, side or seed.
    """
    chance = generator_for(whole(seed, "seed", 0), "haemorrhage")
    which, where, both = torch.rand(3, generator=chance).tolist()
    if kind is None:
        ends = np.cumsum(list(FREQUENCIES.values()))
        kind = list(FREQUENCIES)[int(np.searchsorted(ends[:-1], which, side="right"))]
    if kind not in FREQUENCIES:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(FREQUENCIES)}")
    drawn = SIDES[int(where < 0.5)] if side is None else side
    sign_of(drawn)
    if kind == "intraventricular" and side is None and both < 1 / 3:
        drawn = "both"
    return _DRAWN[kind](seed, drawn, torch.rand(8, generator=chance).tolist())


def cq500_findings(lesions: Iterable[Lesion]) -> dict[str, bool]:
    """What the table of CQ500 says of a scan with these lesions: its columns without the rater, as True or False.

    All fractures here are of the vault and all bleeds are fresh. A mass effect is reported from `MASS_EFFECT_ML` of
    haematoma on, a midline shift from `MIDLINE_SHIFT_MM` on; shifts to both sides cancel. Other lesions are not read.
    """
    lesions = tuple(lesions)
    for lesion in lesions:
        if not isinstance(lesion, Lesion):
            raise ValueError(f"lesions holds {lesion!r}, expected lesions")
    bleeds = [lesion for lesion in lesions if isinstance(lesion, tuple(HAEMORRHAGES.values()))]
    masses = [bleed for bleed in bleeds if isinstance(bleed, Mass)]
    broken = any(isinstance(lesion, Fracture) for lesion in lesions)
    shift_mm = sum(sign_of(mass.side) * mass.midline_shift_mm for mass in masses)
    return {
        "ICH": bool(bleeds),
        **{column: any(isinstance(bleed, kind) for bleed in bleeds) for column, kind in HAEMORRHAGES.items()},
        "BleedLocation-Left": any(bleed.side in ("left", "both") for bleed in bleeds),
        "BleedLocation-Right": any(bleed.side in ("right", "both") for bleed in bleeds),
        "ChronicBleed": False,
        "Fracture": broken,
        "CalvarialFracture": broken,
        "OtherFracture": False,
        "MassEffect": sum(mass.mass_ml for mass in masses) >= MASS_EFFECT_ML,
        "MidlineShift": abs(shift_mm) >= MIDLINE_SHIFT_MM,
    }


def _epidural(seed: int, side: str, u: list[float]) -> EpiduralHaematoma:
    azimuth, elevation = EPIDURAL_PLACES[min(int(len(EPIDURAL_PLACES) * u[0]), 3)]
    return EpiduralHaematoma(
        side,
        azimuth_deg=_between(azimuth - 7, azimuth + 7, u[1]),
        elevation_deg=_between(elevation - 6, elevation + 6, u[2]),
        thickness_mm=_between(7, 25, u[3]),
        inner_radius_mm=_between(45, 80, u[4]),
    )


def _subdural(seed: int, side: str, u: list[float]) -> SubduralHaematoma:
    return SubduralHaematoma(
        side,
        thickness_mm=_between(4, 15, u[0]),
        azimuth_deg=_between(-25, 30, u[1]),
        elevation_deg=_between(5, 28, u[2]),
        half_azimuth_deg=_between(55, 85, u[3]),
        half_elevation_deg=_between(36, 52, u[4]),
        seed=seed,
    )


def _subarachnoid(seed: int, side: str, u: list[float]) -> SubarachnoidHaemorrhage:
    region = REGIONS[min(int(len(REGIONS) * u[0]), 2)]
    return SubarachnoidHaemorrhage(
        side,
        region,
        density=_between(0.7, 0.95, u[1]),
        reach_mm=_between(22, 36, u[2]) if region == "sulci" else _between(12, 22, u[2]),
        azimuth_deg=_between(-45, 30, u[3]),
        elevation_deg=_between(20, 50, u[4]),
        seed=seed,
    )


def _intraparenchymal(seed: int, side: str, u: list[float]) -> IntraparenchymalHaemorrhage:
    # Half of them are deep, as bleeds by high blood pressure are.
    sites = ("putamen", "putamen", "thalamus", *(site for site in SITES if site.endswith("lobe")))
    site = sites[min(int(3 * 2 * u[0]), 2)] if u[0] < 0.5 else sites[3 + min(int(8 * (u[0] - 0.5)), 3)]
    most = 25.0 if site == "thalamus" else 60.0
    return IntraparenchymalHaemorrhage(
        side,
        site,
        volume_ml=round(4 * (most / 4) ** u[1], 2),
        oedema_mm=_between(2, 8, u[2]),
        shift_mm=tuple(_between(-4, 4, one) for one in u[3:6]),
        seed=seed,
    )


def _intraventricular(seed: int, side: str, u: list[float]) -> IntraventricularHaemorrhage:
    return IntraventricularHaemorrhage(side, filled=_between(0.08, 0.6, u[0]))


def _between(low: float, high: float, share: float) -> float:
    return round(low + (high - low) * share, 2)


_DRAWN: dict[str, Callable[[int, str, list[float]], Lesion]] = {
    "intraparenchymal": _intraparenchymal,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
    "intraventricular": _intraventricular,
    "epidural": _epidural,
}
