"""Where decisions are made: the skull and the two halves of the brain, and what is true of each."""

from torch import Tensor

from medlab.data import Volume
from medlab.data.head_ct import head_structures
from medlab.data.samples import Sample


def seen(head: Sample, channel: str) -> Volume:
    """One channel of a prepared head as a volume: "HU" or "equalised"."""
    return head.image.with_data(head.channel(channel)[None])


def structures_of(head: Sample) -> dict[str, Tensor]:
    """The three structures that the thesis decides about: masks of "skull", "left hemisphere", "right hemisphere"."""
    return head_structures(seen(head, "HU"))


def truth_of(head: Sample) -> dict[str, bool]:
    """What is true of each structure: a fracture of the skull, a bleed of a hemisphere (thesis, chapter 6)."""
    facts = head.facts
    return {
        "skull": bool(facts["fracture"]),
        "left hemisphere": bool(facts["bleeding_left"]),
        "right hemisphere": bool(facts["bleeding_right"]),
    }
