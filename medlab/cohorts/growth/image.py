"""MR images of a neonate: an adult's physics (`cohorts.scan`), with times that change with age and place."""

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.growth.myelination import neonatal_values
from medlab.cohorts.growth.neonate import NeonatalSubject
from medlab.cohorts.scan import Sequence, received
from medlab.cohorts.tissues import BRAIN, TISSUES
from medlab.data.chance import generator_for

# As the developing Human Connectome Project scans at 3 T (Makropoulos et al., NeuroImage 173, 2018): turbo spin echo
# and inversion recovery, which are a plain spin echo and inversion recovery with the same times here.
NEONATAL_T2 = Sequence("T2", "spin echo", 12000.0, 156.0)
NEONATAL_T1 = Sequence("T1", "inversion recovery", 4795.0, 8.7, inversion_time_ms=1740.0)
LEVELS = 33  # of ripeness, at which signals are computed; between them they are interpolated
TEXTURE_MM = 2.0


def neonatal_mr_image(
    subject: NeonatalSubject,
    sequence: Sequence,
    seed: int,
    *,
    noise: float = 0.02,
    bias: float = 0.1,
    variation: float = 0.02,
    texture: float = 0.02,
) -> Tensor:
    """The magnitude image of a sequence at 3 T, (X, Y, Z) float32, in units in which 1 is all protons of water.

    seed: of this scan; together with the sequence's name it decides noise and coil. noise: standard deviation of the
    noise in each part, as a share of the signal of white matter without myelin. bias, variation, texture: as in
    `scan.mr_image`; what varies from person to person is the same for all scans of a neonate.
    """
    if not isinstance(subject, NeonatalSubject):
        raise ValueError(f"subject is {type(subject).__name__}, expected a NeonatalSubject")
    chance = generator_for(whole(seed, "seed", 0), f"scan {sequence.name}")
    person = generator_for(subject.neonate.seed, "neonatal tissue values")
    values = neonatal_values(subject.age_weeks + subject.neonate.ahead_weeks, torch.linspace(-1, 1, LEVELS))
    for key, value in values.items():
        values[key] = value * torch.exp(number(variation, "variation", 0) * torch.randn(len(TISSUES), generator=person))
    values["t2_star_ms"] = torch.minimum(values["t2_star_ms"], values["t2_ms"])
    signals = sequence.signals(values)  # (LEVELS, T)
    # Where between two levels each voxel lies.
    position = (subject.ripeness.clamp(-1, 1) + 1) * ((LEVELS - 1) / 2)
    level = position.long().clamp(max=LEVELS - 2)
    part = position - level
    image = torch.zeros(subject.grid.shape)
    for name, share in subject.shares.items():
        signal = signals[:, TISSUES.index(name)].contiguous()
        image += share * (torch.lerp(signal[level], signal[level + 1], part) if name in BRAIN else signal[LEVELS // 2])
    own = generator_for(subject.neonate.seed, "neonatal texture")
    sigma = number(noise, "noise", 0) * abs(float(signals[LEVELS // 2, TISSUES.index("white matter")]))
    strengths = {"texture": texture, "bias": bias, "sigma": sigma, "texture_mm": TEXTURE_MM}
    return received(image.abs(), subject.grid, own, chance, **strengths)
