"""The curve of a training as a file: one line a number, appended, cut back to the checkpoint when a run goes on."""

import contextlib
import csv
import io
import os
from pathlib import Path

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from medlab.training.files import write_text

NAME = "history.csv"
HEADER = ("step", "name", "value")
INNER = ("epoch",)  # what Lightning adds of its own


class History(Logger):
    """Logger to `history.csv`: step (optimiser steps done, from 1), name, value."""

    def __init__(self, directory: Path, keep_up_to: int = 0):
        super().__init__()
        self.directory, self.keep_up_to = Path(directory), keep_up_to
        self._file: io.TextIOBase | None = None

    @property
    def name(self) -> str:
        return "history"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.directory)

    @property
    @rank_zero_experiment
    def experiment(self) -> io.TextIOBase:
        if self._file is None:
            cut_history(self.directory, self.keep_up_to)
            self._file = (self.directory / NAME).open("a", encoding="utf-8", newline="")
        return self._file

    @rank_zero_only
    def log_hyperparams(self, *arguments: object, **named: object) -> None:
        """The configuration is in the checkpoint and on the card of the weights."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        rows = csv.writer(self.experiment)
        for name, value in metrics.items():
            if name not in INNER:
                rows.writerow((step + 1, name, repr(float(value))))  # Lightning counts from 0

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()  # Lightning calls this after every line

    @rank_zero_only
    def to_disk(self) -> None:
        """Past the system's buffers too, before a checkpoint that relies on it."""
        self.experiment.flush()
        os.fsync(self.experiment.fileno())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_history(directory: Path) -> dict[str, tuple[list[int], list[float]]]:
    """For each name its steps and values, in order; values of one step (accumulated batches) are averaged."""
    found: dict[str, dict[int, list[float]]] = {}
    for step, name, value in _rows(Path(directory) / NAME):
        found.setdefault(name, {}).setdefault(step, []).append(value)
    return {
        name: (list(by_step), [sum(values) / len(values) for values in by_step.values()])
        for name, by_step in found.items()
    }


def cut_history(directory: Path, last: int) -> None:
    """Leave out what comes after a step, and a last line that was not finished."""
    rows = [row for row in _rows(directory / NAME) if row[0] <= last]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([HEADER, *((step, name, repr(value)) for step, name, value in rows)])
    write_text(directory / NAME, text.getvalue())


def _rows(path: Path) -> list[tuple[int, str, float]]:
    rows = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    whole_lines = text[: text.rfind("\n") + 1]
    for line in csv.reader(io.StringIO(whole_lines)):
        with contextlib.suppress(ValueError):  # the header, or a line cut off by a full disk
            step, name, value = line
            rows.append((int(step), name, float(value)))
    return rows
