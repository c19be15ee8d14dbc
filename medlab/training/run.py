"""A whole training: started, gone on with where it was broken off, or found finished."""

import inspect
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
from torch.utils.data import DataLoader

from medlab.arguments import whole
from medlab.profiles import Profile, choose
from medlab.training.best import NAME as BEST
from medlab.training.best import BestWeights
from medlab.training.checkpoints import OURS, PATTERN, Checkpoints, newest_checkpoint, read_checkpoint
from medlab.training.ema import ExponentialAverage
from medlab.training.generators import own_generators
from medlab.training.history import NAME as HISTORY
from medlab.training.history import read_history
from medlab.training.quiet import quiet_lightning
from medlab.training.stream import TrainingBatches
from medlab.training.trainer import make_trainer
from medlab.training.weights import load_weights, put_into

# May differ when a run goes on: where it is computed and what is said about it, but not a number of it.
FREE = ("num_nodes", "strategy", "loggers", "progress", "keep", "checkpoint_every", "callbacks", "start")
DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(make_trainer).parameters.items()
    if option.default is not inspect.Parameter.empty
}


@dataclass(frozen=True)
class Fit:
    """What a training gave: steps done, the curves, and where its files are."""

    directory: Path
    steps: int
    resumed_from: int  # the step at which this call went on, 0 for a new run
    curves: Mapping[str, tuple[list[int], list[float]]] = field(repr=False)
    best_step: int | None = None
    best_value: float | None = None

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one logged name. ValueError where nothing of that name was logged."""
        if name not in self.curves:
            raise ValueError(f"the training logged no {name!r}, expected one of {', '.join(self.curves) or 'nothing'}")
        return self.curves[name]

    @property
    def best_weights(self) -> Path | None:
        """The file with the weights of the best validation, None where nothing was monitored."""
        return self.directory / BEST if self.best_step is not None else None

    def load_best(self, method: L.LightningModule) -> L.LightningModule:
        """Put the weights of the best validation into the method, and return it."""
        if self.best_weights is None:
            raise ValueError(f"{self.directory}: no validation was monitored, expected one for the best weights")
        load_weights(self.best_weights, method)
        return method


def fit(
    method: L.LightningModule,
    train: TrainingBatches,
    validation: DataLoader | Iterable | None = None,
    *,
    directory: str | os.PathLike,
    steps: int,
    profile: Profile | str | None = None,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    resume: bool = True,
    **options: Any,
) -> Fit:
    """Train a method for so many steps, with all that belongs to the run in one folder.

    train: of `training_batches`. validation: a loader that always gives the same batches. directory: the run's own.
    resume: go on from the newest checkpoint that is whole; a finished run returns at once, with its weights put into
    the method. False: begin anew. config: what else makes this run what it is, for instance the fields of the method's
    config; a run goes on only with the same. options: those of `make_trainer`.

    A run that was broken off, at whatever moment, and gone on with gives the weights of an unbroken one, bit for bit
    on one machine. The weights that the method is given are the start of a new run; dropout and the like draw from
    `seed`, and the caller's random generators are left as they were.
    Afterwards the method holds the last weights, or their average where `ema` is asked for.
    Raises ValueError where the folder holds a run with another configuration.
    """
    if not isinstance(train, TrainingBatches):
        raise ValueError(f"train is a {type(train).__name__}, expected what medlab.training.training_batches gives")
    if isinstance(validation, list | tuple):
        raise ValueError("validation is a list, which Lightning takes for several loaders, expected one loader")
    profile = profile if isinstance(profile, Profile) else choose(profile)
    directory = Path(directory)
    accumulate = whole(options.get("accumulate", 1), "accumulate")
    described = _described(method, train, steps, profile, seed, config or {}, options)
    if not resume:
        _clear(directory)
    found = newest_checkpoint(directory)
    path, done = None, 0
    if found:
        path, state = found
        _same_run(state["config"], described, directory)
        done = state["step"]
        if state["finished"]:
            return _finished(method, read_checkpoint(path), directory, done)
    directory.mkdir(parents=True, exist_ok=True)
    trainer = make_trainer(profile, directory, steps=steps, seed=seed, start=done, **options)
    checkpoints = next(part for part in trainer.callbacks if isinstance(part, Checkpoints))
    checkpoints.config = described
    loader = train.loader(done * accumulate, steps * accumulate)
    with own_generators(), quiet_lightning():
        _run(trainer, method, loader, validation, path)
    return _finished(method, read_checkpoint(checkpoints.path), directory, done)


def _run(trainer: L.Trainer, method: L.LightningModule, loader: DataLoader, validation: Any, path: Path | None) -> None:
    """Lightning makes an exit of Ctrl-C and ignores the next one for good, which would end a notebook's kernel."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(method, loader, validation, ckpt_path=path)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # SIGTERM comes as an exit, too, and stays one
            raise KeyboardInterrupt from None
        raise
    finally:
        if in_main and handler is not None:
            signal.signal(signal.SIGINT, handler)


def _described(method, train, steps, profile, seed, config, options) -> dict[str, Any]:
    """All that the numbers of a run depend on, flat, as text and numbers."""
    parts = {
        "method": type(method).__name__,
        "batch": train.batch,
        "data_seed": train.seed,
        "profile": profile.name,
        **{name: value for name, value in (DEFAULTS | options).items() if name not in FREE},
        "steps": whole(steps, "steps"),
        "seed": whole(seed, "seed", 0),
        **{f"config.{name}": value for name, value in config.items()},
    }
    # repr where JSON has no such value; without addresses, which differ every time.
    simple = int | float | str | None
    return {
        name: value if isinstance(value, simple) else re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        for name, value in parts.items()
    }


def _same_run(text: str, described: dict[str, Any], directory: Path) -> None:
    """ValueError that names the first field in which the run in the folder differs."""
    stored = json.loads(text)
    for name in [*described, *stored]:
        if stored.get(name) != (now := described.get(name)):
            raise ValueError(
                f"{directory}: it holds a training with {name} {stored.get(name)!r}, expected {now!r};"
                " take another directory, or resume=False to begin anew"
            )


def _clear(directory: Path) -> None:
    """Take away what a run wrote, and nothing else."""
    for path in [
        *directory.glob(PATTERN),
        directory / HISTORY,
        directory / BEST,
        (directory / BEST).with_suffix(".json"),
    ]:
        path.unlink(missing_ok=True)
    shutil.rmtree(directory / "tensorboard", ignore_errors=True)


def _finished(method: L.LightningModule, checkpoint: dict[str, Any], directory: Path, resumed_from: int) -> Fit:
    """The weights of the last checkpoint, or their average, in the method; and what is known of the run."""
    states = checkpoint["callbacks"]
    average = states.get(ExponentialAverage.__qualname__)
    weights = average["average"] if average else checkpoint["state_dict"]
    put_into(method, weights, str(directory))
    best = states.get(BestWeights.__qualname__, {"step": 0, "value": None})
    return Fit(
        directory=directory,
        steps=checkpoint[OURS]["step"],
        resumed_from=resumed_from,
        curves=read_history(directory),
        best_step=best["step"] or None,
        best_value=best["value"],
    )
