"""Two processes with gloo, through Lightning, are one process with the two-fold batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medlab.training import training_batches
from tests.training.two_processes import Segmenting, draw, main

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow


def run(folder: Path, name: str, devices: int, batch: int, break_at: int = 0, dropout: float = 0.0) -> dict | None:
    """What the program found; None where it was broken off."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1]), "GLOO_SOCKET_IFNAME": "lo"}
    out = folder / f"{name}.pt"
    numbers = map(str, (devices, batch, break_at, dropout))
    done = subprocess.run(
        [sys.executable, HERE / "two_processes.py", out, folder / name, *numbers],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if break_at:
        assert "broken off" in done.stderr
        return None
    assert done.returncode == 0, done.stderr
    return torch.load(out, weights_only=True)


def gradient(items: range) -> dict[str, torch.Tensor]:
    """Of the first step over these items, in this process and without Lightning."""
    batches = training_batches(draw, 1, seed=5)
    method = Segmenting(dropout=0.0)
    drawn = [batches.item(index) for index in items]
    method.training_step({name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}, 0).backward()
    return {name: value.grad for name, value in method.named_parameters()}


def test_the_gradient_of_two_processes_is_that_of_one_with_the_two_fold_batch(tmp_path):
    two = run(tmp_path, "two", 2, 2)
    torch.testing.assert_close(two["gradients"][0], gradient(range(4)), rtol=1e-4, atol=1e-6)
    # The test can fail: the items of one process alone have another gradient.
    with pytest.raises(AssertionError):
        torch.testing.assert_close(two["gradients"][0], gradient(range(2)), rtol=1e-4, atol=1e-6)
    main(tmp_path / "one.pt", tmp_path / "one", 1, 4, None, 0.0)
    one = torch.load(tmp_path / "one.pt", weights_only=True)
    torch.testing.assert_close(two["gradients"], one["gradients"], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(two["weights"], one["weights"], rtol=1e-3, atol=1e-5)


def test_two_processes_go_on_exactly_each_with_its_own_dropout(tmp_path):
    unbroken = run(tmp_path, "unbroken", 2, 1, dropout=0.5)
    run(tmp_path, "broken", 2, 1, break_at=4, dropout=0.5)
    assert list((tmp_path / "broken").glob("*.ckpt"))
    resumed = run(tmp_path, "broken", 2, 1, dropout=0.5)
    assert len(resumed["gradients"]) == 2  # the last two steps of four
    for name, value in unbroken["weights"].items():
        assert torch.equal(value, resumed["weights"][name]), name
