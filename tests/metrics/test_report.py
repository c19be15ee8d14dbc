"""One table of everything: counted by hand, the same through files and arrays, and equal to the measures one by one."""

import csv
import io
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from medlab import metrics
from medlab.data import Volume, save_volume, to_canonical
from medlab.metrics.calibration import brier_score, expected_calibration_error
from medlab.metrics.detection import lesion_counts
from medlab.metrics.precision_recall import average_precision
from medlab.metrics.report import evaluate
from medlab.metrics.report.columns import MEAN
from medlab.metrics.roc import auroc

SPACING = (1.0, 2.0, 3.0)
AFFINE = np.diag([*SPACING, 1.0])


def block(corner, shape=(8, 9, 7), size=(4, 2, 2)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(at, at + n) for at, n in zip(corner, size, strict=True))] = 1
    return mask


OURS, TRUTH = block((2, 1, 1)), block((1, 1, 1))  # the same block, one voxel of 1 mm further


def volume(values, affine=AFFINE):
    return Volume(torch.as_tensor(np.asarray(values, np.float32))[None], affine)


def saved(folder, name, values, affine=AFFINE):
    folder.mkdir(exist_ok=True)
    return save_volume(volume(values, affine), folder / f"{name}.nii.gz")


def random_labels(seed, shape=(9, 8, 7), most=4):
    return np.random.default_rng(seed).integers(0, most, shape)


def image_pair(seed=0, shape=(14, 15, 13)):
    draw = np.random.default_rng(seed)
    truth = draw.random(shape).astype(np.float32)
    return torch.from_numpy(truth + 0.1 * draw.standard_normal(shape).astype(np.float32)), torch.from_numpy(truth)


def test_a_mask_by_hand():
    report = evaluate(OURS, TRUTH, spacing=SPACING)
    assert report.kind == "mask" and report.structures == [""] and report.notes == ()
    expected = {
        "true_positive": 12,
        "false_positive": 4,
        "false_negative": 4,
        "true_negative": 8 * 9 * 7 - 20,
        "dice": 24 / 32,
        "iou": 12 / 20,
        "precision": 12 / 16,
        "recall": 12 / 16,
        "specificity": 484 / 488,
        "accuracy": 496 / 504,
        "f_beta": 0.75,
        "volume_similarity": 1,
        "signed_volume_difference": 0,
        "prediction_volume_ml": 16 * 6 / 1000,
        "reference_volume_ml": 16 * 6 / 1000,
        "volume_difference_ml": 0,
        "hausdorff_distance_mm": 1,
        "hausdorff_distance_95_mm": 1,
        "average_surface_distance_mm": 8 / 32,  # all voxels are border, and 4 of 16 on each side are 1 mm away
        "normalized_surface_dice": 1,
    }
    assert report.rows[0].values == pytest.approx(expected, abs=1e-12)
    assert {one.name for one in report.measures} == set(expected)
    assert evaluate(OURS, TRUTH, spacing=SPACING, tolerance_mm=0.5).value("normalized_surface_dice") == 0.75


def test_files_volumes_arrays_and_tensors_give_one_table(tmp_path):
    paths = saved(tmp_path, "ours", OURS), saved(tmp_path, "truth", TRUTH)
    expected = evaluate(OURS, TRUTH, spacing=SPACING).rows[0].values
    for ours, truth in (
        paths,
        [str(path) for path in paths],
        (volume(OURS), volume(TRUTH)),
        (paths[0], volume(TRUTH)),
        (paths[0], TRUTH),
        (torch.from_numpy(OURS), paths[1]),
    ):
        assert evaluate(ours, truth).rows[0].values == pytest.approx(expected, rel=1e-6)
    for kind in (bool, np.uint16, np.int64, np.float16, np.float64):
        assert evaluate(OURS.astype(kind), torch.from_numpy(TRUTH)[None], spacing=SPACING).rows[0].values == expected
    differentiable = torch.from_numpy(OURS).float().requires_grad_()
    assert evaluate(differentiable, TRUTH, spacing=np.float32(SPACING)).rows[0].values == expected


