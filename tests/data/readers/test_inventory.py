"""The table of what was found, and the dataset's own account of itself."""

from medlab.data import Volume
from medlab.data.readers import inventory, read_cq500, read_dhcp, read_ixi
from medlab.data.samples import LeftOut, Sample, Samples
from tests.data.readers import trees


def test_used_left_out_and_without_images(tmp_path):
    root = trees.ixi(tmp_path)
    (root / "IXI013-HH-1212-T1.nii.gz").write_bytes(b"")
    found = read_ixi(root, strict=False)
    rows = inventory(found)
    assert [(row["subject"], row["state"]) for row in rows] == [
        ("IXI002", "used"),
        ("IXI567", "used"),
        ("IXI013", "left out"),
        ("IXI001", "without images"),
    ]
    assert rows[0]["files"] == {"T1": str(root / "IXI002-Guys-0828-T1.nii.gz")} and rows[0]["age_years"] == 35.8
    assert "the file is empty" in rows[2]["reason"] and rows[2]["age_years"] is None
    assert len({tuple(row) for row in rows}) == 1  # the same columns everywhere
    assert repr(found) == "IXI: 2 samples of 2 subjects, 1 left out"
    part = inventory(found[1:])
    assert [row["subject"] for row in part] == ["IXI567", "IXI013", "IXI001"]


def test_sessions_masks_and_series(tmp_path):
    rows = inventory(read_dhcp(trees.dhcp(tmp_path / "a")))
    assert [row["session"] for row in rows] == ["7201", "15102", "25000", "30100"]
    assert set(rows[0]["files"]) == {"T2", "mask"}
    assert inventory(read_cq500(trees.cq500(tmp_path / "b")))[0]["series"] == "CT PLAIN THIN"


def test_samples_that_are_not_on_disk():
    class Made(Samples):
        name, subjects, left_out = "made", ("A",), (LeftOut("B", "it is too small"),)

        def facts(self, index):
            return {"age_years": 4}

        def load(self, index) -> Sample:
            raise AssertionError("no image is read")

    rows = inventory(Made())
    found = [(row["subject"], row["state"], row["age_years"]) for row in rows]
    assert found == [("A", "used", 4), ("B", "left out", None)]


def test_nothing_is_read_before_it_is_asked_for(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("medlab.data.readers.scan.load_volume", lambda path, **_: read.append(path) or blow(path))
    found = read_ixi(trees.ixi(tmp_path))
    assert len(found) == 3 and found[1:].subjects and found.facts(0) and inventory(found) and not read


def blow(path) -> Volume:
    raise AssertionError(f"{path} was read")
