"""Run one lesson in a process of its own: `python -m book.run_lesson JOB.json`, called by `book.execute`.

One process a lesson makes the peak memory of its kernel measurable and keeps one lesson's death from the others.
"""

import datetime
import json
import os
import platform
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from book.lessons import KERNEL, Lesson, tags

ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAMES = 12  # lines of the traceback's end that a report shows


def run(job: dict) -> dict:
    """Execute the lesson; returns its state, and leaves the executed notebook at job["notebook"]."""
    lesson = Lesson(Path(job["source"]), Path(job["lessons_root"]))
    target = Path(job["notebook"])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part.ipynb")
    _use_this_python(Path(job["kernels"]))
    lesson.notebook.metadata["kernelspec"] = nbformat.from_dict(KERNEL)
    began, error = time.perf_counter(), None
    try:
        papermill.execute_notebook(
            lesson.notebook,
            str(part),
            parameters=job["parameters"],
            kernel_name="python3",
            cwd=str(lesson.source.parent),
            progress_bar=False,
            execution_timeout=job["timeout_s"],
        )
    except PapermillExecutionError as stop:
        error = {"name": stop.ename, "message": ANSI.sub("", str(stop.evalue)), "source": stop.source}
        error["frames"] = ANSI.sub("", "\n".join(stop.traceback)).splitlines()[-FRAMES:]
    except Exception as stop:
        # A dead kernel, a time-out, a source that is not Python: a sentence each, whatever their class.
        error = {"name": type(stop).__name__, "message": ANSI.sub("", str(stop)).strip(), "source": "", "frames": []}
    wall = time.perf_counter() - began
    executed = nbformat.read(part, as_version=4) if part.is_file() else lesson.notebook
    cells = [cell for cell in executed.cells if "papermill-error-cell-tag" not in tags(cell)]
    executed.cells = cells
    error = _placed(error, cells) if error else _unsolved(cells)
    nbformat.write(executed, part)
    os.replace(part, target)
    return {
        "ok": error is None,
        "error": error,
        "wall_s": round(wall, 2),
        "peak_mib": _peak_of_children_mib(),
        "device": _device(cells),
        "cells_s": [cell.metadata.get("papermill", {}).get("duration") for cell in cells],
        "recorded": _recorded(cells),
        "warnings": _warnings(cells),
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": _version("torch")},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _use_this_python(kernels: Path) -> None:
    """Let the name `python3` mean this interpreter, whatever kernels the user has installed."""
    folder = kernels / "kernels" / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    part = folder / f".kernel.{os.getpid()}"
    part.write_text(json.dumps(spec))
    os.replace(part, folder / "kernel.json")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(kernels), os.environ.get("JUPYTER_PATH")]))


def _placed(error: dict, cells: list) -> dict:
    """The error with the number of its cell, 1 for the first; injected parameters do not count."""
    authored = [cell for cell in cells if "injected-parameters" not in tags(cell)]
    for number, cell in enumerate(authored, start=1):
        failed = any(output.output_type == "error" for output in cell.get("outputs", []))
        # A kernel that died or was stopped leaves no output: its cell is the first that did not complete.
        ended = cell.cell_type != "code" or cell.metadata.get("papermill", {}).get("status") == "completed"
        if failed or (not ended and not error["source"]):
            return {**error, "cell": number, "source": cell.source}
    return {**error, "cell": None}


def _unsolved(cells: list) -> dict | None:
    """A solution that its own check does not accept is an error, though no exception says so."""
    authored = [cell for cell in cells if "injected-parameters" not in tags(cell)]
    for number, cell in enumerate(authored, start=1):
        printed = "".join(o.get("text", "") for o in cell.get("outputs", []) if o.output_type == "stream")
        if "solution" in tags(cell) and not re.search(r"^Correct\.", printed, flags=re.M):
            message = f"the solution is not accepted by its check, which printed {printed.strip()!r}"
            return {"name": "UnsolvedExercise", "message": message, "source": cell.source, "frames": [], "cell": number}
    return None


def _recorded(cells: list) -> dict[str, dict]:
    """The numbers kept by `run.record`, by name, with their tolerance bands."""
    metadata = (output.get("metadata", {}) for cell in cells for output in cell.get("outputs", []))
    return {m["medlab"]["name"]: dict(m["medlab"]) for m in metadata if "medlab" in m}


def _warnings(cells: list) -> list[str]:
    """Cells whose page would show a stream of errors."""
    authored = [cell for cell in cells if "injected-parameters" not in tags(cell)]
    return [
        f"cell {number} writes to stderr: {output.text.strip().splitlines()[-1]}"
        for number, cell in enumerate(authored, start=1)
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr" and output.text.strip()
    ]


def _device(cells: list) -> str:
    """What the lesson's first line says that it ran on."""
    texts = (output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    found = next(filter(None, (re.search(r"\bdevice (\w+)", text) for text in texts)), None)
    return found[1] if found else "cpu"


def _peak_of_children_mib() -> float | None:
    """Peak resident memory of the largest child that has ended, which is the kernel."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def machine() -> dict:
    """This machine in a few facts, none of which names it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), flags=re.M)):
        name = found[1].strip()
    return {"cpu": name, "cores": os.cpu_count(), "os": f"{platform.system()} {platform.machine()}"}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None


if __name__ == "__main__":
    job_path = Path(sys.argv[1])
    job = json.loads(job_path.read_text(encoding="utf-8"))
    job_path.with_suffix(".result").write_text(json.dumps(run(job)), encoding="utf-8")
