"""The autoencoder on the command line: what `medlab.train` asks for and trains, and what `medlab.predict` writes."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from medlab.methods.anomaly.command import add_data_arguments, open_heads, predict_maps, training_parts
from medlab.methods.autoencoder.config import Config
from medlab.methods.autoencoder.module import Autoencoder
from medlab.methods.autoencoder.volumes import HeadVolumes
from medlab.methods.settings import with_settings
from medlab.methods.training import Training
from medlab.profiles import Profile
from medlab.training import training_batches

UNIT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training of the autoencoder can be told."""
    add_data_arguments(parser)
    parser.add_argument("--size", type=int, default=16, help="m, the network's size, 1 to 64 (default: 16)")
    parser.add_argument("--paper", action="store_true", help="the paper's numbers, not the profile's")


def config_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Config:
    """The config that the arguments describe. settings: "field=value" each, which replace the config's."""
    made = Config.paper(given.size) if given.paper else Config.for_profile(profile, given.size)
    return with_settings(made, settings)


def training_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Training:
    """The training that the arguments describe: reads, or makes, the data."""
    config = config_of(given, profile, settings)
    heads = open_heads(config.volume, config.spacing_mm, profile, given.data_root, given.subjects)
    train, watched, recipe = training_parts(heads, given.seed)
    stream = HeadVolumes(train, config.volume, given.seed)
    return Training(
        method=Autoencoder(config, given.seed),
        batches=training_batches(stream.draw, config.batch, given.seed, given.workers),
        validation=watched,
        config=config.as_dict(),
        steps=config.steps,
        precision=config.precision,
        monitor="validation/error",
        mode="min",
        data=recipe,
    )


def predict(
    tensors: dict[str, torch.Tensor], card: dict, files: Sequence[Path], folder: Path, device: torch.device, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """Write the error map of head CTs, see `anomaly.command.predict_maps`. Raises ValueError where flips are wanted."""
    if flips:
        raise ValueError("--flips is given, expected it for segmentation only")
    method = Autoencoder.from_weights(tensors, card).to(device)
    return predict_maps(method, method.config.volume, method.config.spacing_mm, files, folder)