@pytest.mark.parametrize("seed", range(4))
def test_label_maps_are_the_measures_one_by_one(seed):
    ours, truth = random_labels(seed), random_labels(seed + 100)
    report = evaluate(ours, truth, spacing=SPACING, labels=[1, 3], names=["core", "oedema"], lesions=True)
    assert report.kind == "labels" and report.structures == ["core", "oedema", MEAN]
    for name in ("dice", "iou", "precision", "recall", "specificity", "accuracy", "volume_similarity"):
        expected = getattr(metrics, name)(ours, truth, [1, 3])
        assert [report.value(name, one) for one in ("core", "oedema")] == pytest.approx(expected.tolist(), abs=1e-12)
        assert report.value(name, MEAN) == pytest.approx(float(expected.mean()))
    for name, measure in (
        ("hausdorff_distance_mm", metrics.hausdorff_distance),
        ("hausdorff_distance_95_mm", metrics.hausdorff_distance_95),
        ("average_surface_distance_mm", metrics.average_surface_distance),
        ("normalized_surface_dice", metrics.normalized_surface_dice),
    ):
        expected = measure(ours, truth, SPACING, [1, 3])
        assert [report.value(name, one) for one in ("core", "oedema")] == pytest.approx(expected.tolist(), abs=1e-12)
    found = lesion_counts(ours == 3, truth == 3, SPACING)
    assert [report.value(f"{name}_lesions", "oedema") for name in ("reference", "found", "false_alarm")] == [*found]
    assert "true_positive" not in report.rows[2].values, "a mean of counts over labels means nothing"
    every = evaluate(ours, truth, spacing=SPACING)
    assert every.structures == ["label 1", "label 2", "label 3", MEAN]
    assert every.rows[2].values == {k: v for k, v in report.rows[1].values.items() if "lesion" not in k}


@pytest.mark.parametrize(
    "choices", [{"rule": "pooled"}, {"rule": "directed"}, {"border": "corners"}, {"weighting": "area"}]
)
def test_the_definitions_of_surfaces_can_be_chosen(choices):
    ours, truth = random_labels(5, most=2), random_labels(6, most=2)
    report = evaluate(ours, truth, spacing=SPACING, percentile=80, tolerance_mm=1.5, **choices)
    expected = metrics.hausdorff_distance_95(ours, truth, SPACING, percentile=80, **choices)
    assert report.value("hausdorff_distance_80_mm") == pytest.approx(float(expected))
    assert report.value("average_surface_distance_mm") == pytest.approx(
        float(metrics.average_surface_distance(ours, truth, SPACING, **choices))
    )
    choices.pop("rule", None)
    expected = metrics.normalized_surface_dice(ours, truth, SPACING, tolerance_mm=1.5, **choices)
    assert report.value("normalized_surface_dice") == pytest.approx(float(expected))


def test_probabilities():
    draw = np.random.default_rng(3)
    truth = draw.random((9, 8, 7)) < 0.3
    probability = np.clip(0.6 * truth + 0.5 * draw.random(truth.shape), 0, 1)
    mask = draw.random(truth.shape) < 0.7
    report = evaluate(probability, truth, mask=mask, threshold=0.4, spacing=2.0)
    assert report.kind == "probability"
    p, t = probability[mask], truth[mask]
    assert report.value("auroc") == pytest.approx(auroc(p, t))
    assert report.value("average_precision") == pytest.approx(average_precision(p, t))
    assert report.value("brier_score") == pytest.approx(brier_score(p, t))
    assert report.value("expected_calibration_error") == pytest.approx(expected_calibration_error(p, t))
    assert report.value("prevalence") == pytest.approx(t.mean())
    assert report.value("dice") == pytest.approx(float(metrics.dice(p >= 0.4, t)))
    assert report.value("specificity") == pytest.approx(float(metrics.specificity(p >= 0.4, t)))
    nobody = evaluate(probability, np.zeros_like(truth), kind="probability")
    assert math.isnan(nobody.value("auroc")) and any("auroc" in note for note in nobody.notes)


