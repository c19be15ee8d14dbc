"""The command: tables, CSV and JSON, exit codes, one sentence for each fault, files that are whole or not there."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medlab.data import Volume, save_volume
from medlab.metrics.__main__ import main
from medlab.metrics.report import evaluate
from medlab.metrics.report.columns import Options, measures

ROOT = Path(__file__).resolve().parent.parent.parent
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


@pytest.fixture
def files(tmp_path):
    """A mask, a shifted one, and an image of the same size, by name; two folders of one pair each."""
    truth = np.zeros((8, 9, 7), np.float32)
    truth[1:5, 1:3, 1:3] = 1
    made = {}
    noise = np.random.default_rng(0).random(truth.shape, np.float32)
    for name, values in {"ours": np.roll(truth, 1, 0), "truth": truth, "noise": noise, "fours": 4 * truth}.items():
        made[name] = str(save_volume(Volume(torch.from_numpy(values)[None], AFFINE), tmp_path / f"{name}.nii.gz"))
    for folder, source in (("predictions", "ours"), ("references", "truth")):
        (tmp_path / folder).mkdir()
        for name in ("case1", "case2"):
            (tmp_path / folder / f"{name}.nii.gz").write_bytes(Path(made[source]).read_bytes())
        made[folder] = str(tmp_path / folder)
    return made


def refused(capsys, *arguments):
    """The sentence on standard error."""
    try:
        code = main([str(one) for one in arguments])
    except SystemExit as end:
        code = end.code
    out, said = capsys.readouterr()
    assert code == 2 and out == "" and said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_table(files, capsys):
    assert main([files["ours"], files["truth"]]) == 0
    out, err = capsys.readouterr()
    assert out == f"{evaluate(files['ours'], files['truth'])}\n" and err == ""
    assert "dice" in out and "0.7500" in out


def test_every_option_reaches_the_report(files, capsys):
    options = "--labels 1 --names core --tolerance-mm .5 --percentile 80 --rule pooled --border corners --beta 1"
    assert main([files["ours"], files["truth"], *options.split(), "--empty", "1", "--lesions", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = evaluate(
        files["ours"],
        files["truth"],
        labels=[1],
        names=["core"],
        tolerance_mm=0.5,
        percentile=80,
        rule="pooled",
        border="corners",
        beta=1.0,
        empty=1.0,
        lesions=True,
    )
    assert found == json.loads(expected.json())
    assert main([files["noise"], files["noise"], "--kind", "image", "--data-range", "2", "--mask", files["truth"]]) == 0
    shown = capsys.readouterr().out
    assert "psnr_db" in shown and "the images are equal" in shown
    assert main([files["noise"], files["truth"], "--threshold", "0.9", "--weighting", "area"]) == 0
    assert "auroc" in capsys.readouterr().out


def test_csv_to_standard_output(files, capsys):
    assert main([files["predictions"], files["references"], "--csv", "-"]) == 0
    out, err = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["statistic"] for line in lines] == ["value", "value", "mean", "half_width_95", "pairs"]
    assert [line["pair"] for line in lines[:2]] == ["case1", "case2"] and lines[2]["dice"] == "0.75"
    assert err == ""


def test_csv_with_notes_keeps_them_apart(files, capsys):
    assert main([files["noise"], files["noise"], "--csv", "-"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and err.startswith("note: No data range was given")


def test_csv_to_a_file_is_written_whole_or_not_at_all(files, tmp_path, capsys, monkeypatch):
    path = tmp_path / "results.csv"
    assert main([files["ours"], files["truth"], "--csv", str(path)]) == 0
    assert "dice" in capsys.readouterr().out
    whole = path.read_bytes()
    assert whole == evaluate(files["ours"], files["truth"]).csv().encode() and b"\r\n" in whole

    def full(*arguments, **options):
        raise OSError("no space left on device")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "replace", full)
    assert "no space left" in refused(capsys, files["truth"], files["truth"], "--csv", path)
    assert path.read_bytes() == whole and sorted(tmp_path.iterdir()) == before


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and "--labels 1 2 4" in text
    for one in measures(Options()):
        assert one.name in text and one.text in text
    assert max(map(len, text.splitlines())) <= 120


def test_refusals(files, tmp_path, capsys):
    truth = files["truth"]
    assert "none.nii.gz: the file is missing" in refused(capsys, tmp_path / "none.nii.gz", truth)
    (tmp_path / "text.nii.gz").write_text("hello")
    assert "text.nii.gz: it is text, expected a NIfTI image" in refused(capsys, tmp_path / "text.nii.gz", truth)
    assert "noise.nii.gz holds" in refused(capsys, truth, files["noise"])
    assert "fours.nii.gz holds 4, expected a mask of 0 and 1" in refused(
        capsys, truth, files["fours"], "--kind", "mask"
    )
    assert "labels holds 9, which is in no prediction" in refused(capsys, truth, truth, "--labels", "9")
    assert "labels holds -1, expected whole numbers of 1 or more" in refused(capsys, truth, truth, "--labels", "-1")
    assert "has no partner in" in refused(capsys, files["predictions"], tmp_path)
    assert "no folder" in refused(capsys, truth, truth, "--csv", tmp_path / "missing" / "results.csv")
    assert "it is a folder" in refused(capsys, truth, truth, "--csv", tmp_path)
    assert "argument --empty: '2' is not one of nan, 0, 1" in refused(capsys, truth, truth, "--empty", "2")
    assert "argument --data-range: 'big' is neither a number" in refused(capsys, truth, truth, "--data-range", "big")
    assert "data_range is 0.0, expected a number above 0" in refused(capsys, truth, truth, "--data-range", "0")
    assert "required: reference" in refused(capsys, truth)


def test_as_a_command(files):
    """The one that a shell starts: exit codes, and a reader who leaves early."""
    run = [sys.executable, "-m", "medlab.metrics", files["ours"]]
    done = subprocess.run([*run, files["truth"]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "" and "0.7500" in done.stdout
    done = subprocess.run([*run, "none.nii"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: none.nii: the file is missing") and done.stderr.count("\n") == 1
