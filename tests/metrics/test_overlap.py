"""Overlap: counted by hand, against scikit-learn, and by property."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from medlab.metrics import overlap
from medlab.metrics.overlap import (
    accuracy,
    counts,
    dice,
    f_beta,
    generalised_dice,
    iou,
    precision,
    recall,
    signed_volume_difference,
    specificity,
    volume_similarity,
)

SHARED = (accuracy, dice, iou, precision, recall, specificity, volume_similarity, signed_volume_difference)
masks = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.rand(2, 6, 7, 5, generator=torch.Generator().manual_seed(seed))
)


def test_by_hand():
    prediction, reference = torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 5, dtype=torch.bool)
    prediction[0, :4] = True  # four voxels, of which three are right
    reference[0, 1:] = True
    reference[1, 0] = True  # and two of five are missed
    assert [int(n) for n in counts(prediction, reference)] == [3, 1, 2, 4]
    expected = {
        dice: 6 / 9,
        iou: 3 / 6,
        precision: 3 / 4,
        recall: 3 / 5,
        specificity: 4 / 5,
        accuracy: 7 / 10,
        volume_similarity: 1 - 1 / 9,
        signed_volume_difference: 2 * -1 / 9,
    }
    for measure, value in expected.items():
        assert float(measure(prediction, reference)) == pytest.approx(value, abs=1e-15), measure.__name__
    assert float(f_beta(prediction, reference, beta=2)) == pytest.approx(5 * 3 / (5 * 3 + 4 * 2 + 1))


@pytest.mark.parametrize("seed", range(20))
def test_they_are_scikit_learns(seed):
    draw = np.random.default_rng(seed)
    share = draw.uniform(0.05, 0.95, 2)
    ours, truth = (draw.random((4, 9, 7)) < one for one in share)
    for measure, theirs in (
        (dice, sk.f1_score),
        (iou, sk.jaccard_score),
        (precision, sk.precision_score),
        (recall, sk.recall_score),
        (accuracy, sk.accuracy_score),
    ):
        assert float(measure(ours, truth)) == pytest.approx(theirs(truth.ravel(), ours.ravel()), abs=1e-14)
    expected = sk.fbeta_score(truth.ravel(), ours.ravel(), beta=0.5)
    assert float(f_beta(ours, truth, beta=0.5)) == pytest.approx(expected, abs=1e-14)


def test_labels_are_judged_one_by_one_and_samples_apart():
    generator = torch.Generator().manual_seed(0)
    ours, truth = (torch.randint(0, 4, (2, 3, 8, 8), generator=generator, dtype=torch.uint8) for _ in range(2))
    found = dice(ours, truth, [1, 3, 7], batch_dims=2)
    assert found.shape == (2, 3, 3) and found.dtype == torch.float64
    for i, j in np.ndindex(2, 3):
        for k, label in enumerate((1, 3)):
            assert float(found[i, j, k]) == float(dice(ours[i, j] == label, truth[i, j] == label))
    assert bool(found[..., 2].isnan().all()), "a label that nobody has"


@settings(max_examples=60, deadline=None)
@given(masks, st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_properties(noise, low, high):
    ours, truth = noise[0] < low, noise[1] < high
    values = {measure: float(measure(ours, truth, undefined=1.0)) for measure in SHARED}
    for measure, value in values.items():
        assert (
            (-2 if measure is signed_volume_difference else 0)
            <= value
            <= (2 if measure is signed_volume_difference else 1)
        )
        turned = float(measure(ours.permute(2, 0, 1).flip(0), truth.permute(2, 0, 1).flip(0), undefined=1.0))
        assert turned == value, "axes have no names"
    for measure in (dice, iou, accuracy, volume_similarity):
        assert float(measure(truth, ours, undefined=1.0)) == values[measure], "symmetric"
    assert float(precision(truth, ours, undefined=1.0)) == values[recall]
    assert values[iou] == pytest.approx(values[dice] / (2 - values[dice]))
    assert values[dice] <= values[volume_similarity] + 1e-12, "volumes agree at least as well as places"
    assert float(recall(~ours, ~truth, undefined=1.0)) == values[specificity]


@pytest.mark.parametrize("undefined", [math.nan, 0.0, 1.0])
def test_what_is_undefined_is_what_one_chooses(undefined):
    empty, some = torch.zeros(3, 3), torch.eye(3)
    for measure in (dice, iou, volume_similarity):
        assert repr(float(measure(empty, empty, undefined=undefined))) == repr(undefined)
        assert float(measure(empty, some, undefined=undefined)) == 0
    assert repr(float(precision(empty, some, undefined=undefined))) == repr(undefined)
    assert repr(float(recall(some, empty, undefined=undefined))) == repr(undefined)
    assert repr(float(specificity(some, torch.ones(3, 3), undefined=undefined))) == repr(undefined)
    assert float(accuracy(empty, empty)) == 1


def test_generalised_dice_weighs_small_labels_more():
    truth = torch.zeros(10, 10, dtype=torch.uint8)
    truth[0, :2], truth[5:] = 1, 2
    missed = truth.clone()
    missed[0, :2] = 0
    # By hand: weights 1/4 and 1/2500; 2 x (0 / 4 + 50 / 2500) over (2 / 4 + 100 / 2500).
    assert float(generalised_dice(missed, truth, [1, 2])) == pytest.approx(2 * 0.02 / (0.5 + 0.04))
    assert float(generalised_dice(truth, truth, [1, 2])) == 1
    assert math.isnan(generalised_dice(truth, truth, [5, 6]))
    assert float(generalised_dice(truth, torch.zeros_like(truth), [1, 2])) == 0


def test_masks_may_be_numbers_and_arrays():
    mask = np.array([[0, 1], [1, 1]])
    for kind in (bool, np.uint8, np.uint16, np.int32, np.float32, np.float64):
        assert float(dice(mask.astype(kind), torch.from_numpy(mask))) == 1
    for kind in (">i2", ">f4", np.longdouble):  # as big-endian files give them
        assert float(dice(mask.astype(kind), mask)) == 1
    assert float(dice(mask[:, ::-1], mask[:, ::-1])) == 1, "views with negative steps"
    labels = torch.from_numpy(mask).to(torch.bfloat16)
    assert float(dice(labels, labels, [1])) == 1


def test_the_signature_is_shown():
    parameters = inspect.signature(dice).parameters
    assert list(parameters) == ["prediction", "reference", "labels", "batch_dims", "undefined"]
    assert "Dice, Ecology" in dice.__doc__ and "undefined" in overlap.__doc__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            (torch.zeros(3, 3), torch.zeros(3, 4)),
            r"prediction has the shape \(3, 3\), expected that of reference, \(3, 4\)",
        ),
        ((torch.full((3, 3), 2.0), torch.zeros(3, 3)), "prediction holds 2, expected a mask of 0 and 1"),
        ((torch.zeros(3, 3), torch.full((3, 3), math.nan)), "reference holds nan, expected a mask of 0 and 1"),
        ((torch.zeros(3, 3), torch.tensor([4], dtype=torch.uint8)), "reference holds 4, expected a mask of 0 and 1"),
        ((torch.full((3, 3), 0.5), torch.zeros(3, 3), [1]), r"prediction holds 0\.5, expected whole numbers as labels"),
        ((torch.zeros(3, 3), torch.zeros(3, 3), []), r"labels is \[\], expected one or more values, each once"),
        ((torch.zeros(3, 3), torch.zeros(3, 3), [1, 1]), r"labels is \[1, 1\], expected one or more values, each once"),
        ((torch.zeros(3, 3), torch.zeros(3, 3), [0.5]), r"labels holds 0\.5, expected whole numbers"),
        ((torch.zeros(0, 3), torch.zeros(0, 3)), "expected at least one voxel"),
        ((torch.zeros(3, 3), torch.full((3, 3), math.inf), [1]), "reference holds inf, expected whole numbers"),
        ((torch.zeros(3, 3), torch.zeros(3, 3), 1), "labels is 1, expected a list of one or more values"),
        ((torch.zeros(3, 3) + 0j, torch.zeros(3, 3)), "prediction holds torch.complex64, expected numbers"),
        (([[1]], torch.zeros(1, 1)), "prediction is a list, expected a tensor or an array"),
        ((np.array(["a"]), np.array(["a"])), "prediction holds <U1, expected numbers or booleans"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(ValueError, match=said):
        dice(*arguments)


def test_more_refusals():
    with pytest.raises(ValueError, match="prediction has 2 axes, expected more than the 2 of the batch"):
        dice(torch.zeros(3, 3), torch.zeros(3, 3), batch_dims=2)
    with pytest.raises(ValueError, match="beta is 0, expected a number above 0"):
        f_beta(torch.zeros(3, 3), torch.zeros(3, 3), beta=0)
