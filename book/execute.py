"""Execute lessons at a profile, several at a time, each only when something that it depends on has changed.

The notebook that runs is made from the lesson's `.py`; nothing in the checkout is written. Results lie below
`_build/executed/<profile>/`.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat

from book import cache
from book.execution_crew import Crew
from book.execution_machine import cores, device_name, machine
from book.execution_state import DEFAULT_BUILD, INPUT, OUTPUT, RESULT, Outcome, keep, latest
from book.lessons import ROOT, Lesson
from book.report import Progress, failure_banner

__all__ = ["PROFILES", "Outcome", "execute_all", "failure_banner", "latest"]

PROFILES = ("ci", "cpu", "gpu")
GRACE = 30  # seconds that a worker may take, beyond the lesson's own limit, to end its kernel and report
LOG_LINES = 5


@dataclass(frozen=True)
class Settings:
    """What all lessons of one build are executed with."""

    profile: str
    seed: int
    threads: int
    timeout_s: float | None
    root: Path
    build_dir: Path
    device: str
    machine: dict

    @property
    def parameters(self) -> dict:
        return {"profile": self.profile, "seed": self.seed}


def execute_all(
    lessons: Sequence[Lesson],
    profile: str = "cpu",
    *,
    seed: int = 0,
    jobs: int | None = None,
    force: bool = False,
    strict: bool = False,
    timeout_s: float | None = None,
    root: Path = ROOT,
    build_dir: Path | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Bring every lesson up to date; returns one outcome for each, in the same order.

    jobs: lessons at a time (default: one a core; one in all at `gpu`, whose memory they would share). force: execute
    even what is up to date. strict: a cell that writes to stderr fails its lesson. timeout_s: for one lesson.
    root: the checkout. build_dir: where everything is written (default: `_build` there).
    A lesson that fails stops no other, and is executed again next time. Raises ValueError for an unknown profile or
    a number out of range.
    """
    _check(profile, seed, jobs, timeout_s)
    build_dir = (build_dir or root / DEFAULT_BUILD).resolve()
    progress = progress or Progress(0, quiet=True)
    outcomes: dict[str, Outcome] = {}
    pending: list[tuple[float, Lesson, dict | Exception]] = []
    for lesson in lessons:
        found = _inputs(lesson, profile, seed, root)
        known = latest(lesson, profile, build_dir)
        if known and known.ok and not force and isinstance(found, dict) and known.state["key"] == cache.digest(found):
            outcomes[lesson.id] = _judged(known, strict)
            progress.finished(outcomes[lesson.id])
        else:
            # The longest first, so that none is left running alone at the end; the unknown may be the longest.
            pending.append((known.state["wall_s"] if known else float("inf"), lesson, found))

    def finished(outcome: Outcome) -> None:
        outcomes[outcome.lesson_id] = _judged(outcome, strict)
        progress.finished(outcomes[outcome.lesson_id])

    if pending:
        jobs = min(jobs or (1 if profile == "gpu" else cores()), len(pending))
        threads = max(1, cores() // jobs)
        settings = Settings(profile, seed, threads, timeout_s, root, build_dir, device_name(profile, root), machine())
        pending.sort(key=lambda item: -item[0])
        _run_side_by_side([item[1:] for item in pending], settings, jobs, progress, finished)
    return [outcomes[lesson.id] for lesson in lessons]


def _check(profile: str, seed: int, jobs: int | None, timeout_s: float | None) -> None:
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, expected one of {', '.join(PROFILES)}")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected 0 or more")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected at least 1")
    if timeout_s is not None and timeout_s <= 0:
        raise ValueError(f"timeout_s is {timeout_s:g}, expected more than 0")


def _judged(outcome: Outcome, strict: bool) -> Outcome:
    return outcome.strictly() if strict else outcome


