"""Training: a trainer for a profile, resumed exactly; the stream of data, weights with their cards, records.

    result = fit(method, training_batches(draw, batch=2, seed=0), validation, directory=folder, steps=1000)

`fit` begins a run, goes on where one was broken off, or finds it finished. A method is a `lightning.LightningModule`.
"""

from medlab.training.checkpoints import newest_checkpoint, read_checkpoint
from medlab.training.determinism import deterministic_mode
from medlab.training.ema import ExponentialAverage
from medlab.training.history import read_history
from medlab.training.quiet import quiet_lightning
from medlab.training.records import Record, add_record, read_record, read_records
from medlab.training.run import Fit, fit
from medlab.training.schedules import rate_factor, scheduled
from medlab.training.stream import TrainingBatches, training_batches
from medlab.training.trainer import make_trainer
from medlab.training.weights import load_weights, read_card, save_weights, shipped_weights

__all__ = [
    "ExponentialAverage",
    "Fit",
    "Record",
    "TrainingBatches",
    "add_record",
    "deterministic_mode",
    "fit",
    "load_weights",
    "make_trainer",
    "newest_checkpoint",
    "quiet_lightning",
    "rate_factor",
    "read_card",
    "read_checkpoint",
    "read_history",
    "read_record",
    "read_records",
    "save_weights",
    "scheduled",
    "shipped_weights",
    "training_batches",
]
