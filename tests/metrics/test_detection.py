"""From maps to decisions: structures, lesions and false alarms, counted by hand and against a plain second way."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medlab.metrics.detection import LesionCounts, froc, lesion_counts, structure_scores


def two_scans():
    """One scan with two lesions, one with none; suspicion in whole tenths."""
    image, truth = np.zeros((12, 12)), np.zeros((12, 12), bool)
    truth[1:3, 1:3] = truth[6:9, 6:9] = True
    image[1, 1], image[7, 7] = 0.9, 0.5  # one voxel of each lesion
    image[1, 9], image[10, 1] = 0.7, 0.3  # and two alarms beside them
    other = np.zeros((12, 12))
    other[3, 3] = 0.6
    return [image, other], [truth, np.zeros((12, 12), bool)]


def test_froc_by_hand():
    curve = froc(*two_scans(), thresholds=[0.9, 0.7, 0.6, 0.5, 0.3])
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.6, 0.5, 0.3]
    assert curve.sensitivity.tolist() == [0.5, 0.5, 0.5, 1, 1]
    assert curve.false_alarms_per_scan.tolist() == [0, 0.5, 1, 1, 1.5]
    assert curve.sensitivity_at([0, 0.5, 0.99, 1, 8]).tolist() == [0.5, 0.5, 0.5, 1, 1]
    assert curve.mean_sensitivity() == pytest.approx((3 * 0.5 + 4 * 1) / 7)
    own = froc(*two_scans())
    assert own.thresholds.tolist() == [0.9, 0.5] and own.sensitivity.tolist() == [0.5, 1]
    assert own.mean_sensitivity() == curve.mean_sensitivity(), "sensitivity changes at the lesions' own maxima alone"


def test_one_candidate_as_large_as_the_scan_is_no_feat():
    image = np.random.default_rng(0).random((30, 30))
    truth = np.zeros((30, 30), bool)
    truth[20, 20], image[20, 20] = True, 0.0
    curve = froc([image], [truth], thresholds=np.linspace(0, 1, 21))
    assert curve.sensitivity[-1] == 1 and curve.false_alarms_per_scan[-1] == 0
    assert curve.sensitivity_at(1) == 0


def test_counts_by_hand():
    (image, _), (truth, _) = two_scans()
    assert lesion_counts(image > 0.2, truth) == LesionCounts(2, 2, 2)
    assert lesion_counts(image > 0.6, truth) == LesionCounts(2, 1, 1)
    assert lesion_counts(np.zeros_like(truth), truth) == LesionCounts(2, 0, 0)
    assert lesion_counts(truth, np.zeros_like(truth)) == LesionCounts(0, 0, 2)
    assert lesion_counts(np.ones_like(truth), truth) == LesionCounts(2, 2, 0), "one candidate that merges all finds all"
    # One voxel of four is a quarter of a lesion, one of nine not quite an eighth.
    assert lesion_counts(image > 0.2, truth, overlap=0.125) == LesionCounts(2, 1, 2)
    assert lesion_counts(image > 0.2, truth, overlap=0.25) == LesionCounts(2, 1, 2)
    assert lesion_counts(image > 0.2, truth, overlap=0.26) == LesionCounts(2, 0, 2)


def test_what_hangs_together():
    diagonal = np.eye(4, dtype=bool)
    assert lesion_counts(diagonal, diagonal).lesions == 1
    assert lesion_counts(diagonal, diagonal, connectivity="faces") == LesionCounts(4, 4, 0)


def test_distances_are_in_mm_and_of_each_lesion():
    truth, found = np.zeros((20, 5, 5), bool), np.zeros((20, 5, 5), bool)
    truth[2, 2, 2] = truth[12, 2, 2] = True
    found[5, 2, 2] = True  # three voxels off the first, seven off the second
    assert lesion_counts(found, truth, 2.0) == LesionCounts(2, 0, 1)
    assert lesion_counts(found, truth, 2.0, within_mm=5.9) == LesionCounts(2, 0, 1)
    assert lesion_counts(found, truth, 2.0, within_mm=6.0) == LesionCounts(2, 1, 0)
    assert lesion_counts(found, truth, (1.0, 9.0, 9.0), within_mm=3.0) == LesionCounts(2, 1, 0)
    assert lesion_counts(found, truth, (1.0, 9.0, 9.0), within_mm=7.0) == LesionCounts(2, 2, 0)


def written_out(suspected, truth, spacing, within_mm, overlap, connectivity):
    """Every candidate against every lesion, voxel by voxel."""
    shape = ndimage.generate_binary_structure(truth.ndim, truth.ndim if connectivity == "corners" else 1)
    (ours, many), (theirs, count) = ndimage.label(suspected, shape), ndimage.label(truth, shape)
    spacing = np.broadcast_to(spacing, truth.ndim)
    places = [[np.argwhere(x == n) * spacing for n in range(1, k + 1)] for x, k in ((ours, many), (theirs, count))]
    near = np.array(
        [
            [np.linalg.norm(a[:, None] - b[None], axis=-1).min() <= within_mm + 1e-9 for b in places[1]]
            for a in places[0]
        ]
    ).reshape(many, count)
    found = near.any(0)
    if overlap:
        found = np.array([suspected[theirs == n].mean() >= overlap - 1e-9 for n in range(1, count + 1)])
    return LesionCounts(count, int(found.sum()), int((~near.any(1)).sum()))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(9, 8), (6, 7, 5)]),
    st.sampled_from([(0.0, 0.0), (2.5, 0.0), (0.0, 0.4)]),
    st.sampled_from(["faces", "corners"]),
)
def test_it_is_what_one_gets_by_writing_it_out(seed, shape, rule, connectivity):
    draw = np.random.default_rng(seed)
    suspected, truth = (draw.random(shape) < draw.uniform(0, 0.2) for _ in range(2))
    spacing = tuple(draw.choice([0.5, 1.0, 3.0], len(shape)).tolist())
    chosen = {"within_mm": rule[0], "overlap": rule[1], "connectivity": connectivity}
    found = lesion_counts(suspected, truth, spacing, **chosen)
    assert found == written_out(suspected, truth, spacing, *rule, connectivity)
    mirrored = torch.from_numpy(truth.copy()).flip(0).permute(*range(len(shape))[::-1])
    turned = lesion_counts(suspected[::-1].T, mirrored, spacing[::-1], **chosen)
    assert found == turned, "axes have no names"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([{}, {"within_mm": 2.0}, {"overlap": 0.5}]))
def test_the_curve_is_the_counts_at_each_threshold(seed, chosen):
    draw = np.random.default_rng(seed)
    maps = [draw.random((8, 9)).round(1).astype(np.float32) for _ in range(3)]
    truths = [draw.random((8, 9)) < share for share in (0.1, 0.05, 0.0)]
    truths[0][4, 4] = True
    curve = froc(maps, truths, **chosen)
    for alarms, sensitivity, level in zip(*curve, strict=True):
        counts = [lesion_counts(one >= level, truth, **chosen) for one, truth in zip(maps, truths, strict=True)]
        lesions, found, false = (sum(one) for one in zip(*counts, strict=True))
        assert sensitivity == pytest.approx(found / lesions) and alarms == pytest.approx(false / 3)
    assert (np.diff(curve.sensitivity) > 0).all() and curve.sensitivity[-1] == 1
    doubled = froc([2 * one for one in maps], truths, **chosen)
    assert (doubled.sensitivity == curve.sensitivity).all(), "only the order of the map's values counts"


def test_many_lesions_get_an_even_choice_of_thresholds():
    truth = np.zeros((40, 40), bool)
    truth[::4, ::4] = True
    curve = froc([np.random.default_rng(0).random((40, 40))], [truth])
    assert len(curve.thresholds) == 64 and curve.sensitivity[[0, -1]] == pytest.approx([0.01, 1])


def test_structures():
    error = torch.arange(24.0).reshape(2, 3, 4)
    labels = torch.zeros(2, 3, 4, dtype=torch.uint8)
    labels[0], labels[1, 0] = 1, 2
    assert structure_scores(error, labels, [1, 2]) == {1: 11.0, 2: 15.0}
    assert structure_scores(error, {"left": labels == 1}, percentile=50) == {"left": 5.5}
    assert structure_scores(error.numpy(), labels.numpy(), [1], percentile=0) == {1: 0.0}


NOTHING = np.zeros((3, 3), bool)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: structure_scores(torch.ones(3), torch.ones(3)), "labels is None, expected the labels of the struct"),
        (lambda: structure_scores(torch.ones(3), torch.ones(3), [2]), "structure 2 is empty, expected at least one"),
        (lambda: structure_scores(torch.ones(3), {"skull": torch.ones(4)}), r"structure 'skull' has the shape \(4,\)"),
        (lambda: structure_scores(torch.tensor([math.nan]), {"a": torch.ones(1)}), "error_map holds NaN inside"),
        (lambda: structure_scores(torch.ones(1), {"a": torch.ones(1)}, percentile=101), "percentile is 101, expected"),
        (lambda: structure_scores(torch.ones(3), {}), "structures holds none, expected one or more"),
        (lambda: froc([NOTHING * 1.0], [NOTHING + 1], thresholds=[]), r"thresholds is \[\], expected one or more"),
        (lambda: froc([], []), "error_maps holds 0 scans and references 0, expected as many"),
        (lambda: froc([NOTHING * 1.0], [NOTHING]), "references hold no lesion, expected at least one"),
        (lambda: froc([np.full((3, 3), math.nan)], [NOTHING]), "error_maps hold NaN, expected numbers"),
        (lambda: lesion_counts(NOTHING, np.zeros((3, 4))), r"reference has the shape \(3, 4\), expected that of the"),
        (lambda: lesion_counts(NOTHING, NOTHING, 0.0), "spacing is 0.0, expected a length above 0 mm"),
        (
            lambda: lesion_counts(NOTHING, NOTHING, (1, 1, 1)),
            "spacing holds 3 numbers, expected one for each of 2 axes",
        ),
        (lambda: lesion_counts(NOTHING, NOTHING, within_mm=-1), "within_mm is -1, expected a number of at least 0"),
        (lambda: lesion_counts(NOTHING, NOTHING, within_mm=1, overlap=0.5), "within_mm is 1 and overlap 0.5, expected"),
        (lambda: lesion_counts(NOTHING, NOTHING, connectivity="26"), "connectivity is '26', expected one of faces"),
        (lambda: lesion_counts(NOTHING + 2, NOTHING), "prediction holds 2, expected a mask"),
    ],
)
def test_what_it_refuses(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_header_gives_the_spacing():
    one, two = np.zeros((2, 9, 9), bool)
    one[2, 2], two[2, 5] = True, True
    for spacing in ((np.float32(1), np.float32(0.5)), np.array([1, 0.5]), torch.tensor([1, 0.5])):
        assert lesion_counts(one, two, spacing, within_mm=1.6).found == 1
        assert lesion_counts(one, two, spacing, within_mm=1.4).found == 0