def _inputs(lesson: Lesson, profile: str, seed: int, root: Path) -> dict | Exception:
    try:
        return cache.inputs(lesson, {"profile": profile, "seed": seed}, root)
    except Exception as error:
        # A missing weight, an unreadable header: a failure of this lesson, told with the others.
        return error


def _run_side_by_side(
    work: list[tuple], settings: Settings, jobs: int, progress: Progress, finished: Callable[[Outcome], None]
) -> None:
    """Hand over outcomes as they come; when interrupted, no worker, no kernel and no half result is left."""
    crew = Crew()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            waiting = {pool.submit(_execute, lesson, found, settings, crew) for lesson, found in work}
            while waiting:
                done, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                progress.tick(crew.running())
                for future in done:
                    finished(future.result())
        finally:
            crew.stop()
            pool.shutdown(cancel_futures=True)


def _execute(lesson: Lesson, found: dict | Exception, settings: Settings, crew: Crew) -> Outcome:
    """One lesson from its source to the files below `_build`."""
    state = {
        "ok": False,
        "key": None,
        "inputs": {},
        **settings.parameters,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": settings.machine,
        "device": settings.device,
        "threads": settings.threads,
        "wall_s": 0.0,
        "peak_mib": None,
        "cells": [],
        "recorded": {},
        "warnings": [],
    }
    file = _name(lesson.source, settings.root)
    if isinstance(found, Exception):
        state["error"] = _failure(file, type(found).__name__, str(found))
        return keep(lesson, _unexecuted(lesson), state, settings.build_dir)
    workshop = settings.build_dir / "work"
    workshop.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workshop, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        nbformat.write(lesson.notebook, folder / INPUT)
        job = {
            "file": file,
            "source": lesson.source.read_text(encoding="utf-8"),
            "folder": str(lesson.source.resolve().parent),
            "parameters": settings.parameters,
            "environment": _environment(settings, folder),
            "timeout_s": settings.timeout_s,
        }
        status = crew.run(lesson.id, folder, job, settings.timeout_s and settings.timeout_s + GRACE)
        notebook = _unexecuted(lesson)
        if status == 0:
            state |= json.loads((folder / RESULT).read_text(encoding="utf-8"))
            notebook = nbformat.read(folder / OUTPUT, as_version=4)
        else:
            state["error"] = _failure(file, "WorkerEnded", _last_words(status, folder / "log.txt"))
    state |= {"ok": state["error"] is None, "key": cache.digest(found), "inputs": found}
    if _inputs(Lesson(lesson.source, lesson.root), settings.profile, settings.seed, settings.root) != found:
        state["key"] = None  # something was edited while the lesson ran: which state it saw cannot be told
    return keep(lesson, notebook, state, settings.build_dir)


def _environment(settings: Settings, folder: Path) -> dict[str, str]:
    """What the kernel's environment says differently; its own settings keep a user's configuration out."""
    inherited = os.environ.get("PYTHONPATH")
    return {
        "MEDLAB_PROFILE": settings.profile,
        "MEDLAB_PUBLISH": "1",
        "PYTHONPATH": os.pathsep.join([str(settings.root.resolve()), *([inherited] if inherited else [])]),
        "OMP_NUM_THREADS": str(settings.threads),
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }


def _unexecuted(lesson: Lesson) -> nbformat.NotebookNode:
    try:
        return lesson.notebook
    except Exception:
        # Not even a notebook can be made of the source: the page still says what failed.
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {lesson.id}")])


def _failure(file: str, name: str, message: str) -> dict:
    return {"file": file, "cell": None, "line": None, "name": name, "message": message, "source": "", "frames": []}


def _last_words(status: int | None, log: Path) -> str:
    if status is None:
        return "the lesson went past its limit and did not end when asked to"
    how = f"signal {-status}, perhaps for want of memory" if status < 0 else f"exit status {status}"
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LOG_LINES:]
    return f"the process that executes the lesson ended with {how}" + (": " + " / ".join(said) if said else "")


def _name(path: Path, root: Path) -> str:
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
