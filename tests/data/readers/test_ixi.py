"""IXI: files by sequence, a table with doubles, and sequences on different grids."""

import shutil

import numpy as np
import pytest
import torch

from medlab.data import Volume, VolumeError, resample, to_canonical
from medlab.data.readers import read_ixi
from tests.data.readers import trees


@pytest.mark.parametrize("check", ["names", "headers", "voxels"])
def test_subjects_with_age_sex_and_site(tmp_path, check):
    found = read_ixi(trees.ixi(tmp_path), check=check)
    assert found.subjects == ("IXI002", "IXI013", "IXI567") and found.absent == ("IXI001",)
    assert dict(found.facts(0)) == {"age_years": 35.8, "sex": "female", "site": "Guys", "field_t": 1.5}
    assert dict(found.facts(1)) == {"age_years": 46.71, "sex": "male", "site": "HH", "field_t": 3.0}  # two rows agree
    assert found.facts(2)["site"] == "IOP"
    sample = found[1]
    assert sample.channels == ("T1",) and sample.label is None and sample.mask is None
    assert np.array_equal(sample.image.data[0].numpy(), trees.values(1)[::-1, ::-1])


def test_folders_for_each_sequence(tmp_path):
    trees.ixi(tmp_path / "all")
    for path in sorted((tmp_path / "all").glob("*.nii.gz")):
        place = tmp_path / f"IXI-{path.name[-9:-7]}"
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)
    (tmp_path / "all" / "IXI.csv").rename(tmp_path / "IXI.csv")
    assert len(read_ixi(tmp_path, channels=("T1", "T2"))) == 3
    # The table may lie beside the sequence's folder, or anywhere.
    assert len(read_ixi(tmp_path / "IXI-T2", channels=("T2",))) == 3
    (tmp_path / "IXI.csv").rename(tmp_path / "people.csv")
    assert len(read_ixi(tmp_path / "IXI-T1", table=tmp_path / "people.csv")) == 3


def test_sequences_of_other_grids_come_to_the_first(tmp_path):
    root = trees.ixi(tmp_path)
    sample = read_ixi(root, channels=("T2", "PD", "T1"))[0]
    assert sample.channels == ("T2", "PD", "T1")
    assert np.allclose(sample.image.spacing, (1.5, 1.0, 1.2))
    assert np.array_equal(sample.channel("PD").numpy(), trees.values(90, (8, 8, 8)))  # the same grid: not a bit differs
    data = trees.values(0).astype(np.float32)
    expected = resample(
        to_canonical(Volume(torch.from_numpy(data)[None], trees.LPS)),
        like=Volume(sample.image.data[:1], sample.image.affine),
    )
    assert np.allclose(sample.channel("T1").numpy(), expected.data[0].numpy())


def test_without_demographics_no_table_is_needed(tmp_path):
    root = trees.ixi(tmp_path)
    (root / "IXI.csv").unlink()
    assert set(read_ixi(root, demographics=False).facts(0)) == {"site", "field_t"}
    with pytest.raises(FileNotFoundError, match=r"IXI\.csv: the table is missing, expected it, or demographics=False"):
        read_ixi(root)


def test_a_workbook_is_not_read_but_explained(tmp_path, one_sentence):
    root = trees.ixi(tmp_path)
    shutil.move(root / "IXI.csv", root / "IXI.xls")
    with pytest.raises(VolumeError, match=r"Excel workbook, expected IXI\.csv beside it.*read_excel") as caught:
        read_ixi(root)
    one_sentence(caught.value, root / "IXI.xls")
    (root / "IXI.csv").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))  # renamed only
    with pytest.raises(VolumeError, match=r"IXI\.csv: it is an Excel workbook, expected a table saved as text"):
        read_ixi(root)


@pytest.mark.parametrize("channels", [(), ("T1", "T1"), ("FLAIR",), ("MRA", "T1")])
def test_refuses_channels(tmp_path, channels):
    with pytest.raises(ValueError, match=r"channels are .* expected each once of T1, T2, PD"):
        read_ixi(trees.ixi(tmp_path), channels=channels)
