"""A cohort in the format of BraTS: four sequences of skull-stripped heads with a glioma, and its three parts."""

from collections.abc import Mapping
from functools import cached_property

import torch

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import GLIOMA_LABELS, draw_glioma
from medlab.cohorts.scan import FLAIR, T1, T1_CONTRAST, T2, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data.chance import generator_for
from medlab.data.readers.brats import CHANNELS, LABEL_NAMES
from medlab.data.samples import Sample

GRID = Grid((240, 240, 155), (1.0, 1.0, 1.0))
HIGH_GRADE_SHARE = 293 / 369  # as in BraTS 2020


class BratsCohort(Cohort):
    """Stands in for BraTS 2020: channels T1, T1ce, T2, FLAIR; labels 1, 2 and 4; registered, skull-stripped, 1 mm.

    facts: grade ("HGG" or "LGG"), age_years. The real grid is 240 x 240 x 155 voxels of 1 mm.
    """

    name = "BraTS"
    channels = CHANNELS
    label_names = LABEL_NAMES

    def __init__(self, subjects: int = 369, grid: Grid = GRID, seed: int = 0):
        super().__init__(subjects, grid, seed)

    @cached_property
    def _drawn(self) -> list[Mapping[str, object]]:
        return [self._draw(index) for index in range(self.count)]

    def _draw(self, index: int) -> Mapping[str, object]:
        chance = torch.rand(2, generator=generator_for(self.subject_seed(index), "facts")).tolist()
        high = chance[0] < HIGH_GRADE_SHARE
        age = 40 + 40 * chance[1] if high else 25 + 35 * chance[1]
        return {"grade": "HGG" if high else "LGG", "age_years": round(age, 1)}

    def facts(self, index: int) -> Mapping[str, object]:
        return self._drawn[index]

    def make(self, index: int) -> Sample:
        seed, facts = self.subject_seed(index), self.facts(index)
        # BraTS is registered to an atlas: nobody is turned, shifted or of another size by much.
        person = draw_person(seed, facts["age_years"], angles_deg=(0.0, 0.0, 0.0), shift_mm=(0.0, 0.0, 0.0))
        glioma = draw_glioma(seed, grade="high" if facts["grade"] == "HGG" else "low")
        subject = draw_subject(person, self.grid, [glioma])
        mask = brain_mask(subject)
        image = torch.stack([mr_image(subject, sequence, seed) for sequence in (T1, T1_CONTRAST, T2, FLAIR)]) * mask
        return self.sample(index, image, subject.labels(GLIOMA_LABELS), mask)
