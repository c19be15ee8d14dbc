"""From maps to areas: the rule, the cases, the split, and the commands from a training to a map in a file."""

import nibabel as nib
import numpy as np
import pytest
import torch

from medlab import predict, train
from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.data import save_volume
from medlab.data.samples import Samples
from medlab.methods.anomaly import sizes
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.anomaly.study import Rule, Scored, area, best_rule, cases
from medlab.training import load_weights, read_records


def scored(name: str, left: float, right: float, skull: float, truth: tuple[bool, bool, bool]) -> Scored:
    places = ("left hemisphere", "right hemisphere", "skull")
    good = dict(zip(places, (left, right, skull), strict=True))
    bad = {place: -value for place, value in good.items()}
    return Scored(
        name,
        {("error", 100.0): good, ("relative", 100.0): bad},
        dict(zip(places, truth, strict=True)),
        {"haemorrhage": 1.0, "fracture": 0.0},
    )


ROWS = [
    scored("a", 5.0, 1.0, 0.1, (True, False, False)),
    scored("b", 2.0, 6.0, 0.2, (False, True, False)),
    scored("c", 1.5, 1.2, 0.9, (False, False, True)),
    scored("d", 0.5, 2.5, 0.8, (False, False, True)),
]


def test_areas_by_hand():
    rule = Rule("error", 100.0)
    scores, truth, owners = cases(ROWS, "haemorrhage", rule)
    assert scores == [5.0, 1.0, 2.0, 6.0, 1.5, 1.2, 0.5, 2.5] and owners[:3] == ["a", "a", "b"]
    assert truth.count(True) == 2
    assert area(ROWS, "haemorrhage", rule).value == 1.0
    assert area(ROWS, "fracture", rule).value == 1.0
    assert area(ROWS, "fracture", Rule("relative", 100.0)).value == 0.0
    assert best_rule(ROWS, "haemorrhage") == rule


class Facts(Samples):
    """Heads of which nothing but the findings is known."""

    name = "facts"
    left_out = ()

    def __init__(self, normal: int, ill: int):
        self.findings = [False] * normal + [True] * ill

    @property
    def subjects(self):
        return tuple(f"s{index}" for index in range(len(self.findings)))

    def facts(self, index):
        return {"intracranial_haemorrhage": self.findings[index], "fracture": False}

    def load(self, index):
        raise AssertionError("a split needs no image")


@pytest.mark.parametrize(
    ("normal", "ill", "expected"), [(185, 85, (111, 21, 63)), (16, 8, (12, 2, 6)), (4, 2, (2, 1, 1))]
)
def test_split(normal, ill, expected):
    heads = Facts(normal, ill)
    parts = split_heads(heads, seed=3)
    names = [set(part.subjects) for part in parts.values()]
    assert sum(map(len, names)) == len(set().union(*names)) == normal + ill
    assert all(is_normal(parts["train"].facts(index)) for index in range(len(parts["train"])))
    tested = [is_normal(parts["test"].facts(index)) for index in range(len(parts["test"]))]
    assert (len(parts["train"]), tested.count(True), tested.count(False)) == expected
    assert split_heads(heads, seed=3)["test"].subjects == parts["test"].subjects
    with pytest.raises(ValueError, match="3 normal and 2 anomalous"):
        split_heads(Facts(3, 2))


def test_sizes_leave_a_record_and_weights(tmp_path, capsys):
    records = tmp_path / "records.json"
    told = ["position_regression", "--sizes", "1", "--profile", "ci", "--set", "steps=3"]
    assert sizes.main([*told, "--directory", str(tmp_path), "--records", str(records)]) == 0
    (record,) = read_records(records)
    heads = len(record.metrics["volume_ml haemorrhage"])
    assert record.settings["size"] == 1 and record.settings["maps"] == ["error", "relative"]
    assert len(record.metrics["scores haemorrhage"]) == 2 * heads and len(record.metrics["scores fracture"]) == heads
    for label in ("haemorrhage", "haemorrhage maximum", "fracture", "fracture maximum"):
        low, found, high = (record.metrics[f"{name} {label}"] for name in ("low", "auroc", "high"))
        assert low <= found <= high
    _, card = load_weights(tmp_path / "position_regression-m1-ci-0" / "weights.safetensors")
    assert card["metrics"]["auroc fracture"] == record.metrics["auroc fracture"]
    assert "position_regression m = 1" in capsys.readouterr().out


def test_from_training_to_a_map_in_a_file(tmp_path, capsys):
    told = ["position_regression", "--profile", "ci", "--size", "1", "--set", "steps=2"]
    assert train.main([*told, "--directory", str(tmp_path / "run")]) == 0
    head = Cq500Cohort(1, Grid.cube(24, 240.0), 5, reconstructed=False)[0]
    save_volume(head.image, tmp_path / "ct.nii.gz")
    weights = str(tmp_path / "run" / "weights.safetensors")
    assert predict.main([weights, str(tmp_path / "ct.nii.gz"), "--output", str(tmp_path)]) == 0
    found, laid = (nib.load(tmp_path / f"ct_{name}.nii.gz") for name in ("error_map", "head"))
    assert found.shape == laid.shape == (32, 32, 32)
    np.testing.assert_allclose(found.affine, laid.affine)
    values = torch.from_numpy(found.get_fdata())
    assert float(values.max()) > 0 and bool((values[laid.get_fdata() <= -1000] == 0).all())
    assert "maximum" in capsys.readouterr().out
    assert predict.main([weights, str(tmp_path / "ct.nii.gz"), "--output", str(tmp_path), "--flips"]) == 2
    assert "--flips" in capsys.readouterr().err
