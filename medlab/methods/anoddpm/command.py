"""AnoDDPM on the command line: what `medlab.train` trains and `medlab.predict` writes."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from medlab.methods.anoddpm.config import Config
from medlab.methods.anoddpm.module import AnoDDPM
from medlab.methods.anomaly.command import training_parts
from medlab.methods.diffusion.command import add_slice_arguments, open_for, predict_slices
from medlab.methods.diffusion.training_slices import TrainingSlices
from medlab.methods.settings import with_settings
from medlab.methods.training import Training
from medlab.profiles import Profile
from medlab.training import training_batches

UNIT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training of AnoDDPM can be told."""
    add_slice_arguments(parser)


def config_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Config:
    """The config that the arguments describe. settings: "field=value" each, which replace the config's."""
    return with_settings(Config.paper() if given.paper else Config.for_profile(profile), settings)


def training_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Training:
    """The training that the arguments describe, on healthy heads alone: reads, or makes, the data."""
    config = config_of(given, profile, settings)
    train, watched, recipe = training_parts(open_for(profile, given.data_root, given.subjects), given.seed)
    stream = TrainingSlices(train, config, given.seed)
    return Training(
        method=AnoDDPM(config, given.seed),
        batches=training_batches(stream.draw, config.batch, given.seed, given.workers),
        validation=watched,
        config=config.as_dict(),
        steps=config.steps,
        precision=config.precision,
        clip=config.clip,
        monitor="validation/noise",
        mode="min",
        data=recipe,
    )


def predict(
    tensors: dict[str, torch.Tensor], card: dict, files: Sequence[Path], folder: Path, device: torch.device, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """Write the error map of head CTs: see `anomaly.command.predict_maps`."""
    return predict_slices(AnoDDPM.from_weights(tensors, card).to(device), card, files, folder, flips)
