"""One call that gives Lightning's Trainer for a profile; Lightning trains, we only put it together."""

import os
import sys
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from medlab.arguments import number, one_of, whole
from medlab.profiles import Profile, choose
from medlab.training.best import BestWeights
from medlab.training.checkpoints import AtomicCheckpoints, Checkpoints
from medlab.training.determinism import deterministic_mode
from medlab.training.ema import ExponentialAverage
from medlab.training.history import History
from medlab.training.quiet import quiet_lightning

LOGGERS = ("csv", "tensorboard")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")


def make_trainer(
    profile: Profile | str,
    directory: str | os.PathLike,
    *,
    steps: int,
    seed: int = 0,
    precision: str = "32-true",
    clip: float | None = None,
    accumulate: int = 1,
    validate_every: int | None = None,
    checkpoint_every: int | None = None,
    keep: int = 2,
    ema: float | None = None,
    early_stop: int | None = None,
    monitor: str | None = "val_loss",
    mode: str = "min",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    loggers: tuple[str, ...] = ("csv",),
    log_every: int = 1,
    progress: bool | None = None,
    deterministic: bool = True,
    callbacks: tuple[L.Callback, ...] = (),
    start: int = 0,
) -> L.Trainer:
    """Lightning's Trainer for a profile, writing below `directory`; training is counted in steps of the optimiser.

    precision: "32-true", "bf16-mixed", "16-mixed" (with loss scaling), "bf16-true" or "64-true". clip: the largest
    norm of the gradient. accumulate: batches a step.
    validate_every: steps between two validations; where None, only after the last step.
    checkpoint_every: steps between two checkpoints, a tenth of all where None; keep: how many are kept.
    ema: decay of the `ExponentialAverage` of the weights, which then is what is validated.
    early_stop: stop after so many validations without a better `monitor`, a name that the method logs; mode: whether
    "min" or "max" is better. The weights of the best validation are kept as best.safetensors where `monitor` is logged.
    loggers: "csv" (history.csv), "tensorboard"; log_every: steps between two lines.
    progress: a progress bar; where None only in a terminal, and never while a page is published (MEDLAB_PUBLISH=1).
    deterministic: the same numbers every time; operations of an accelerator that have no deterministic algorithm run
    all the same. devices, num_nodes, strategy: Lightning's.
    start: steps done before, where a run goes on (`fit` knows).

    Raises ValueError for an argument that cannot be meant.
    """
    profile = profile if isinstance(profile, Profile) else choose(profile)
    steps, accumulate = whole(steps, "steps"), whole(accumulate, "accumulate")
    one_of(precision, PRECISIONS, "precision")
    one_of(mode, ("min", "max"), "mode")
    for name in loggers:
        one_of(name, LOGGERS, "loggers")
    if clip is not None:
        number(clip, "clip", 0, above=True)
    validate_every = steps if validate_every is None else whole(validate_every, "validate_every", 1, steps)
    directory = Path(directory)
    every = max(1, steps // 10) if checkpoint_every is None else checkpoint_every
    parts: list[L.Callback] = [Deterministic(strict=profile.device.type == "cpu")] if deterministic else []
    average = None if ema is None else ExponentialAverage(ema)
    parts += [average] if average else []
    parts += callbacks
    if early_stop is not None:
        patience = whole(early_stop, "early_stop")
        if monitor is None:
            raise ValueError("monitor is None, expected the name of a number that early_stop can watch")
        parts.append(
            EarlyStopping(monitor, patience=patience, mode=mode, verbose=False, check_on_train_epoch_end=False)
        )
    if monitor is not None:
        parts.append(BestWeights(directory, monitor, mode, average))
    parts.append(
        Checkpoints(directory, steps=steps, every=every, keep=keep, accumulate=accumulate, seed=whole(seed, "seed", 0))
    )
    if progress := _wanted(progress):
        parts.append(StepsBar(steps * accumulate, whole(start, "start", 0) * accumulate))
    made: list[Any] = [History(directory, keep_up_to=start)] if "csv" in loggers else []
    if "tensorboard" in loggers:
        made.append(TensorBoardLogger(directory, name=None, version="tensorboard", purge_step=start))
    with quiet_lightning():
        return L.Trainer(
            accelerator=profile.device.type,
            devices=devices,
            num_nodes=whole(num_nodes, "num_nodes"),
            strategy=strategy,
            precision=precision,
            gradient_clip_val=clip,
            accumulate_grad_batches=accumulate,
            max_epochs=1,  # the loader is as long as the training: one epoch is all of it
            val_check_interval=validate_every * accumulate,
            check_val_every_n_epoch=None,
            log_every_n_steps=whole(log_every, "log_every"),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=directory,
            logger=made,
            callbacks=parts,
            plugins=[AtomicCheckpoints()],
            enable_checkpointing=False,  # Lightning's; ours is among the callbacks
            enable_progress_bar=progress,
            enable_model_summary=False,
            benchmark=False,
        )


class Deterministic(L.Callback):
    """`deterministic_mode` from the beginning of a training to its end."""

    def __init__(self, strict: bool):
        self.strict = strict
        self._mode = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._mode = deterministic_mode(self.strict)
        self._mode.__enter__()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self._mode = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "")


class StepsBar(TQDMProgressBar):
    """Lightning's bar, counting the batches of the whole training also where a run goes on."""

    def __init__(self, batches: int, before: int):
        super().__init__(leave=True)
        self._batches, self._before = batches, before

    @property
    def total_train_batches(self) -> int:
        return self._batches

    def on_train_epoch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description("Training")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx + self._before)


def _wanted(progress: bool | None) -> bool:
    if progress is not None:
        return progress
    return os.environ.get("MEDLAB_PUBLISH") != "1" and sys.stderr.isatty()
