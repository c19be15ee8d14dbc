"""Training, validation and test: samples are divided by subject, so that nobody is in two parts.

Subjects are put in an order by a hash of seed and name, so a subject keeps its place when others join.
"""

import hashlib
import math
from collections.abc import Mapping

from medlab.arguments import number, whole
from medlab.data.samples import Samples, Subset

FRACTIONS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
BINS = 4  # of a number: quartiles


def split_by_subject(
    samples: Samples, fractions: Mapping[str, float] = FRACTIONS, seed: int = 0, stratify: str | None = None
) -> dict[str, Subset]:
    """The samples in parts of these names; all samples of a subject are in one part, in the order of the dataset.

    fractions: the share of the subjects (not of the samples) for each part; they add up to 1. Sizes are rounded by the
    largest remainder; no part stays empty. stratify: the name of a fact of which each part gets its share: a number of
    more than 4 different values in quartiles, anything else by equality; subjects without the fact make a stratum of
    their own. Of a subject with several samples the first one's counts.

    The same samples and seed give the same parts, on every machine. Where a subject is added or left out, at most three
    others move for each border between two parts (with quartiles, some more).
    Raises ValueError for fractions that do not add up to 1, for fewer subjects than parts and for a fact that no sample
    has.
    """
    for name, fraction in fractions.items():
        number(fraction, f"fractions[{name!r}]", 0, 1, above=True)
    if not fractions or abs(math.fsum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"fractions are {dict(fractions)}, expected numbers that add up to 1")
    parts = _parts(samples, list(fractions.values()), whole(seed, "seed", 0), stratify)
    return {name: Subset(samples, indices) for name, indices in zip(fractions, parts, strict=True)}


def folds_by_subject(
    samples: Samples, k: int = 5, seed: int = 0, stratify: str | None = None
) -> list[dict[str, Subset]]:
    """k divisions into "train" and "validation": every subject is in the validation part of exactly one.

    Arguments and errors as `split_by_subject`; k: at least 2.
    """
    parts = _parts(samples, [1 / whole(k, "k", 2)] * k, whole(seed, "seed", 0), stratify)
    folds = []
    for held_out in parts:
        rest = sorted(index for part in parts if part is not held_out for index in part)
        folds.append({"train": Subset(samples, rest), "validation": Subset(samples, held_out)})
    return folds


def largest_remainder(total: int, fractions: list[float]) -> list[int]:
    """Whole numbers that add up to total, in these proportions, each at least 1.

    What is left after rounding down goes to the largest remainders, the earlier part first where they are equal.
    """
    shares = [total * fraction for fraction in fractions]
    sizes = [math.floor(share + 1e-9) for share in shares]
    ranked = sorted(range(len(shares)), key=lambda part: (round(sizes[part] - shares[part], 9), part))
    for part in ranked[: total - sum(sizes)]:
        sizes[part] += 1
    while 0 in sizes:
        sizes[sizes.index(max(sizes))] -= 1
        sizes[sizes.index(0)] += 1
    return sizes


def _parts(samples: Samples, fractions: list[float], seed: int, stratify: str | None) -> list[list[int]]:
    """The indices of the samples of each part."""
    owners = samples.subjects
    names = sorted(set(owners))
    if len(names) < len(fractions):
        raise ValueError(
            f"{samples.name}: there are {len(names)} subjects, expected at least {len(fractions)}, one a part"
        )
    strata = {name: "" for name in names} if stratify is None else _strata(samples, stratify)
    # Each subject gets a place from 0 to 1, and those of a stratum stand evenly between: wherever the row of all
    # subjects is cut, every stratum is cut at the same share. A stratum begins at a place of its own, lest small strata
    # all lose their last subject to the same part.
    places = {}
    for stratum in sorted(set(strata.values())):
        members = sorted((_hashed(seed, "subject", name), name) for name in names if strata[name] == stratum)
        shift = _hashed(seed, "stratum", stratum)
        places |= {name: (rank + shift) / len(members) for rank, (_, name) in enumerate(members)}
    row = sorted(names, key=lambda name: (places[name], _hashed(seed, "subject", name)))
    part_of, first = {}, 0
    for part, size in enumerate(largest_remainder(len(names), fractions)):
        part_of |= dict.fromkeys(row[first : first + size], part)
        first += size
    parts: list[list[int]] = [[] for _ in fractions]
    for index, owner in enumerate(owners):
        parts[part_of[owner]].append(index)
    return parts


def _strata(samples: Samples, fact: str) -> dict[str, str]:
    """The stratum of each subject."""
    values, known = {}, set()
    for index, owner in enumerate(samples.subjects):
        if owner not in values:
            facts = samples.facts(index)
            known |= set(facts)
            values[owner] = facts.get(fact)
    present = {owner: value for owner, value in values.items() if not _missing(value)}
    if not present:
        expected = f"one of {', '.join(sorted(known))}" if known else "samples that have facts"
        raise ValueError(f"{samples.name}: no sample has the fact {fact!r}, expected {expected}")
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in present.values())
    if not numeric or len(set(present.values())) <= BINS:
        return {owner: repr(present.get(owner)) for owner in values}
    ordered = sorted(present.values())
    edges = [ordered[len(ordered) * step // BINS] for step in range(1, BINS)]
    return {owner: str(sum(present[owner] >= edge for edge in edges)) if owner in present else "" for owner in values}


def _missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _hashed(seed: int, kind: str, name: str) -> float:
    """A number from 0 to 1 that belongs to a seed and a name, the same on every machine."""
    digest = hashlib.sha256(f"{seed}\n{kind}\n{name}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
