"""Kills a training at random moments and goes on with it; prints what became of each try as one line of JSON.

Run as a program: `python tests/training/killed.py FOLDER KILLS SEED`. Each try is a fork of this process, in which
everything is imported, so that twenty of them take seconds.
"""

import io
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

import torch
from tiny import STEPS, Tiny, draw, held_out, same

from medlab.training import fit, load_weights, read_history, save_weights, training_batches

# What is asked of the trainer in turn: everything with a state is in one of them.
CASES = (
    {"ema": 0.9, "accumulate": 2, "validate_every": 8},
    {"validate_every": 6, "early_stop": 2, "clip": 0.5},
    {"accumulate": 3, "precision": "bf16-mixed", "validate_every": 24},
    {"ema": 0.99, "validate_every": 5, "workers": 1},
)


def train(folder: Path, case: dict) -> None:
    options = dict(case)
    batches = training_batches(draw, 4, seed=1, workers=options.pop("workers", 0))
    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))  # the past of the process must not matter
    method = Tiny()
    fit(method, batches, held_out(), directory=folder, steps=STEPS, profile="cpu", checkpoint_every=2, **options)
    save_weights(method, folder / "final.safetensors", {})


def dies_while_writing(moment: str, which: int) -> None:
    """Let this process kill itself at a checkpoint: "half" written, "whole" but not renamed, or just "renamed"."""
    save, replace, written = torch.save, os.replace, itertools.count(1)

    def save_half(values: dict, file: BinaryIO) -> None:
        data = io.BytesIO()
        save(values, data)
        if next(written) == which and moment == "half":
            file.write(data.getvalue()[: data.tell() // 2])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(data.getvalue())

    def replace_and_die(part: Path, path: Path) -> None:
        counts = path.suffix == ".ckpt" and path.name == f"step-{2 * which:08d}.ckpt"
        if counts and moment == "whole":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(part, path)
        if counts and moment == "renamed":
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save, os.replace = save_half, replace_and_die


def child(folder: Path, case: dict, dies: tuple[str, int] | None = None) -> int:
    number = os.fork()
    if number == 0:
        code = 1
        try:
            if dies:
                dies_while_writing(*dies)
            train(folder, case)
            code = 0
        finally:
            os._exit(code)
    return number


def was_killed(process: int) -> bool:
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL), f"the training ended with {code}"
    return code != 0


def killed_at_random(folder: Path, case: dict, seconds: float, chance: random.Random) -> None:
    """Start it and kill it; once more where it had ended by itself before."""
    for _ in range(10):
        process = child(folder, case)
        time.sleep(chance.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
        if was_killed(process):
            return
        shutil.rmtree(folder)
    raise AssertionError("the training always ended before it was killed")


def outcome(folder: Path) -> tuple:
    return load_weights(folder / "final.safetensors")[0], read_history(folder)


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    chance = random.Random(seed)
    unbroken, seconds = [], []
    for number, case in enumerate(CASES):
        start = time.perf_counter()
        assert not was_killed(child(folder / f"unbroken{number}", case))
        seconds.append(time.perf_counter() - start)
        unbroken.append(outcome(folder / f"unbroken{number}"))
    writing = [(moment, which) for moment in ("half", "whole", "renamed") for which in (1, 5)]
    for number, dies in enumerate([*[None] * kills, *writing]):
        which = number % len(CASES)
        place = folder / f"killed{number}"
        if dies:
            assert was_killed(child(place, CASES[which], dies))
        else:
            killed_at_random(place, CASES[which], seconds[which], chance)
        left = sorted(path.name for path in place.glob("step*.ckpt"))
        parts = [path.name for path in place.glob(".*.part")]
        assert not was_killed(child(place, CASES[which]))
        weights, curves = outcome(place)
        found = {
            "moment": dies or "random",
            "case": which,
            "went_on_from": left[-1] if left else None,
            "half_written": parts,
            "same_weights": same(weights, unbroken[which][0]),
            "same_curves": curves == unbroken[which][1],
            "remains": [path.name for path in place.glob(".*.part")],
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
