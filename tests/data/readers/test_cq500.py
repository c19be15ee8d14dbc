"""CQ500: which series of a patient is taken, what three raters say together, and values in HU."""

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.data.readers import read_cq500
from medlab.data.readers.cq500 import AIR_HU, FINDINGS, normalise
from medlab.data.readers.cq500_series import choose_series
from medlab.data.samples import Sample
from tests.data.readers import trees


def element(**elements):
    def edit(index, dataset):
        for key, value in elements.items():
            setattr(dataset, key, value)

    return edit


@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
def test_patients_in_hounsfield_units(tmp_path, check):
    root = trees.cq500(tmp_path)
    found = read_cq500(root, check=check)
    assert found.subjects == ("CQ500-CT-0", "CQ500-CT-1", "CQ500-CT-12")
    assert found.absent == ("CQ500-CT-99",) and not found.left_out
    sample = found[1]
    assert sample.channels == ("CT",) and sample.facts["series"] == "CT PLAIN THIN"
    written = trees.ct_series(tmp_path / "again", 101)
    assert sample.image.orientation == "RAS"  # DICOM counts to the left and to the back
    assert np.array_equal(sample.image.data[0].numpy(), written[::-1, ::-1])
    assert np.allclose(sample.image.spacing, (0.5, 0.5, 25))


def test_findings_are_the_majority_of_three(tmp_path):
    found = read_cq500(trees.cq500(tmp_path), check="names")
    assert not any(found.facts(0)[name] for name in FINDINGS.values())
    positive = {name for name in FINDINGS.values() if found.facts(1)[name]}
    assert positive == {
        "intracranial_haemorrhage",
        "subarachnoid_haemorrhage",
        "bleeding_left",
        "fracture",
        "calvarial_fracture",
    }
    assert all(isinstance(found.facts(1)[name], bool) for name in FINDINGS.values())
    assert found.facts(1)["votes"]["bleeding_left"] == (True, False, True)
    # Two who agree settle it when the third says nothing.
    assert found.facts(2)["midline_shift"] is True
    assert found.facts(2)["votes"]["fracture"] == (False, None, False)


NAMES = {
    "the thinnest": ({"CT Plain": {"thickness": 5}, "CT 0.625mm": {"thickness": 0.625}}, "CT 0.625mm"),
    "of equally thin ones the most slices": ({"CT Thin": {}, "CT Thin-2": {"count": 6}}, "CT Thin-2"),
    "of equals the first name": ({"CT 2.55mm-10": {}, "CT 2.55mm-9": {}}, "CT 2.55mm-9"),
    "no contrast medium": ({"CT Thin Contrast": {"thickness": 1}, "CT Plain": {}}, "CT Plain"),
    "nor a rate of injection": ({"CT 4cc sec 150cc D3D on": {"thickness": 1}, "CT Plain": {}}, "CT Plain"),
    "nor a letter for it": ({"CT C THIN": {"thickness": 1}, "CT Plain": {}}, "CT Plain"),
    "nor an agent in the header": (
        {"CT Thin": {"thickness": 1, "edit": element(ContrastBolusAgent="OMNIPAQUE")}, "CT Plain": {}},
        "CT Plain",
    ),
    "but what comes before it": ({"CT PRE CONTRAST THIN": {"thickness": 1}, "CT Plain": {}}, "CT PRE CONTRAST THIN"),
    "bone last": ({"CT BONE THIN": {"thickness": 1}, "CT Plain": {}}, "CT Plain"),
    "bone rather than nothing": ({"CT BONE THIN": {}, "CT POST CONTRAST": {}}, "CT BONE THIN"),
    "no localiser": ({"CT Scout": {"thickness": 1}, "CT Plain": {}}, "CT Plain"),
    "no other part of the body": (
        {"CT Thin": {"thickness": 1, "edit": element(BodyPartExamined="CSPINE")}, "CT Plain": {}},
        "CT Plain",
    ),
    "no other modality": ({"CT Thin": {"thickness": 1, "edit": element(Modality="MR")}, "CT Plain": {}}, "CT Plain"),
    "no slab": ({"CT Thin": {"apart": 1.0}, "CT Plain": {}}, "CT Plain"),
    "none with a missing slice": (
        {"CT Thin": {"thickness": 1, "edit": lambda index, dataset: index != 2}, "CT Plain": {}},
        "CT Plain",
    ),
    "none of two series": (
        {"CT Thin": {"thickness": 1, "edit": lambda i, d: setattr(d, "SeriesInstanceUID", f"1.{i}")}, "CT Plain": {}},
        "CT Plain",
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_series_that_counts(tmp_path, case):
    series, expected = NAMES[case]
    for name, arguments in series.items():
        trees.ct_series(tmp_path / "Unknown Study" / name, **arguments)
    assert choose_series(tmp_path).name == expected


def test_without_a_look_at_the_slices_a_faulty_series_is_taken(tmp_path):
    trees.ct_series(tmp_path / "CT Thin", edit=lambda index, dataset: index != 2)
    assert choose_series(tmp_path, stacked=False).name == "CT Thin"


def test_a_tilted_gantry_is_read_and_straightened_later(tmp_path):
    def tilt(index, dataset):
        dataset.ImagePositionPatient = [-1, -2 + 8 * index, 25 * index]

    root = trees.cq500(tmp_path)
    for patient in root.glob("*/Unknown Study/CT PLAIN THIN"):
        trees.ct_series(patient, edit=tilt)
    sample = read_cq500(root)[0]
    assert sample.facts["series"] == "CT PLAIN THIN" and not sample.image.orthogonal
    assert normalise(sample, size=16, spacing_mm=10.0).image.orthogonal


def head(offset: float = 0.0) -> Sample:
    """A ball of 100 different values between 0 and 80 HU in air."""
    places = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"))
    ball = ((places - 9.5) ** 2).sum(0) < 60
    data = np.full((20, 20, 20), AIR_HU, np.float32)
    data[ball] = np.random.default_rng(1).random(ball.sum()) ** 3 * 80 + offset
    return Sample("P1", Volume(torch.from_numpy(data)[None]), ("CT",))


def test_normalise_spreads_the_foreground_evenly():
    done = normalise(head(), size=24)
    assert done.image.shape == (1, 24, 24, 24) and done.mask.shape == (24, 24, 24)
    inside = done.image.data[0][done.mask]
    assert int(done.mask.sum()) == int((head().image.data > AIR_HU).sum())
    deciles = np.percentile(inside, np.arange(0, 101, 10))
    assert np.abs(deciles - np.linspace(0, 1, 11)).max() < 0.01
    assert float(done.image.data[0][~done.mask].abs().max()) == 0
    # The order of values stays, and an offset leaves no trace.
    order = head().image.data[head().image.data > AIR_HU].argsort()
    assert (inside[order].diff() >= 0).all()
    torch.testing.assert_close(normalise(head(100.0), size=24).image.data, done.image.data, rtol=0, atol=2e-3)


def test_normalise_refuses_air():
    with pytest.raises(ValueError, match="subject P1: nothing is above -200 HU, expected a head"):
        normalise(Sample("P1", Volume(torch.full((1, 8, 8, 8), AIR_HU)), ("CT",)), size=8)