def test_images():
    ours, truth = image_pair()
    report = evaluate(ours, truth, data_range=1.0)
    assert report.kind == "image" and not any("spacing" in note for note in report.notes)
    assert report.rows[0].values == pytest.approx(
        {
            "mae": float(metrics.mae(ours, truth)),
            "mse": float(metrics.mse(ours, truth)),
            "psnr_db": float(metrics.psnr(ours, truth, 1.0)),
            "ssim": float(metrics.ssim(ours, truth, 1.0)),
            "normalized_cross_correlation": float(metrics.normalized_cross_correlation(ours, truth)),
            "mutual_information_nats": float(metrics.mutual_information(ours, truth)),
        }
    )
    assert "Multi-scale SSIM is left out: 13 voxels along an axis, and its five scales need 176." in report.notes
    mask = torch.zeros(truth.shape, dtype=torch.bool)
    mask[3:11, 4:12, 2:12] = True
    inside = evaluate(ours, truth, data_range="reference", mask=mask)
    span = float(truth[mask].max() - truth[mask].min())
    assert inside.value("data_range") == pytest.approx(span)
    assert inside.value("psnr_db") == pytest.approx(float(metrics.psnr(ours, truth, span, mask=mask)))
    assert inside.value("ssim") == pytest.approx(float(metrics.ssim(ours, truth, span, mask=mask)))


def test_a_large_image_in_a_plane_has_several_scales():
    ours, truth = image_pair(shape=(180, 178))
    report = evaluate(ours, truth, data_range=1.0)
    assert report.value("multi_scale_ssim") == pytest.approx(float(metrics.multi_scale_ssim(ours, truth, 1.0)))
    assert report.notes == ()


def test_no_data_range_is_guessed():
    report = evaluate(*image_pair())
    assert "psnr_db" not in report.rows[0].values and "ssim" not in report.rows[0].values
    assert any(note.startswith("No data range was given, and none is guessed") for note in report.notes)


def test_a_mask_limits_what_is_judged(tmp_path):
    inside = np.zeros_like(TRUTH)
    inside[:, :, :2] = 1  # the lower half of both blocks
    report = evaluate(
        saved(tmp_path, "ours", OURS), saved(tmp_path, "truth", TRUTH), mask=saved(tmp_path, "brain", inside)
    )
    assert [report.value(name) for name in metrics.overlap.Counts._fields] == [6, 2, 2, 8 * 9 * 2 - 10]


def test_flat_images():
    ours, truth = OURS[:, :, 1], TRUTH[:, :, 1]
    plane = evaluate(ours, truth, spacing=SPACING[:2])
    assert plane.value("prediction_area_mm2") == 8 * 2 and plane.value("average_surface_distance_mm") == 4 / 16
    slab = evaluate(volume(OURS[:, :, 1:2]), volume(TRUTH[:, :, 1:2]))
    assert "8 x 9 x 1 voxels are judged as an image of 2 axes." in slab.notes
    assert slab.value("prediction_volume_ml") == pytest.approx(8 * 6 / 1000)
    assert slab.value("average_surface_distance_mm") == 4 / 16


@pytest.mark.parametrize("turn", [[0, 2, 1], [2, 0, 1]])
@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_turned_axes_are_turned_back(tmp_path, turn, signs):
    ours, truth = random_labels(1, (5, 6, 7)), random_labels(2, (5, 6, 7))
    straight = evaluate(saved(tmp_path, "ours", ours), saved(tmp_path, "truth", truth))
    back = np.zeros((4, 4))  # what index in the old array a new index means
    data = ours.transpose(turn)
    for new, old in enumerate(turn):
        back[old, new], back[old, 3] = signs[new], 0 if signs[new] > 0 else ours.shape[old] - 1
        data = np.flip(data, new) if signs[new] < 0 else data
    back[3, 3] = 1
    path = saved(tmp_path, "turned", np.ascontiguousarray(data), AFFINE @ back)
    np.testing.assert_array_equal(to_canonical(volume(data.copy(), AFFINE @ back)).data[0], ours)
    turned = evaluate(path, tmp_path / "truth.nii.gz")
    for one, other in zip(straight.rows, turned.rows, strict=True):
        assert one.values == pytest.approx(other.values)
    assert any("axes turned to those of" in note and "turned.nii.gz" in note for note in turned.notes)
    assert not straight.notes


def test_rounding_in_a_header_is_no_other_place():
    shifted = AFFINE.copy()
    shifted[:3, 3] = 1e-3
    assert evaluate(volume(OURS, shifted), volume(TRUTH)).value("dice") == 0.75


