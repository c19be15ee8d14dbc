"""The zoo at one budget: each network trained on the same sub-volumes for as many steps, and judged on whole scans.

    python -m medlab.methods.segmentation.zoo --data iseg --profile cpu --directory runs/zoo

writes one record for each network to data/results/zoo.json; what was computed already is not computed again.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from medlab import nn, profiles
from medlab.data.samples import Samples
from medlab.data.splits import split_by_subject
from medlab.methods.segmentation.command import PARTS, open_dataset
from medlab.methods.segmentation.config import DENSE, RECIPES, Config
from medlab.methods.segmentation.evaluation import judge
from medlab.methods.segmentation.module import Segmentation
from medlab.methods.segmentation.subvolumes import SubVolumes
from medlab.profiles import Profile
from medlab.training import Record, add_record, fit, training_batches

NETWORKS = tuple(name for name in nn.NETWORKS if name != "unet2d")
LESSON = "zoo_3d"
WATCHED, JUDGED = 2, 6
RECORDS = Path("data/results/zoo.json")
# About a sixth of the paper's widths: at full resolution a dense network costs a voxel 100 to 400 times the arithmetic
# of the 3D U-Net, and a laptop has no days.
NARROW = (("growth", (4, 4, 4, 8, 8, 8, 12, 12, 12)), ("reduction", (64, 32, 24)))
NARROWED = ("densenet3d", "late_fusion", "early_fusion", "hyperdense")


def zoo_config(network: str, dataset: str, profile: Profile) -> Config:
    """What a network of the zoo is trained with: for all of a profile the same loss, optimiser, steps and sub-volumes.

    At `gpu` networks have the paper's widths; at `cpu` and `ci` the dense networks at full resolution are narrower.
    """
    config = Config.for_profile(profile, network, dataset)
    if profile.name == "gpu":
        # One size for all: the table compares networks, not patches.
        return replace(config, patch=RECIPES[dataset].patch if network not in DENSE else (48, 48, 48), batch=2)
    options = NARROW if network in NARROWED else ()
    if profile.name == "ci":
        return replace(config, options=options, steps=2)
    return replace(config, options=options, patch=(32, 32, 32), steps=250, overlap=0.25)


def train_and_judge(
    config: Config,
    parts: dict[str, Samples],
    *,
    dataset: str,
    profile: Profile,
    seed: int,
    directory: Path,
    validate_every: int | None = None,
) -> Record:
    """One row of the table: train a network from scratch, then segment and judge every held-out subject.

    parts: "train", "validation" and "test" samples with labels. The record's metrics are lists with one number for each
    held-out subject: "dice TISSUE", "hd95 TISSUE" (mm; None where a tissue was not found), "mean_dice" over tissues,
    "mean_dice_background" with the background, as the thesis counts; and numbers: "seconds" of training, "steps",
    "parameters", "paper_parameters", "gflop_per_step"; and "curve_steps", "curve_dice" on the validation subjects.
    """
    stream = SubVolumes(parts["train"], config, seed)
    method = Segmentation(config, seed)
    began = time.perf_counter()
    done = fit(
        method,
        training_batches(stream.draw, config.batch, seed),
        DataLoader(parts["validation"], batch_size=None, collate_fn=_as_it_is),
        directory=directory,
        steps=config.steps,
        profile=profile,
        seed=seed,
        config=config.as_dict(),
        precision=config.precision,
        clip=config.clip,
        validate_every=validate_every or max(1, config.steps // 5),
        checkpoint_every=max(1, config.steps // 2),  # half a gigabyte each for the V-Net
        monitor="validation/dice",
        mode="max",
    )
    seconds = time.perf_counter() - began
    rows = [judge(method.segment(sample), sample) for sample in parts["test"]]
    metrics: dict[str, object] = {
        "mean_dice": [_finite(row["mean_dice"]) for row in rows],
        "mean_dice_background": [_finite(row["mean_dice_background"]) for row in rows],
    }
    for measure in ("dice", "hd95"):
        for tissue in rows[0][measure]:
            metrics[f"{measure} {tissue}"] = [_finite(row[measure][tissue]) for row in rows]
    curve_steps, curve = done.curve("validation/dice")
    paper = nn.build(config.network, len(config.channels), config.classes)
    metrics |= {
        "seconds": seconds,
        "parameters": _count(method.network),
        "paper_parameters": _count(paper),
        "gflop_per_step": step_flops(config) / 1e9,
        "curve_steps": list(curve_steps),
        "curve_dice": list(curve),
    }
    settings = {
        "network": config.network,
        "steps": config.steps,
        "patch": list(config.patch),
        "channels": list(config.channels),
        "options": dict(config.options),
        "test": list(parts["test"].subjects),
    }
    return Record(LESSON, "segmentation", dataset, profile.name, seed, metrics, settings)


def step_flops(config: Config) -> int:
    """Floating-point operations of the convolutions in one training step, forward and backward, a product and a sum
    counted as two."""

    network = nn.build(config.network, len(config.channels), config.classes, **config.network_options)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(config.batch, len(config.channels), *config.patch)).sum().backward()
    return counter.get_total_flops()


def zoo_parts(dataset: str, config: Config, data_root: Path | None, subjects: int, seed: int) -> dict[str, Samples]:
    """The dataset in parts by subject, the same for every network of a profile: few of them are watched and judged."""
    parts = split_by_subject(open_dataset(dataset, config, data_root, subjects), PARTS, seed=seed)
    return {**parts, "validation": parts["validation"][:WATCHED], "test": parts["test"][:JUDGED]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge networks one after the other, and record each at once."""
    parser = argparse.ArgumentParser(prog="python -m medlab.methods.segmentation.zoo", description=__doc__)
    parser.add_argument("--data", choices=tuple(RECIPES), default="iseg")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--subjects", type=int, default=48)
    parser.add_argument("--profile", choices=profiles.NAMES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, default=Path("runs/zoo"), help="for checkpoints")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    given = parser.parse_args(arguments)
    profile = profiles.choose(given.profile)
    for network in given.networks:
        config = zoo_config(network, given.data, profile)
        parts = zoo_parts(given.data, config, given.data_root, given.subjects, given.seed)
        folder = given.directory / f"{given.data}-{network}-{profile.name}-{given.seed}"
        record = train_and_judge(config, parts, dataset=given.data, profile=profile, seed=given.seed, directory=folder)
        add_record(record, given.records)
        mean = [value for value in record.metrics["mean_dice"] if value is not None]
        print(
            f"{given.data} {network}: mean Dice {sum(mean) / max(len(mean), 1):.3f} over {len(mean)} subjects,"
            f" {record.metrics['seconds']:.0f} s",
            flush=True,
        )
    return 0


def _finite(value: float) -> float | None:
    return float(value) if abs(value) < float("inf") else None


def _count(network: object) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _as_it_is(sample: object) -> object:
    return sample


if __name__ == "__main__":
    sys.exit(main())
