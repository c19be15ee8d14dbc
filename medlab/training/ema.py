"""The exponential moving average of the weights, which validates and is what a training leaves behind."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from medlab.arguments import number


class ExponentialAverage(L.Callback):
    """Keeps, beside the weights w that are trained, their average: m <- d m + (1 - d) w after every optimiser step.

    decay: d, 0 to below 1. With warm-up the decay of step k is min(d, (1 + k) / (10 + k)), so that the random start is
    soon forgotten (as in TensorFlow's ExponentialMovingAverage). Buffers, such as the running means of batch norm, are
    copied. The average stands in the module's place while it is validated; training goes on with w.
    """

    def __init__(self, decay: float = 0.999, warm_up: bool = True):
        self.decay = number(decay, "decay", 0, 1)
        if self.decay == 1:
            raise ValueError("decay is 1, expected a number of at least 0 and below 1")
        self.warm_up = warm_up
        self.average: dict[str, Tensor] = {}
        self.steps = 0
        self._trained: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A resumed average was loaded on the CPU.
        values = pl_module.state_dict()
        source = self.average or values
        self.average = {name: source[name].detach().to(value.device, copy=True) for name, value in values.items()}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.update(pl_module)

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        """Take in the weights after one more step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warm_up else self.decay
        learned = {name for name, _ in module.named_parameters()}
        for name, value in module.state_dict().items():
            if name in learned and value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def put_in(self, module: torch.nn.Module) -> None:
        """The average into the module; `take_out` brings back what was there."""
        values = module.state_dict()
        self._trained = {name: value.clone() for name, value in values.items()}
        for name, value in values.items():
            value.copy_(self.average[name])

    @torch.no_grad()
    def take_out(self, module: torch.nn.Module) -> None:
        """The trained weights again, where the average stands in their place."""
        for name, value in module.state_dict().items():
            if self._trained:
                value.copy_(self._trained[name])
        self._trained = {}

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.average:
            self.put_in(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.take_out(pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.take_out(pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average, self.steps = dict(state_dict["average"]), state_dict["steps"]
