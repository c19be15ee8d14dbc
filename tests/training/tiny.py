"""A method so small that a whole training takes a second, with everything that has a state in it."""

from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medlab.training import Fit, fit, scheduled, training_batches

STEPS = 24


class Tiny(L.LightningModule):
    """Learns the sum of four numbers through batch norm and dropout, with Adam under a schedule."""

    def __init__(self, rate: float = 1e-2, dropout: float = 0.3, steps: int = STEPS, seed: int = 0):
        super().__init__()
        self.rate, self.steps = rate, steps
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = nn.Sequential(
                nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1)
            )

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        return ((self.net(batch["x"]) - batch["y"]) ** 2).mean()

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.log("val_loss", self.loss(batch), batch_size=len(batch["x"]))

    def configure_optimizers(self) -> dict:
        return scheduled(torch.optim.AdamW(self.parameters(), self.rate), self.steps, "cosine", warm_up=3)


def draw(index: int) -> dict[str, Tensor]:
    """From the global generator, which the stream seeds with the item's number."""
    x = torch.randn(4)
    return {"x": x, "y": x.sum(0, keepdim=True)}


def held_out() -> DataLoader:
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(3))
    return DataLoader([{"x": one, "y": one.sum(0, keepdim=True)} for one in x], batch_size=4)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class BreakAt(L.Callback):
    """Breaks a training off before a batch."""

    def __init__(self, batch: int):
        self.batch = batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.batch:
            raise RuntimeError("broken off")


def trained(folder: Path, method: L.LightningModule | None = None, **options) -> tuple[L.LightningModule, Fit]:
    method = method or Tiny()
    options = {"steps": STEPS, "profile": "cpu", "validate_every": 6, "checkpoint_every": 4} | options
    workers = options.pop("workers", 0)
    stream = training_batches(draw, 4, seed=1, workers=workers)
    return method, fit(method, stream, held_out(), directory=folder, **options)


def broken_and_resumed(folder: Path, at: list[int], **options) -> tuple[L.LightningModule, Fit]:
    for batch in at:
        torch.manual_seed(batch)  # what a new process would have drawn before must not matter
        with pytest.raises(RuntimeError, match="broken off"):
            trained(folder, callbacks=(BreakAt(batch),), **options)
    return trained(folder, **options)
