"""Train a method of the book from the command line: `python -m medlab.train segmentation --data iseg --profile gpu`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader

from medlab import profiles
from medlab.methods.training import METHODS, Training, command_of
from medlab.profiles import Profile
from medlab.training import Fit, fit, save_weights
from medlab.training.files import write_text

HELP = """\
Train a method, with everything that belongs to the run in one folder.

examples:
  python -m medlab.train segmentation --profile ci --directory runs/first
      a few seconds: does everything work here?
  python -m medlab.train segmentation --data iseg --data-root /data/iSEG2017 --profile gpu --directory runs/iseg
      the real dataset on a GPU; call it again after a crash, and it goes on where it was
  python -m medlab.train segmentation --data mrbrains --network vnet --paper --directory runs/vnet --devices 4
      the thesis's numbers, four GPUs, one process each
  python -m medlab.train segmentation --set learning_rate=0.001 --set steps=20000 --directory runs/slow
      any field of the config

The folder holds: config.json (what was asked for), history.csv (the curves; --tensorboard writes them for TensorBoard
too), checkpoints, best.safetensors (the weights of the best validation) and, at the end, weights.safetensors with its
card weights.json. `python -m medlab.predict FOLDER/weights.safetensors FILE...` uses them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0, or 2 after one sentence about what is wrong with the arguments or the data."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        profile = profiles.choose(given.profile)
        command = command_of(given.method)
        if given.show:
            print(json.dumps(command.config_of(given, profile, given.set).as_dict(), indent=2))
            return 0
        training = command.training_of(given, profile, given.set)
        found = run(training, given, profile)
    except (ValueError, FileNotFoundError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if _first_process():
        path = _keep(found, training, given, profile)
        print(f"{found.steps} steps done; weights: {path}")
    return 0


def run(training: Training, given: argparse.Namespace, profile: Profile) -> Fit:
    """Print and store the config, then train."""
    folder = given.directory or Path("runs") / f"{given.method}-{training.config.get('network', '')}-{profile.name}"
    given.directory = folder
    if _first_process():
        facts = {"profile": profile.name, "device": profile.device, "seed": given.seed, "directory": folder}
        for name, value in {**facts, **training.config}.items():
            print(f"{name:<22} {' '.join(map(str, value)) if isinstance(value, tuple) else value}", flush=True)
        write_text(folder / "config.json", json.dumps(training.config, indent=2) + "\n")
    validation = None
    if training.validation is not None:
        validation = DataLoader(training.validation, batch_size=None, collate_fn=_as_it_is)
    every = given.validate_every or max(1, training.steps // 10)
    return fit(
        training.method,
        training.batches,
        validation,
        directory=folder,
        steps=training.steps,
        profile=profile,
        seed=given.seed,
        config=training.config,
        resume=not given.restart,
        precision=given.precision or training.precision,
        clip=training.clip,
        accumulate=given.accumulate,
        validate_every=every,
        checkpoint_every=given.checkpoint_every,
        monitor=training.monitor or "loss",
        mode=training.mode if training.monitor else "min",
        ema=given.ema,
        early_stop=given.early_stop,
        devices=given.devices,
        num_nodes=given.num_nodes,
        strategy=given.strategy,
        loggers=("csv", "tensorboard") if given.tensorboard else ("csv",),
    )


def _keep(found: Fit, training: Training, given: argparse.Namespace, profile: Profile) -> Path:
    """Write the last weights with their card."""
    metrics = {}
    if found.best_step is not None:
        metrics = {"best_step": found.best_step, "best_validation": found.best_value}
    last = {name: values[-1] for name, (_, values) in found.curves.items() if name.startswith("validation")}
    card = {
        "method": given.method,
        "config": training.config,
        "profile": profile.name,
        "seed": given.seed,
        "data": training.data,
        "steps": found.steps,
        "metrics": {**metrics, **last},
    }
    return save_weights(training.method, found.directory / "weights.safetensors", card)


def _as_it_is(sample: object) -> object:
    return sample


def _first_process() -> bool:
    """Whether this is the process that speaks, of several."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m medlab.train", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    methods = parser.add_subparsers(dest="method", required=True, metavar="METHOD")
    for name in METHODS:
        one = methods.add_parser(
            name, help=f"see `%(prog)s {name} --help`", formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command_of(name).add_arguments(one)
        _common(one)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    """What is the same for every method."""
    add = parser.add_argument
    add("--profile", choices=profiles.NAMES, help="size of the work; without it, what the machine is fit for")
    add("--directory", type=Path, help="the run's own folder; without it, runs/METHOD-NETWORK-PROFILE")
    add("--restart", action="store_true", help="begin anew where the folder holds a run; else it goes on")
    add("--seed", type=int, default=0, help="of weights, data and everything else that is drawn")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="another value for a field of the config")
    add("--show", action="store_true", help="print the config and stop")
    add("--workers", type=int, default=0, help="processes that prepare data ahead")
    add("--precision", help="32-true, bf16-mixed, 16-mixed; without it, the config's")
    add("--accumulate", type=int, default=1, help="batches whose gradients make one step")
    add("--validate-every", type=int, help="steps between validations; without it, a tenth of all")
    add("--checkpoint-every", type=int, help="steps between checkpoints; without it, a tenth of all")
    add("--ema", type=float, help="decay of the average of the weights, such as 0.999; without it, none")
    add("--early-stop", type=int, help="stop after so many validations without a better one")
    add("--devices", type=int, default=1, help="GPUs, or processes on a CPU, of one machine")
    add("--num-nodes", type=int, default=1, help="machines (start the same command on each, as Lightning documents)")
    add("--strategy", default="auto", help="Lightning's strategy, such as ddp")
    add("--tensorboard", action="store_true", help="write the curves for TensorBoard too")


if __name__ == "__main__":
    sys.exit(main())
