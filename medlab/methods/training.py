"""What every method gives the command that trains it, and where its own part of the commands stands."""

from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

import lightning as L

from medlab.arguments import one_of
from medlab.data.samples import Samples
from medlab.training import TrainingBatches

METHODS = (
    "segmentation",
    "position_regression",
    "autoencoder",
    "anoddpm",
    "classifier_guidance",
    "vae_restoration",
    "synthetic_corruption",
)


@dataclass(frozen=True, eq=False)
class Training:
    """A method ready to be trained: module, data and all that `medlab.training.fit` asks for.

    config: as JSON keeps it, stored with checkpoints and weights. data: the recipe of the data, kept in the card.
    monitor: what is watched on the validation samples; mode: "max" or "min", whether more of it is better or less.
    """

    method: L.LightningModule
    batches: TrainingBatches
    validation: Samples | None
    config: dict[str, object]
    steps: int
    precision: str = "32-true"
    clip: float | None = None
    monitor: str | None = None
    mode: str = "max"
    data: dict[str, object] = field(default_factory=dict)


def command_of(method: str) -> ModuleType:
    """The part of the commands that belongs to a method: `add_arguments`, `config_of`, `training_of`, `predict`, and
    `UNIT`, that of the numbers which `predict` gives beside each file.

    Raises ValueError where there is no such method.
    """
    return import_module(f"medlab.methods.{one_of(method, METHODS, 'method')}.command")