def test_what_is_empty_is_said_and_left_out():
    empty = np.zeros_like(TRUTH)
    missed = evaluate(empty, TRUTH, spacing=1)
    assert missed.value("dice") == 0 and missed.value("hausdorff_distance_mm") == math.inf
    assert missed.value("normalized_surface_dice") == 0 and math.isnan(missed.value("precision"))
    assert missed.notes == (
        "Undefined (nothing to judge, 0 / 0): precision.",
        "Infinite (one of the two is empty): hausdorff_distance_mm, hausdorff_distance_95_mm and "
        "average_surface_distance_mm.",
    )
    for choice, share, distance in ((None, math.nan, math.nan), (1, 1, 0), (0, 0, math.inf), (math.nan,) * 3):
        absent = evaluate(empty, empty, spacing=1, empty=choice)
        for name in ("dice", "iou", "precision", "recall", "f_beta", "volume_similarity", "normalized_surface_dice"):
            assert repr(float(absent.value(name))) == repr(float(share)), (name, choice)
        assert repr(float(absent.value("hausdorff_distance_95_mm"))) == repr(float(distance))
        assert absent.value("specificity") == 1


def test_two_folders_are_paired_by_name(tmp_path):
    everyone = {"a": OURS, "b": TRUTH, "c": np.zeros_like(TRUTH)}
    for name, mask in everyone.items():
        saved(tmp_path / "ours", name, mask)
        saved(tmp_path / "truth", name, TRUTH)
    (tmp_path / "truth" / "readme.txt").write_text("passed over")
    seen = []
    report = evaluate(tmp_path / "ours", tmp_path / "truth", progress=seen.append)
    assert report.pairs == ["a", "b", "c"] == seen
    assert [row.values["dice"] for row in report.rows] == [0.75, 1, 0]
    found = {one.measure: one for one in report.summary()}
    assert found["dice"].mean == pytest.approx(1.75 / 3)
    assert found["dice"].half == pytest.approx(metrics.mean_interval([0.75, 1, 0]).half)
    assert (found["dice"].count, found["dice"].left_out) == (3, 0)
    distance = found["hausdorff_distance_mm"]
    assert (distance.mean, distance.count, distance.left_out) == (0.5, 2, 1), "an infinite distance is in no mean"
    assert any(note.startswith("Infinite for c (one of the two is empty)") for note in report.notes)
    one, other = tmp_path / "ours" / "a.nii.gz", tmp_path / "truth" / "a.nii.gz"
    assert evaluate([one, tmp_path / "ours" / "b.nii.gz"], [other, other]).pairs == ["a", "b"]
    assert evaluate([one, other], [other, other]).pairs == [str(one), str(other)], "one name would hide a pair"
    assert evaluate([one, one], [other, other]).pairs == ["1", "2"]
    listed = evaluate([OURS, TRUTH], [TRUTH, TRUTH], spacing=SPACING)
    assert listed.pairs == ["1", "2"]
    assert [row.values for row in listed.rows] == [pytest.approx(row.values) for row in report.rows[:2]]


def test_a_folder_of_slices_is_one_image(tmp_path):
    slices = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(slices)
    report = evaluate(tmp_path / "series", tmp_path / "series", data_range=2000)
    assert report.kind == "image" and report.value("mae") == 0 and report.value("psnr_db") == math.inf
    assert "Infinite (the images are equal): psnr_db." in report.notes


def test_pairs_are_judged_as_one_kind():
    only_one = (random_labels(0) == 1).astype(int)
    report = evaluate([random_labels(1), only_one], [random_labels(2), only_one], spacing=1, empty=1)
    assert report.kind == "labels" and len(report.rows) == 8
    assert report.value("dice", "label 1", "2") == 1 and report.value("dice", "label 3", "2") == 1
    draw = np.random.default_rng(0).random(TRUTH.shape)
    saturated = evaluate([draw, TRUTH], [TRUTH, TRUTH], spacing=1)
    assert saturated.kind == "probability" and saturated.value("auroc", pair="2") == 1
    with pytest.raises(ValueError, match="pair '1' is judged as mask and pair '2' as image, expected one kind"):
        evaluate([TRUTH, image_pair()[0]], [TRUTH, image_pair()[1]])


