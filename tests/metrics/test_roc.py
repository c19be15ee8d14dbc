"""ROC and precision-recall: counted by hand, against scikit-learn, DeLong by the definition, coverage by simulation."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from medlab.metrics.precision_recall import average_precision, precision_recall_curve
from medlab.metrics.roc import (
    auroc,
    auroc_difference,
    auroc_interval,
    roc_curve,
    threshold_for_sensitivity,
    youden_threshold,
)

HAND = ([0.1, 0.4, 0.35, 0.8, 0.4], [0, 0, 1, 1, 1])


def drawn(seed, cases=200, levels=None, share=0.3):
    draw = np.random.default_rng(seed)
    truth = draw.random(cases) < share
    truth[:2] = (True, False)
    scores = draw.normal(size=cases) + truth
    return (scores if levels is None else np.round(scores * levels) / levels), truth


def by_definition(scores, truth):
    """The area and DeLong's variance from all pairs."""
    wins = np.sign(np.subtract.outer(scores[truth], scores[~truth])) / 2 + 0.5
    over = [wins.mean(1), wins.mean(0)]
    variance = sum(np.var(one, ddof=1) / one.size for one in over) if min(wins.shape) > 1 else math.nan
    return wins.mean(), variance, over


def test_by_hand():
    # Positives .35, .8, .4 against negatives .1, .4: won are 1, 2 and 1.5 of 2.
    assert auroc(*HAND) == pytest.approx(4.5 / 6, abs=1e-15)
    false_rate, true_rate, thresholds = roc_curve(*HAND, all_points=True)
    assert thresholds.tolist() == [math.inf, 0.8, 0.4, 0.35, 0.1]
    assert false_rate.tolist() == [0, 0, 0.5, 0.5, 1] and true_rate == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    # Precision 1/1, 2/3, 3/4 where recall reaches 1/3, 2/3, 1.
    assert average_precision(*HAND) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert threshold_for_sensitivity(*HAND, 0.6) == pytest.approx((0.4, 2 / 3, 0.5))
    assert threshold_for_sensitivity(*HAND, 1) == pytest.approx((0.35, 1, 0.5))
    assert youden_threshold(*HAND) == pytest.approx((0.35, 1, 0.5))


@pytest.mark.parametrize("seed", range(40))
def test_they_are_scikit_learns(seed):
    scores, truth = drawn(seed, 50 + 20 * seed, None if seed % 2 else 3, 0.05 + 0.02 * seed)
    assert auroc(scores, truth) == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-14)
    assert average_precision(scores, truth) == pytest.approx(sk.average_precision_score(truth, scores), abs=1e-14)
    theirs = sk.roc_curve(truth, scores, drop_intermediate=False)
    for one, other in zip(roc_curve(scores, truth, all_points=True), theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-15)
    short = roc_curve(scores, truth)
    assert len(short.thresholds) <= len(theirs[2])
    assert np.trapezoid(short.true_positive_rate, short.false_positive_rate) == pytest.approx(auroc(scores, truth))
    precision, recall, thresholds = sk.precision_recall_curve(truth, scores)
    at = dict(zip(thresholds, zip(precision, recall, strict=False), strict=False))
    for one in zip(*precision_recall_curve(scores, truth), strict=True):
        assert at[one[2]] == pytest.approx(one[:2], abs=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_the_variance_is_delongs(seed):
    scores, truth = drawn(seed, 80, 2 if seed % 2 else None)
    value, variance, _ = by_definition(scores, truth)
    z = stats.norm.ppf(0.95)
    found = auroc_interval(scores, truth, confidence=0.9)
    expected = (value, max(value - z * variance**0.5, 0), min(value + z * variance**0.5, 1))
    assert found == pytest.approx(expected, abs=1e-12)
    assert auroc_interval(scores, truth, groups=np.arange(80), confidence=0.9) == pytest.approx(found, abs=1e-12)


def test_the_paired_difference_is_delongs():
    scores, truth = drawn(3, 120)
    other = 0.6 * scores + np.random.default_rng(1).normal(size=120)
    one, _, over = by_definition(scores, truth)
    two, _, beside = by_definition(other, truth)
    variance = sum(np.var(a - b, ddof=1) / a.size for a, b in zip(over, beside, strict=True))
    found = auroc_difference(scores, other, truth)
    z = stats.norm.ppf(0.975) * variance**0.5
    assert found.difference == pytest.approx((one - two, one - two - z, one - two + z), abs=1e-12)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(one - two) / variance**0.5))
    assert math.isnan(auroc_difference(scores, 2 * scores, truth).p_value)


