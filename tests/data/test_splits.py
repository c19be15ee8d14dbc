"""Splits: nobody in two parts, everybody in one, each part with its share of every stratum, few who move."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.data.samples import Samples, Subset
from medlab.data.splits import folds_by_subject, largest_remainder, split_by_subject

PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}


class Known(Samples):
    """A dataset of which only subjects and facts are known: a split must not read an image."""

    name = "known"

    def __init__(self, owners, facts=None):
        self.owners, self.known = tuple(owners), facts or {}

    @property
    def subjects(self):
        return self.owners

    def facts(self, index):
        return self.known.get(self.owners[index], {})

    def load(self, index):
        raise AssertionError("an image was read")


def people(count, prefix="sub"):
    return [f"{prefix}-{index:03d}" for index in range(count)]


def part_of(parts):
    return {subject: name for name, subset in parts.items() for subject in subset.subjects}


datasets = st.lists(st.integers(1, 3), min_size=3, max_size=60).map(
    lambda scans: [f"s{index}" for index, count in enumerate(scans) for _ in range(count)]
)
fractions = st.sampled_from([PARTS, {"a": 0.5, "b": 0.5}, {"a": 0.7, "b": 0.2, "c": 0.1}, {"all": 1.0}])


@settings(max_examples=80, deadline=None)
@given(datasets, fractions, st.integers(0, 5), st.sampled_from([None, "sex", "age"]), st.randoms())
def test_nobody_is_in_two_parts_and_everybody_in_one(owners, wanted, seed, stratify, chance):
    chance.shuffle(owners)
    facts = {owner: {"sex": chance.choice("fm"), "age": chance.uniform(20, 80)} for owner in owners}
    samples = Known(owners, facts)
    parts = split_by_subject(samples, wanted, seed, stratify)
    assert list(parts) == list(wanted) and all(isinstance(part, Subset) for part in parts.values())
    indices = [index for part in parts.values() for index in part.indices]
    assert sorted(indices) == list(range(len(owners)))
    inside = [set(part.subjects) for part in parts.values()]
    assert sum(map(len, inside)) == len(set(owners)), "a subject is in two parts"
    assert [len(subjects) for subjects in inside] == largest_remainder(len(set(owners)), list(wanted.values()))
    assert all(list(part.indices) == sorted(part.indices) for part in parts.values())


@settings(max_examples=40, deadline=None)
@given(datasets, st.integers(2, 3), st.integers(0, 5), st.sampled_from([None, "sex"]))
def test_every_subject_is_held_out_once(owners, k, seed, stratify):
    samples = Known(owners, {owner: {"sex": "fm"[len(owner) % 2]} for owner in owners})
    folds = folds_by_subject(samples, k, seed, stratify)
    assert len(folds) == k
    held_out = Counter(subject for fold in folds for subject in set(fold["validation"].subjects))
    assert held_out == Counter(set(owners))
    sizes = [len(set(fold["validation"].subjects)) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert not set(fold["train"].subjects) & set(fold["validation"].subjects)
        assert len(fold["train"]) + len(fold["validation"]) == len(owners)


def test_same_seed_same_split_whatever_the_order_of_the_samples():
    owners = people(50)
    one = part_of(split_by_subject(Known(owners), PARTS, 3))
    assert one == part_of(split_by_subject(Known(owners), PARTS, 3))
    assert one == part_of(split_by_subject(Known(owners[::-1]), PARTS, 3))
    assert one != part_of(split_by_subject(Known(owners), PARTS, 4))


def test_the_same_split_on_every_machine_and_in_every_version():
    """Who is in the test part of a published result must not change; Python's own hash differs between processes."""
    parts = split_by_subject(Known(people(30)), PARTS, 3)
    assert (parts["validation"].subjects, parts["test"].subjects) == (
        ("sub-023", "sub-025", "sub-029"),
        ("sub-010", "sub-011", "sub-024"),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 120), fractions, st.integers(0, 3), st.sampled_from([None, "site"]))
def test_a_subject_more_moves_few_others(count, wanted, seed, stratify):
    owners = people(count + 1)
    facts = {owner: {"site": "ABC"[sum(owner.encode()) % 3]} for owner in owners}
    before = part_of(split_by_subject(Known(owners[:-1], facts), wanted, seed, stratify))
    after = part_of(split_by_subject(Known(owners, facts), wanted, seed, stratify))
    moved = [owner for owner in before if before[owner] != after[owner]]
    assert len(moved) <= 3 * (len(wanted) - 1)


def test_a_subject_more_moves_few_others_among_many():
    owners = people(1001)
    before = part_of(split_by_subject(Known(owners[:-1]), PARTS))
    after = part_of(split_by_subject(Known(owners), PARTS))
    assert sum(before[owner] != after[owner] for owner in before) <= 2


def test_the_order_of_the_names_does_not_decide():
    """All high-grade tumours against all low-grade ones: what a split by sorted path gives."""
    owners = people(210, "HGG") + people(75, "LGG")
    facts = {owner: {"grade": owner[:3]} for owner in owners}
    for stratify, slack in (("grade", 1.5), (None, 14)):
        parts = split_by_subject(Known(owners, facts), PARTS, 1, stratify)
        for name, subset in parts.items():
            low = sum(subject.startswith("LGG") for subject in subset.subjects)
            assert abs(low - 75 * PARTS[name]) <= slack, (name, low)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(0, 20))
