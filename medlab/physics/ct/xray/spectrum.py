"""The spectrum of a beam: how many photons it has at each energy, and what a material does to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import as_not_negative, as_positive_number
from medlab.physics.ct.xray.arguments import as_energies
from medlab.physics.ct.xray.attenuation import attenuation_per_cm, energy_transfer
from medlab.physics.ct.xray.materials import Material, find

# What a detector reports of a photon: its energy, or that it came.
DETECTORS = ("integrating", "counting")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons by energy, normalised to a sum of 1.

    energies_kev: (E,), the centres of the bins, rising, from 1 to 1,000 keV. photons: (E,), the number in each bin,
    0 or more, in any unit; their sum is made 1. Both become float64 on the CPU.
    Raises ValueError for an empty spectrum, wrong shapes, NaN and negative numbers.
    """

    energies_kev: Tensor
    photons: Tensor

    def __post_init__(self) -> None:
        energies = as_energies(self.energies_kev)
        photons = as_not_negative(self.photons, "photons", "photons").detach().cpu().double()
        if energies.ndim != 1 or photons.shape != energies.shape:
            raise ValueError(
                f"spectrum has energies {tuple(energies.shape)} and photons {tuple(photons.shape)}, expected (E,) twice"
            )
        if bool((energies.diff() <= 0).any()):
            raise ValueError("energies_kev do not rise, expected each energy once and in order")
        if not float(photons.sum()) > 0:
            raise ValueError("spectrum is empty, expected at least one energy with photons")
        object.__setattr__(self, "energies_kev", energies)
        object.__setattr__(self, "photons", photons / photons.sum())

    def __repr__(self) -> str:
        low, high = float(self.energies_kev[0]), float(self.energies_kev[-1])
        return f"Spectrum({len(self.photons)} energies from {low:g} to {high:g} keV, mean {self.mean_energy_kev:.2f})"

    @property
    def mean_energy_kev(self) -> float:
        """The mean energy of a photon."""
        return float((self.photons * self.energies_kev).sum())

    def weights(self, detector: str = "integrating") -> Tensor:
        """The share of each energy in the detector's signal, (E,), sum 1.

        detector: "integrating" adds up energies, as scintillators do; "counting" adds up photons. Both are ideal:
        they stop every photon.
        """
        if detector not in DETECTORS:
            raise ValueError(f"detector is {detector!r}, expected one of {', '.join(DETECTORS)}")
        signal = self.photons * self.energies_kev if detector == "integrating" else self.photons
        return signal / signal.sum()

    def filtered(
        self, filtration_mm: float | Mapping[str, float], material: str | Material = "aluminium"
    ) -> "Spectrum":
        """The spectrum behind a filter, again with the sum 1.

        filtration_mm: the thickness of the material, or several by name, {"aluminium": 6.0, "copper": 0.2}; each 0 or
        more. Scattered photons are taken to miss the detector.
        """
        return Spectrum(self.energies_kev, self.photons * self.passed(filtration_mm, material))

    def passed(self, filtration_mm: float | Mapping[str, float], material: str | Material = "aluminium") -> Tensor:
        """The share of the photons that passes a filter, by energy, (E,); arguments as in `filtered`."""
        layers = filtration_mm if isinstance(filtration_mm, Mapping) else {material: filtration_mm}
        depth = torch.zeros_like(self.energies_kev)
        for layer, thickness in layers.items():
            length = as_not_negative(thickness, f"thickness of {find(layer).name}", "mm")
            depth = depth + attenuation_per_cm(layer, self.energies_kev) * float(length) / 10
        return torch.exp(-depth)


def monochromatic(energy_kev: float) -> Spectrum:
    """A beam of one energy."""
    return Spectrum(as_energies([energy_kev], "energy_kev"), torch.ones(1, dtype=torch.float64))


def effective_attenuation_per_cm(material: str | Material, spectrum: Spectrum, detector: str = "integrating") -> float:
    """The attenuation coefficient in 1/cm that a thin layer shows to a detector: the mean over the signal."""
    return float((spectrum.weights(detector) * attenuation_per_cm(material, spectrum.energies_kev)).sum())


def half_value_layer_mm(spectrum: Spectrum, material: str | Material = "aluminium") -> float:
    """The thickness in mm that halves the air kerma of a narrow beam, to 10^-6 mm.

    Kerma, the energy given to electrons of air, is what the ionisation chambers of the standard (IEC 60601) measure;
    a photon counts with its energy times the energy transfer of air.
    """
    kerma = spectrum.photons * spectrum.energies_kev * energy_transfer("air", spectrum.energies_kev)
    mu = attenuation_per_cm(material, spectrum.energies_kev)
    # The least attenuated energy bounds the layer from above; halving an interval cannot fail.
    low, high = 0.0, 10 * float(torch.log(torch.tensor(2.0)) / mu.min())
    while high - low > 1e-6:
        middle = (low + high) / 2
        left = float((kerma * torch.exp(-mu * middle / 10)).sum() / kerma.sum())
        low, high = (middle, high) if left > 0.5 else (low, middle)
    return (low + high) / 2


def effective_energy_kev(spectrum: Spectrum, material: str | Material = "aluminium") -> float:
    """The energy of the monochromatic beam with the same half-value layer, in keV.

    Searched from 1 keV to the end of the spectrum; the material may have no absorption edge there.
    """
    wanted = float(torch.log(torch.tensor(2.0))) * 10 / half_value_layer_mm(spectrum, material)
    low, high = 1.0, float(spectrum.energies_kev[-1]) + 1
    while high - low > 1e-5:
        middle = (low + high) / 2
        stronger = float(attenuation_per_cm(material, middle)) > wanted
        low, high = (middle, high) if stronger else (low, middle)
    return (low + high) / 2


def as_spectrum(value: object) -> Spectrum:
    """A spectrum, or the monochromatic one of a number in keV."""
    if isinstance(value, Spectrum):
        return value
    return monochromatic(as_positive_number(value, "spectrum", "keV"))
