"""A cohort in the format of CQ500: CT of heads, some with a bleed or a fracture, and what three raters would find."""

from collections.abc import Mapping

import torch

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import Fracture, Lesion, cq500_findings, draw_fracture, draw_haemorrhage
from medlab.cohorts.scan import ct_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data.chance import generator_for
from medlab.data.readers.cq500 import FINDINGS
from medlab.data.samples import Sample

GRID = Grid.cube(256, 256.0)
LABEL_NAMES = {0: "background", 1: "clot", 2: "fracture"}
NORMAL_SHARE = 132 / 197  # 111 + 21 normal scans and 65 anomalous ones in the thesis


class Cq500Cohort(Cohort):
    """Stands in for CQ500: one CT a patient in HU, whole heads, with the true place of every bleed and fracture.

    facts: the findings of CQ500's table, named as its reader names them, and age_years. anomalous: the
    share of patients with findings. reconstructed: by sinograms and filtered back-projection; see `scan.ct_image`.
    """

    name = "CQ500"
    channels = ("CT",)
    label_names = LABEL_NAMES

    def __init__(
        self,
        subjects: int = 491,
        grid: Grid = GRID,
        seed: int = 0,
        *,
        anomalous: float = 1 - NORMAL_SHARE,
        reconstructed: bool = True,
    ):
        if not 0 <= anomalous <= 1:
            raise ValueError(f"anomalous is {anomalous}, expected a share from 0 to 1")
        super().__init__(subjects, grid, seed)
        self.anomalous, self.reconstructed = anomalous, reconstructed
        self._cases: dict[int, tuple[list[Lesion], float]] = {}

    def options(self) -> dict[str, object]:
        return {"anomalous": self.anomalous, "reconstructed": self.reconstructed}

    def _case(self, index: int) -> tuple[list[Lesion], float]:
        """What a patient has, drawn once: some lesions have to be tried until they fit."""
        if index not in self._cases:
            self._cases[index] = self._draw(index)
        return self._cases[index]

    def _draw(self, index: int) -> tuple[list[Lesion], float]:
        seed = self.subject_seed(index)
        ill, both, bleed, age = torch.rand(4, generator=generator_for(seed, "facts")).tolist()
        lesions: list[Lesion] = []
        if ill < self.anomalous:
            # An injury breaks bone and tears vessels below it; a bleed alone is more frequent than a fracture alone.
            if bleed < 0.75 or both < 0.3:
                lesions.append(draw_haemorrhage(seed))
            if bleed >= 0.75 or both < 0.3:
                lesions.append(draw_fracture(seed))
        return lesions, round(18 + 72 * age, 1)

    def facts(self, index: int) -> Mapping[str, object]:
        lesions, age = self._case(index)
        found = cq500_findings(lesions)
        return {**{FINDINGS[column]: value for column, value in found.items()}, "age_years": age}

    def make(self, index: int) -> Sample:
        seed, (lesions, age) = self.subject_seed(index), self._case(index)
        subject = draw_subject(draw_person(seed, age), self.grid, lesions)
        image = ct_image(subject, seed, reconstructed=self.reconstructed)
        label = torch.zeros(self.grid.shape, dtype=torch.uint8)
        for lesion in lesions:
            if isinstance(lesion, Fracture):
                label[lesion.mask(subject.deformation.to_template(self.grid.points()))] = 2
        label[subject.share("clot") > 0.5] = 1
        return self.sample(index, image[None], label, brain_mask(subject))
