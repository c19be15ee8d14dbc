"""What is kept: whole or not at all, made again when damaged, and named by what made it."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from medlab.cohorts.store import cache_folder, code_digest, content_key, load_or_make


def test_what_was_made_is_read_the_second_time(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"values": np.arange(5.0)}

    first, second = (load_or_make(tmp_path, "one", make) for _ in range(2))
    assert len(calls) == 1
    np.testing.assert_array_equal(first["values"], second["values"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_a_damaged_file_is_made_again(tmp_path, content):
    (tmp_path / "one.npz").write_bytes(content)
    found = load_or_make(tmp_path, "one", lambda: {"values": np.ones(3)})
    assert found["values"].sum() == 3
    assert load_or_make(tmp_path, "one", lambda: {})["values"].sum() == 3


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def broken(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(KeyboardInterrupt):
        load_or_make(tmp_path, "one", lambda: {"values": np.ones(3)})
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_the_result_is_still_given(tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = load_or_make(tmp_path / "file", "one", lambda: {"values": np.ones(3)})
    assert found["values"].sum() == 3


def _write_for_ever(folder):
    n = 0
    while True:
        n += 1
        load_or_make(folder, f"{n:04d}", lambda: {"values": np.random.default_rng(0).random(200_000)}, compress=False)


def test_a_killed_process_leaves_no_broken_file(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    kept = sorted(tmp_path.glob("*.npz"))
    assert len(kept) >= 3
    for path in kept:
        with np.load(path) as file:
            assert file["values"].shape == (200_000,)


def test_names_follow_the_recipe():
    assert content_key({"a": 1, "b": [2.0]}) == content_key({"b": [2.0], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    with pytest.raises(ValueError, match="recipe cannot be named"):
        content_key({"a": object()})
    with pytest.raises(ValueError, match="recipe cannot be named"):
        content_key({"a": float("nan")})
    assert code_digest("medlab.arguments") != code_digest("medlab.profiles")
    with pytest.raises(ValueError, match=r"module is 'medlab\.nothing'"):
        code_digest("medlab.nothing")


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDLAB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MEDLAB_CACHE")
    assert cache_folder().name == "medlab"
