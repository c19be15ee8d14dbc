"""A cohort in the format of iSEG 2017: six months old, when white and grey matter look alike."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import T1, T2, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.cohorts.tissues import FLUID, index, magnetic
from medlab.data.readers.iseg import CHANNELS, LABEL_NAMES
from medlab.data.samples import Sample

GRID = Grid((144, 192, 256), (1.0, 1.0, 1.0))
LABELS = {1: FLUID, 2: ("grey matter", "deep grey matter"), 3: ("white matter",)}
SCALE = 0.86  # edge of a brain at six months over that of an adult: about two thirds of its volume
# In the middle of myelination the times of white and grey matter meet; round numbers at 3 T: T1, T2 in ms, density.
ISOINTENSE = {
    "white matter": (1480.0, 112.0, 0.855),
    "grey matter": (1560.0, 116.0, 0.865),
    "deep grey matter": (1440.0, 100.0, 0.855),
}


def isointense_values() -> dict[str, torch.Tensor]:
    """`tissues.magnetic` at 3 T with white and grey matter as they are at six months."""
    values = {key: value.clone() for key, value in magnetic(3.0).items()}
    for name, (t1, t2, density) in ISOINTENSE.items():
        at = index(name)
        values["t1_ms"][at], values["t2_ms"][at], values["proton_density"][at] = t1, t2, density
        values["t2_star_ms"][at] = 0.7 * t2
    return values


class IsegCohort(Cohort):
    """Stands in for iSEG 2017: T1 and T2 of infants at six months, skull-stripped, 1 mm.

    Labels: 1 fluid, 2 grey matter, 3 white matter. The brain's shape is a small adult's, which is wrong in detail: an
    infant's is rounder. What is right is the task: borders that the contrast hardly shows.
    """

    name = "iSEG"
    channels = CHANNELS
    label_names = LABEL_NAMES

    def __init__(self, subjects: int = 10, grid: Grid = GRID, seed: int = 0):
        super().__init__(subjects, grid, seed)

    def facts(self, index: int) -> Mapping[str, object]:
        return {"age_months": 6.0}

    def make(self, index: int) -> Sample:
        seed = self.subject_seed(index)
        person = draw_person(seed, 20.0)
        person = replace(person, scale=tuple(SCALE * one for one in person.scale))
        subject = draw_subject(person, self.grid)
        mask = brain_mask(subject)
        scans = [mr_image(subject, one, seed, values=isointense_values(), variation=0.02) for one in (T1, T2)]
        return self.sample(index, torch.stack(scans) * mask, subject.labels(LABELS) * mask, mask)
