"""A cohort in the format of dHCP: neonates of 26 to 45 weeks, T2-weighted, some of them scanned more than once."""

from collections.abc import Mapping
from functools import cached_property

import torch

from medlab.arguments import number
from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.growth import (
    FIELD_OF_VIEW_MM,
    NEONATAL_T2,
    draw_neonatal_subject,
    draw_neonate,
    head_circumference_cm,
    neonatal_mr_image,
    scan_ages,
)
from medlab.data.chance import generator_for
from medlab.data.samples import Sample

GRID = Grid.cube(256, FIELD_OF_VIEW_MM)


class DhcpCohort(Cohort):
    """Stands in for dHCP's third release: whole neonatal heads in T2, with the brain mask.

    A sample is a scan; subjects counts people, of whom a share of `repeated` is scanned two or three times. facts:
    age_weeks (postmenstrual, at the scan), birth_age_weeks, sex, head_circumference_cm (the truth of this head).
    """

    name = "dHCP"
    channels = ("T2",)

    def __init__(self, subjects: int = 329, grid: Grid = GRID, seed: int = 0, *, repeated: float = 0.1):
        super().__init__(subjects, grid, seed)
        self.repeated = number(repeated, "repeated", 0, 1)

    def options(self) -> dict[str, object]:
        return {"repeated": self.repeated}

    @cached_property
    def _scans(self) -> list[tuple[int, int, float]]:
        """For each sample: the number of its subject, which scan it is, and the age in weeks."""
        return [
            (person, scan, age)
            for person, ages in scan_ages(self.seed, self.count, self.repeated)
            for scan, age in enumerate(ages)
        ]

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self.subject_name(person) for person, _, _ in self._scans)

    def session(self, index: int) -> str:
        return str(self._scans[index][1] + 1)

    def facts(self, index: int) -> Mapping[str, object]:
        person, _, age = self._scans[index]
        seed = self.subject_seed(person)
        sex, before = torch.rand(2, generator=generator_for(seed, "facts")).tolist()
        first = next(weeks for other, scan, weeks in self._scans if other == person and scan == 0)
        return {
            "age_weeks": age,
            "birth_age_weeks": round(max(first - 3 * before, 23.0), 2),
            "sex": "female" if sex < 0.46 else "male",
            "head_circumference_cm": round(head_circumference_cm(age, draw_neonate(seed).centile_z), 2),
        }

    def make(self, index: int) -> Sample:
        person, scan, age = self._scans[index]
        seed = self.subject_seed(person)
        subject = draw_neonatal_subject(draw_neonate(seed), age, self.grid)
        image = neonatal_mr_image(subject, NEONATAL_T2, seed + scan)
        return self.sample(index, image[None], mask=brain_mask(subject))
