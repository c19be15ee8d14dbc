"""The scale of computed tomography: attenuation relative to water, named after Godfrey Hounsfield."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

from medlab.arguments import as_finite, as_positive_number
from medlab.physics.ct.xray.materials import Material
from medlab.physics.ct.xray.spectrum import Spectrum, as_spectrum, effective_attenuation_per_cm

# Centre and width in HU. Departments differ by some tens of HU; these are common choices.
WINDOWS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "brain": (40.0, 80.0),
        "stroke": (35.0, 40.0),
        "subdural": (75.0, 215.0),
        "soft tissue": (40.0, 400.0),
        "bone": (600.0, 2800.0),
        "full": (1000.0, 4000.0),
    }
)


def to_hu(attenuation_per_cm: Tensor | float, water_per_cm: float) -> Tensor:
    """1000 (mu - mu_w) / mu_w (thesis eq. 3.7): water is 0 HU, nothing at all is -1000 HU; any shape.

    water_per_cm: the coefficient of water in the same beam, above 0.
    """
    water = as_positive_number(water_per_cm, "water_per_cm", "1/cm")
    return 1000 * (as_finite(attenuation_per_cm, "attenuation_per_cm") - water) / water


def from_hu(hounsfield: Tensor | float, water_per_cm: float) -> Tensor:
    """The attenuation coefficient in 1/cm of a CT number, the inverse of `to_hu`."""
    water = as_positive_number(water_per_cm, "water_per_cm", "1/cm")
    return water * (1 + as_finite(hounsfield, "hounsfield") / 1000)


def ct_number(material: str | Material, spectrum: Spectrum | float, detector: str = "integrating") -> float:
    """The CT number in HU that a small piece of a material has in a beam.

    spectrum: that which arrives at the piece, so with the patient around it as a filter
    (`spectrum.filtered(160.0, "water")` for the middle of a head), or one energy in keV.
    """
    beam = as_spectrum(spectrum)
    own, water = (effective_attenuation_per_cm(which, beam, detector) for which in (material, "water"))
    return 1000 * (own - water) / water
