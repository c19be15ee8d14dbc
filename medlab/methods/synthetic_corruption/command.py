"""Detection of synthetic corruptions on the command line: its training, and the maps that it writes."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from medlab.methods.anomaly.command import add_data_arguments, open_heads, predict_maps, training_parts
from medlab.methods.settings import with_settings
from medlab.methods.synthetic_corruption.config import Config
from medlab.methods.synthetic_corruption.module import SyntheticCorruption
from medlab.methods.synthetic_corruption.stream import CorruptedPatches
from medlab.methods.training import Training
from medlab.profiles import Profile
from medlab.training import training_batches

UNIT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training of the detection can be told."""
    add_data_arguments(parser)
    parser.add_argument("--paper", action="store_true", help="foreign patches alone, as Tan et al. (2020)")


def config_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Config:
    """The config that the arguments describe. settings: "field=value" each, which replace the config's."""
    return with_settings(Config.paper() if given.paper else Config.for_profile(profile), settings)


def training_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Training:
    """The training that the arguments describe: reads, or makes, the data."""
    config = config_of(given, profile, settings)
    heads = open_heads(config.volume, config.spacing_mm, profile, given.data_root, given.subjects)
    train, watched, recipe = training_parts(heads, given.seed)
    stream = CorruptedPatches(train, config, given.seed)
    return Training(
        method=SyntheticCorruption(config, given.seed),
        batches=training_batches(stream.draw, config.batch, given.seed, given.workers),
        validation=watched,
        config=config.as_dict(),
        steps=config.steps,
        precision=config.precision,
        clip=config.clip,
        monitor="validation/dice",
        data=recipe,
    )


def predict(
    tensors: dict[str, torch.Tensor], card: dict, files: Sequence[Path], folder: Path, device: torch.device, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """Write the error map of head CTs: see `anomaly.command.predict_maps`. flips: has no meaning here.

    Raises ValueError where flips are asked for.
    """
    if flips:
        raise ValueError("--flips is given, expected it for segmentation only")
    method = SyntheticCorruption.from_weights(tensors, card).to(device)
    return predict_maps(method, method.config.volume, method.config.spacing_mm, files, folder)
