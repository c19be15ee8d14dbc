"""Records of results: one row replaced by its like, files whole at every moment, numbers that are numbers."""

import json
import threading

import pytest

from medlab.training import Record, add_record, read_record, read_records, records


def record(seed: int = 0, **changes) -> Record:
    given = {"lesson": "zoo", "method": "vnet", "data": "iseg stand-in", "profile": "cpu", "seed": seed}
    return Record(**(given | {"metrics": {"dice": 0.9, "by_subject": [0.8, None, 1.0]}} | changes))


def test_records_come_back(tmp_path):
    path = tmp_path / "deep" / "zoo.json"
    for seed in range(3):
        add_record(record(seed, settings={"steps": 10}), path)
    found = read_records(path)
    assert [one.seed for one in found] == [0, 1, 2]
    assert found[0] == record(0, settings={"steps": 10}, date=found[0].date)
    assert {"processor", "cores"} <= found[0].machine.keys() and "torch" in found[0].versions


def test_a_row_takes_the_place_of_its_like(tmp_path):
    path = tmp_path / "zoo.json"
    add_record(record(0), path)
    add_record(record(1), path)
    add_record(record(0, metrics={"dice": 0.5}), path)
    assert read_record(path, seed=0).metrics == {"dice": 0.5}
    assert len(read_records(path)) == 2


def test_rows_are_found_by_fields_and_settings(tmp_path):
    path = tmp_path / "zoo.json"
    for steps in (10, 20):
        add_record(record(settings={"steps": steps}), path)
    assert read_record(path, steps=20).settings["steps"] == 20
    assert read_records(path, method="unet3d") == []
    with pytest.raises(ValueError, match=r"2 records have \{'method': 'vnet'\}, expected one"):
        read_record(path, method="vnet")


def test_many_writers_lose_nothing(tmp_path):
    path = tmp_path / "zoo.json"
    writers = [threading.Thread(target=add_record, args=(record(seed), path)) for seed in range(12)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert sorted(one.seed for one in read_records(path)) == list(range(12))
    assert [one.name for one in tmp_path.iterdir()] == ["zoo.json"]


def test_a_bare_name_is_one_of_the_committed_records(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "CHECKOUT", tmp_path)
    add_record(record(), tmp_path / "zoo.json")
    assert len(read_records("zoo")) == len(read_records("zoo.json")) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lesson": ""}, "lesson is '', expected a name"),
        ({"profile": "tpu"}, "profile is 'tpu'"),
        ({"seed": -1}, "seed is -1"),
        ({"metrics": {"dice": float("nan")}}, r"metrics\['dice'\] is nan, expected a finite number, or None"),
        ({"metrics": {"dice": [0.1, "high"]}}, r"metrics\['dice'\] is 'high'"),
    ],
)
def test_records_that_are_none_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        record(**changes)


def test_files_that_hold_something_else_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected records of results"):
        read_records(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="no_such_record"):
        read_records("no_such_record")
    for text in ("{", "[]", json.dumps({"records": [{"lesson": "x"}]})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad.json: it cannot be read"):
            read_records(tmp_path / "bad.json")


def test_settings_that_json_cannot_hold_are_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "zoo.json"
    add_record(record(), path)
    before = path.read_text()
    with pytest.raises(ValueError, match="record cannot be written as JSON"):
        add_record(record(1, settings={"where": {1, 2}}), path)
    assert path.read_text() == before
