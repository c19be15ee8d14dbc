"""Classifier-guided DDIM on the command line: what `medlab.train` trains and `medlab.predict` writes."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from medlab.methods.anomaly.command import training_parts
from medlab.methods.anomaly.data import split_heads
from medlab.methods.classifier_guidance.config import Config
from medlab.methods.classifier_guidance.module import ClassifierGuidance
from medlab.methods.diffusion.command import add_slice_arguments, open_for, predict_slices
from medlab.methods.diffusion.training_slices import TrainingSlices
from medlab.methods.settings import with_settings
from medlab.methods.training import Training
from medlab.profiles import Profile
from medlab.training import training_batches

UNIT = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training of classifier-guided DDIM can be told."""
    add_slice_arguments(parser)


def config_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Config:
    """The config that the arguments describe. settings: "field=value" each, which replace the config's."""
    return with_settings(Config.paper() if given.paper else Config.for_profile(profile), settings)


def training_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Training:
    """The training that the arguments describe: reads, or makes, the data.

    Weakly supervised, it needs heads with bleeds, and the training part has none: those of the validation part are
    added. So nothing is watched, and nothing is chosen on heads that were not learned from; the test part stays new.
    """
    config = config_of(given, profile, settings)
    heads = open_for(profile, given.data_root, given.subjects)
    _, _, recipe = training_parts(heads, given.seed)
    parts = split_heads(heads, given.seed)
    learned = [*parts["train"], *parts["validation"]]
    recipe["subjects"]["train"] += recipe["subjects"].pop("validation")
    stream = TrainingSlices(learned, config, given.seed, balanced=True)
    return Training(
        method=ClassifierGuidance(config, given.seed),
        batches=training_batches(stream.draw, config.batch, given.seed, given.workers),
        validation=None,
        config=config.as_dict(),
        steps=config.steps,
        precision=config.precision,
        clip=config.clip,
        mode="min",
        data=recipe,
    )


def predict(
    tensors: dict[str, torch.Tensor], card: dict, files: Sequence[Path], folder: Path, device: torch.device, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """Write the error map of head CTs: see `anomaly.command.predict_maps`."""
    return predict_slices(ClassifierGuidance.from_weights(tensors, card).to(device), card, files, folder, flips)
