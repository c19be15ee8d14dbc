"""Trains with gloo on one or two processes and stores the gradients of every step.

Run as a program: `python tests/training/two_processes.py OUT.pt DIRECTORY DEVICES BATCH [BREAK_AT]`; Lightning starts
the second process with the same command.
"""

import sys
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from medlab.nn import UNet3d
from medlab.training import fit, training_batches

STEPS = 4


class Segmenting(L.LightningModule):
    """A 3D U-Net without anything that looks across the batch, so that its gradient is a mean over items."""

    def __init__(self, dropout: float):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = UNet3d(1, 3, width=4, levels=2, dropout=dropout)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        return torch.nn.functional.cross_entropy(self.net(batch["image"]), batch["label"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.05, momentum=0.9)


class Gradients(L.Callback):
    """Keeps what the optimiser is given, and can break the training off before a step."""

    def __init__(self, break_at: int | None):
        self.break_at, self.steps = break_at, []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.steps.append({name: value.grad.clone() for name, value in pl_module.named_parameters()})

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.break_at:
            raise RuntimeError("broken off")


def draw(index: int) -> dict[str, Tensor]:
    return {"image": torch.randn(1, 8, 8, 8), "label": torch.randint(3, (8, 8, 8))}


def main(out: Path, directory: Path, devices: int, batch: int, break_at: int | None, dropout: float) -> None:
    torch.set_num_threads(1)
    method, gradients = Segmenting(dropout), Gradients(break_at)
    options = {"devices": devices, "strategy": "ddp"} if devices > 1 else {}
    fit(
        method,
        training_batches(draw, batch, seed=5),
        directory=directory,
        steps=STEPS,
        profile="cpu",
        checkpoint_every=2,
        callbacks=(gradients,),
        **options,
    )
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        torch.save({"gradients": gradients.steps, "weights": method.state_dict()}, out)


if __name__ == "__main__":
    out, directory, devices, batch, break_at, dropout = sys.argv[1:]
    main(Path(out), Path(directory), int(devices), int(batch), int(break_at) or None, float(dropout))
