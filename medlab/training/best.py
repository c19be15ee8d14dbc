"""The weights of the best validation, kept beside the checkpoints."""

import math
from pathlib import Path
from typing import Any

import lightning as L

from medlab.training.ema import ExponentialAverage
from medlab.training.weights import save_weights

NAME = "best.safetensors"


class BestWeights(L.Callback):
    """Writes best.safetensors whenever a validation finds a better `monitor`; where there is an average, the average.

    Where the method logs no such number, nothing is written.
    """

    def __init__(self, directory: Path, monitor: str, mode: str, average: ExponentialAverage | None = None):
        self.path, self.monitor, self.mode, self.average = directory / NAME, monitor, mode, average
        self.value: float | None = None
        self.step = 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = trainer.callback_metrics.get(self.monitor)
        if found is None or not math.isfinite(value := float(found)):
            return
        sign = 1 if self.mode == "min" else -1
        if self.value is None or sign * value < sign * self.value:
            self.value = value
            self.step = trainer.fit_loop.epoch_loop._batches_that_stepped + 1
            if trainer.is_global_zero:
                weights = self.average.average if self.average else pl_module.state_dict()
                save_weights(weights, self.path, {"steps": self.step, "metrics": {self.monitor: value}})

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.step = state_dict["value"], state_dict["step"]