def test_delong_and_bootstrap_agree_and_cover():
    true_area = stats.norm.cdf(1 / 2**0.5)
    inside = {"delong": 0, "bootstrap": 0}
    for seed in range(300):
        draw = np.random.default_rng(seed)
        scores, truth = np.concatenate([draw.normal(1, 1, 40), draw.normal(0, 1, 60)]), np.arange(100) < 40
        for method in inside:
            _, low, high = auroc_interval(scores, truth, method=method, samples=300, seed=seed)
            inside[method] += low <= true_area <= high
    assert inside["delong"] / 300 == pytest.approx(0.95, abs=0.045)
    assert inside["bootstrap"] / 300 == pytest.approx(0.95, abs=0.055)


def test_patients_with_many_scores_get_wider_intervals_that_cover():
    """Six scores of each patient share most of what they are: counted as independent they cover far too seldom."""
    true_area, inside = stats.norm.cdf(1 / 2**0.5), {"apart": 0, "delong": 0, "bootstrap": 0}
    for seed in range(150):
        draw = np.random.default_rng(seed)
        groups, truth = np.repeat(np.arange(40), 6), np.tile(np.arange(6) < 3, 40)
        truth = np.where(groups % 4 == 0, truth, groups % 2 == 0)
        scores = truth + math.sqrt(0.8) * draw.normal(size=40)[groups] + math.sqrt(0.2) * draw.normal(size=240)
        settings_ = {"apart": {}, "delong": {"groups": groups}, "bootstrap": {"groups": groups, "method": "bootstrap"}}
        for name, chosen in settings_.items():
            _, low, high = auroc_interval(scores, truth, samples=200, **chosen)
            inside[name] += low <= true_area <= high
    shares = {name: count / 150 for name, count in inside.items()}
    # Patients with scores of both kinds move the area a little, so the true one is only near that of independent draws.
    assert shares["apart"] < 0.8 < 0.87 <= min(shares["delong"], shares["bootstrap"])


def test_a_sample_of_groups_is_counted_as_if_it_were_written_out():
    scores, truth = drawn(5, 60, 2)
    groups = np.random.default_rng(0).integers(0, 9, 60)
    found = auroc_interval(scores, truth, groups=groups, method="bootstrap", samples=400, seed=3)
    chance, areas = np.random.default_rng(3), []
    ill = [g for g in range(9) if truth[groups == g].any()]
    well = [g for g in range(9) if not truth[groups == g].any()]
    for _ in range(400):
        chosen = [np.array(kind)[chance.integers(0, len(kind), len(kind))] for kind in (ill, well) if kind]
        rows = np.concatenate([np.flatnonzero(groups == g) for g in np.concatenate(chosen)])
        areas.append(sk.roc_auc_score(truth[rows], scores[rows]))
    assert found[1:] == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 3]))
