"""What lies in the beam: materials by their elements and their density.

Tissues are those of two reports of the International Commission on Radiation Units and Measurements, ICRU 44 (1989,
as NIST tabulates it) and ICRU 46 (1992), and of Woodard and White (Br. J. Radiol. 59, 1209, 1986), on whose analyses
both rest. They are averages over healthy adults; a person differs by a few per cent. Their densities are those of a
laboratory's room, see `at_body_temperature`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xraydb

from medlab.arguments import as_not_negative, as_positive_number

WATER_20_G_PER_CM3, WATER_37_G_PER_CM3 = 0.99821, 0.99333


@dataclass(frozen=True, eq=False)
class Material:
    """A homogeneous material.

    density_g_per_cm3: above 0. mass_fractions: share of the mass by symbol of the element, each 0 or more; their sum
    may differ from 1 by 0.02, since tables round, and is made exactly 1. source: where the numbers come from.
    Raises ValueError for an unknown element and for fractions or densities that cannot be.
    """

    name: str
    density_g_per_cm3: float
    mass_fractions: Mapping[str, float]
    source: str = ""

    def __post_init__(self) -> None:
        as_positive_number(self.density_g_per_cm3, "density_g_per_cm3", "g/cm³")
        for symbol, share in self.mass_fractions.items():
            _refuse_unknown_element(symbol)
            as_not_negative(share, f"mass_fractions[{symbol!r}]", "of the mass")
        total = sum(self.mass_fractions.values())
        if abs(total - 1) > 0.02:
            raise ValueError(f"mass_fractions of {self.name} sum to {total:.3f}, expected 1")
        whole = {symbol: share / total for symbol, share in self.mass_fractions.items()}
        object.__setattr__(self, "mass_fractions", MappingProxyType(whole))


def _refuse_unknown_element(symbol: str) -> None:
    try:
        xraydb.atomic_number(symbol)
    except (ValueError, AttributeError, KeyError):
        raise ValueError(f"mass_fractions names {symbol!r}, expected the symbol of an element") from None


def _in_percent(*shares: float) -> dict[str, float]:
    """Mass fractions from a row of a table of tissues: H C N O Na Mg P S Cl K Ca Fe, in per cent."""
    symbols = ("H", "C", "N", "O", "Na", "Mg", "P", "S", "Cl", "K", "Ca", "Fe")
    return {symbol: share / 100 for symbol, share in zip(symbols, shares, strict=False) if share}


_ICRU44, _ICRU46, _WOODARD = "ICRU 44 (1989)", "ICRU 46 (1992)", "Woodard and White (1986)"
_NIST, _ROUND = "NIST X-ray mass attenuation tables", "round composition"

_TABLE = [
    Material("air", 0.001205, {"C": 0.000124, "N": 0.755268, "O": 0.231781, "Ar": 0.012827}, _NIST),
    Material("water", 1.0, {"H": 0.111898, "O": 0.888102}, "H2O"),
    Material("acrylic", 1.19, {"H": 0.080538, "C": 0.599848, "O": 0.319614}, _NIST),
    Material("adipose tissue", 0.950, _in_percent(11.4, 59.8, 0.7, 27.8, 0.1, 0, 0, 0.1, 0.1), _ICRU44),
    Material("soft tissue", 1.060, _in_percent(10.2, 14.3, 3.4, 70.8, 0.2, 0, 0.3, 0.3, 0.2, 0.3), _ICRU44),
    Material("muscle", 1.050, _in_percent(10.2, 14.3, 3.4, 71.0, 0.1, 0, 0.2, 0.3, 0.1, 0.4), _ICRU44),
    Material("skin", 1.09, _in_percent(10.0, 20.4, 4.2, 64.5, 0.2, 0, 0.1, 0.2, 0.3, 0.1), _ICRU46),
    Material("brain", 1.040, _in_percent(10.7, 14.5, 2.2, 71.2, 0.2, 0, 0.4, 0.2, 0.3, 0.3), _ICRU44),
    Material("grey matter", 1.039, _in_percent(10.7, 9.5, 1.8, 76.7, 0.2, 0, 0.3, 0.2, 0.3, 0.3), _WOODARD),
    Material("white matter", 1.043, _in_percent(10.6, 19.4, 2.5, 66.1, 0.2, 0, 0.4, 0.2, 0.3, 0.3), _WOODARD),
    Material("cerebrospinal fluid", 1.007, _in_percent(11.1, 0, 0, 88.0, 0.5, 0, 0, 0, 0.4), _WOODARD),
    Material("blood", 1.060, _in_percent(10.2, 11.0, 3.3, 74.5, 0.1, 0, 0.1, 0.2, 0.3, 0.2, 0, 0.1), _ICRU44),
    # A clot that has pressed out its serum is little else than red cells.
    Material("clotted blood", 1.09, _in_percent(9.5, 19.0, 5.9, 64.6, 0, 0, 0, 0.3, 0.2, 0.4, 0, 0.1), _WOODARD),
    Material("cortical bone", 1.920, _in_percent(3.4, 15.5, 4.2, 43.5, 0.1, 0.2, 10.3, 0.3, 0, 0, 22.5), _ICRU44),
    # The whole bone of the skull: outer and inner table with the diploe between them.
    Material("skull", 1.61, _in_percent(5.0, 21.2, 4.0, 43.5, 0.1, 0.2, 8.1, 0.3, 0, 0, 17.6), _ICRU46),
    Material("spongiosa", 1.18, _in_percent(8.5, 40.4, 2.8, 36.7, 0.1, 0.1, 3.4, 0.2, 0.2, 0.1, 7.4, 0.1), _ICRU46),
    Material("aluminium", 2.699, {"Al": 1.0}, _NIST),
    Material("titanium", 4.54, {"Ti": 1.0}, _NIST),
    Material("iron", 7.874, {"Fe": 1.0}, _NIST),
    Material("steel", 7.99, {"Fe": 0.68, "Cr": 0.17, "Ni": 0.12, "Mo": 0.03}, f"{_ROUND} of surgical steel, type 316"),
    Material("copper", 8.96, {"Cu": 1.0}, _NIST),
    Material("iodine", 4.93, {"I": 1.0}, _NIST),
    Material("tungsten", 19.3, {"W": 1.0}, _NIST),
    Material("gold", 19.32, {"Au": 1.0}, _NIST),
    Material("amalgam", 11.6, {"Hg": 0.5, "Ag": 0.33, "Sn": 0.11, "Cu": 0.06}, f"{_ROUND} of a dental filling"),
    Material("lead", 11.35, {"Pb": 1.0}, _NIST),
]


def with_iodine(base: "str | Material", iodine_mg_per_ml: float) -> Material:
    """A material with iodine dissolved in it, whose volume does not change; mg of iodine per ml, 0 or more."""
    base = find(base)
    added = float(as_not_negative(iodine_mg_per_ml, "iodine_mg_per_ml", "mg/ml")) / 1000
    density = base.density_g_per_cm3 + added
    shares = {symbol: share * base.density_g_per_cm3 / density for symbol, share in base.mass_fractions.items()}
    shares["I"] = shares.get("I", 0.0) + added / density
    return Material(f"{base.name} with {iodine_mg_per_ml:g} mg/ml of iodine", density, shares, base.source)


def at_body_temperature(base: "str | Material") -> Material:
    """A soft tissue as it is in a body: warmed from 20 to 37 °C, it expands as water does.

    This is worth 5 HU, as scanners are calibrated with water of the room: the fluid around the brain has 1.007 g/cm³ in
    the tables and 1.000 in people. Fat expands a little more, which is left out; bone does not, and is no soft tissue.
    """
    base = find(base)
    density = base.density_g_per_cm3 * WATER_37_G_PER_CM3 / WATER_20_G_PER_CM3
    return Material(f"{base.name} at 37 °C", density, base.mass_fractions, base.source)


def find(material: "str | Material") -> Material:
    """The material of this name, or the one given. Raises ValueError for a name that is not in `MATERIALS`."""
    if isinstance(material, Material):
        return material
    if material not in MATERIALS:
        raise ValueError(f"material is {material!r}, expected a Material or one of {', '.join(sorted(MATERIALS))}")
    return MATERIALS[material]


MATERIALS: Mapping[str, Material] = MappingProxyType({entry.name: entry for entry in _TABLE})
