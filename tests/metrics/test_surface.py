"""Surface distances: known answers, an independent computation by distance transforms, and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medlab.metrics.surface import (
    average_surface_distance,
    hausdorff_distance,
    hausdorff_distance_95,
    normalized_surface_dice,
)
from medlab.metrics.surface_distances import surface_distances


def cube(corner, edge, shape=(24, 24, 24)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(at, at + edge) for at in corner)] = True
    return mask


def blob(seed, shape=(14, 16, 12), share=0.4, smooth=1.2):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), smooth)
    return noise > np.quantile(noise, 1 - share)


def by_transforms(ours, truth, spacing, structure):
    """The two lists of distances from distance transforms of the borders, sorted."""
    borders = [mask & ~ndimage.binary_erosion(mask, structure) for mask in (ours, truth)]
    away = [ndimage.distance_transform_edt(~border, sampling=spacing) for border in borders]
    return np.sort(away[1][borders[0]]), np.sort(away[0][borders[1]])


# Frozen from MONAI 1.5 and Metrics Reloaded (directed), medpy 0.5 (pooled), all of November 2026.
@pytest.mark.parametrize(
    ("prediction", "spacing", "expected"),
    [
        (cube((6, 5, 5), 10), 1.0, (1, 1, 1, 0.33607, 0.33607)),
        (cube((7, 7, 7), 6), 1.0, (3.46410, 3.0, 2.83701, 2.21897, 2.14359)),
        (cube((6, 5, 5), 10), (3.0, 1.0, 1.0), (3, 3, 3, 0.85246, 0.85246)),
    ],
)
def test_known_answers(prediction, spacing, expected):
    pair = prediction, cube((5, 5, 5), 10), spacing
    found = (
        hausdorff_distance(*pair),
        hausdorff_distance_95(*pair),
        hausdorff_distance_95(*pair, rule="pooled"),
        average_surface_distance(*pair),
        average_surface_distance(*pair, rule="directed"),
    )
    assert [float(one) for one in found] == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("border", ["faces", "corners"])
@pytest.mark.parametrize("seed", range(100))
def test_they_are_those_of_distance_transforms(seed, border):
    draw = np.random.default_rng(seed)
    shape = (14, 16, 12)[: 2 + seed % 2]
    spacing = tuple(draw.uniform(0.4, 3.0, len(shape)))
    ours, truth = (blob(2 * seed + n, shape, draw.uniform(0.05, 0.6), draw.uniform(0.6, 2)) for n in (0, 1))
    structure = ndimage.generate_binary_structure(len(shape), 1 if border == "faces" else len(shape))
    found = surface_distances(ours, truth, spacing, border=border)
    for mine, theirs in zip(
        (found.to_reference, found.to_prediction), by_transforms(ours, truth, spacing, structure), strict=True
    ):
        np.testing.assert_allclose(np.sort(mine), theirs, rtol=1e-12, atol=1e-12)
    for percentile in (50.0, 95.0):
        expected = max(np.percentile(one, percentile) for one in by_transforms(ours, truth, spacing, structure))
        mine = hausdorff_distance_95(ours, truth, spacing, percentile=percentile, border=border)
        assert float(mine) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 4))
def test_properties(seed, factor):
    one, two, three = (blob(seed + n, (9, 10, 8)) for n in range(3))
    spacing = (1.0, 0.7, 2.5)
    for measure in (hausdorff_distance, hausdorff_distance_95, average_surface_distance):
        value = float(measure(one, two, spacing))
        assert float(measure(two, one, spacing)) == pytest.approx(value, rel=1e-12), "symmetric"
        assert float(measure(one, one, spacing)) == 0
        scaled = float(measure(one, two, tuple(factor * edge for edge in spacing)))
        assert scaled == pytest.approx(factor * value), "lengths scale"
        turned = [np.flip(mask.transpose(1, 2, 0), 1) for mask in (one, two)]
        assert float(measure(*turned, (0.7, 2.5, 1.0))) == pytest.approx(value), "axes have no names"
        moved = [np.pad(mask, ((3, 0), (0, 2), (1, 1))) for mask in (one, two)]
        assert float(measure(*moved, spacing)) == pytest.approx(value), "where in the array does not matter"
    ways = [float(hausdorff_distance(*pair, spacing)) for pair in ((one, two), (two, three), (one, three))]
    assert ways[2] <= ways[0] + ways[1] + 1e-9, "the triangle inequality"
    largest = float(hausdorff_distance(one, two, spacing))
    for rule in ("directed", "pooled"):
        assert float(hausdorff_distance_95(one, two, spacing, rule=rule)) <= largest + 1e-12
    shares = [float(normalized_surface_dice(one, two, spacing, tolerance_mm=t)) for t in (0, 1, 2, largest)]
    assert shares == sorted(shares) and shares[-1] == 1 and shares[0] >= 0


def test_surface_dice_by_hand():
    # Squares of 4 x 4, one of them one voxel further: 12 border voxels each, of which 6 lie on the other's border.
    one, two = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    one[1:5, 1:5] = True
    two[2:6, 1:5] = True
    assert float(normalized_surface_dice(one, two, tolerance_mm=0)) == pytest.approx(12 / 24)
    assert float(normalized_surface_dice(one, two, tolerance_mm=1)) == 1


def test_one_far_voxel_moves_the_largest_distance_alone():
    truth = cube((4, 4, 4), 12, (40, 24, 24))
    ours = truth.copy()
    ours[38, 10, 10] = True
    assert float(hausdorff_distance(ours, truth)) == 23
    assert float(hausdorff_distance_95(ours, truth)) == 0


def test_a_mask_that_touches_the_edge_has_a_border_there():
    full = np.ones((6, 6, 6), bool)
    found = surface_distances(full, full)
    assert len(found.to_reference) == 6**3 - 4**3 and not found.pooled.any()
    shifted = np.zeros((6, 6, 6), bool)
    shifted[1:] = True
    assert float(hausdorff_distance(full, shifted)) == 1


def test_a_header_gives_the_spacing():
    one, two = blob(1), blob(2)
    expected = float(hausdorff_distance(one, two, (2.0, 0.5, 1.0)))
    for spacing in (
        np.array([2, 0.5, 1], np.float32),
        tuple(np.array([2, 0.5, 1], np.float32)),
        torch.tensor([2, 0.5, 1]),
    ):
        assert float(hausdorff_distance(one, two, spacing)) == expected
    assert float(hausdorff_distance(one, two, np.float32(2))) == float(hausdorff_distance(one, two, 2))


def test_the_surface_is_what_one_chooses():
    # A cube of 4 around a hole of 2: the hole has a border of its own, and no voxel of the volume.
    full, hollow = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    full[1:7, 1:7, 1:7] = hollow[1:7, 1:7, 1:7] = True
    hollow[3:5, 3:5, 3:5] = False
    assert float(hausdorff_distance(full, hollow, border="volume")) == 1, "the hole is one voxel from the rest"
    assert float(hausdorff_distance(full, hollow)) == 1, "the hole's border is one voxel from the outer one"
    found = surface_distances(full, hollow, border="volume")
    assert len(found.to_reference) == 216 and found.to_reference.sum() == 8 and not found.to_prediction.any()
    by_area = surface_distances(full, full, weighting="area")
    assert by_area.prediction_area.sum() == pytest.approx(by_area.reference_area.sum())
    faces, edges, corners = 6 * 25, 12 * 5 * np.sqrt(0.5), 8 * np.sqrt(3) / 8
    assert by_area.prediction_area.sum() == pytest.approx(faces + edges + corners)


def test_samples_and_labels():
    generator = torch.Generator().manual_seed(1)
    ours, truth = (torch.randint(0, 3, (2, 7, 6, 5), generator=generator, dtype=torch.uint8) for _ in range(2))
    found = hausdorff_distance_95(ours, truth, 2.0, [1, 2, 9], batch_dims=1)
    assert found.shape == (2, 3) and bool(found[:, 2].isnan().all())
    for n in (0, 1):
        for k, label in enumerate((1, 2)):
            assert float(found[n, k]) == float(hausdorff_distance_95(ours[n] == label, truth[n] == label, 2.0))


def test_what_is_empty_is_what_one_chooses():
    empty, some = np.zeros((5, 5), bool), np.eye(5, dtype=bool)
    for measure in (hausdorff_distance, hausdorff_distance_95, average_surface_distance):
        assert math.isnan(measure(empty, empty)) and float(measure(empty, empty, both_empty=0.0)) == 0
        assert float(measure(empty, some)) == float(measure(some, empty)) == math.inf
        assert float(measure(some, empty, one_empty=374.0)) == 374
    assert math.isnan(normalized_surface_dice(empty, empty)) and float(normalized_surface_dice(empty, some)) == 0
    assert np.isinf(surface_distances(some, empty).to_reference).all()
    for weighting in ("voxels", "area"):
        for rule in ("directed", "pooled", "to_reference", "to_prediction"):
            one, none = (surface_distances(empty, other, weighting=weighting) for other in (some, empty))
            assert one.percentile(95, rule) == one.average(rule) == math.inf
            assert math.isnan(none.percentile(95, rule)) and math.isnan(none.average(rule))
        assert one.within(1.0) == 0 and math.isnan(none.within(1.0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda a: hausdorff_distance(a, a, 0), r"spacing is 0, expected a length above 0 mm"),
        (lambda a: hausdorff_distance(a, a, (1, -1)), r"spacing is -1, expected a length above 0 mm"),
        (lambda a: hausdorff_distance(a, a, (1, 1, 1)), "spacing holds 3 numbers, expected one for each of 2 axes"),
        (lambda a: hausdorff_distance(a, a, None), "spacing is None, expected a length above 0 mm"),
        (lambda a: hausdorff_distance(a, a, True), "spacing is True, expected a length above 0 mm"),
        (lambda a: hausdorff_distance(a, a, weighting="face"), "weighting is 'face', expected one of voxels, area"),
        (
            lambda a: hausdorff_distance(a, a, border="corners", weighting="area"),
            "border is 'corners', expected 'faces' where surfaces are weighted by their area",
        ),
        (lambda a: hausdorff_distance(a, a[:3]), "expected that of reference"),
        (lambda a: hausdorff_distance(a[0], a[0]), "prediction has 1 axes of space, expected 2 or 3"),
        (lambda a: hausdorff_distance_95(a, a, percentile=101), "percentile is 101, expected a number"),
        (lambda a: hausdorff_distance_95(a, a, rule="mean"), "rule is 'mean', expected one of directed, pooled"),
        (lambda a: average_surface_distance(a, a, border="edges"), "border is 'edges', expected one of faces, corners"),
        (
            lambda a: normalized_surface_dice(a, a, tolerance_mm=-1),
            "tolerance_mm is -1, expected a number of at least 0",
        ),
        (lambda a: surface_distances(a * 2.0, a), "prediction holds 2, expected a mask of 0 and 1"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call(np.eye(5))
