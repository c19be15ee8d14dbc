"""At which ages neonates are scanned: most once, near term; a few early, and again at term."""

import torch

from medlab.arguments import number, whole
from medlab.data.chance import generator_for

FIRST_WEEKS, LAST_WEEKS = 26.0, 45.0
# Of those scanned once, round, made so that the median of all scans is near dHCP's 40.6 weeks: the share of preterm
# scans, their range; the middle of the others, and their standard deviation.
PRETERM, PRETERM_WEEKS, TERM_WEEKS, TERM_SPREAD = 0.17, (26.0, 37.5), 41.1, 1.5
# Of those scanned again: the first scan, and the last; a third scan lies between. Which share of them has three.
EARLY_WEEKS, AGAIN_WEEKS, THREE = (26.0, 36.5), (38.5, 44.5), 0.15


def scan_ages(seed: int, subjects: int, share_repeated: float = 0.1) -> list[tuple[int, tuple[float, ...]]]:
    """(subject, ages): the postmenstrual ages in weeks, rising, at which each subject from 0 on is scanned.

    share_repeated: the chance of two or three scans, preterm and then near term, as in dHCP. A subject's ages depend on
    the seed and its own number only, so more subjects change nothing about the first ones.
    """
    whole(seed, "seed", 0)
    share = number(share_repeated, "share_repeated", 0, 1)
    return [(index, _ages(seed, index, share)) for index in range(whole(subjects, "subjects", 0))]


def _ages(seed: int, index: int, share_repeated: float) -> tuple[float, ...]:
    chance = generator_for(seed, f"ages of {index}")
    kind, first, between, last, how_many = torch.rand(5, generator=chance).tolist()
    term = TERM_WEEKS + TERM_SPREAD * float(torch.randn((), generator=chance))
    if kind < share_repeated:
        # Few are scanned in the very first weeks: the square root moves first scans towards the later end.
        early, late = _between(EARLY_WEEKS, first**0.5), _between(AGAIN_WEEKS, last)
        middle = [_between((early + 1.0, late - 1.0), between)] if how_many < THREE else []
        ages = [early, *middle, late]
    elif (kind - share_repeated) / (1 - share_repeated) < PRETERM:
        ages = [_between(PRETERM_WEEKS, first**0.5)]
    else:
        ages = [min(max(term, 37.5), LAST_WEEKS)]
    # dHCP gives ages by the day.
    return tuple(round(round(7 * age) / 7, 2) for age in ages)


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + share * (span[1] - span[0])
