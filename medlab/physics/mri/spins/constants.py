"""The numbers of nature that a proton brings, and what follows from them at once: frequency and polarisation.

Values: CODATA 2022 recommended values of the fundamental physical constants. The proton is the free one; in water
the electrons shield it by 26 parts per million, which no lesson here resolves.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins.arguments import Real

GAMMA_RAD_PER_S_T = 267_522_187.08
GAMMA_MHZ_PER_T = 42.577_478_461
PLANCK_J_S = 6.626_070_15e-34
HBAR_J_S = PLANCK_J_S / (2 * math.pi)
BOLTZMANN_J_PER_K = 1.380_649e-23

# gamma hbar / 2 k_B in K/T, formed here in float64: hbar itself is smaller than the smallest float32.
_KELVIN_PER_TESLA = GAMMA_RAD_PER_S_T * HBAR_J_S / (2 * BOLTZMANN_J_PER_K)


def larmor_frequency_mhz(field_t: Real) -> Real:
    """The frequency at which protons precess, gamma B0 / 2 pi in MHz (thesis eq. 3.2, there as angular frequency).

    field_t: B0 in tesla, a number or a tensor; the result is of the same kind and shape.
    """
    as_finite(field_t, "field_t")
    return GAMMA_MHZ_PER_T * field_t


def polarisation(field_t: Real, temperature_k: Real) -> Real:
    """The excess of one spin direction, (N_up - N_down) / (N_up + N_down), for spin 1/2 in thermal equilibrium.

    The two Zeeman levels lie gamma hbar B0 apart; Boltzmann's distribution over them gives exactly
    tanh(gamma hbar B0 / 2 k_B T). field_t: B0 in tesla; temperature_k: above 0 K. Numbers give a number, tensors
    a tensor; values in (-1, 1). Raises ValueError for a temperature that is not above 0.
    """
    ratio = polarisation_small_field(field_t, temperature_k)
    return torch.tanh(ratio) if isinstance(ratio, Tensor) else math.tanh(ratio)


def polarisation_small_field(field_t: Real, temperature_k: Real) -> Real:
    """The limit of `polarisation` for gamma hbar B0 << k_B T: gamma hbar B0 / 2 k_B T (thesis eq. 3.1).

    Deviation from the source: eq. 3.1 prints gamma hbar B0 / 4 pi k_B T, which is 2 pi too small. With h in place of
    hbar (the text below the equation names h) it is the formula here, and gives the 10^-5 of the thesis's example.
    Same arguments as `polarisation`.
    """
    as_finite(field_t, "field_t")
    if bool((as_finite(temperature_k, "temperature_k") <= 0).any()):
        raise ValueError(f"temperature_k is {temperature_k}, expected a temperature above 0 K")
    return _KELVIN_PER_TESLA * field_t / temperature_k
