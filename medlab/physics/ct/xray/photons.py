"""A photon's energy, frequency and wavelength. Constants are exact by the definition of the SI since 2019."""

from medlab.arguments import as_positive_number

PLANCK_EV_S = 6.62607015e-34 / 1.602176634e-19
LIGHT_M_PER_S = 299792458.0


def photon_energy_kev(frequency_hz: float) -> float:
    """E = h nu in keV (Planck and Einstein; thesis eq. 3.5)."""
    return PLANCK_EV_S * as_positive_number(frequency_hz, "frequency_hz", "Hz") / 1000


def wavelength_nm(energy_kev: float) -> float:
    """The wavelength h c / E in nm of a photon of this energy."""
    return 1e9 * PLANCK_EV_S * LIGHT_M_PER_S / (1000 * as_positive_number(energy_kev, "energy_kev", "keV"))
