"""How strongly a material attenuates photons of one energy, by process.

The tables are those of Elam, Ravel and Sieber (Radiat. Phys. Chem. 63, 121, 2002), which the package xraydb carries.
A material is the sum of its elements, weighted by mass: bonds do not matter to photons above a few keV.
"""

from functools import lru_cache

import numpy as np
import torch
import xraydb
from torch import Tensor

from medlab.physics.ct.xray.arguments import as_energies
from medlab.physics.ct.xray.materials import Material, find

# Ours, and xraydb's names for them.
PROCESSES = {"total": "total", "photoelectric": "photo", "compton": "incoh", "rayleigh": "coh"}
ELECTRON_MASS_KEV = 510.99895


def attenuation_per_cm(material: str | Material, energies_kev: object, process: str = "total") -> Tensor:
    """The linear attenuation coefficient in 1/cm: float64 on the CPU, of the shape of the energies.

    energies_kev: 1 to 1,000 keV, a number, tensor or array. process: one of `PROCESSES`; "total" is the sum of the
    other three. No gradient flows to the energies.
    Raises ValueError for an unknown material or process and for energies outside the tables.
    """
    return find(material).density_g_per_cm3 * mass_attenuation(material, energies_kev, process)


def mass_attenuation(material: str | Material, energies_kev: object, process: str = "total") -> Tensor:
    """The mass attenuation coefficient in cm²/g; arguments as in `attenuation_per_cm`."""
    material, energies = find(material), as_energies(energies_kev)
    if process not in PROCESSES:
        raise ValueError(f"process is {process!r}, expected one of {', '.join(PROCESSES)}")
    total = torch.zeros_like(energies)
    wanted = energies.contiguous().numpy().tobytes()
    for symbol, share in material.mass_fractions.items():
        table = torch.from_numpy(_element(symbol, PROCESSES[process], wanted).copy())
        total = total + share * table.reshape(energies.shape)
    return total


@lru_cache(maxsize=512)
def _element(symbol: str, kind: str, energies: bytes) -> np.ndarray:
    """cm²/g of one element at these energies; the same spectrum is asked for again and again."""
    return np.asarray(xraydb.mu_elam(symbol, 1000 * np.frombuffer(energies), kind=kind), dtype=np.float64)


def energy_transfer(material: str | Material, energies_kev: object) -> Tensor:
    """The mass energy-transfer coefficient in cm²/g, which makes photons into kerma; for light materials.

    Photoelectric absorption hands over all of the energy and Compton scattering the recoil of the electron, on average
    over Klein and Nishina's angles. Fluorescence that escapes is left out: in air below 150 keV it does not count.
    """
    energies = as_energies(energies_kev)
    recoil = mass_attenuation(material, energies, "compton") * recoil_share(energies)
    return mass_attenuation(material, energies, "photoelectric") + recoil


def recoil_share(energies_kev: object) -> Tensor:
    """The mean share of its energy that a photon gives to the electron in Compton scattering, 0 to 1.

    Klein and Nishina (Z. Phys. 52, 853, 1929), integrated over the angle by Gauss and Legendre's rule.
    """
    energies = as_energies(energies_kev)
    nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(64))
    kept = 1 / (1 + energies[..., None] / ELECTRON_MASS_KEV * (1 - nodes))
    chance = weights * kept.square() * (kept + 1 / kept - 1 + nodes.square())
    return (chance * (1 - kept)).sum(-1) / chance.sum(-1)