def test_what_looks_like_what():
    noise = np.random.default_rng(0).integers(-1000, 2000, (9, 9, 9))  # as of a CT
    assert evaluate(noise, noise[::-1]).kind == "image"
    few = random_labels(0)
    assert evaluate(few, few[::-1]).kind == "labels"
    assert evaluate(few, few[::-1], data_range=4).kind == "image"
    assert evaluate(few, few[::-1], kind="image").kind == "image"
    assert evaluate(TRUTH, random_labels(0, TRUTH.shape)).kind == "labels"
    mixed = evaluate(few == 1, few, spacing=1, labels=[1, 2, 3])
    assert [mixed.value("dice", f"label {n}") for n in (1, 2, 3)] == [1, 0, 0], "a mask of bool holds label 1 alone"
    huge = few.astype(np.int64) * 2**33
    assert evaluate(huge, huge[::-1], labels=[2**33], spacing=1).rows[0].values == pytest.approx(
        evaluate(few, few[::-1], labels=[1], spacing=1).rows[0].values
    )
    assert evaluate(TRUTH, TRUTH * 1.0, kind="probability").value("brier_score") == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_the_other_way_round(seed, one, other):
    draw = np.random.default_rng(seed)
    ours, truth = draw.random((5, 6, 4)) < one, draw.random((5, 6, 4)) < other
    there, back = (evaluate(*pair, spacing=SPACING).rows[0].values for pair in ((ours, truth), (truth, ours)))
    for name, value in there.items():
        twin = {
            "precision": "recall",
            "recall": "precision",
            "false_positive": "false_negative",
            "false_negative": "false_positive",
            "prediction_volume_ml": "reference_volume_ml",
            "reference_volume_ml": "prediction_volume_ml",
        }.get(name, name)
        if name in ("signed_volume_difference", "volume_difference_ml"):
            assert back[name] == pytest.approx(-value, nan_ok=True)
        elif name not in ("specificity", "f_beta"):
            assert back[twin] == pytest.approx(value, nan_ok=True), name


def test_csv_and_json_hold_every_number_in_full():
    ours = random_labels(0)
    report = evaluate(
        [ours, ours % 2], [random_labels(1), random_labels(2)], spacing=1, names=["x", "y,z"], labels=[1, 2]
    )
    lines = list(csv.DictReader(io.StringIO(report.csv(), newline="")))
    assert "\r\n" in report.csv() and len(lines) == 2 * 3 + 3 * 3
    values = [line for line in lines if line["statistic"] == "value"]
    for row, line in zip(report.rows, values, strict=True):
        assert (line["pair"], line["structure"]) == (row.pair, row.structure)
        for one in report.measures:
            assert line[one.name] == ("" if one.name not in row.values else repr(row.values[one.name]))
    assert values[4]["hausdorff_distance_mm"] == "inf" and values[4]["precision"] == "nan"
    (mean,) = [line for line in lines if line["statistic"] == "mean" and line["structure"] == "x"]
    assert float(mean["dice"]) == pytest.approx(sum(report.value("dice", "x", pair) for pair in "12") / 2)
    (pairs,) = [line for line in lines if line["statistic"] == "pairs" and line["structure"] == "y,z"]
    assert pairs["hausdorff_distance_mm"] == "1" and pairs["dice"] == "2"

    found = json.loads(report.json())
    assert found["kind"] == "labels" and found["settings"]["labels"] == [1, 2]
    assert found["pairs"][4]["values"]["hausdorff_distance_mm"] == "inf" and found["notes"] == list(report.notes)
    assert found["pairs"][4]["values"]["precision"] is None
    assert set(found["measures"]) == {one.name for one in report.measures}


def test_the_table_is_aligned():
    text = str(evaluate(OURS, TRUTH, spacing=SPACING))
    assert text.startswith("Judged as masks.\n\ndice ")
    lines = [line for line in text.splitlines() if line.startswith(("iou", "signed_volume"))]
    assert lines[0].index("0.6000") + 6 == lines[1].index("0.0000") + 6
    several = str(evaluate([OURS, TRUTH], [TRUTH, TRUTH], spacing=SPACING))
    heads = next(line for line in several.splitlines() if "dice" in line)
    assert heads.startswith("pair") and "mean" in several and "± (95 %)" in several
    assert "pairs counted" not in several
    assert "pairs counted" in str(evaluate([OURS, TRUTH], [TRUTH * 0, TRUTH], spacing=SPACING))
    row = next(line for line in several.splitlines() if line.startswith("1 "))
    assert row[: heads.index("dice") + 4].endswith("0.7500")


