"""MRBrainS 2018: three sequences, and ten structures that become three tissues."""

import gzip

import numpy as np
import pytest

from medlab.data.readers import read_mrbrains
from medlab.data.readers.mrbrains import LABEL_NAMES, STRUCTURES
from tests.data.readers import trees

TISSUES = {1: (5, 6), 2: (1, 2), 3: (3, 4), 0: (0, 7, 8, 9, 10)}


@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
@pytest.mark.parametrize("inside", [True, False])
def test_subjects(tmp_path, check, inside):
    root = trees.mrbrains(tmp_path)
    found = read_mrbrains(root / "training" if inside else root, check=check)
    assert found.subjects == ("1", "14", "70")
    sample = found[1]
    assert sample.channels == ("T1", "T1-IR", "FLAIR") and not sample.facts
    for at in range(3):
        assert np.array_equal(sample.image.data[at].numpy(), trees.values(10 + at)[::-1, ::-1])
    written = trees.labels(1, range(11))[::-1, ::-1]
    for tissue, structures in TISSUES.items():
        assert np.array_equal(sample.label.numpy() == tissue, np.isin(written, structures))
    assert dict(sample.label_names) == LABEL_NAMES


def test_all_structures_and_uncorrected_images(tmp_path):
    sample = read_mrbrains(trees.mrbrains(tmp_path), merged=False, corrected=False)[0]
    assert np.array_equal(sample.label.numpy(), trees.labels(0, range(11))[::-1, ::-1])
    assert dict(sample.label_names) == STRUCTURES
    assert np.array_equal(sample.channel("T1").numpy(), trees.values(0)[::-1, ::-1] + 5)


def test_without_segmentation(tmp_path):
    root = trees.mrbrains(tmp_path)
    for path in root.rglob("segm.nii.gz"):
        path.unlink()
    assert read_mrbrains(root, labelled=False)[0].label is None


def test_unpacked_files_are_taken_too(tmp_path):
    root = trees.mrbrains(tmp_path)
    for path in list(root.rglob("*.nii.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(read_mrbrains(root, check="voxels")) == 3
