"""Checkpoints: whole or not there, damaged ones passed over, nothing in them executed."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from medlab.training import checkpoints
from medlab.training.checkpoints import DamagedCheckpoint, newest_checkpoint, plain, read_checkpoint
from medlab.training.files import remove_parts, write_atomically, write_text
from tests.training.tiny import STEPS, BreakAt, Tiny, same, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A training of which the last three checkpoints are kept."""
    folder = tmp_path_factory.mktemp("run")
    trained(folder, keep=3, ema=0.9, accumulate=2)
    return folder


@pytest.fixture
def copy(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def newest(folder: Path) -> Path:
    return sorted(folder.glob("*.ckpt"))[-1]


def test_the_newest_few_are_kept(run):
    assert [path.name for path in sorted(run.glob("*.ckpt"))] == [f"step-{step:08d}.ckpt" for step in (16, 20, 24)]
    path, state = newest_checkpoint(run)
    assert path.name == "step-00000024.ckpt"
    assert (state["step"], state["batches"], state["finished"]) == (STEPS, 2 * STEPS, True)


def test_a_checkpoint_holds_everything_and_loads_without_pickle(run):
    loaded = torch.load(newest(run), weights_only=True)
    assert {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "medlab"} <= loaded.keys()
    assert set(loaded["medlab"]["generators"][0]) >= {"torch", "numpy", "python"}
    assert loaded["callbacks"]["ExponentialAverage"]["steps"] == STEPS
    assert isinstance(loaded["medlab"]["config"], str)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_newest_falls_back_with_one_sentence(copy, damage):
    method, _ = trained(copy, keep=3, ema=0.9, accumulate=2)
    path = newest(copy)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b"", "text": b"no zip"}[damage])
    with pytest.raises(DamagedCheckpoint, match=r"step-00000024.ckpt: .*expected a"):
        read_checkpoint(path)
    with pytest.warns(UserWarning, match=r"step-00000024.ckpt: .*; the one before is taken") as said:
        other, resumed = trained(copy, keep=3, ema=0.9, accumulate=2)
    assert len([one for one in said if "taken" in str(one.message)]) == 1
    assert resumed.resumed_from == 20
    assert same(method.state_dict(), other.state_dict())


def test_where_all_are_damaged_the_training_begins_anew(copy):
    for path in copy.glob("*.ckpt"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="the one before is taken"):
        assert newest_checkpoint(copy) is None
    with pytest.warns(UserWarning, match="the one before is taken"):
        _, again = trained(copy, keep=3, ema=0.9, accumulate=2)
    assert again.resumed_from == 0 and again.curve("train_loss")[0] == list(range(1, STEPS + 1))


def test_code_in_a_file_is_not_executed(tmp_path):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (ran,))

    path = tmp_path / "step-00000001.ckpt"
    torch.save({"medlab": Evil()}, path)
    with pytest.raises(DamagedCheckpoint, match="UnpicklingError"):
        read_checkpoint(path)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Evil()))  # the file would have done it
    assert ran.exists()


def test_files_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file, expected a checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(DamagedCheckpoint, match="it has no entry 'medlab', expected a"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_hyperparameters_of_any_kind_stay_out_of_the_checkpoint(tmp_path):
    class Remembers(Tiny):
        def __init__(self, where: Path):
            super().__init__()
            self.save_hyperparameters()

    trained(tmp_path, Remembers(Path("somewhere")))
    assert "hyper_parameters" not in torch.load(newest(tmp_path), weights_only=True)


def test_what_cannot_be_loaded_safely_is_refused_when_it_is_saved(tmp_path):
    class Stores(Tiny):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["mine"] = {"where": Path("somewhere")}

    with pytest.raises(ValueError, match=r"checkpoint\['mine'\]\['where'\] is a PosixPath, expected numbers"):
        trained(tmp_path, Stores())
    assert not list(tmp_path.glob("*.ckpt"))


def test_plain_values():
    found = plain({"a": np.float32(0.5), "b": (np.int64(2), None, True), "c": {"d"}}, "x")
    assert found == {"a": 0.5, "b": [2, None, True], "c": ["d"]}
    assert type(found["a"]) is float and type(found["b"][0]) is int


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "deep" / "file.txt", "old")

    def fails(file):
        file.write(b"new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fails)
    assert path.read_text() == "old" and [one.name for one in path.parent.iterdir()] == ["file.txt"]
    (path.parent / ".file.txt.123.part").write_text("left by a killed process")
    remove_parts(path.parent)
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_the_curve_is_on_the_disk_before_the_checkpoint(tmp_path, monkeypatch):
    save = checkpoints.write_atomically
    lines = []

    def looks(path, write):
        lines.append((path.name, (tmp_path / "history.csv").read_text().count("train_loss")))
        return save(path, write)

    monkeypatch.setattr(checkpoints, "write_atomically", looks)
    with pytest.raises(RuntimeError):
        trained(tmp_path, callbacks=(BreakAt(10),))
    assert lines == [("step-00000004.ckpt", 4), ("step-00000008.ckpt", 8)]