def test_every_part_has_its_share_of_every_stratum(sizes, seed):
    owners = [f"{kind}-{index}" for kind, size in enumerate(sizes) for index in range(size)]
    facts = {owner: {"kind": owner.split("-")[0]} for owner in owners}
    if len(owners) < 20:
        return
    parts = split_by_subject(Known(owners, facts), PARTS, seed, "kind")
    for name, subset in parts.items():
        found = Counter(subject.split("-")[0] for subject in subset.subjects)
        for kind, size in enumerate(sizes):
            # One for the stratum's own rounding, and what the other strata's rounding leaves for it.
            slack = 1 + len(sizes) * size / len(owners) + 1
            assert abs(found[str(kind)] - size * PARTS[name]) <= slack


def test_many_small_strata_do_not_all_lose_to_the_same_part():
    owners = [f"site{site}-{index}" for site in range(40) for index in range(3)]
    facts = {owner: {"site": owner.split("-")[0]} for owner in owners}
    parts = split_by_subject(Known(owners, facts), PARTS, 0, "site")
    assert [len(part) for part in parts.values()] == [96, 12, 12]
    assert all(
        len({subject.split("-")[0] for subject in parts[name].subjects}) >= 10 for name in ("validation", "test")
    )


def test_strata_of_one_are_spread_over_the_parts():
    owners = people(100, "many") + people(50, "one")
    facts = {owner: {"site": "big" if owner.startswith("many") else owner} for owner in owners}
    for seed in range(5):
        parts = split_by_subject(Known(owners, facts), PARTS, seed, "site")
        assert 32 <= sum(subject.startswith("one") for subject in parts["train"].subjects) <= 48


def test_numbers_are_divided_in_quartiles():
    owners = people(200)
    ages = {owner: {"age": 20 + 0.3 * index} for index, owner in enumerate(owners)}
    parts = split_by_subject(Known(owners, ages), {"a": 0.5, "b": 0.5}, 0, "age")
    for subset in parts.values():
        quarters = Counter(int(subject[4:]) // 50 for subject in subset.subjects)
        assert all(24 <= quarters[quarter] <= 26 for quarter in range(4))


def test_few_numbers_truth_values_and_missing_facts_are_categories():
    owners = people(80)
    for values in ([1, 2, 3], [True, False], ["f", "m", None], [1.5, float("nan")], [(1, 2), (3,)]):
        facts = {owner: {"fact": values[index % len(values)]} for index, owner in enumerate(owners)}
        parts = split_by_subject(Known(owners, facts), {"a": 0.5, "b": 0.5}, 0, "fact")
        found = Counter(int(subject[4:]) % len(values) for subject in parts["a"].subjects)
        assert max(found.values()) - min(found.values()) <= 2


def test_the_first_scan_of_a_subject_decides_its_stratum():
    class Twice(Known):
        def facts(self, index):
            return {"age": index if index < 20 else 7 * index % 20}

    once = split_by_subject(Twice(people(20)), {"a": 0.5, "b": 0.5}, 0, "age")
    twice = split_by_subject(Twice([*people(20), *people(20)]), {"a": 0.5, "b": 0.5}, 0, "age")
    assert part_of(once) == part_of(twice) and all(len(part) == 20 for part in twice.values())


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (10, [0.8, 0.1, 0.1], [8, 1, 1]),
        (100, [0.8, 0.1, 0.1], [80, 10, 10]),
        (369, [0.8, 0.1, 0.1], [295, 37, 37]),  # BraTS2020 in PatchDDM
        (11, [0.8, 0.1, 0.1], [9, 1, 1]),
        (7, [1 / 3, 1 / 3, 1 / 3], [3, 2, 2]),
        (3, [0.9, 0.05, 0.05], [1, 1, 1]),
        (10, [1.0], [10]),
    ],
)
def test_largest_remainder(total, shares, expected):
    assert largest_remainder(total, shares) == expected


@given(st.integers(1, 500), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_sizes_add_up_and_are_within_one_of_their_share(total, weights):
    shares = [weight / sum(weights) for weight in weights]
    if total < len(shares):
        return
    sizes = largest_remainder(total, shares)
    assert sum(sizes) == total and min(sizes) >= 1
    if min(math.floor(total * share) for share in shares) >= 1:
        assert all(abs(size - total * share) < 1 for size, share in zip(sizes, shares, strict=True))


REFUSED = {
    "sum": (
        lambda: split_by_subject(Known(people(9)), {"a": 0.5, "b": 0.4}),
        r"fractions are .*, expected numbers that add",
    ),
    "none": (lambda: split_by_subject(Known(people(9)), {}), "fractions are {}"),
    "empty part": (lambda: split_by_subject(Known(people(9)), {"a": 1.0, "b": 0.0}), r"fractions\['b'\] is 0.0"),
    "subjects": (
        lambda: split_by_subject(Known(["a", "a", "b", "b"]), PARTS),
        "known: there are 2 subjects, expected at least 3",
    ),
    "nobody": (lambda: split_by_subject(Known([]), {"a": 1.0}), "there are 0 subjects"),
    "fact": (
        lambda: split_by_subject(Known(people(9), {"sub-001": {"age": 3, "sex": "f"}}), PARTS, 0, "grade"),
        "known: no sample has the fact 'grade', expected one of age, sex",
    ),
    "no facts": (lambda: folds_by_subject(Known(people(9)), 3, 0, "age"), "expected samples that have facts"),
    "only missing": (
        lambda: folds_by_subject(Known(people(2), {"sub-000": {"age": None}}), 2, 0, "age"),
        "no sample has the fact 'age'",
    ),
    "seed": (lambda: split_by_subject(Known(people(9)), PARTS, -1), "seed is -1"),
    "k": (lambda: folds_by_subject(Known(people(9)), 1), "k is 1"),
    "too many folds": (lambda: folds_by_subject(Known(people(4)), 5), "there are 4 subjects, expected at least 5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
