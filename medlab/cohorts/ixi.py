"""A cohort in the format of IXI: healthy people of all ages, whole heads, three hospitals."""

from collections.abc import Mapping
from functools import cached_property

import torch

from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import PROTON_DENSITY, T1, T2, Sequence, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data.chance import generator_for
from medlab.data.samples import Sample

GRID = Grid((150, 256, 256), (1.2, 0.9375, 0.9375))
# Guy's Hospital (Philips, 1.5 T), Hammersmith Hospital (Philips, 3 T), Institute of Psychiatry (GE, 1.5 T).
SITES = {"Guys": (1.5, 322), "HH": (3.0, 185), "IOP": (1.5, 74)}  # field in T, scans: round numbers of the release
SEQUENCES: dict[str, Sequence] = {"T1": T1, "T2": T2, "PD": PROTON_DENSITY}
FEMALE_SCALE, MALE_SCALE = 0.985, 1.02  # heads of men are larger by about a tenth in volume


class IxiCohort(Cohort):
    """Stands in for IXI: T1 (or T1, T2, PD) of 20 to 86 years, not skull-stripped. facts: age_years, sex, site."""

    name = "IXI"

    def __init__(self, subjects: int = 581, grid: Grid = GRID, seed: int = 0, channels: tuple[str, ...] = ("T1",)):
        unknown = sorted(set(channels) - set(SEQUENCES))
        if unknown or not channels:
            raise ValueError(f"channels are {channels!r}, expected some of {', '.join(SEQUENCES)}")
        super().__init__(subjects, grid, seed)
        self.channels = tuple(channels)

    def options(self) -> dict[str, object]:
        return {"channels": list(self.channels)}

    @cached_property
    def _drawn(self) -> list[Mapping[str, object]]:
        return [self._draw(index) for index in range(self.count)]

    def _draw(self, index: int) -> Mapping[str, object]:
        age, sex, site = torch.rand(3, generator=generator_for(self.subject_seed(index), "facts")).tolist()
        edges = torch.tensor([scans for _, scans in SITES.values()]).cumsum(0)
        where = int((site * int(edges[-1]) >= edges).sum())
        return {
            "age_years": round(20 + 66 * age, 2),
            "sex": "female" if sex < 0.55 else "male",
            "site": list(SITES)[min(where, 2)],
        }

    def facts(self, index: int) -> Mapping[str, object]:
        return self._drawn[index]

    def make(self, index: int) -> Sample:
        seed, facts = self.subject_seed(index), self.facts(index)
        person = draw_person(seed, facts["age_years"])
        size = FEMALE_SCALE if facts["sex"] == "female" else MALE_SCALE
        person = draw_person(seed, facts["age_years"], scale=tuple(size * one for one in person.scale))
        subject = draw_subject(person, self.grid)
        field_t = SITES[facts["site"]][0]
        # At half the field the same scan has half the signal, so twice the noise (`physics.mri.snr`).
        noise = 0.02 * 3.0 / field_t
        scans = [
            mr_image(subject, SEQUENCES[name], seed, field_t=field_t, noise=noise, bias=0.1 * field_t)
            for name in self.channels
        ]
        return self.sample(index, torch.stack(scans))
