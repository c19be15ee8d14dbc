"""A training that is broken off and gone on with is the unbroken one, bit for bit."""

from pathlib import Path

import lightning as L
import pytest
import torch

from medlab.nn import UNet3d
from medlab.training import fit, training_batches
from tests.training.tiny import STEPS, BreakAt, Tiny, broken_and_resumed, same, trained


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ema": 0.9},
        {"accumulate": 2, "ema": 0.95, "clip": 0.1},
        {"precision": "bf16-mixed"},
        {"workers": 2},
        {"log_every": 3},
    ],
    ids=str,
)
def test_a_training_broken_off_three_times_ends_with_the_same_bits(tmp_path, options):
    method, whole = trained(tmp_path / "whole", **options)
    other, resumed = broken_and_resumed(tmp_path / "broken", [3, 10, 20], **options)
    assert resumed.resumed_from > 0
    assert same(method.state_dict(), other.state_dict())
    assert whole.curves == resumed.curves
    assert whole.best_step == resumed.best_step and whole.best_value == resumed.best_value
    assert whole.best_weights.read_bytes() == resumed.best_weights.read_bytes()


def test_the_start_depends_on_the_seed_and_not_on_the_past(tmp_path):
    torch.manual_seed(1)
    one, _ = trained(tmp_path / "one")
    torch.manual_seed(2)
    same_seed, _ = trained(tmp_path / "two")
    other_seed, _ = trained(tmp_path / "three", seed=5)
    assert same(one.state_dict(), same_seed.state_dict())
    assert not same(one.state_dict(), other_seed.state_dict())


def test_a_finished_training_returns_at_once_with_its_weights(tmp_path):
    method, first = trained(tmp_path, ema=0.9)
    other, again = trained(tmp_path, Tiny(seed=9), ema=0.9, callbacks=(BreakAt(1),))
    assert again.resumed_from == again.steps == STEPS
    assert same(method.state_dict(), other.state_dict())
    assert first.curves == again.curves


def test_what_changes_no_number_may_change(tmp_path):
    with pytest.raises(RuntimeError):
        trained(tmp_path, callbacks=(BreakAt(10),))
    _, resumed = trained(tmp_path, keep=5, checkpoint_every=1, progress=False)
    assert resumed.resumed_from == 8


def test_early_stop_ends_the_training_and_it_stays_ended(tmp_path):
    # A rate of 0: no validation is ever better than the first.
    options = {"early_stop": 2, "validate_every": 2, "checkpoint_every": 1}
    _, stopped = trained(tmp_path / "whole", Tiny(rate=0.0, dropout=0.0), **options)
    _, again = trained(tmp_path / "whole", Tiny(rate=0.0, dropout=0.0), callbacks=(BreakAt(1),), **options)
    assert again.resumed_from == stopped.steps < STEPS
    with pytest.raises(RuntimeError):
        trained(tmp_path / "broken", Tiny(rate=0.0, dropout=0.0), callbacks=(BreakAt(6),), **options)
    _, resumed = trained(tmp_path / "broken", Tiny(rate=0.0, dropout=0.0), **options)
    assert resumed.steps == stopped.steps
    assert resumed.curves == stopped.curves


def test_a_run_that_something_else_stopped_is_gone_on_with(tmp_path):
    class Clock(L.Callback):
        def on_train_batch_end(self, trainer, *_) -> None:
            trainer.should_stop = self.step == 5
            self.step += 1

        step = 1

    method, _ = trained(tmp_path / "whole")
    _, stopped = trained(tmp_path / "stopped", callbacks=(Clock(),))
    assert stopped.steps == 5
    other, resumed = trained(tmp_path / "stopped")
    assert (resumed.resumed_from, resumed.steps) == (5, STEPS)
    assert same(method.state_dict(), other.state_dict())


def test_a_3d_u_net_goes_on_exactly_with_accumulation(tmp_path):
    class Segmenting(L.LightningModule):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.net = UNet3d(2, 3, width=4, levels=3, dropout=0.2).to(memory_format=torch.channels_last_3d)

        def training_step(self, batch, index):
            return torch.nn.functional.cross_entropy(self.net(batch["image"]), batch["label"])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)

    def voxels(index: int) -> dict[str, torch.Tensor]:
        return {"image": torch.randn(2, 8, 8, 8), "label": torch.randint(3, (8, 8, 8))}

    def run(folder: Path, *parts: L.Callback) -> dict[str, torch.Tensor]:
        method = Segmenting()
        options = {"directory": folder, "steps": 4, "profile": "cpu", "checkpoint_every": 1, "accumulate": 2}
        fit(method, training_batches(voxels, 1, seed=2), callbacks=parts, **options)
        return method.state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError):
        run(tmp_path / "broken", BreakAt(6))
    assert same(whole, run(tmp_path / "broken"))
