"""The two commands, from a training to a NIfTI file, as an instructor uses them."""

import json
import re

import nibabel as nib
import numpy as np
import pytest
import torch

from medlab import predict, train
from medlab.cohorts.datasets import open_iseg
from medlab.cohorts.grid import Grid
from medlab.data import Volume, save_volume
from medlab.methods.segmentation.command import with_settings
from medlab.methods.segmentation.config import Config
from medlab.training import load_weights

QUICK = ["segmentation", "--profile", "ci", "--subjects", "4", "--set", "options=", "--set", "steps=2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert train.main([*QUICK, "--directory", str(folder)]) == 0
    return folder


def test_a_training_leaves_weights_with_a_card(trained):
    tensors, card = load_weights(trained / "weights.safetensors")
    assert card["method"] == "segmentation" and card["steps"] == 2 and card["profile"] == "ci"
    assert card["data"]["synthetic"] and len(card["data"]["subjects"]["train"]) == 2
    assert "validation/dice" in card["metrics"] and card["parameters"] == 1_781_744
    assert Config.from_dict(card["config"]).network == "unet3d"
    assert json.loads((trained / "config.json").read_text())["steps"] == 2
    parts = [set(part) for part in card["data"]["subjects"].values()]
    assert not (parts[0] & parts[1]) and not (parts[0] & parts[2])
    assert tensors


def test_called_again_it_is_finished_at_once_and_says_so(trained, capsys):
    before = (trained / "history.csv").read_bytes()
    assert train.main([*QUICK, "--directory", str(trained)]) == 0
    assert "2 steps done" in capsys.readouterr().out
    assert (trained / "history.csv").read_bytes() == before


def test_another_config_in_the_same_folder_is_refused(trained, capsys):
    assert train.main([*QUICK, "--directory", str(trained), "--set", "learning_rate=0.5"]) == 2
    error = capsys.readouterr().err
    assert "learning_rate" in error and "0.5" in error and "Traceback" not in error


def test_predict_writes_labels_with_the_scans_affine(trained, tmp_path, capsys):
    sample = open_iseg(subjects=1, grid=Grid((24, 32, 43), (6.0, 6.0, 6.0)))[0]
    files = []
    for index, name in enumerate(sample.channels):
        files.append(tmp_path / f"child_{name}.nii.gz")
        save_volume(sample.image.with_data(sample.image.data[index : index + 1]), files[-1])
    weights = str(trained / "weights.safetensors")
    assert predict.main([weights, *map(str, files), "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    path = tmp_path / "out" / "child_T1_segmentation.nii.gz"
    stored = nib.load(path)
    assert stored.shape == sample.image.shape[1:]
    np.testing.assert_allclose(stored.affine, sample.image.affine, atol=1e-4)
    assert set(np.unique(stored.get_fdata())) <= {0, 1, 2, 3}
    assert "grey matter" in capsys.readouterr().out
    # One file that holds both sequences gives the same.
    both = save_volume(sample.image, tmp_path / "both.nii.gz")
    assert predict.main([weights, str(both), "--output", str(tmp_path), "--device", "cpu"]) == 0
    same = nib.load(tmp_path / "both_segmentation.nii.gz").get_fdata()
    np.testing.assert_array_equal(same, stored.get_fdata())


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["T1.nii"], "T1.nii: its scan has 1 of its 2 files, expected one each of T1, T2"),
        (["T1.nii", "other.nii"], "other.nii: its grid .* differs from that of T1.nii"),
        (["three.nii"], "three.nii: it has 3 channels, expected 1 or 2"),
        (["missing.nii"], "missing.nii: there is no such file, expected a scan"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_a_sentence(trained, tmp_path, capsys, files, sentence):
    for name, shape in (("T1.nii", (1, 8, 8, 8)), ("other.nii", (1, 8, 8, 9)), ("three.nii", (3, 8, 8, 8))):
        save_volume(Volume(torch.rand(shape)), tmp_path / name)
    given = [str(tmp_path / name) for name in files]
    assert predict.main([str(trained / "weights.safetensors"), *given, "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.search(sentence, error) and error.count("\n") == 1
    assert not list(tmp_path.glob("*_segmentation*"))


def test_settings_are_read_as_the_fields_kind():
    config = with_settings(
        Config(), ["steps=7", "learning_rate=0.5", "patch=8,9,10", "augment=flip,gamma", "clip=1.5", "flips=true"]
    )
    assert (config.steps, config.learning_rate, config.patch, config.clip) == (7, 0.5, (8, 9, 10), 1.5)
    assert config.augment == ("flip", "gamma") and config.flips is True
    for setting, sentence in (
        ("colour=red", "--set colour=red is no setting, expected FIELD=VALUE with one of"),
        ("steps", "--set steps is no setting"),
        ("steps=many", "--set steps=many: 'many' cannot be read, expected a whole number"),
    ):
        with pytest.raises(ValueError, match=sentence):
            with_settings(Config(), [setting])


def test_help_teaches(capsys):
    for command in (train, predict):
        with pytest.raises(SystemExit):
            command.main(["--help"])
        assert "examples:" in capsys.readouterr().out


def test_the_config_can_be_looked_at_first(capsys):
    assert train.main(["segmentation", "--paper", "--network", "vnet", "--show"]) == 0
    assert json.loads(capsys.readouterr().out)["optimiser"] == "sgd"
