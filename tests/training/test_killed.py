"""kill -9 at any moment: the training that goes on ends with the weights of the unbroken one, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork"),
]


@pytest.fixture(scope="module")
def tries(tmp_path_factory) -> list[dict]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, HERE / "killed.py", tmp_path_factory.mktemp("killed"), "20", "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_twenty_random_moments_and_six_within_a_write(tries):
    assert len([one for one in tries if one["moment"] == "random"]) == 20
    assert len([one for one in tries if one["moment"] != "random"]) == 6
    # Some kills are early, some late: else nothing was gone on with.
    assert len({one["went_on_from"] for one in tries}) > 4
    assert any(one["half_written"] for one in tries)


def test_weights_and_curves_are_those_of_the_unbroken_training(tries):
    assert [one for one in tries if not (one["same_weights"] and one["same_curves"])] == []


def test_what_a_killed_writer_left_is_taken_away(tries):
    assert [one["remains"] for one in tries if one["remains"]] == []
