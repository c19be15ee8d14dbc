"""What every benchmark shares: rounds in turns, the machine's name, a record written whole."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from medlab.training.machine import machine, now, versions
from medlab.training.machine import processor as processor

LIBRARIES = (
    "numpy",
    "scipy",
    "xraydb",
    "scikit-image",
    "astra-toolbox",
    "deepinv",
    "sigpy",
    "spekpy",
    "monai",
    "SimpleITK",
    "surface-distance",
    "pytorch-msssim",
    "torchmetrics",
)


def in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; all calls once a round, so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def median(seconds: list[float]) -> float:
    return statistics.median(seconds)


def circumstances(benchmark: str, problem: dict) -> dict:
    """What another machine needs to judge the numbers of a record."""
    return {
        "benchmark": benchmark,
        "date": now(),
        "machine": machine(),
        "versions": versions(LIBRARIES),
        "threads": torch.get_num_threads(),
        "problem": problem,
    }


def write_record(path: Path, record: dict) -> None:
    """As JSON, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def common_arguments(description: str, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with --rounds, --seed and --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the record to this file")
    return parser
