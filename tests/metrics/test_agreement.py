"""The interval of a mean: against SciPy, by its coverage, and by what it refuses."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from medlab.metrics import Interval, mean_interval


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
