"""What the commands of all methods of anomaly detection share: their data, and the maps that they write."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from medlab.cohorts.cohort import Cohort
from medlab.cohorts.datasets import open_cq500
from medlab.cohorts.grid import Grid
from medlab.data import load_volume, save_volume
from medlab.data.samples import Sample, Samples
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.anomaly.heads import Heads, prepare_head, reference_head
from medlab.methods.anomaly.structures import seen
from medlab.profiles import Profile

FIELD_OF_VIEW_MM = 256.0
WATCHED = 4  # healthy heads of the validation part that a training is watched by
SUBJECTS = {"ci": 24, "cpu": 270, "gpu": 491}
CUBES = {"ci": (32, 8.0), "cpu": (128, 2.0), "gpu": (256, 1.0)}  # voxels along an edge and their size in mm


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Which heads a training of anomaly detection sees."""
    parser.add_argument(
        "--data-root",
        type=Path,
        help="folder of CQ500, as it is published; without it, synthetic head CTs stand in for it",
    )
    parser.add_argument("--subjects", type=int, help="how many subjects to use (default: by profile)")


def open_heads(
    volume: int, spacing_mm: float, profile: Profile, data_root: Path | None = None, subjects: int | None = None
) -> Heads:
    """Prepared heads in cubes of `volume` voxels: CQ500's where data_root is given, else the stand-in's (seed 0)."""
    grid = None if data_root else Grid.cube(volume, volume * spacing_mm)
    samples = open_cq500(data_root, subjects=subjects or SUBJECTS[profile.name], grid=grid)
    return Heads(samples, volume, spacing_mm)


def training_parts(heads: Samples, seed: int = 0) -> tuple[Samples, Samples, dict[str, object]]:
    """The healthy heads to learn from, a few healthy ones to watch it by, and what the card says of the data."""
    parts = split_heads(heads, seed)
    watched = [i for i in range(len(parts["validation"])) if is_normal(parts["validation"].facts(i))][:WATCHED]
    recipe = {
        "dataset": "cq500",
        "synthetic": isinstance(heads, Heads) and isinstance(heads.samples, Cohort),
        "subjects": {name: list(part.subjects) for name, part in parts.items()},
    }
    return parts["train"], parts["validation"].choose(watched), recipe


def predict_maps(
    method, volume: int, spacing_mm: float, files: Sequence[Path], folder: Path
) -> list[tuple[Path, dict[str, float]]]:
    """Write the map of each head CT (NIfTI or a DICOM folder, HU) as NAME_error_map.nii.gz, on the reference's grid.

    The head is laid over the reference first, as for training; beside the map NAME_head.nii.gz, the CT there. Gives the
    paths of the maps with {"maximum": ..., "mean": ...}. Raises ValueError where a scan has several channels.
    """
    reference = reference_head(volume, spacing_mm)
    results = []
    for path in files:
        ct = load_volume(path)
        if ct.shape[0] != 1:
            raise ValueError(f"{path}: it has {ct.shape[0]} channels, expected one, a CT in HU")
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        head = prepare_head(Sample(name, ct, ("CT",)), reference)
        with torch.no_grad():
            found = method.error_map(seen(head, method.sees))
        save_volume(seen(head, "HU"), folder / f"{name}_head.nii.gz")
        written = found.save(folder / f"{name}_error_map.nii.gz")
        results.append((written, {"maximum": float(found.values.max()), "mean": float(found.values.mean())}))
    return results
