"""Surface distances beside the programs that people use, each met by the option that is named after it."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

from medlab.metrics.surface_distances import surface_distances
from medlab.metrics.surface_elements import element_areas
from tests.metrics.shapes import Case, random_case

KNOWN = json.loads((Path(__file__).parent / "known" / "surface_distance.json").read_text(encoding="utf-8"))


def one_hot(mask: np.ndarray) -> torch.Tensor:
    """(1, 2, X, Y[, Z]), background first, as MONAI wants it."""
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


def monais(case: Case) -> dict[str, float]:
    pair = one_hot(case.prediction), one_hot(case.reference)
    shared = {"spacing": case.spacing}
    distances = {
        "hausdorff": compute_hausdorff_distance(*pair, **shared),
        "hausdorff 95": compute_hausdorff_distance(*pair, percentile=95, **shared),
        "hausdorff 95, one way": compute_hausdorff_distance(*pair, percentile=95, directed=True, **shared),
        "average": compute_average_surface_distance(*pair, symmetric=True, **shared),
        "average, one way": compute_average_surface_distance(*pair, **shared),
        "surface dice": compute_surface_dice(*pair, [1.55], **shared),
        "surface dice by area": compute_surface_dice(*pair, [1.55], use_subvoxels=True, **shared),
    }
    return {name: float(value) for name, value in distances.items()}


@pytest.mark.parametrize("start", range(0, 240, 24))
def test_monais(start):
    for seed in range(start, start + 24):
        case = random_case(seed)
        found, by_area = surface_distances(*case), surface_distances(*case, weighting="area")
        expected = monais(case)
        assert found.percentile(100) == pytest.approx(expected["hausdorff"], rel=1e-5), seed
        assert found.percentile(95) == pytest.approx(expected["hausdorff 95"], rel=1e-5), seed
        one_way = found.percentile(95, "to_reference")
        assert one_way == pytest.approx(expected["hausdorff 95, one way"], rel=1e-5), seed
        assert found.average() == pytest.approx(expected["average"], rel=1e-5), seed
        assert found.average("to_reference") == pytest.approx(expected["average, one way"], rel=1e-5), seed
        assert found.within(1.55) == pytest.approx(expected["surface dice"], abs=1e-6), seed
        assert by_area.within(1.55) == pytest.approx(expected["surface dice by area"], abs=1e-6), seed


def test_simpleitks():
    for seed in range(240):
        case = random_case(seed)
        images = [sitk.GetImageFromArray(mask.T.astype(np.uint8)) for mask in case[:2]]
        for image in images:
            image.SetSpacing(case.spacing)
        theirs = sitk.HausdorffDistanceImageFilter()
        theirs.Execute(*images)
        found = surface_distances(*case, border="volume")
        assert found.percentile(100) == pytest.approx(theirs.GetHausdorffDistance(), rel=1e-5), seed
        assert found.average("directed") == pytest.approx(theirs.GetAverageHausdorffDistance(), rel=1e-5), seed


@pytest.mark.parametrize("row", KNOWN["rows"], ids=lambda row: str(row["seed"]))
def test_surface_distances(row):
    case = random_case(row["seed"])
    assert [int(case.prediction.sum()), int(case.reference.sum())] == row["voxels"], "the shapes are not those measured"
    found = surface_distances(*case, weighting="area")
    for percentile, name in ((100, "hausdorff"), (95, "hausdorff_95"), (50, "hausdorff_50")):
        assert found.percentile(percentile) == pytest.approx(row[name], abs=1e-9)
    for direction in ("to_reference", "to_prediction"):
        assert found.average(direction) == pytest.approx(row[direction], abs=1e-9)
    for tolerance in (0.55, 2.05):
        assert found.within(tolerance) == pytest.approx(row[f"dice_{tolerance}"], abs=1e-9)


def test_peers_differ_and_the_options_with_them():
    """Where all programs said the same, the tests above would not tell the options apart."""
    apart = {"area": 0, "volume": 0, "pooled": 0, "one way": 0}
    for seed in range(60):
        case = random_case(seed)
        found = surface_distances(*case)
        apart["area"] += found.average() != pytest.approx(surface_distances(*case, weighting="area").average())
        apart["volume"] += found.average() != pytest.approx(surface_distances(*case, border="volume").average())
        apart["pooled"] += found.percentile(95) != pytest.approx(found.percentile(95, "pooled"))
        apart["one way"] += found.percentile(95) != pytest.approx(found.percentile(95, "to_reference"))
    assert min(apart.values()) >= 10, apart


def test_the_area_of_a_ball_and_of_a_slanted_plane():
    # Pieces between voxels follow a slope where a count of faces would not: a ball's faces make 1.5 times its area.
    at = np.stack(np.indices((41, 41, 41)), -1) - 20
    ball = (at**2).sum(-1) <= 18.2**2
    spacing = (0.5, 1.0, 0.8)
    found = surface_distances(ball, ball, spacing, weighting="area")
    from scipy.special import elliprg

    half = np.array(spacing) * 18.2
    exact = 4 * np.pi * half.prod() * elliprg(*(1 / half**2))
    assert found.prediction_area.sum() == pytest.approx(exact, rel=0.1)
    plane = np.zeros((2, 2, 2), bool)
    plane[0] = True
    code = sum(1 << bit for bit, corner in enumerate(np.ndindex(2, 2, 2)) if plane[corner])
    assert element_areas(np.array(spacing))[code] == pytest.approx(1.0 * 0.8)
    assert element_areas(np.array((3.0, 4.0)))[0b0001] == pytest.approx(2.5), "half the diagonal of a pixel"
    areas = element_areas(np.array(spacing))
    np.testing.assert_allclose(areas, areas[::-1], atol=1e-12)
