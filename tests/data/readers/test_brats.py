"""BraTS of all years: the same samples, whatever the folder looks like."""

import numpy as np
import pytest
import torch

from medlab.data import Volume, VolumeError
from medlab.data.readers import read_brats
from medlab.data.readers.brats import LABEL_NAMES, normalise
from medlab.data.samples import Sample
from tests.data.readers import trees

YEARS = {
    "2019": (trees.brats_2019, ("BraTS19_2013_10_1", "BraTS19_CBICA_AAB_1", "BraTS19_TCIA10_408_1"), (1, 2, 3)),
    "2020": (trees.brats_2020, ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_355"), (1, 2, 3)),
    "2021": (trees.brats_2021, ("BraTS2021_00000", "BraTS2021_00002", "BraTS2021_00003"), (0, 1, 2)),
    "2023": (trees.brats_2023, ("BraTS-GLI-00000", "BraTS-GLI-00005", "BraTS-GLI-00005"), (0, 1, 2)),
}


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
def test_every_year_gives_the_same_samples(tmp_path, year, check):
    build, subjects, seeds = YEARS[year]
    found = read_brats(build(tmp_path), check=check)
    assert found.subjects == subjects and not found.left_out
    for sample, subject, seed in zip(found, subjects, seeds, strict=True):
        assert sample.subject == subject
        assert sample.channels == ("T1", "T1ce", "T2", "FLAIR")
        assert sample.image.orientation == "RAS"
        for at in range(4):  # the files are LPS: two axes turn round
            expected = trees.values(10 * seed + at)[::-1, ::-1].astype(np.float32)
            assert np.array_equal(sample.image.data[at].numpy(), expected)
        label = trees.labels(seed, (0, 1, 2, 4))[::-1, ::-1]
        assert np.array_equal(sample.label.numpy(), label)
        assert dict(sample.label_names) == LABEL_NAMES


def test_a_voxel_stays_where_it_is_in_the_world(tmp_path):
    sample = read_brats(trees.brats_2021(tmp_path))[0]
    place = (trees.LPS @ (2, 3, 4, 1))[:3]
    at = tuple(round(float(index)) for index in sample.image.to_voxels(place))
    assert sample.channel("T1")[at] == trees.values(0)[2, 3, 4]


def test_time_points_are_sessions_of_one_subject(tmp_path):
    found = read_brats(trees.brats_2023(tmp_path))
    assert [sample.session for sample in found] == ["000", "000", "001"]


def test_grade_and_age_come_from_folder_and_tables(tmp_path):
    found = read_brats(trees.brats_2020(tmp_path / "a"))
    assert dict(found.facts(0)) == {"grade": "HGG", "age_years": 60.463, "survival_days": 289}
    assert dict(found.facts(1)) == {"grade": "LGG"}
    assert dict(found.facts(2)) == {"grade": "HGG", "age_years": 52.2}  # alive: no days of survival
    found = read_brats(trees.brats_2019(tmp_path / "b"))
    assert [found.facts(index)["grade"] for index in range(3)] == ["HGG", "HGG", "LGG"]
    assert found.facts(1)["age_years"] == 60.463
    assert not read_brats(trees.brats_2021(tmp_path / "c")).facts(0)


def test_validation_folders_have_no_labels(tmp_path):
    trees.brats_case(tmp_path / "BraTS20_Validation_001", 1)
    (tmp_path / "BraTS20_Validation_001" / "BraTS20_Validation_001_seg.nii.gz").unlink()
    with pytest.raises(VolumeError, match="segmentation is missing, expected one file that ends in _seg"):
        read_brats(tmp_path)
    sample = read_brats(tmp_path, labelled=False)[0]
    assert sample.label is None and not sample.label_names


def test_what_macos_and_others_leave_behind_is_passed_over(tmp_path):
    root = trees.brats_2021(tmp_path)
    (root / "BraTS2021_00000" / "._BraTS2021_00000_t1.nii.gz").write_bytes(b"Mac OS X")
    (root / "__MACOSX" / "BraTS2021_00000").mkdir(parents=True)
    (root / "BraTS2021_Training_Data.tar").write_bytes(b"")
    assert len(read_brats(root)) == 3


def ramp(size: int = 12) -> Sample:
    """A brain of values 1 to n, each once, in two channels of different scale."""
    data = torch.zeros(2, size, size, 7)
    inside = data[0, 1:-1, 1:-1, 1:-1].numel()
    values = torch.randperm(inside, generator=torch.Generator().manual_seed(0)).float() + 1
    data[0, 1:-1, 1:-1, 1:-1] = values.reshape(size - 2, size - 2, 5)
    data[1] = -40 * data[0]
    label = (data[0] > 400).to(torch.uint8) * 4
    return Sample("P1", Volume(data, np.diag([1.0, 2, 3, 1])), ("T1", "T2"), label, LABEL_NAMES)


def test_normalise_scales_the_brain_and_keeps_the_background_at_zero():
    sample = ramp()
    done = normalise(sample, size=None)
    brain = sample.image.data[0] != 0
    low, high = np.percentile(sample.image.data[0][brain], (1, 99))
    expected = ((sample.image.data[0] - low) / (high - low)).clamp(0, 1) * brain
    torch.testing.assert_close(done.image.data[0], expected, rtol=0, atol=1e-6)
    assert float(done.image.data[:, ~brain].abs().max()) == 0
    # A scale, of either sign, leaves no trace but the direction.
    torch.testing.assert_close(done.image.data[1][brain], 1 - done.image.data[0][brain], rtol=0, atol=1e-5)
    assert torch.equal(done.label, sample.label)


def test_normalise_pads_to_a_cube_and_moves_nothing():
    sample, size = ramp(), 16
    done = normalise(sample, size=size)
    assert done.image.shape == (2, size, size, size) and done.label.shape == (size, size, size)
    assert done.label.sum() == sample.label.sum()
    at = np.argwhere(sample.image.data[0].numpy() == 450)[0]
    there = np.round(done.image.to_voxels(sample.image.to_world(at))).astype(int)
    assert there.tolist() == [at[0] + 2, at[1] + 2, at[2] + 4]
    assert done.label[tuple(there)] == 4
    torch.testing.assert_close(done.image.data[0][tuple(there)], normalise(sample, size=None).image.data[0][tuple(at)])


def test_normalise_refuses_what_does_not_fit():
    with pytest.raises(VolumeError, match="subject P1: the image measures 12 x 12 x 7, expected 8 at most"):
        normalise(ramp(), size=8)
    blank = Sample("P1", Volume(torch.zeros(1, 3, 3, 3)), ("T1",))
    with pytest.raises(VolumeError, match="subject P1: T1 is 0 everywhere, expected a brain"):
        normalise(blank)
