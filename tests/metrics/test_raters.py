"""Raters: against scikit-learn and statsmodels, intervals by their coverage, STAPLE on raters of known quality."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from medlab.metrics.overlap import dice
from medlab.metrics.raters import cohen_kappa, fleiss_kappa, majority_vote, rater_dice, staple


def drawn(seed, raters=3, subjects=60, categories=2, skill=0.7):
    """Labels of raters who know the truth in a share of cases and guess in the others."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, categories, subjects)
    guesses = draw.integers(0, categories, (raters, subjects))
    return np.where(draw.random((raters, subjects)) < skill, truth, guesses)


def test_by_hand():
    # Both say yes 20 times, no 15 times; 5 and 10 times they differ: seen 0.7, by chance 0.5 (Cohen's way).
    one, other = np.repeat([1, 1, 0, 0], [20, 5, 10, 15]), np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(one, other).value == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    # Three raters, four subjects, with 3, 2, 1, 0 votes for 1: agreed pairs 1, 1/3, 1/3, 1; halves by chance.
    readings = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert fleiss_kappa(readings).value == pytest.approx((2 / 3 - 1 / 2) / (1 - 1 / 2))
    assert majority_vote(readings).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohens_kappa_is_that_of_peers(seed, weights):
    one, other = drawn(seed, 2, 40 + 10 * seed, 2 + seed % 4)
    found = cohen_kappa(one, other, weights=weights, confidence=0.9)
    theirs = cohen_kappa_score(one, other, weights=None if weights == "none" else weights)
    assert found.value == pytest.approx(theirs, abs=1e-12)
    table = np.histogram2d(one, other, bins=np.arange(one.max() + 2) - 0.5)[0]
    peer = inter_rater.cohens_kappa(table, wt=None if weights == "none" else weights)
    # Its standard error is that of Fleiss, Cohen and Everitt, with n where we have n - 1 and Student's t.
    assert found.high - found.value == pytest.approx((peer.kappa_upp - peer.kappa) * 1.645 / 1.96, rel=0.06)


@pytest.mark.parametrize("seed", range(20))
def test_fleiss_kappa_is_that_of_statsmodels(seed):
    readings = drawn(seed, 2 + seed % 5, 30, 2 + seed % 3, 0.4 + 0.02 * seed)
    counts, _ = inter_rater.aggregate_raters(readings.T)
    assert fleiss_kappa(readings).value == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-12)


@pytest.mark.parametrize("categories", [2, 4])
def test_intervals_cover_the_truth(categories):
    """With guesses in a share 1 - s of readings, two raters agree beyond chance in s² of the cases: kappa is s²."""
    inside = {"fleiss": 0, "cohen": 0}
    for seed in range(400):
        readings = drawn(seed, 3, 80, categories)
        for name, (_, low, high) in (("fleiss", fleiss_kappa(readings)), ("cohen", cohen_kappa(*readings[:2]))):
            inside[name] += low <= 0.7**2 <= high
    assert all(count / 400 == pytest.approx(0.95, abs=0.035) for count in inside.values()), inside


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 4))
def test_properties(seed, raters, categories):
    readings = drawn(seed, raters, 25, categories, 0.5)
    renamed = np.random.default_rng(seed).permutation(categories)[readings] * 7 - 3
    kappa = fleiss_kappa(readings)
    assert fleiss_kappa(renamed) == pytest.approx(kappa, abs=1e-12), "names of categories do not count"
    assert fleiss_kappa(readings[::-1, ::-1]) == pytest.approx(kappa, abs=1e-12), "nor orders"
    assert -1 <= kappa.low <= kappa.value <= kappa.high <= 1
    pair = cohen_kappa(*readings[:2])
    assert cohen_kappa(*renamed[:2]) == pytest.approx(pair, abs=1e-12)
    assert cohen_kappa(readings[1], readings[0]) == pytest.approx(pair, abs=1e-12)
    for weights in ("linear", "quadratic"):
        weighted = cohen_kappa(*readings[:2], weights=weights)
        turned = cohen_kappa(*(categories - readings[:2]), weights=weights)
        assert turned == pytest.approx(weighted, abs=1e-12), "counted from the other end"
    assert fleiss_kappa([readings[0], readings[0]]).value == pytest.approx(1)
    voted = majority_vote(readings, tie=-1)
    for label in range(categories):
        mine = (readings == label).sum(0)
        others = max((readings == other).sum(0).max() for other in range(categories) if other != label)
        assert (voted[mine > others] == label).all()


def test_labels_set_the_order_and_the_steps():
    one, other = [0, 0, 5, 5, 9], [0, 5, 5, 5, 9]
    assert cohen_kappa(one, other, weights="linear", labels=[0, 5, 9]) == cohen_kappa(one, other, weights="linear")
    gap = cohen_kappa(one, other, weights="linear", labels=[0, 2, 3, 4, 5, 9])
    assert gap.value != pytest.approx(cohen_kappa(one, other, weights="linear").value)


