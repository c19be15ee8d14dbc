"""Relaxation times and proton densities of the tissues of a head, at 1.5 T and 3 T, each with its source.

One number a tissue and field, as measured in a group; people, regions and methods differ by 10 to 20 %, and tissue
outside the body (Stanisz) from tissue in it. What no source is named for is a round number: right in its size and
order, good for lessons and simulations, not a measurement.

Sources:
    Stanisz 2005: Magn. Reson. Med. 54, 507-512, T1 and T2 of excised tissue and of blood at 37 degrees, 1.5 T and 3 T
    Peters 2007: Magn. Reson. Imaging 25, 748-753, T2* in people at 1.5 T, 3 T and 7 T
    Rooney 2007: Magn. Reson. Med. 57, 308-318, T1 in people from 0.2 T to 7 T; that of fluid is the same at all
    de Bazelaire 2004: Radiology 230, 652-659, T1 and T2 of the abdomen, with the fat below the skin, at 1.5 T and 3 T
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FIELDS_T = (1.5, 3.0)


@dataclass(frozen=True)
class Tissue:
    """What an MR image knows of a tissue: times in ms, proton density relative to water (1), at one field in T.

    Raises ValueError unless 0 < T2* <= T2 <= 2 T1 and the density is 0 or more.
    """

    name: str
    field_t: float
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    proton_density: float

    def __post_init__(self) -> None:
        for name in ("field_t", "t1_ms", "t2_ms", "t2_star_ms"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of {self.name} is {getattr(self, name)}, expected a value above 0")
        if not 0 <= self.proton_density < math.inf:
            raise ValueError(f"proton_density of {self.name} is {self.proton_density}, expected 0 or more")
        if not self.t2_star_ms <= self.t2_ms <= 2 * self.t1_ms:
            found = f"T2* {self.t2_star_ms}, T2 {self.t2_ms}, T1 {self.t1_ms} ms"
            raise ValueError(f"the times of {self.name} are {found}, expected T2* <= T2 <= 2 T1")


# Columns: T1, T2, T2* in ms at 1.5 T; the same at 3 T; proton density (round for all, from their shares of water).
_VALUES: dict[str, tuple[float, ...]] = {
    # T1 and T2: Stanisz 2005; T2*: Peters 2007.
    "white matter": (884, 72, 66.2, 1084, 69, 53.2, 0.70),
    # T1 and T2: Stanisz 2005; T2*: Peters 2007 (cortex).
    "grey matter": (1124, 95, 84.0, 1820, 99, 66.0, 0.83),
    # T1: Rooney 2007; T2 and T2*: round.
    "csf": (4300, 2000, 1000, 4300, 2000, 500, 1.00),
    # T1 and T2: Stanisz 2005, well oxygenated; T2*: round, and far shorter in veins.
    "blood": (1441, 290, 200, 1932, 275, 150, 0.85),
    # T1 and T2: Stanisz 2005, skeletal muscle; T2*: round.
    "muscle": (1008, 44, 35, 1412, 50, 30, 0.80),
    # T1 and T2: de Bazelaire 2004, fat below the skin; T2*: round. Its protons also precess 3.4 ppm more slowly.
    "fat": (343, 58, 40, 382, 68, 30, 0.90),
    # All of the following are round. Deep grey matter holds iron, which shortens T2; cortical bone keeps hardly any
    # signal at an echo time that a sequence can reach; the vitreous body of the eye is nearly water.
    "deep grey matter": (1000, 82, 60, 1350, 78, 45, 0.81),
    "cortical bone": (220, 0.5, 0.4, 250, 0.5, 0.4, 0.15),
    "marrow": (400, 60, 20, 450, 55, 14, 0.55),
    "skin": (850, 35, 20, 1000, 30, 15, 0.70),
    "dura mater": (900, 30, 20, 1050, 28, 15, 0.60),
    "vitreous body": (4200, 1200, 600, 4200, 1100, 400, 0.99),
    # Lesions, round too: what water that does not belong there does to relaxation. A plaque is demyelinated white
    # matter, oedema is white matter with more free water, necrosis is mostly fluid, and acute clot is thick blood.
    "plaque": (1350, 140, 110, 1650, 135, 90, 0.82),
    "oedema": (1300, 150, 120, 1600, 145, 100, 0.85),
    "tumour": (1400, 120, 95, 1800, 115, 80, 0.85),
    "necrosis": (2300, 350, 250, 2700, 330, 180, 0.93),
    "clot": (1200, 90, 35, 1500, 75, 20, 0.80),
}
TISSUE_NAMES = tuple(_VALUES)


def tissue(name: str, field_t: float) -> Tissue:
    """The tissue of this name at 1.5 T or 3 T. Raises ValueError for another name or field."""
    if name not in _VALUES:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(TISSUE_NAMES)}")
    if field_t not in FIELDS_T:
        raise ValueError(f"field_t is {field_t!r}, expected 1.5 or 3.0, the fields with values here")
    values = _VALUES[name]
    at = 3 * FIELDS_T.index(field_t)
    return Tissue(name, float(field_t), *map(float, values[at : at + 3]), proton_density=values[-1])


def tissue_tensors(names: Sequence[str], field_t: float, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The values of several tissues as tensors of shape (n,), ready for the equations of `sequences`.

    Keys: proton_density, t1_ms, t2_ms, t2_star_ms. Raises ValueError as `tissue` does, and for a single string or no
    name.
    """
    if isinstance(names, str) or not names:
        raise ValueError(f"names is {names!r}, expected a sequence of at least one name of a tissue")
    found = [tissue(name, field_t) for name in names]
    keys = ("proton_density", "t1_ms", "t2_ms", "t2_star_ms")
    return {key: torch.tensor([getattr(one, key) for one in found], dtype=dtype) for key in keys}
