"""A training from the outside: its files, its curves, what it says, what it refuses and what it leaves as it was."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch

from medlab.profiles import choose
from medlab.training import fit, make_trainer, quiet_lightning, read_checkpoint, training_batches
from tests.training.tiny import STEPS, BreakAt, Tiny, draw, held_out, same, trained


def test_the_caller_s_generators_are_left_as_they_were(tmp_path):
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    trained(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_resume_false_begins_anew_and_leaves_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    trained(tmp_path)
    _, again = trained(tmp_path, resume=False, steps=8, validate_every=8)
    assert again.resumed_from == 0 and again.steps == 8
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step-00000004.ckpt", "step-00000008.ckpt"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 30}, "a training with steps 24, expected 30"),
        ({"ema": 0.5}, "a training with ema None, expected 0.5"),
        ({"config": {"width": 8}}, "a training with config.width 4, expected 8"),
        ({"seed": 3}, "a training with seed 0, expected 3"),
        ({"precision": "bf16-mixed"}, "a training with precision '32-true', expected 'bf16-mixed'"),
    ],
)
def test_another_configuration_is_refused_by_the_name_of_the_field(tmp_path, changes, sentence):
    trained(tmp_path, config={"width": 4})
    with pytest.raises(ValueError, match=sentence):
        trained(tmp_path, **{"config": {"width": 4}, **changes})


def test_validation_sees_the_average_and_best_weights_are_the_average(tmp_path):
    method, result = trained(tmp_path, ema=0.5, validate_every=STEPS)
    method.eval()
    losses = torch.tensor([method.loss(batch).item() for batch in held_out()])
    sizes = torch.tensor([4.0, 4.0, 2.0])
    # A mean over items, by the number of validation items.
    assert result.curve("val_loss")[1][-1] == pytest.approx(float((losses * sizes).sum() / 10), rel=1e-5)
    assert result.best_value == result.curve("val_loss")[1][-1]
    assert same(result.load_best(Tiny(seed=3)).state_dict(), method.state_dict())
    state = read_checkpoint(next(tmp_path.glob("*24.ckpt")))["state_dict"]
    assert not same(state, method.state_dict())  # training itself goes on with the weights that are not averaged


def test_curves_count_steps_from_one_and_accumulated_batches_once(tmp_path):
    _, result = trained(tmp_path, accumulate=2)
    assert result.curve("train_loss")[0] == list(range(1, STEPS + 1))
    assert result.curve("val_loss")[0] == [6, 12, 18, 24]
    with pytest.raises(ValueError, match="logged no 'dice', expected one of"):
        result.curve("dice")


def test_loggers_write_their_files(tmp_path):
    _, result = trained(tmp_path, loggers=("csv", "tensorboard"))
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "step,name,value" and len(lines) == 1 + STEPS + 4
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    assert json.loads((tmp_path / "best.json").read_text())["steps"] == result.best_step


def test_a_published_page_has_no_debris(tmp_path):
    code = (
        "from tests.training.tiny import trained; from pathlib import Path; import sys;"
        "trained(Path(sys.argv[1]), progress=None, early_stop=1, ema=0.9, loggers=('csv', 'tensorboard'));"
        "trained(Path(sys.argv[1]), early_stop=1, ema=0.9, loggers=('csv', 'tensorboard'))"
    )
    environment = {**os.environ, "MEDLAB_PUBLISH": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-W", "default::UserWarning", "-c", code, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if "ightning" in line or "it/s" in line or "Tip" in line] == []


def test_the_bar_counts_the_whole_training_where_it_is_asked_for(tmp_path, monkeypatch):
    said = io.StringIO()
    said.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(sys, "stdout", said)
    with pytest.raises(RuntimeError):
        trained(tmp_path, callbacks=(BreakAt(9),), progress=False)
    assert said.getvalue() == ""
    trained(tmp_path, progress=True)
    assert f"{STEPS}/{STEPS}" in said.getvalue()


def test_lightning_and_torch_are_left_as_they_were(tmp_path):
    before = (logging.getLogger("lightning.pytorch").level, torch.are_deterministic_algorithms_enabled())
    filters = list(warnings.filters)
    trained(tmp_path)
    assert before == (logging.getLogger("lightning.pytorch").level, torch.are_deterministic_algorithms_enabled())
    assert warnings.filters == filters


@pytest.mark.parametrize(("precision", "close"), [("bf16-mixed", 0.1), ("64-true", 1e-4)])
def test_precisions_learn_alike(tmp_path, precision, close):
    _, single = trained(tmp_path / "32", Tiny(dropout=0.0))
    _, other = trained(tmp_path / "other", Tiny(dropout=0.0), precision=precision)
    curve, expected = other.curve("train_loss")[1], single.curve("train_loss")[1]
    assert curve == pytest.approx(expected, rel=close)
    assert curve != expected


def test_validating_more_often_changes_no_weight(tmp_path):
    method, _ = trained(tmp_path / "rarely", validate_every=STEPS)
    other, _ = trained(tmp_path / "often", validate_every=1)
    assert same(method.state_dict(), other.state_dict())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number of at least 1"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"precision": "8"}, "precision is '8', expected one of 32-true"),
        ({"clip": 0}, "clip is 0, expected a number above 0"),
        ({"validate_every": 99}, "validate_every is 99, expected a whole number from 1 to 24"),
        ({"loggers": ("paper",)}, "loggers is 'paper', expected one of csv, tensorboard"),
        ({"ema": 1.0}, "decay is 1"),
        ({"mode": "best"}, "mode is 'best', expected one of min, max"),
        ({"early_stop": 2, "monitor": None}, "monitor is None"),
        ({"seed": -1}, "seed is -1"),
        ({"profile": "tpu"}, "profile is 'tpu'"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"keep": 0}, "keep is 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        trained(tmp_path, **options)


def test_a_plain_loader_is_refused_as_training_data(tmp_path):
    with pytest.raises(ValueError, match="train is a DataLoader, expected what"):
        fit(Tiny(), held_out(), directory=tmp_path, steps=2, profile="cpu")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_arrives_as_what_it_is_and_the_next_one_too(tmp_path, number, error):
    class Signals(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            if batch_idx == 9:
                os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(error):
        trained(tmp_path, callbacks=(Signals(),))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    _, resumed = trained(tmp_path)
    assert resumed.resumed_from == 8


def test_a_list_is_refused_as_validation_data(tmp_path):
    batches = list(held_out())
    with pytest.raises(ValueError, match="validation is a list, which Lightning takes for several loaders"):
        fit(Tiny(), training_batches(draw, 2), batches, directory=tmp_path, steps=2, profile="cpu")


def test_the_trainer_stands_alone(tmp_path):
    trainer = make_trainer(choose("cpu"), tmp_path, steps=3, checkpoint_every=1, keep=2)
    with quiet_lightning():
        trainer.fit(Tiny(), training_batches(draw, 2).loader(0, 3))
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step-00000002.ckpt", "step-00000003.ckpt"]
