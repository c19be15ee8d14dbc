"""What the commands of methods of diffusion on slices share: which heads they read, and their maps."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from medlab.methods.anomaly import Heads
from medlab.methods.anomaly.command import FIELD_OF_VIEW_MM, add_data_arguments, open_heads, predict_maps
from medlab.methods.diffusion.module import SliceDiffusion
from medlab.profiles import Profile

VOXELS = {"ci": 32, "cpu": 128, "gpu": 256}


def add_slice_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training can be told."""
    add_data_arguments(parser)
    parser.add_argument("--paper", action="store_true", help="the paper's numbers, not the profile's")


def open_for(profile: Profile, data_root: Path | None, subjects: int | None) -> Heads:
    """The prepared heads of a profile: cubes of 256 mm in 32, 128 or 256 voxels."""
    size = VOXELS[profile.name]
    return open_heads(size, FIELD_OF_VIEW_MM / size, profile, data_root, subjects)


def predict_slices(
    method: SliceDiffusion, card: dict, files: Sequence[Path], folder: Path, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """The maps of head CTs, on the grid of the heads that the weights were trained on.

    Raises ValueError where flips are asked for.
    """
    if flips:
        raise ValueError("--flips is given, expected it for segmentation only")
    size = VOXELS[Profile(card.get("profile", "gpu")).name]
    return predict_maps(method, size, FIELD_OF_VIEW_MM / size, files, folder)
