"""Cohorts for translation: the same heads seen by two machines, aligned or not, and what one image tells of another."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace

import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number
from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import draw_plaques
from medlab.cohorts.scan import FLAIR, PROTON_DENSITY, T1, T2, ct_image, mr_image
from medlab.cohorts.subject import Subject, draw_person, draw_subject
from medlab.cohorts.texture import smooth_noise
from medlab.data.chance import generator_for
from medlab.data.samples import Sample

GRID = Grid.cube(128, 240.0)
LABEL_NAMES = {0: "background", 1: "white matter", 2: "plaque"}
LABELS = {1: ("white matter",), 2: ("plaque",)}
# Round values of healthy and of demyelinated tissue. MTR: magnetisation transfer ratio, FA: fractional anisotropy of
# diffusion, PET: uptake of a tracer that binds to myelin, relative to white matter.
_MYELIN = {
    "white matter": {"MTR": 0.42, "FA": 0.45, "PET": 1.0},
    "grey matter": {"MTR": 0.33, "FA": 0.15, "PET": 0.62},
    "deep grey matter": {"MTR": 0.35, "FA": 0.2, "PET": 0.7},
    "plaque": {"MTR": 0.26, "FA": 0.28, "PET": 0.55},
    "ventricular csf": {"MTR": 0.02, "FA": 0.05, "PET": 0.1},
    "outer csf": {"MTR": 0.02, "FA": 0.05, "PET": 0.1},
    "blood": {"MTR": 0.1, "FA": 0.1, "PET": 0.5},
}
PET_FWHM_MM = 5.0
FWHM = 2.3548  # of a Gaussian with standard deviation 1


class MrCtCohort(Cohort):
    """T1 and CT of the same heads. misalignment_mm: by how much, and by as many degrees, the CT's head lies elsewhere.

    Each shift and turn is drawn from a normal distribution of this standard deviation: what is left of a registration.
    facts: the shift in mm and the turn in degrees. For unpaired training, take the CTs of other subjects.
    """

    name = "MR-CT"
    channels = ("T1", "CT")

    def __init__(self, subjects: int = 24, grid: Grid = GRID, seed: int = 0, *, misalignment_mm: float = 0.0):
        super().__init__(subjects, grid, seed)
        self.misalignment_mm = number(misalignment_mm, "misalignment_mm", 0)

    def options(self) -> dict[str, object]:
        return {"misalignment_mm": self.misalignment_mm}

    def facts(self, index: int) -> Mapping[str, object]:
        generator = generator_for(self.subject_seed(index), "misalignment")
        drawn = (self.misalignment_mm * torch.randn(6, generator=generator)).tolist()
        return {"shift_mm": tuple(drawn[:3]), "turn_deg": tuple(drawn[3:])}

    def make(self, index: int) -> Sample:
        seed, facts = self.subject_seed(index), self.facts(index)
        person = draw_person(seed)
        at_mr = draw_subject(person, self.grid)
        at_ct = at_mr
        if self.misalignment_mm:
            moved = replace(
                person,
                shift_mm=_added(person.shift_mm, facts["shift_mm"]),
                angles_deg=_added(person.angles_deg, facts["turn_deg"]),
            )
            at_ct = draw_subject(moved, self.grid)
        image = torch.stack([mr_image(at_mr, T1, seed), ct_image(at_ct, seed, reconstructed=False)])
        return self.sample(index, image, mask=brain_mask(at_mr))


class PlaqueCohort(Cohort):
    """People with multiple sclerosis, seen in several images. Labels: 1 white matter, 2 plaque."""

    label_names = LABEL_NAMES

    def __init__(self, subjects: int = 24, grid: Grid = GRID, seed: int = 0):
        super().__init__(subjects, grid, seed)

    def facts(self, index: int) -> Mapping[str, object]:
        return {"disease": "multiple sclerosis"}

    @abstractmethod
    def scans(self, subject: Subject, seed: int) -> list[Tensor]:
        """An image (X, Y, Z) of the subject for each channel."""

    def make(self, index: int) -> Sample:
        seed = self.subject_seed(index)
        subject = draw_subject(draw_person(seed), self.grid, [draw_plaques(seed)])
        mask = brain_mask(subject)
        return self.sample(index, torch.stack(self.scans(subject, seed)) * mask, subject.labels(LABELS), mask)


class MrPetCohort(PlaqueCohort):
    """MTR- and FA-like maps and a PET of myelin, of people with multiple sclerosis.

    The tracer binds to myelin, so plaques and what is demyelinated take up less. The PET has a resolution of 5 mm and
    noise that grows with the root of the uptake.
    """

    name = "MR-PET"
    channels = ("MTR", "FA", "PET")

    def __init__(self, subjects: int = 28, grid: Grid = GRID, seed: int = 0):
        super().__init__(subjects, grid, seed)

    def scans(self, subject: Subject, seed: int) -> list[Tensor]:
        chance = generator_for(seed, "myelin maps")
        maps = []
        for name in self.channels:
            clean = sum(subject.share(tissue) * values[name] for tissue, values in _MYELIN.items())
            maps.append(_pet(clean, subject, chance) if name == "PET" else _noisy_map(clean, chance))
        return maps


class FlairCohort(PlaqueCohort):
    """T1, T2, PD and FLAIR of people with multiple sclerosis: can the FLAIR be told from the others?

    The labels are for the lesion contrast ratio.
    """

    name = "FLAIR"
    channels = ("T1", "T2", "PD", "FLAIR")

    def scans(self, subject: Subject, seed: int) -> list[Tensor]:
        return [mr_image(subject, sequence, seed) for sequence in (T1, T2, PROTON_DENSITY, FLAIR)]


def _noisy_map(clean: Tensor, generator: torch.Generator) -> Tensor:
    """A map from a fit: uneven by a few per cent, with noise, never below 0."""
    uneven = torch.exp(0.04 * smooth_noise(tuple(clean.shape), 2.0, generator))
    return (clean * uneven + 0.015 * torch.randn(clean.shape, generator=generator)).clamp(min=0)


def _pet(uptake: Tensor, subject: Subject, generator: torch.Generator) -> Tensor:
    """What a PET scanner shows of an uptake: blurred, with noise whose variance follows the counts."""
    sigma = [PET_FWHM_MM / FWHM / step for step in subject.grid.spacing_mm]
    seen = torch.from_numpy(ndimage.gaussian_filter(uptake.numpy(), sigma))
    noise = torch.from_numpy(ndimage.gaussian_filter(torch.randn(uptake.shape, generator=generator).numpy(), sigma))
    noise = 0.06 * noise / noise.std()
    return (seen + noise * seen.clamp(min=0).sqrt()).clamp(min=0)


def _added(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))
