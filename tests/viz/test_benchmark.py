"""The records of benchmarks, as pages read them."""

import json
from datetime import date
from importlib.metadata import PackageNotFoundError

import pytest

from medlab.physics.ct.xray import half_value_layer_mm, tube_spectrum
from medlab.viz import benchmark as module
from medlab.viz.benchmark import CHECKOUT, benchmark

RECORD = {
    "benchmark": "race",
    "date": "2026-03-04T05:06:07+00:00",
    "machine": {"processor": "Abacus", "cores": 2, "system": "Linux"},
    "versions": {"python": "3.11.7", "peer": "1.2"},
    "rows": [{"name": "peer", "size": 4, "error": 0.5}, {"name": "peer", "size": 8, "error": 0.25}, {"name": "ours"}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout that holds the record `race` alone."""
    (tmp_path / "race.json").write_text(json.dumps(RECORD), encoding="utf-8")
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_record_gives_its_rows_and_where_they_come_from(folder):
    race = benchmark("race")
    assert race.row(name="peer", size=8)["error"] == 0.25
    assert race.date == date(2026, 3, 4)
    assert race.measured("peer") == "peer 1.2, Abacus with 2 cores, 4 March 2026"
    assert race.measured() == "Abacus with 2 cores, 4 March 2026"


@pytest.mark.parametrize(
    ("wanted", "count"), [({"name": "peer"}, 2), ({"size": 16}, 0), ({"name": "ours", "size": 4}, 0)]
)
def test_a_row_that_is_not_the_only_one_is_refused(folder, wanted, count):
    with pytest.raises(ValueError, match=f"^the record race has {count} rows with .*, expected one$"):
        benchmark("race").row(**wanted)


def test_a_package_that_took_no_part_is_refused(folder):
    with pytest.raises(ValueError, match="names no version of other, expected one of python, peer"):
        benchmark("race").measured("peer", "other")


class Shipped:
    """A file as `importlib.metadata.files` lists it."""

    def __init__(self, path, place):
        self.parts, self._place = tuple(path.split("/")), place

    def locate(self):
        return self._place


def test_an_installed_package_brings_its_records(folder, monkeypatch):
    place = folder / "race.json"
    shipped = [Shipped("elsewhere/race.json", None), Shipped("../../share/medlab/benchmarks/race.json", place)]
    monkeypatch.setattr(module, "CHECKOUT", folder / "nowhere")
    monkeypatch.setattr(module, "files", lambda _: shipped)
    assert benchmark("race").row(name="ours") == {"name": "ours"}


def test_a_missing_record_is_named(folder, monkeypatch):
    def not_installed(name):
        raise PackageNotFoundError(name)

    for found in (lambda _: None, lambda _: [], not_installed):
        monkeypatch.setattr(module, "files", found)
        with pytest.raises(FileNotFoundError, match=r"^there is no record walk\.json in "):
            benchmark("walk")


@pytest.mark.parametrize("path", sorted(CHECKOUT.glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_record_can_be_read(path):
    record = benchmark(path.stem)
    assert record.rows and "torch 2" in record.measured("torch")


def test_the_record_of_beams_is_of_todays_tube():
    for row in benchmark("xrays").rows:
        if row["name"] == "medlab":
            today = tube_spectrum(row["kv"], row["aluminium_mm"])
            assert row["half_value_layer_mm"] == pytest.approx(half_value_layer_mm(today), rel=1e-3)
            assert row["mean_energy_kev"] == pytest.approx(today.mean_energy_kev, rel=1e-3)
