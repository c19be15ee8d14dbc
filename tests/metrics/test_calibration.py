"""Calibration and ensembles: against scikit-learn and NumPy, by hand, and by property."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration as sk
from sklearn.metrics import brier_score_loss

from medlab.metrics.calibration import brier_score, calibration_curve, expected_calibration_error
from medlab.metrics.ensembles import ensemble_maps, ensemble_uncertainty


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_they_are_scikit_learns(seed, strategy):
    draw = np.random.default_rng(seed)
    probability = draw.beta(0.6, 0.9, 300).round(2 if seed % 2 else 9)
    truth = draw.random(300) < probability**1.5
    assert brier_score(probability, truth) == pytest.approx(brier_score_loss(truth, probability), abs=1e-14)
    found = calibration_curve(probability, truth, bins=7, strategy=strategy)
    observed, predicted = sk.calibration_curve(truth, probability, n_bins=7, strategy=strategy)
    np.testing.assert_allclose(found.observed, observed, atol=1e-14)
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-14)
    assert found.count.sum() == 300


def test_by_hand():
    # Called 0.2 twice, of which none is true, and 0.9 twice, of which one is: (2 x 0.2 + 2 x 0.4) / 4.
    probability, truth = [0.2, 0.2, 0.9, 0.9], [0, 0, 1, 0]
    assert expected_calibration_error(probability, truth) == pytest.approx(0.3)
    assert brier_score(probability, truth) == pytest.approx((0.04 + 0.04 + 0.01 + 0.81) / 4)
    curve = calibration_curve(probability, truth)
    assert curve.predicted == pytest.approx([0.2, 0.9]) and curve.observed == pytest.approx([0, 0.5])
    assert curve.count.tolist() == [2, 2]
    assert expected_calibration_error([1, 0, 1], [1, 0, 1], bins=1) == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(["uniform", "quantile"]))
def test_properties(seed, bins, strategy):
    draw = np.random.default_rng(seed)
    probability, truth = draw.random((4, 5)), draw.random((4, 5)) < 0.4
    chosen = {"bins": bins, "strategy": strategy}
    error = expected_calibration_error(probability, truth, **chosen)
    assert 0 <= error <= 1 and abs(probability.mean() - truth.mean()) <= error + 1e-12
    assert expected_calibration_error(truth.astype(float), truth, **chosen) == 0
    assert expected_calibration_error(np.full((4, 5), truth.mean()), truth, **chosen) == pytest.approx(0, abs=1e-12)
    mask = draw.random((4, 5)) < 0.5
    if mask.any():
        assert brier_score(probability, truth, mask=mask) == pytest.approx(brier_score(probability[mask], truth[mask]))
    assert 0 <= brier_score(probability, truth) <= 1


def test_what_is_calibrated_by_construction_has_little_error():
    draw = np.random.default_rng(1)
    probability = draw.random(100_000)
    truth = draw.random(100_000) < probability
    assert expected_calibration_error(probability, truth) < 0.01
    assert expected_calibration_error(probability**2, truth) > 0.1
    few = expected_calibration_error(probability[:50], truth[:50])
    assert few > 0.03, "few cases look badly calibrated by chance alone"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.sampled_from([0, 1]))
def test_maps_are_mean_and_variance(seed, count, correction):
    members = torch.rand(count, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 1000
    found = ensemble_maps((one for one in members), correction=correction)
    torch.testing.assert_close(found.mean, members.mean(0))
    torch.testing.assert_close(found.variance, members.var(0, correction=correction), rtol=1e-7, atol=1e-12)
    assert found.count == count


def test_a_large_mean_does_not_swallow_a_small_variance():
    members = 10_000.3 + torch.tensor([-0.5, 0.5, -0.5, 0.5]).reshape(4, 1)
    naive = (members**2).mean(0) - members.mean(0) ** 2
    assert float(ensemble_maps(members, correction=0).variance) == pytest.approx(0.25, rel=1e-2)
    assert float(naive) != pytest.approx(0.25, rel=1e-2), "the short formula in float32 is wrong"


def test_members_are_taken_one_by_one_and_left_alone():
    alive, first = [], torch.ones(2, requires_grad=True)

    def predicted():
        for n in range(5):
            alive.append(n)
            yield first * n if n else first

    assert ensemble_maps(predicted()).mean.tolist() == pytest.approx([(1 + 1 + 2 + 3 + 4) / 5] * 2)
    assert alive == list(range(5)) and first.tolist() == [1, 1]
    half = ensemble_maps([torch.ones(2).half(), torch.zeros(2).half()])
    assert half.mean.dtype == torch.float32


def test_doubt_and_dispute():
    sure = ensemble_uncertainty([torch.tensor([1.0]), torch.tensor([0.0])])
    assert [float(one) for one in sure] == pytest.approx([math.log(2), 0, math.log(2)]), "all of it is dispute"
    unsure = ensemble_uncertainty([torch.tensor([0.5]), torch.tensor([0.5])])
    assert [float(one) for one in unsure] == pytest.approx([math.log(2), math.log(2), 0], abs=1e-6), (
        "all of it is doubt"
    )
    classes = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes = classes / classes.sum(1, keepdim=True)
    found = ensemble_uncertainty(classes, class_axis=0)
    mean = classes.mean(0)
    torch.testing.assert_close(found.total, -(mean * mean.log()).sum(0))
    torch.testing.assert_close(found.data, -(classes * classes.log()).sum(1).mean(0))
    torch.testing.assert_close(found.total, found.data + found.model)
    assert bool((found.model >= 0).all()) and bool((found.model <= math.log(3)).all())
    pair = torch.stack([mean[0], 1 - mean[0]])
    binary = ensemble_uncertainty([mean[0], mean[1]])
    torch.testing.assert_close(
        binary.total, ensemble_uncertainty([pair, torch.stack([mean[1], 1 - mean[1]])], class_axis=0).total
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: brier_score([0.5, 1.5], [0, 1]), "probability holds 1.5, expected numbers from 0 to 1"),
        (lambda: brier_score([], np.zeros(0)), "probability holds no number, expected at least one"),
        (lambda: brier_score([0.5], [0, 1]), r"scores have the shape \(1,\), expected truth's, \(2,\)"),
        (lambda: calibration_curve([0.5], [1], bins=0), "bins is 0, expected a whole number of at least 1"),
        (lambda: calibration_curve([0.5], [1], strategy="even"), "strategy is 'even', expected one of uniform, quant"),
        (lambda: ensemble_maps([torch.ones(2)]), "members are 1, expected at least 2"),
        (lambda: ensemble_maps([torch.ones(2), torch.ones(3)]), r"members have the shapes \(2,\) and \(3,\), expected"),
        (lambda: ensemble_maps([torch.tensor([math.nan])] * 2), "members contains NaN, expected finite numbers"),
        (lambda: ensemble_maps([torch.ones(2)] * 2, correction=2), "correction is 2, expected a whole number from 0"),
        (lambda: ensemble_uncertainty([torch.tensor([2.0])] * 2), "members hold 2 to 2, expected probabilities"),
        (
            lambda: ensemble_uncertainty([torch.rand(3, generator=torch.Generator()) / 4] * 2, 0),
            "members do not add up",
        ),
    ],
)
def test_what_it_refuses(call, said):
    with pytest.raises(ValueError, match=said):
        call()
