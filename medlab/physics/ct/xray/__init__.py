"""X-rays: the spectrum of a tube, the attenuation of tissues and metals, Beer and Lambert's law, noise, CT numbers.

Import from here. Energies in keV, lengths in mm, attenuation in 1/cm, tube voltages in kV, CT numbers in HU.
"""

from medlab.physics.ct.xray.attenuation import (
    PROCESSES,
    attenuation_per_cm,
    energy_transfer,
    mass_attenuation,
    recoil_share,
)
from medlab.physics.ct.xray.beam import line_integral, path_integral, transmission
from medlab.physics.ct.xray.hounsfield import WINDOWS, ct_number, from_hu, to_hu
from medlab.physics.ct.xray.materials import MATERIALS, Material, at_body_temperature, find, with_iodine
from medlab.physics.ct.xray.noise import counted, line_integral_deviation, noise_excess
from medlab.physics.ct.xray.photons import LIGHT_M_PER_S, PLANCK_EV_S, photon_energy_kev, wavelength_nm
from medlab.physics.ct.xray.spectrum import (
    DETECTORS,
    Spectrum,
    effective_attenuation_per_cm,
    effective_energy_kev,
    half_value_layer_mm,
    monochromatic,
)
from medlab.physics.ct.xray.tube import K_EDGE_KEV, tube_spectrum

__all__ = [
    "DETECTORS",
    "K_EDGE_KEV",
    "LIGHT_M_PER_S",
    "MATERIALS",
    "PLANCK_EV_S",
    "PROCESSES",
    "WINDOWS",
    "Material",
    "Spectrum",
    "at_body_temperature",
    "attenuation_per_cm",
    "counted",
    "ct_number",
    "effective_attenuation_per_cm",
    "effective_energy_kev",
    "energy_transfer",
    "find",
    "from_hu",
    "half_value_layer_mm",
    "line_integral",
    "line_integral_deviation",
    "mass_attenuation",
    "monochromatic",
    "noise_excess",
    "path_integral",
    "photon_energy_kev",
    "recoil_share",
    "to_hu",
    "transmission",
    "tube_spectrum",
    "wavelength_nm",
    "with_iodine",
]
