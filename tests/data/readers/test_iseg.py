"""iSEG 2017: Analyze pairs, and labels that are grey values."""

import numpy as np
import pytest

from medlab.data import VolumeError
from medlab.data.readers import read_iseg
from tests.data.readers import trees


@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
def test_subjects(tmp_path, check):
    found = read_iseg(trees.iseg(tmp_path), check=check)
    assert found.subjects == ("subject-1", "subject-2", "subject-10")
    sample = found[2]
    assert sample.channels == ("T1", "T2") and sample.image.orientation == "RAS"
    for channel, seed in (("T1", 10), ("T2", 30)):  # the first axis is taken to grow to the left
        assert np.array_equal(sample.channel(channel).numpy(), trees.values(seed)[::-1])
    written = trees.labels(10, (0, 10, 150, 250))[::-1]
    for value, found in {0: 0, 10: 1, 150: 2, 250: 3}.items():
        assert np.array_equal(sample.label.numpy() == found, written == value)
    assert sample.label_names[1] == "cerebrospinal fluid" and sample.label_names[3] == "white matter"


def test_the_testing_folder_has_no_labels(tmp_path):
    root = trees.iseg(tmp_path)
    for path in root.glob("*label*"):
        path.unlink()
    with pytest.raises(VolumeError, match=r"subject subject-1: .*label is missing, expected one subject-1-label\.hdr"):
        read_iseg(root)
    assert read_iseg(root, labelled=False)[0].label is None


def test_converted_to_nifti(tmp_path):
    trees.put(tmp_path / "subject-3-T1.nii.gz", trees.values(1))
    trees.put(tmp_path / "subject-3-T2.nii.gz", trees.values(2))
    trees.put(tmp_path / "subject-3-label.nii", trees.labels(1, (0, 10, 150, 250)))
    assert read_iseg(tmp_path)[0].label.unique().tolist() == [0, 1, 2, 3]