def test_properties(seed, levels):
    scores, truth = drawn(seed, 40, levels)
    area = auroc(scores, truth)
    assert 0 <= area <= 1
    assert auroc(np.exp(scores / 3), truth) == pytest.approx(area, abs=1e-12), "only the order counts"
    assert auroc(-scores, truth) == pytest.approx(1 - area, abs=1e-12)
    assert auroc(scores, ~truth) == pytest.approx(1 - area, abs=1e-12)
    turned = np.random.default_rng(seed).permutation(40)
    assert auroc(scores[turned], truth[turned]) == pytest.approx(area, abs=1e-12)
    value, low, high = auroc_interval(scores, truth) if truth.sum() > 1 else (area, area, area)
    assert low <= value <= high
    assert truth.mean() / 2 <= average_precision(scores, truth) <= 1
    point = youden_threshold(scores, truth)
    false_rate, true_rate, _ = roc_curve(scores, truth, all_points=True)
    assert point.sensitivity + point.specificity - 1 == pytest.approx((true_rate - false_rate).max())
    # As many more negatives of the same kind leave the area alone and take from the precision.
    more = np.concatenate([scores, np.repeat(scores[~truth], 4)])
    flags = np.concatenate([truth, np.zeros(4 * (~truth).sum(), bool)])
    assert auroc(more, flags) == pytest.approx(area, abs=1e-12)
    assert average_precision(more, flags) <= average_precision(scores, truth) + 1e-12


def test_maps_masks_kinds_and_infinite_scores():
    draw = torch.Generator().manual_seed(0)
    image, lesion = torch.rand(6, 7, 8, generator=draw), torch.rand(6, 7, 8, generator=draw) < 0.1
    mask = torch.rand(6, 7, 8, generator=draw) < 0.5
    expected = sk.roc_auc_score(lesion[mask], image[mask])
    assert auroc(image, lesion, mask=mask) == pytest.approx(expected, abs=1e-14)
    assert average_precision(image, lesion, mask=mask.numpy()) == pytest.approx(
        sk.average_precision_score(lesion[mask], image[mask]), abs=1e-14
    )
    owner = torch.arange(336).reshape(6, 7, 8) % 11
    whole = auroc_interval(image, lesion, groups=owner, mask=mask)
    assert whole == pytest.approx(auroc_interval(image[mask], lesion[mask], groups=owner[mask]))
    assert auroc(image.half(), lesion.int()) == pytest.approx(auroc(image.half().double(), lesion), abs=1e-14)
    assert auroc([-math.inf, 0, math.inf, 5], [0, 0, 1, 1]) == 1
    assert auroc_interval([0, 1, 2, 3], [0, 0, 1, 1]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: auroc([1, 2], [0, 1, 1]), r"scores have the shape \(2,\), expected truth's, \(3,\)"),
        (lambda: auroc([1, math.nan], [0, 1]), "scores hold NaN, expected numbers"),
        (lambda: auroc([1, 2], [0, 2]), "truth holds 2, expected a mask"),
        (lambda: auroc([1, 2], [1, 1]), "truth holds no negative among 2"),
        (lambda: average_precision([1, 2], [0, 0]), "truth holds no positive among 2"),
        (lambda: auroc([1, 2], [0, 1], mask=[1]), "mask is a list, expected a tensor or an array"),
        (lambda: auroc([1, 2], [0, 1], mask=np.ones(3)), r"mask has the shape \(3,\), expected scores', \(2,\)"),
        (lambda: auroc_interval([1, 2], [0, 1]), "truth has 1 independent positives and 1 negatives, expected 2"),
        (lambda: auroc_interval([1, 2], [0, 1], method="exact"), "method is 'exact', expected one of delong, bootstr"),
        (lambda: auroc_interval([1, 2], [0, 1], groups=[1]), r"groups have the shape \(1,\), expected one name"),
        (lambda: auroc_interval([1, 2], [0, 1], confidence=1), "confidence is 1, expected less than 1"),
        (lambda: threshold_for_sensitivity([1, 2], [0, 1], 0), "sensitivity is 0, expected a number above 0"),
        (lambda: auroc("ab", [0, 1]), "scores is a str, expected a tensor or an array"),
    ],
)
def test_what_it_refuses(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_all_pairs_of_a_small_case():
    """Every truth of five tied scores: area and precision by counting pairs."""
    scores = np.array([0, 1, 1, 2, 2.0])
    for truth in product([False, True], repeat=5):
        truth = np.array(truth)
        if truth.any() and not truth.all():
            assert auroc(scores, truth) == pytest.approx(by_definition(scores, truth)[0])


def test_a_share_below_one_case_is_one_case():
    assert threshold_for_sensitivity([1, 2, 3], [0, 1, 1], 1e-12).threshold == 3
