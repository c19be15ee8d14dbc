"""Where decisions are made: the skull and the two halves of the brain, and what is true of each."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from medlab.cohorts.store import cache_folder, code_digest, content_key, load_or_make
from medlab.data import Volume
from medlab.data.head_ct import head_structures
from medlab.data.samples import Sample


def seen(head: Sample, channel: str) -> Volume:
    """One channel of a prepared head as a volume: "HU" or "equalised"."""
    return head.image.with_data(head.channel(channel)[None])


def structures_of(head: Sample) -> dict[str, Tensor]:
    """The three structures that the thesis decides about: masks of "skull", "left hemisphere", "right hemisphere".

    Found once for the same voxels (`head_structures`), then kept on disk: many methods are judged by them.
    """
    ct = seen(head, "HU")
    voxels = hashlib.blake2b(ct.data.contiguous().numpy().tobytes(), digest_size=16).hexdigest()
    key = content_key({"voxels": voxels, "affine": ct.affine.tolist(), "code": code_digest("medlab.data.head_ct")})

    def make() -> dict[str, np.ndarray]:
        return {name: mask.numpy() for name, mask in head_structures(ct).items()}

    return {
        name: torch.from_numpy(mask) for name, mask in load_or_make(cache_folder() / "structures", key, make).items()
    }


def truth_of(head: Sample) -> dict[str, bool]:
    """What is true of each structure: a fracture of the skull, a bleed of a hemisphere (thesis, chapter 6)."""
    facts = head.facts
    return {
        "skull": bool(facts["fracture"]),
        "left hemisphere": bool(facts["bleeding_left"]),
        "right hemisphere": bool(facts["bleeding_right"]),
    }