def moved(millimetres):
    affine = AFFINE.copy()
    affine[0, 3] = millimetres
    return affine


SHEARED = AFFINE + np.eye(4)[[0]].T @ np.array([[0, 0, 0.5, 0]])


@pytest.mark.parametrize(
    ("arguments", "choices", "said"),
    [
        ((OURS, TRUTH[:7]), {}, "prediction has 8 x 9 x 7 voxels, expected those of reference, 7 x 9 x 7"),
        ((volume(OURS[:7]), volume(TRUTH)), {}, "prediction has 7 x 9 x 7 voxels, expected those of reference"),
        (
            (volume(OURS, moved(3)), volume(TRUTH)),
            {},
            "prediction lies elsewhere than reference: their corners are up to 3 mm apart, expected one grid",
        ),
        ((volume(OURS, np.diag([1, 2, 3.5, 1])), volume(TRUTH)), {}, "prediction lies elsewhere than reference"),
        ((volume(OURS, SHEARED), volume(TRUTH, SHEARED)), {}, "reference has axes that are not at right angles"),
        ((volume(OURS), volume(TRUTH)), {"spacing": 1.0}, r"spacing is 1\.0, expected none: prediction says its own"),
        ((volume(np.stack([OURS] * 2)[0]), OURS[0]), {}, "reference has the shape|voxels, expected those"),
        ((OURS[0, 0], TRUTH[0, 0]), {}, r"prediction has the shape \(7,\), expected \(X, Y\) or \(X, Y, Z\)"),
        ((OURS, TRUTH), {"spacing": (1, 2)}, "spacing holds 2 numbers, expected one for each of 3 axes"),
        ((OURS, TRUTH), {"spacing": -1}, "spacing is -1, expected a length above 0 mm"),
        ((OURS * 1.0, np.full(TRUTH.shape, math.nan)), {}, "reference holds nan, expected finite numbers"),
        ((OURS * 4, TRUTH), {"kind": "mask"}, "prediction holds 4, expected a mask of 0 and 1"),
        ((OURS, TRUTH * 0.5), {"kind": "mask"}, r"reference holds 0\.5, expected a mask of 0 and 1"),
        ((OURS, TRUTH * 255), {}, "prediction holds 1 and reference 255 beside 0, expected masks of 0 and 1, or label"),
        ((OURS, TRUTH * 0.5), {}, r"prediction is a mask and reference holds 0 to 0\.5, expected two masks"),
        ((OURS * -1.5, TRUTH), {}, r"reference is a mask and prediction holds -1\.5 to 0, expected two masks"),
        ((OURS * 1.5, TRUTH), {"kind": "probability"}, r"prediction holds 1\.5, expected probabilities from 0 to 1"),
        ((OURS * 0.5, TRUTH * 2), {"kind": "probability"}, "reference holds 2, expected a mask of 0 and 1"),
        ((OURS * 0.5, TRUTH), {"labels": [1]}, r"prediction holds 0\.5, expected whole numbers as labels"),
        ((OURS, TRUTH * -1.0), {"labels": [1]}, "reference holds -1, expected labels of 0 or more"),
        ((OURS, TRUTH), {"labels": [-1]}, r"labels holds -1, expected whole numbers of 1 or more"),
        ((OURS, TRUTH), {"labels": [0]}, r"labels holds 0, expected whole numbers of 1 or more"),
        ((OURS, TRUTH), {"labels": [1, 1]}, r"labels is \[1, 1\], expected one or more values, each once"),
        ((OURS, TRUTH), {"labels": [1, 3]}, "labels holds 3, which is in no prediction and no reference"),
        (
            (OURS, TRUTH),
            {"labels": [1], "kind": "image"},
            "labels are given and kind is 'image', expected kind 'labels'",
        ),
        ((OURS, TRUTH), {"names": ["a"]}, "names holds 1 for no labels, expected one for each of labels"),
        ((OURS, TRUTH), {"names": ["a", "b"], "labels": [1]}, "names holds 2 for 1 labels"),
        ((OURS, TRUTH), {"names": ["a", "a"], "labels": [1, 2]}, r"names is \['a', 'a'\], expected each once"),
        ((OURS * 0, TRUTH * 0), {"kind": "labels"}, "prediction and reference hold 0 alone, expected labels"),
        ((OURS, TRUTH), {"kind": "masks"}, "kind is 'masks', expected one of auto, mask, labels, probability, image"),
        ((OURS, TRUTH), {"empty": 0.5}, r"empty is 0\.5, expected nan, 0 or 1"),
        ((OURS, TRUTH), {"rule": "max"}, "rule is 'max', expected one of"),
        ((OURS, TRUTH), {"border": "corners", "weighting": "area"}, "border is 'corners', expected 'faces'"),
        ((OURS, TRUTH), {"percentile": 101}, "percentile is 101, expected a number"),
        ((OURS, TRUTH), {"mask": TRUTH * 0}, "mask is empty, expected at least one voxel"),
        ((OURS, TRUTH), {"mask": TRUTH * 2}, "mask holds 2, expected a mask of 0 and 1"),
        ((OURS, TRUTH), {"mask": TRUTH[:5]}, "mask has 5 x 9 x 7 voxels, expected those of reference"),
        ((OURS * 0 + 1.0, TRUTH), {"kind": "image"}, "prediction is 1 everywhere, expected an image that varies"),
        ((OURS * 0.5, TRUTH), {"kind": "image", "mask": TRUTH}, "reference is 1 everywhere in the mask, expected"),
        (image_pair(), {"data_range": 0}, "data_range is 0, expected a number above 0"),
        (([OURS], TRUTH), {}, "prediction and reference are one a list and one not, expected two lists"),
        (([OURS], [TRUTH, TRUTH]), {}, "prediction holds 1 and reference 2, expected as many, and at least one"),
    ],
)
def test_refusals(arguments, choices, said):
    with pytest.raises(ValueError, match=said):
        evaluate(*arguments, **choices)