def test_one_label_alone_has_no_kappa():
    assert all(map(math.isnan, fleiss_kappa(np.zeros((3, 9)))))
    assert all(map(math.isnan, cohen_kappa([1, 1], [1, 1])))


def test_a_tie_is_said_and_settled_as_one_wishes():
    with pytest.raises(ValueError, match="readings are tied in 1 places, expected a majority"):
        majority_vote([[0, 1], [1, 1]])
    assert majority_vote([[0, 1], [1, 1]], tie=9).tolist() == [9, 1]
    votes = majority_vote([torch.ones(2, 3), torch.zeros(2, 3), torch.ones(2, 3)])
    assert votes.shape == (2, 3) and votes.dtype == torch.int64 and bool((votes == 1).all())


def em(readings, rounds=400):
    """STAPLE's expectation and maximisation, written out."""
    prior, sensitivity, specificity = readings.mean(), np.full(len(readings), 0.99), np.full(len(readings), 0.99)
    for _ in range(rounds):
        yes = prior * np.prod(np.where(readings, sensitivity[:, None], 1 - sensitivity[:, None]), 0)
        no = (1 - prior) * np.prod(np.where(readings, 1 - specificity[:, None], specificity[:, None]), 0)
        weight = yes / (yes + no)
        sensitivity = (readings * weight).sum(1) / weight.sum()
        specificity = (~readings * (1 - weight)).sum(1) / (1 - weight).sum()
    return weight, sensitivity, specificity


def test_staple_finds_out_how_good_each_rater_is():
    draw = np.random.default_rng(0)
    truth = draw.random((60, 60)) < 0.3
    quality = [(0.98, 0.99), (0.7, 0.9), (0.8, 0.7)]
    readings = [np.where(truth, draw.random(truth.shape) < p, draw.random(truth.shape) >= q) for p, q in quality]
    found = staple(readings)
    assert found.probability.shape == (60, 60) and found.probability.dtype == torch.float64
    assert found.sensitivity == pytest.approx([p for p, _ in quality], abs=0.04)
    assert found.specificity == pytest.approx([q for _, q in quality], abs=0.04)
    right = float(dice(found.probability > 0.5, torch.from_numpy(truth)))
    assert right > float(dice(majority_vote(readings), torch.from_numpy(truth))), (
        "the good rater may outvote the others"
    )
    weight, sensitivity, specificity = em(np.stack([one.ravel() for one in readings]))
    np.testing.assert_allclose(found.probability.ravel(), weight, atol=1e-3)
    np.testing.assert_allclose(found.sensitivity + found.specificity, [*sensitivity, *specificity], atol=1e-3)


def test_staple_and_the_background():
    readings = torch.zeros(3, 40, 40, dtype=torch.uint8)
    readings[:, 5:15, 5:15] = 1
    readings[2, 15:18, 5:15] = 1  # the third rater draws too much
    near = torch.zeros(40, 40, dtype=torch.bool)
    near[3:20, 3:17] = True
    whole, inside = staple(readings), staple(list(readings), mask=near)
    assert whole.specificity[2] > inside.specificity[2], "a wide background flatters"
    assert float(inside.probability[~near].max()) == 0


def test_dice_of_pairs():
    masks = torch.zeros(3, 10, dtype=torch.bool)
    masks[0, :4], masks[1, 2:6], masks[2, :8] = True, True, True
    expected = [[1, 0.5, 2 / 3], [0.5, 1, 2 / 3], [2 / 3, 2 / 3, 1]]
    torch.testing.assert_close(rater_dice(masks), torch.tensor(expected, dtype=torch.float64))
    assert rater_dice(masks.int() * 3, [3, 4]).shape == (3, 3, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fleiss_kappa([[0, 1]]), "readings hold 1 rater, expected at least 2"),
        (lambda: fleiss_kappa([[0, 1], [0, 1, 1]]), r"readings have the shapes \[\(2,\), \(3,\)\], expected one shape"),
        (lambda: fleiss_kappa([[], []]), "expected one shape with at least one place"),
        (lambda: fleiss_kappa([[0, 0.5], [0, 1]]), "readings holds 0.5, expected whole numbers"),
        (lambda: cohen_kappa([0, 1], [0, 2], labels=[0, 1]), r"readings hold 2, expected one of the labels \[0, 1\]"),
        (lambda: cohen_kappa([0, 1], [0, 1], weights="cubic"), "weights is 'cubic', expected one of none, linear, qu"),
        (lambda: fleiss_kappa([[0, 1], [0, 1]], confidence=0), "confidence is 0, expected a number above 0"),
        (lambda: staple([[0, 2], [0, 1]]), "readings holds 2, expected a mask"),
        (lambda: staple([[1, 1], [1, 1]]), "readings mark all voxels alike, expected some that are marked"),
        (lambda: staple([[0, 0], [0, 0]]), "readings mark all voxels alike, expected some that are marked"),
        (
            lambda: staple([[0, 1], [0, 1]], mask=np.zeros(2)),
            r"mask has the shape \(2,\), expected \(2,\) with a voxel",
        ),
    ],
)
def test_what_it_refuses(call, said):
    with pytest.raises(ValueError, match=said):
        call()
