"""Segmentation on the command line: what `medlab.train` asks for and trains, and what `medlab.predict` writes."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from medlab import nn
from medlab.arguments import one_of
from medlab.cohorts.datasets import open_iseg, open_mrbrains
from medlab.cohorts.grid import Grid
from medlab.data import Volume, load_volume
from medlab.data.samples import Samples
from medlab.data.splits import split_by_subject
from medlab.methods.segmentation.config import Config
from medlab.methods.segmentation.module import Segmentation
from medlab.methods.segmentation.subvolumes import SubVolumes
from medlab.methods.settings import with_settings
from medlab.methods.training import Training
from medlab.profiles import Profile
from medlab.training import training_batches

OPEN = {"iseg": (open_iseg, 10), "mrbrains": (open_mrbrains, 7)}
FIELD_OF_VIEW_MM = {"iseg": (144.0, 192.0, 258.0), "mrbrains": (231.0, 231.0, 144.0)}
UNIT = " ml"
PARTS = {"train": 0.6, "validation": 0.1, "test": 0.3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a training of segmentation can be told."""
    parser.add_argument(
        "--data", choices=tuple(OPEN), default="iseg", help="the dataset: iseg (infants) or mrbrains (older adults)"
    )
    parser.add_argument(
        "--data-root",
        type=Path,
        help="folder of the real dataset, in the layout in which it is published; without it, synthetic subjects",
    )
    parser.add_argument("--subjects", type=int, help="how many subjects to use (default: as many as the dataset has)")
    parser.add_argument("--network", choices=nn.NETWORKS, default="unet3d", help="the network (default: unet3d)")
    parser.add_argument(
        "--paper", action="store_true", help="the thesis's numbers for this network and dataset, not the profile's"
    )


def config_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Config:
    """The config that the arguments describe. settings: "field=value" each, which replace the config's."""
    if given.paper:
        return with_settings(Config.paper(given.network, given.data), settings)
    return with_settings(Config.for_profile(profile, given.network, given.data), settings)


def training_of(given: argparse.Namespace, profile: Profile, settings: Iterable[str]) -> Training:
    """The training that the arguments describe: reads, or makes, the data."""
    config = config_of(given, profile, settings)
    samples = open_dataset(given.data, config, given.data_root, given.subjects)
    parts = split_by_subject(samples, PARTS, seed=given.seed)
    stream = SubVolumes(parts["train"], config, given.seed)
    return Training(
        method=Segmentation(config, given.seed),
        batches=training_batches(stream.draw, config.batch, given.seed, given.workers),
        validation=parts["validation"],
        config=config.as_dict(),
        steps=config.steps,
        precision=config.precision,
        clip=config.clip,
        monitor="validation/dice",
        data={
            "dataset": given.data,
            "synthetic": given.data_root is None,
            "subjects": {name: list(part.subjects) for name, part in parts.items()},
        },
    )


def open_dataset(name: str, config: Config, data_root: Path | None = None, subjects: int | None = None) -> Samples:
    """A dataset on the config's grid: the real one where data_root is given, else the cohort that stands in for it."""
    opened, count = OPEN[one_of(name, tuple(OPEN), "data")]
    return opened(data_root, subjects=subjects or count, grid=grid_of(name, config.spacing_mm))


def grid_of(name: str, spacing_mm: tuple[float, float, float]) -> Grid:
    """A grid of this spacing over the dataset's field of view."""
    sizes = tuple(round(length / step) for length, step in zip(FIELD_OF_VIEW_MM[name], spacing_mm, strict=True))
    return Grid(sizes, spacing_mm)


def predict(
    tensors: dict[str, torch.Tensor], card: dict, files: Sequence[Path], folder: Path, device: torch.device, flips: bool
) -> list[tuple[Path, dict[str, float]]]:
    """Segment scans with trained weights; the paths of the NIfTI files written and each class's volume in ml.

    files: for each scan as many files as the weights have channels, in their order, or one file that holds them all.
    A result stands in folder under the name of the scan's first file with "_segmentation".
    Raises ValueError where files and channels do not fit, before anything is computed.
    """
    method = Segmentation.from_weights(tensors, card).to(device)
    method.config = replace(method.config, flips=flips or method.config.flips)
    scans = _scans(files, method.config.channels)
    results = []
    for name, parts in scans:
        found = method.segment(_joined(parts))
        results.append((found.save(folder / f"{name}_segmentation.nii.gz"), found.volumes_ml()))
    return results


def _scans(files: Sequence[Path], channels: tuple[str, ...]) -> list[tuple[str, list[Path]]]:
    """The files of each scan, and its name."""
    # A file with as many channels as the weights is a scan by itself.
    scans, open_scan = [], []
    for path in files:
        count = load_volume(path).shape[0]
        if count == len(channels) and not open_scan:
            scans.append([path])
        elif count == 1:
            open_scan.append(path)
            if len(open_scan) == len(channels):
                scans.append(open_scan)
                open_scan = []
        else:
            raise ValueError(f"{path}: it has {count} channels, expected 1 or {len(channels)} ({', '.join(channels)})")
    if open_scan:
        found = f"{len(open_scan)} of its {len(channels)} files"
        raise ValueError(f"{open_scan[0]}: its scan has {found}, expected one each of {', '.join(channels)}")
    names = [parts[0].name.removesuffix(".gz").removesuffix(".nii") for parts in scans]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name}: two scans have this name, expected different ones, for results are named so")
    return list(zip(names, scans, strict=True))


def _joined(parts: list[Path]) -> Volume:
    """One volume of a scan's files. Raises ValueError where their grids differ."""
    volumes = [load_volume(path) for path in parts]
    first = volumes[0]
    for path, other in zip(parts, volumes, strict=True):
        same = other.shape[1:] == first.shape[1:] and abs(other.affine - first.affine).max() < 1e-2
        if not same:
            raise ValueError(
                f"{path}: its grid {other.shape[1:]} or place differs from that of {parts[0].name} {first.shape[1:]}"
                ", expected the same (register and resample it first)"
            )
    return first.with_data(torch.cat([volume.data for volume in volumes]))


__all__ = ["add_arguments", "config_of", "grid_of", "open_dataset", "predict", "training_of", "with_settings"]
