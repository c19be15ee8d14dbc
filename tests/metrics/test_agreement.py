"""Intervals of means, the bootstrap, limits of agreement: against SciPy, by hand, by coverage, by what they refuse."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from medlab.metrics.agreement import Estimate, Interval, bland_altman, bootstrap_interval, mean_interval


@pytest.mark.parametrize("count", [2, 3, 8, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_it_is_scipys(count, confidence):
    values = np.random.default_rng(count).normal(3.0, 2.0, count)
    low, high = stats.t.interval(confidence, count - 1, values.mean(), stats.sem(values))
    mean, half = mean_interval(values, confidence)
    assert mean == pytest.approx((low + high) / 2, rel=1e-9) and half == pytest.approx((high - low) / 2, rel=1e-9)


def test_two_values_by_hand():
    # Student's t with one degree of freedom is Cauchy's law, whose 97.5 % point is tan(0.475 pi).
    assert mean_interval([1, 3]) == pytest.approx((2.0, math.tan(0.475 * math.pi)), rel=1e-9)


def test_it_covers_the_truth_as_often_as_it_says():
    drawn = np.random.default_rng(0).normal(5.0, 1.0, (4000, 6))
    inside = [abs(mean - 5) <= half for mean, half in map(mean_interval, drawn)]
    assert np.mean(inside) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_tensors_lists_and_generators_say_the_same():
    values = [1.0, 2.5, 4.0]
    tensor = torch.tensor(values, requires_grad=True)
    assert (
        mean_interval(values)
        == mean_interval(iter(values))
        == mean_interval(tensor)
        == mean_interval(list(tensor.detach()))
    )


def test_equal_values_have_no_width():
    assert mean_interval([2, 2, 2]) == (2, 0)


def test_how_it_is_shown():
    assert Interval(1.234, 0.056).shown() == "1.23 ± 0.06"
    assert Interval(1234.5, 20.4).shown(0) == "1234 ± 20"
    assert Interval(1.0, 0.001).shown() == "1.00 ± less than 0.01"
    assert Interval(1.0, 0.0).shown(1) == "1.0 ± 0.0"


@pytest.mark.parametrize(
    ("values", "settings", "said"),
    [
        ([], {}, "values hold 0 numbers, expected at least 2"),
        ([1.0], {}, "values hold 1 number, expected at least 2"),
        ([1.0, math.nan], {}, "values hold nan, expected finite numbers"),
        ([1, 2], {"confidence": 0}, "confidence is 0, expected a number above 0"),
        ([1, 2], {"confidence": 1}, "confidence is 1, expected less than 1"),
        ([1, 2], {"confidence": 95}, "confidence is 95, expected a number above 0 and at most 1"),
    ],
)
def test_what_it_refuses(values, settings, said):
    with pytest.raises(ValueError, match=said):
        mean_interval(values, **settings)


def test_an_estimate_is_shown_with_its_ends():
    assert Estimate(0.812, 0.744, 0.866).shown() == "0.81 (0.74 to 0.87)"
    assert Estimate(12, 9.96, 15.04).shown(1) == "12.0 (10.0 to 15.0)"


def test_the_bootstrap_covers_and_is_near_the_formula():
    drawn = np.random.default_rng(0).exponential(1.0, (200, 30))
    inside = [low <= 1 <= high for _, low, high in (bootstrap_interval(np.mean, row, samples=200) for row in drawn)]
    assert np.mean(inside) == pytest.approx(0.93, abs=0.06)
    values = np.random.default_rng(1).normal(size=400)
    mean, half = mean_interval(values)
    assert bootstrap_interval(np.mean, values) == pytest.approx((mean, mean - half, mean + half), abs=0.01)


def test_rows_of_a_group_are_drawn_together():
    values, groups = np.repeat([0.0, 1.0, 5.0], 100), np.repeat(["a", "b", "c"], 100)
    apart, together = bootstrap_interval(np.mean, values), bootstrap_interval(np.mean, values, groups=groups)
    assert together.value == apart.value == 2
    assert (together.low, together.high) == (0, 5), "all three may be the same patient"
    assert apart.high - apart.low < 1


def test_columns_stay_together_and_undefined_samples_are_left_out():
    one, other = np.arange(20.0), torch.arange(20.0) * 2
    assert bootstrap_interval(lambda a, b: float(np.polyfit(a, b, 1)[0]), one, other) == pytest.approx((2, 2, 2))
    rare = np.zeros(12)
    rare[0] = 1
    found = bootstrap_interval(lambda x: x.sum() if x.any() else math.nan, rare, samples=200)
    assert found.low == 1


def test_bland_altman_by_hand():
    found = bland_altman([10, 12, 15, 20], [9, 12, 13, 17])
    assert found.differences.tolist() == [1, 0, 2, 3] and found.means.tolist() == [9.5, 12, 14, 18.5]
    spread, t = math.sqrt(5 / 3), stats.t.ppf(0.975, 3)
    z = stats.norm.ppf(0.975)
    assert found.bias == pytest.approx((1.5, 1.5 - t * spread / 2, 1.5 + t * spread / 2))
    wide = t * spread * math.sqrt(1 / 4 + z**2 / 6)
    assert found.upper == pytest.approx((1.5 + z * spread, 1.5 + z * spread - wide, 1.5 + z * spread + wide))
    assert found.lower.value == pytest.approx(1.5 - z * spread)
    turned = bland_altman([9, 12, 13, 17], [10, 12, 15, 20])
    assert turned.bias.value == -found.bias.value and turned.lower.value == pytest.approx(-found.upper.value)


def test_bland_altmans_intervals_cover():
    inside = {"bias": 0, "upper": 0}
    for seed in range(500):
        apart = np.random.default_rng(seed).normal(2.0, 1.0, 30)
        found = bland_altman(apart, np.zeros(30))
        for name, true in (("bias", 2.0), ("upper", 2.0 + stats.norm.ppf(0.975))):
            estimate = getattr(found, name)
            inside[name] += estimate.low <= true <= estimate.high
    assert all(count / 500 == pytest.approx(0.95, abs=0.035) for count in inside.values()), inside


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bootstrap_interval(np.mean), "bootstrap_interval got no column, expected at least one"),
        (lambda: bootstrap_interval(np.mean, [1, 2], [1]), r"columns have the lengths \[1, 2\], expected one length"),
        (lambda: bootstrap_interval(np.mean, [1]), "columns hold 1 independent row, expected at least 2"),
        (lambda: bootstrap_interval(np.mean, [1, 2], groups=[3, 3]), "columns hold 1 independent row, expected at l"),
        (lambda: bootstrap_interval(np.mean, [1, 2], groups=[3]), r"groups have the shape \(1,\), expected one name"),
        (lambda: bootstrap_interval(lambda x: math.nan, [1, 2]), "measure is NaN in all 2000 samples, expected it"),
        (lambda: bootstrap_interval(np.mean, [1, 2], samples=3), "samples is 3, expected a whole number of at least"),
        (lambda: bland_altman([1, 2, 3], [1, 2]), "second holds 2 numbers, expected 3 as first"),
        (lambda: bland_altman([1, 2], [1, 2]), "first holds 2 numbers, expected at least 3"),
        (lambda: bland_altman([1, 2, math.inf], [1, 2, 3]), "first hold inf, expected finite numbers"),
    ],
)
def test_what_else_it_refuses(call, said):
    with pytest.raises(ValueError, match=said):
        call()
