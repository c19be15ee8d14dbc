"""Checkpoints: all that a training needs to go on as if it had never stopped, written whole or not at all."""

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from medlab.arguments import whole
from medlab.training.files import remove_parts, write_atomically
from medlab.training.generators import generator_states, seed_generators, set_generator_states
from medlab.training.history import History

PATTERN = "step-*.ckpt"
OURS = "medlab"  # the key of what we add to Lightning's checkpoint
LEFT_OUT = ("loops", "hyper_parameters", "hparams_name", "hparams_type", "datamodule_hyper_parameters")


class DamagedCheckpoint(ValueError):
    """A checkpoint that cannot be read whole."""


class AtomicCheckpoints(TorchCheckpointIO):
    """How Lightning's checkpoints reach the disk: plain values, whole or not at all, read without pickle's code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str, storage_options: Any | None = None) -> None:
        values = plain({name: value for name, value in checkpoint.items() if name not in LEFT_OUT}, "checkpoint")
        write_atomically(Path(path), lambda file: torch.save(values, file))

    def load_checkpoint(self, path: str, map_location: Any = "cpu", weights_only: bool | None = True) -> dict:
        return read_checkpoint(Path(path))


class Checkpoints(L.Callback):
    """Writes a checkpoint every so many steps and after the last, keeps the newest few, and puts everything back.

    A checkpoint belongs to the moment just before the next step: validation, average, schedule and early stop of its
    own step are done, so that the next one finds all as it was. The random generators belong to the steps alone: they
    are taken at the end of each and put back before the next, so that validating more often changes no weight.
    """

    def __init__(self, directory: Path, *, steps: int, every: int, keep: int, accumulate: int, seed: int):
        self.directory = directory
        self.steps, self.every = whole(steps, "steps"), whole(every, "checkpoint_every")
        self.keep, self.accumulate, self.seed = whole(keep, "keep"), accumulate, seed
        self.config: dict[str, Any] = {}  # what `fit` was called with; it has to be the same to go on
        self.step = 0
        self._resumed: dict[str, Any] | None = None
        self._states: dict[str, Any] | None = None  # of the generators, as the last step left them
        self._due = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            remove_parts(self.directory)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._due, self._states = False, None
        if self._resumed is not None:
            self.step = self._resumed["step"]
            self._states = self._resumed["generators"][trainer.global_rank]
            _count_from(trainer, self.step, self.accumulate, self._resumed["optimiser_steps"])
            self._resumed = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._due:
            self._save(trainer, finished=False)
        if self._states is None:
            seed_generators(self.seed, f"training on rank {trainer.global_rank}")
        else:
            set_generator_states(self._states)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._states = generator_states()
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        if batches % self.accumulate == 0:
            self.step = batches // self.accumulate
            self._due = self.step % self.every == 0

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Stopped by a clock, say, a run is not finished: it can be gone on with.
        self._save(trainer, finished=self.step >= self.steps or _stopped_early(trainer))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        states = [self._states]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            dist.all_gather_object(states, self._states)
        checkpoint[OURS] = {
            "step": self.step,
            "batches": self.step * self.accumulate,  # of each process: the position in the data
            "optimiser_steps": trainer.global_step,
            "finished": self._finished,
            "config": json.dumps(self.config),
            "generators": states,
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._resumed = checkpoint[OURS]

    @property
    def path(self) -> Path:
        """The checkpoint of the step reached."""
        return self.directory / f"step-{self.step:08d}.ckpt"

    def _save(self, trainer: L.Trainer, finished: bool) -> None:
        self._due, self._finished = False, finished
        for logger in trainer.loggers:
            # The curve up to here is on the disk before the checkpoint is.
            logger.to_disk() if isinstance(logger, History) else logger.save()
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero:
            for old in sorted(self.directory.glob(PATTERN))[: -self.keep]:
                old.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as Lightning made it, tensors on the CPU; nothing in the file is executed.

    Raises FileNotFoundError, and DamagedCheckpoint where the file is cut off or a checksum in it does not hold.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, expected a checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken:
            raise DamagedCheckpoint(f"{path}: the checksum of {broken} does not hold, expected a whole checkpoint")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedCheckpoint:
        raise
    except Exception as error:  # zipfile, zlib, torch and pickle each have their own
        raise DamagedCheckpoint(f"{path}: it cannot be read ({type(error).__name__}), expected a checkpoint") from error
    if not isinstance(checkpoint, dict) or OURS not in checkpoint:
        raise DamagedCheckpoint(f"{path}: it has no entry {OURS!r}, expected a checkpoint of medlab.training")
    return checkpoint


def newest_checkpoint(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that is whole, and what we added to it; None where there is none.

    For each newer one that is damaged, one sentence is said as a warning.
    """
    for path in sorted(Path(directory).glob(PATTERN), reverse=True):
        try:
            return path, read_checkpoint(path)[OURS]
        except DamagedCheckpoint as error:
            warnings.warn(f"{error}; the one before is taken", stacklevel=2)
    return None


def plain(value: Any, name: str) -> Any:
    """The value in types that load with weights_only=True; ValueError, naming where, for anything else."""
    if value is None or isinstance(value, bool | str | Tensor):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(one, f"{name}[{key!r}]") for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(one, name) for one in value]
    raise ValueError(f"{name} is a {type(value).__name__}, expected numbers, text, tensors, lists or dictionaries")


def _stopped_early(trainer: L.Trainer) -> bool:
    for stop in trainer.early_stopping_callbacks:
        value = trainer.callback_metrics.get(stop.monitor)
        if stop.wait_count >= stop.patience or (value is not None and not bool(torch.isfinite(value))):
            return True
    return False


def _count_from(trainer: L.Trainer, step: int, accumulate: int, optimiser_steps: int) -> None:
    """Lightning's counters as after so many steps; its own way of restarting in mid-epoch is left aside.

    That way depends on the hook in which a checkpoint was written and counts some steps late; ours are written between
    two steps, where three numbers say everything.
    """
    loop = trainer.fit_loop.epoch_loop
    batches = loop.batch_progress.total
    batches.ready = batches.started = batches.processed = batches.completed = step * accumulate
    loop._batches_that_stepped = step
    automatic = loop.automatic_optimization.optim_progress.optimizer.step.total
    automatic.ready = automatic.completed = optimiser_steps
    manual = loop.manual_optimization.optim_step_progress.total
    manual.ready = manual.completed = optimiser_steps
