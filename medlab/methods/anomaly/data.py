"""Which heads a method of anomaly detection learns from, is adjusted on, and is judged by."""

from collections.abc import Mapping

import torch

from medlab.arguments import whole
from medlab.data.chance import generator_for
from medlab.data.samples import Samples

# Thesis, chapter 6: 131 normal heads, 111 of them for training and 21 for the test, beside 65 anomalous ones.
TRAINED, TEST_NORMAL, TEST_ANOMALOUS = 111, 21, 65
FINDINGS = ("intracranial_haemorrhage", "fracture")


def is_normal(facts: Mapping[str, object]) -> bool:
    """Whether a scan has neither a bleed nor a fracture."""
    return not any(facts[name] for name in FINDINGS)


def split_heads(heads: Samples, seed: int = 0) -> dict[str, Samples]:
    """ "train": normal heads only; "validation": some normal and anomalous ones; "test": the paper's mixture.

    The test takes at most 21 normal and 65 anomalous heads, and of few heads a seventh of the normal ones and three
    quarters of the anomalous; of the other normal ones 111, or seven eighths, are for training; what is left
    is the validation, which the paper does not have. No subject is in two parts; each part is never empty of what it
    needs. Raises ValueError where there are fewer than 4 normal or 2 anomalous heads.
    """
    chance = generator_for(whole(seed, "seed", 0), "split heads")
    order = torch.randperm(len(heads), generator=chance).tolist()
    normal = [index for index in order if is_normal(heads.facts(index))]
    anomalous = [index for index in order if not is_normal(heads.facts(index))]
    if len(set(heads.subjects)) < len(heads):
        raise ValueError("heads have several scans of one subject, expected one each")
    if len(normal) < 4 or len(anomalous) < 2:
        found = f"{len(normal)} normal and {len(anomalous)} anomalous ones"
        raise ValueError(f"heads hold {found}, expected 4 and 2 or more")
    tested = min(TEST_NORMAL, max(1, len(normal) // 7))
    ill = min(TEST_ANOMALOUS, max(1, 3 * len(anomalous) // 4))
    trained = min(TRAINED, max(1, 7 * (len(normal) - tested) // 8))
    parts = {
        "train": normal[tested : tested + trained],
        "validation": normal[tested + trained :] + anomalous[ill:],
        "test": normal[:tested] + anomalous[:ill],
    }
    return {name: heads.choose(sorted(indices)) for name, indices in parts.items()}
