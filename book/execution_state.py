"""What is kept of an execution: the outcome of a lesson, its two files, the costs that are committed."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat

from book.lessons import ROOT, Lesson

COSTS = Path("data/results/costs")
DEFAULT_BUILD = "_build"
# The files by which a build and a worker speak with one another, in the worker's own folder.
INPUT, OUTPUT, RESULT = "input.ipynb", "executed.ipynb", "result.json"


@dataclass(frozen=True)
class Outcome:
    """One lesson after a build.

    state: key, inputs, ok, profile, seed, wall_s (seconds), peak_mib (MiB, None where the kernel never ran), threads,
    device, machine, date (UTC, ISO 8601), cells (number and seconds of each), recorded (numbers by name), warnings,
    error. notebook: the executed copy; after a failure what had run until then.
    error: None, or file, cell (from 1, None where no cell is to blame), line, name, message, source, frames.
    """

    lesson_id: str
    ok: bool
    cached: bool
    state: dict
    notebook: Path
    error: dict | None

    @property
    def problem(self) -> str:
        """The failure in one line, empty where there is none."""
        if self.error is None:
            return ""
        return f"{place(self.error)}: {self.error['name']}: {self.error['message']}"

    def strictly(self) -> "Outcome":
        """The same, failed where a cell writes to stderr."""
        if not self.ok or not self.state.get("warnings"):
            return self
        first = self.state["warnings"][0]
        error = {**first, "name": "StderrOutput", "message": f"{first['message']} (--strict)", "frames": []}
        return replace(self, ok=False, state={**self.state, "ok": False, "error": error}, error=error)


def place(problem: dict) -> str:
    """Where something went wrong: `notebooks/part/name.py, cell 4 (line 57)`."""
    words = problem.get("file") or "the lesson"
    if problem.get("cell") is not None:
        words += f", cell {problem['cell']}"
    return words + (f" (line {problem['line']})" if problem.get("line") else "")


def paths_of(lesson_id: str, profile: str, build_dir: Path) -> tuple[Path, Path]:
    """The executed notebook and the state of a lesson at a profile."""
    stem = build_dir / "executed" / profile / lesson_id
    return stem.with_name(f"{stem.name}.ipynb"), stem.with_name(f"{stem.name}.json")


def latest(lesson: Lesson, profile: str, build_dir: Path) -> Outcome | None:
    """What the last execution at this profile left, up to date or not; None where there was none or it is broken."""
    notebook, state_file = paths_of(lesson.id, profile, build_dir)
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        # A build that was killed between its two writes leaves a pair that does not belong together.
        if state["notebook_sha256"] != hashlib.sha256(notebook.read_bytes()).hexdigest():
            return None
        return Outcome(lesson.id, state["ok"], True, state, notebook, state["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(lesson: Lesson, notebook: nbformat.NotebookNode, state: dict, build_dir: Path) -> Outcome:
    """Write both files of an execution, each in one step, and return its outcome."""
    path, state_file = paths_of(lesson.id, state["profile"], build_dir)
    text = nbformat.writes(notebook, version=4, ensure_ascii=False)
    state = {**state, "lesson": lesson.id, "notebook_sha256": hashlib.sha256(text.encode()).hexdigest()}
    write_atomically(path, text)
    write_atomically(state_file, json.dumps(state, indent=1, ensure_ascii=False))
    return Outcome(lesson.id, state["ok"], False, state, path, state["error"])


def record_cost(outcome: Outcome, root: Path = ROOT) -> Path:
    """Write the measured cost of a lesson where it is committed; other profiles' entries stay."""
    path = root / COSTS / f"{outcome.lesson_id.replace('/', '__')}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    state, machine = outcome.state, outcome.state["machine"]
    known[state["profile"]] = {
        "wall_s": round(state["wall_s"], 1),
        "peak_mib": round(state["peak_mib"]),
        "device": state["device"],
        "threads": state["threads"],
        "machine": {name: machine[name] for name in ("cpu", "cores", "os")},
        "versions": {name: text for name, text in machine.items() if name not in ("cpu", "cores", "os")},
        "seed": state["seed"],
        "date": state["date"],
    }
    write_atomically(path, json.dumps(dict(sorted(known.items())), indent=2, ensure_ascii=False) + "\n")
    return path


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that at no time half of it can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
