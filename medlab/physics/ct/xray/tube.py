"""What leaves an X-ray tube with a tungsten anode: bremsstrahlung, the K lines, and what a filter lets through.

Bremsstrahlung follows Tucker, Barnes and Chakraborty (Med. Phys. 18, 211, 1991): electrons slow down in the anode, and
at each energy T on their way down they radiate photons of energy E, which the tungsten above then weakens,

    N(E) ~ integral from E to E0 of  B(E / T) (T + mc²) / T  1 / E  1 / S(T)  exp(-mu(E) x(T) / sin angle)  dT,

with their polynomial B. Depth and stopping power are those of Thomson and Whiddington's law, T² = E0² - C rho x and
S = C / 2T (the paper takes its stopping power from tables; the law's one constant is chosen here). K lines
grow as (E0 / E_K - 1)^1.63 (Green and Cosslett, J. Phys. D 1, 425, 1968), with xraydb's energies and shares.
Not in it: electrons that leave the anode again, the extra path at other exit angles (the heel effect), L lines.
"""

from collections.abc import Mapping

import numpy as np
import torch
import xraydb
from torch import Tensor

from medlab.arguments import as_finite, as_positive_number
from medlab.physics.ct.xray.arguments import MIN_ENERGY_KEV
from medlab.physics.ct.xray.attenuation import ELECTRON_MASS_KEV, attenuation_per_cm
from medlab.physics.ct.xray.materials import MATERIALS
from medlab.physics.ct.xray.spectrum import Spectrum

MIN_KV, MAX_KV = 20.0, 150.0
K_EDGE_KEV = 69.525  # of tungsten
SLOWING_KEV2_CM2_PER_G = 6.0e5  # C of Thomson and Whiddington's law
POLYNOMIAL = (1.0, -5.049, 10.847, -10.516, 3.842)  # B of Tucker, Barnes and Chakraborty
# K photons for each unit of the integral above: gives the K lines the share that SpekPy has at 100 to 120 kV, 6 to 9 %.
K_YIELD = 2.1e-3
K_GROWTH = 1.63


def tube_spectrum(
    tube_voltage_kv: float,
    filtration_mm: float | Mapping[str, float] = 2.5,
    step_kev: float = 1.0,
    anode_angle_deg: float = 12.0,
) -> Spectrum:
    """The spectrum of a tungsten tube, photons by energy in bins of step_kev, sum 1.

    tube_voltage_kv: 20 to 150 kV; the spectrum ends at that many keV (Duane and Hunt). filtration_mm: millimetres of
    aluminium, or a thickness for each material by name. step_kev: above 0 and at most 5 keV. anode_angle_deg: between
    the anode's surface and the beam, above 0 and at most 90. A K line lies in the bin that holds its energy.
    Raises ValueError for values outside these ranges.
    """
    voltage = float(as_positive_number(tube_voltage_kv, "tube_voltage_kv", "kV"))
    if not MIN_KV <= voltage <= MAX_KV:
        raise ValueError(f"tube_voltage_kv is {voltage:g}, expected {MIN_KV:g} to {MAX_KV:g} kV")
    step = float(as_positive_number(step_kev, "step_kev", "keV"))
    if step > 5:
        raise ValueError(f"step_kev is {step:g}, expected at most 5 keV")
    angle = float(as_finite(anode_angle_deg, "anode_angle_deg"))
    if not 0 < angle <= 90:
        raise ValueError(f"anode_angle_deg is {angle:g}, expected more than 0 and at most 90 degrees")
    first = int(np.ceil(MIN_ENERGY_KEV / step - 0.5))
    energies = (torch.arange(first, int(np.ceil(voltage / step)), dtype=torch.float64) + 0.5) * step
    energies = energies[energies < voltage]
    photons = bremsstrahlung(energies, voltage, angle) * step
    for line, count in k_lines(voltage, angle):
        bin_ = int(line / step) - first
        if 0 <= bin_ < len(photons):
            photons[bin_] += count
    return Spectrum(energies, photons).filtered(filtration_mm)


def bremsstrahlung(energies_kev: Tensor, tube_voltage_kv: float, anode_angle_deg: float) -> Tensor:
    """Photons per keV that leave the anode, (E,), in the unit of the integral in this module's docstring."""
    nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(96))
    half = (tube_voltage_kv - energies_kev)[:, None] / 2
    electron = energies_kev[:, None] + half * (1 + nodes)  # T at the nodes, (E, 96)
    share = energies_kev[:, None] / electron
    emitted = sum(factor * share**power for power, factor in enumerate(POLYNOMIAL))
    emitted = emitted * (1 + ELECTRON_MASS_KEV / electron) / energies_kev[:, None]
    stopping = SLOWING_KEV2_CM2_PER_G / (2 * electron)
    escape = _escape(attenuation_per_cm("tungsten", energies_kev)[:, None], electron, tube_voltage_kv, anode_angle_deg)
    return (weights * half * emitted / stopping * escape).sum(-1)


def k_lines(tube_voltage_kv: float, anode_angle_deg: float = 12.0) -> list[tuple[float, float]]:
    """Energy in keV and number of each K line of tungsten, in the unit of `bremsstrahlung`; none below 69.5 kV.

    Atoms are ionised at all depths where an electron still has more than the energy of the K edge.
    """
    if tube_voltage_kv <= K_EDGE_KEV:
        return []
    total = K_YIELD * (tube_voltage_kv / K_EDGE_KEV - 1) ** K_GROWTH
    electron = torch.linspace(K_EDGE_KEV, tube_voltage_kv, 65, dtype=torch.float64)
    found = []
    for line in xraydb.xray_lines("W", "K").values():
        energy = line.energy / 1000
        mu = attenuation_per_cm("tungsten", energy)
        escape = float(_escape(mu, electron, tube_voltage_kv, anode_angle_deg).mean())
        found.append((energy, total * line.intensity * escape))
    return found


def _escape(mu_per_cm: Tensor, electron_kev: Tensor, tube_voltage_kv: float, anode_angle_deg: float) -> Tensor:
    """The share of photons that gets out of the anode from where electrons have slowed to this energy."""
    slowed = tube_voltage_kv**2 - electron_kev.square()
    depth_cm = slowed / (SLOWING_KEV2_CM2_PER_G * MATERIALS["tungsten"].density_g_per_cm3)
    return torch.exp(-mu_per_cm * depth_cm / float(np.sin(np.radians(anode_angle_deg))))
