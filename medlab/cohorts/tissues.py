"""The tissues of a subject: one list, in one order, and what a magnet and a beam see of each."""

from functools import cache

import torch
from torch import Tensor

from medlab.physics.ct.xray import Material, at_body_temperature, attenuation_per_cm, ct_number, find, tube_spectrum
from medlab.physics.mri.tissues import tissue_tensors

# Name: the tissue of `physics.mri.tissues` that it is to a magnet, and what it is made of to a beam, as shares of
# volume of materials of `physics.ct.xray`. Air gives no signal (None). The order is that of a subject's channels.
_SEEN: dict[str, tuple[str | None, dict[str, float]]] = {
    "air": (None, {"air": 1.0}),
    "white matter": ("white matter", {"white matter": 1.0}),
    "grey matter": ("grey matter", {"grey matter": 1.0}),
    "deep grey matter": ("deep grey matter", {"grey matter": 1.0}),
    "ventricular csf": ("csf", {"cerebrospinal fluid": 1.0}),
    "outer csf": ("csf", {"cerebrospinal fluid": 1.0}),
    "blood": ("blood", {"blood": 1.0}),
    "dura mater": ("dura mater", {"soft tissue": 1.0}),
    "inner table": ("cortical bone", {"cortical bone": 1.0}),
    "diploe": ("marrow", {"spongiosa": 1.0}),
    "outer table": ("cortical bone", {"cortical bone": 1.0}),
    "fat": ("fat", {"adipose tissue": 1.0}),
    "skin": ("skin", {"skin": 1.0}),
    "muscle": ("muscle", {"muscle": 1.0}),
    "vitreous body": ("vitreous body", {"water": 1.0}),
    # Lesions: no healthy head has them. Their shares of water are round: what lowers the CT number as reports have it.
    "plaque": ("plaque", {"white matter": 0.9, "water": 0.1}),
    "oedema": ("oedema", {"white matter": 0.65, "water": 0.35}),
    "enhancing tumour": ("tumour", {"grey matter": 0.95, "blood": 0.05}),
    "tumour core": ("necrosis", {"grey matter": 0.3, "cerebrospinal fluid": 0.7}),
    "clot": ("clot", {"clotted blood": 1.0}),
}
TISSUES = tuple(_SEEN)
HEALTHY = TISSUES[: TISSUES.index("plaque")]
LESIONS = TISSUES[TISSUES.index("plaque") :]
BRAIN = ("white matter", "grey matter", "deep grey matter")
FLUID = ("ventricular csf", "outer csf")
SKULL = ("inner table", "diploe", "outer table")
_NOT_WARMED = {"air", "cortical bone", "spongiosa"}  # bone hardly expands, and air has no weight to speak of


def index(name: str) -> int:
    """The channel of a tissue. Raises ValueError for a name that is none."""
    if name not in _SEEN:
        raise ValueError(f"tissue is {name!r}, expected one of {', '.join(TISSUES)}")
    return TISSUES.index(name)


def magnetic(field_t: float) -> dict[str, Tensor]:
    """proton_density, t1_ms, t2_ms and t2_star_ms of all `TISSUES` at 1.5 T or 3 T, (T,) float32 each.

    Air has a density of 0 and the times of fluid, so that every equation stays defined.
    """
    seen = [mri for mri, _ in _SEEN.values()]
    values = tissue_tensors([name or "csf" for name in seen], field_t)
    silent = torch.tensor([name is None for name in seen])
    return values | {"proton_density": values["proton_density"].masked_fill(silent, 0.0)}


@cache
def materials() -> tuple[Material, ...]:
    """What each of `TISSUES` is made of, as `physics.ct` takes it: soft tissues at body temperature."""
    return tuple(_mixture(name, parts) for name, (_, parts) in _SEEN.items())


@cache
def hounsfield(tube_voltage_kv: float = 120.0) -> tuple[float, ...]:
    """The CT number in HU of each of `TISSUES` in the middle of a head, behind 6 mm of aluminium."""
    beam = tube_spectrum(tube_voltage_kv, 6.0, 2.0).filtered(160.0, "water")
    return tuple(float(ct_number(material, beam)) for material in materials())


def attenuation(energy_kev: float = 70.0) -> Tensor:
    """The linear attenuation coefficient in 1/cm of each of `TISSUES` at one energy, (T,) float32."""
    return torch.stack([attenuation_per_cm(material, energy_kev).float().reshape(()) for material in materials()])


def _mixture(name: str, parts: dict[str, float]) -> Material:
    """A material of parts by volume, each at the temperature that it has in a body."""
    found = {find(part) if part in _NOT_WARMED else at_body_temperature(part): share for part, share in parts.items()}
    if len(found) == 1:
        return next(iter(found))
    density = sum(share * part.density_g_per_cm3 for part, share in found.items())
    masses: dict[str, float] = {}
    for part, share in found.items():
        for symbol, mass in part.mass_fractions.items():
            masses[symbol] = masses.get(symbol, 0.0) + mass * share * part.density_g_per_cm3 / density
    return Material(name, density, masses, f"mixed by volume: {parts}")