def test_refusals_name_the_file(tmp_path):
    truth = saved(tmp_path, "truth", TRUTH)
    with pytest.raises(FileNotFoundError, match=r"none\.nii\.gz: the file is missing"):
        evaluate(tmp_path / "none.nii.gz", truth)
    (tmp_path / "broken.nii.gz").write_bytes(truth.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"broken\.nii\.gz: "):
        evaluate(tmp_path / "broken.nii.gz", truth)
    with_nan = TRUTH.astype(np.float32)
    with_nan[2, 3, 1] = np.nan
    nib.save(nib.Nifti1Image(with_nan, AFFINE), tmp_path / "nan.nii.gz")
    with pytest.raises(ValueError, match=r"nan\.nii\.gz: 1 voxels are NaN or infinite"):
        evaluate(tmp_path / "nan.nii.gz", truth)
    with pytest.raises(ValueError, match=r"twos\.nii\.gz holds 2, expected a mask of 0 and 1"):
        evaluate(saved(tmp_path, "twos", OURS * 2), truth, kind="mask")
    two_channels = Volume(torch.zeros(2, 8, 9, 7), AFFINE)
    with pytest.raises(ValueError, match="prediction has 2 channels, expected one"):
        evaluate(two_channels, truth)


def test_refusals_of_folders(tmp_path):
    for name in "ab":
        saved(tmp_path / "ours", name, OURS)
    saved(tmp_path / "truth", "a", TRUTH)
    with pytest.raises(ValueError, match=r"b\.nii\.gz has no partner in .*truth, expected one of the same name"):
        evaluate(tmp_path / "ours", tmp_path / "truth")
    with pytest.raises(ValueError, match=r"b\.nii\.gz has no partner"):
        evaluate(tmp_path / "truth", tmp_path / "ours")
    with pytest.raises(ValueError, match=r"ours is a folder of NIfTI files and .*a\.nii\.gz is not, expected both"):
        evaluate(tmp_path / "ours", tmp_path / "truth" / "a.nii.gz")
    with pytest.raises(ValueError, match=r"has no mask in"):
        evaluate(tmp_path / "ours", tmp_path / "ours", mask=tmp_path / "truth")
    (tmp_path / "ours" / "a.nii").write_bytes(b"")
    with pytest.raises(ValueError, match=r"ours holds a\.nii and a\.nii\.gz, expected each name once"):
        evaluate(tmp_path / "ours", tmp_path / "truth")
