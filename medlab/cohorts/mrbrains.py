"""A cohort in the format of MRBrainS 2018: thick slices of older people, three sequences, four labels."""

from collections.abc import Mapping

import torch

from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import draw_plaques
from medlab.cohorts.scan import FLAIR, T1, T1_INVERSION, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.cohorts.tissues import FLUID
from medlab.data.chance import generator_for
from medlab.data.readers.mrbrains import LABEL_NAMES
from medlab.data.samples import Sample

GRID = Grid((240, 240, 48), (0.958, 0.958, 3.0))
LABELS = {1: FLUID, 2: ("grey matter", "deep grey matter"), 3: ("white matter", "plaque")}
MOST_LESIONS = 12  # white matter lesions of age, at 80 years


class MrbrainsCohort(Cohort):
    """Stands in for MRBrainS 2018: T1, T1-IR and FLAIR at 3 T, 0.958 x 0.958 x 3 mm, with a bias field.

    Labels: 1 fluid, 2 grey matter, 3 white matter with its lesions. facts: age_years (50 to 80).
    """

    name = "MRBrainS"
    channels = ("T1", "T1-IR", "FLAIR")
    label_names = LABEL_NAMES

    def __init__(self, subjects: int = 7, grid: Grid = GRID, seed: int = 0):
        super().__init__(subjects, grid, seed)

    def facts(self, index: int) -> Mapping[str, object]:
        chance = torch.rand(1, generator=generator_for(self.subject_seed(index), "facts"))
        return {"age_years": round(50 + 30 * float(chance), 1)}

    def make(self, index: int) -> Sample:
        seed, age = self.subject_seed(index), float(self.facts(index)["age_years"])
        lesions = [draw_plaques(seed, count=max(1, round(MOST_LESIONS * (age - 45) / 35)))]
        subject = draw_subject(draw_person(seed, age), self.grid, lesions)
        scans = [mr_image(subject, sequence, seed, bias=0.3) for sequence in (T1, T1_INVERSION, FLAIR)]
        return self.sample(index, torch.stack(scans), subject.labels(LABELS))
