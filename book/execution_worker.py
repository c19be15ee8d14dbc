"""A process that executes one lesson and ends; `book.execution_crew` starts it, with its job as JSON on stdin.

Being a process of its own, its only child is the lesson's kernel, so that the operating system's account of its
children is the kernel's. It works in a folder of its own, where it leaves `executed.ipynb` and `result.json`.
"""

import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from book.execution_reading import clean, examine, last_started
from book.execution_state import INPUT, OUTPUT, RESULT

KERNEL_PATIENCE = 120  # seconds for a kernel to start, and for its last words to arrive, on a busy machine
POLL = 0.2
STARTS = 3  # of a kernel that ends before it answers
DIED_EARLY = "Kernel died before replying"


class ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs the build, whatever kernelspecs a user has installed."""

    groups: tuple[int, ...] = ()

    @property
    def kernel_spec(self) -> KernelSpec:
        launcher = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=launcher, display_name="Python 3", language="python")

    async def _async_post_start_kernel(self, **arguments) -> None:
        await super()._async_post_start_kernel(**arguments)
        # A kernel leads its own process group, so its pid names whatever it starts as well.
        ThisPython.groups = (*ThisPython.groups, self.provisioner.pid)


def kill_kernels() -> None:
    """End the kernel and what it started, at once."""
    for group in ThisPython.groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


class LessonEngine(NBClientEngine):
    """Papermill's own engine with our kernels; it keeps the notebook at hand for when execution breaks off."""

    notebook: nbformat.NotebookNode | None = None

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **arguments) -> None:
        LessonEngine.notebook = nb_man.nb
        super().execute_managed_notebook(
            nb_man, kernel_name, kernel_manager_class=ThisPython, iopub_timeout=KERNEL_PATIENCE, **arguments
        )


class Watch(threading.Thread):
    """Ends the kernel when its time is over, and everything when the build that asked for it is gone."""

    def __init__(self, timeout: float | None) -> None:
        super().__init__(daemon=True)
        self.timeout, self.timed_out = timeout, False
        self._parent, self._start = os.getppid(), time.monotonic()

    def run(self) -> None:
        while True:
            time.sleep(POLL)
            if os.getppid() != self._parent:
                stop()
            if self.timeout and not self.timed_out and time.monotonic() - self._start > self.timeout:
                self.timed_out = True
                kill_kernels()


def stop(*_: object) -> None:
    """Leave at once, without a kernel that runs on."""
    kill_kernels()
    os._exit(128 + signal.SIGTERM)


def execute(job: dict) -> dict:
    """Run the job's notebook; returns wall_s, peak_mib and what `examine` reads from it.

    job: file (for reports), source (text of the `.py`), folder (where the kernel runs), parameters, environment,
    timeout_s (None: no limit).
    """
    os.environ.update(job["environment"])
    papermill_engines.register("lesson", LessonEngine)
    watch = Watch(job["timeout_s"])
    watch.start()
    began, broken = time.monotonic(), None
    try:
        _run(job, watch)
    except PapermillExecutionError:
        pass  # `examine` finds the cell that failed and says more
    except Exception as error:
        # Whatever stops the machinery is this lesson's failure and nobody else's.
        broken = _broken(error, watch)
    finally:
        kill_kernels()  # the kernel has ended; what it started ends with it
    wall = time.monotonic() - began
    notebook = clean(LessonEngine.notebook or nbformat.read(INPUT, as_version=4))
    state = examine(notebook, job["file"], job["source"])
    if broken:
        state["error"] = {**last_started(notebook, job["file"], job["source"]), **broken, "frames": []}
    Path(OUTPUT).write_text(nbformat.writes(notebook, version=4, ensure_ascii=False), encoding="utf-8")
    return {**state, "wall_s": round(wall, 3), "peak_mib": peak_mib()}


def _run(job: dict, watch: Watch) -> None:
    """Papermill, again where the kernel ended before it was there.

    A kernel is told ports that were free when looked for; another program may be quicker to take one of them.
    """
    for left in reversed(range(STARTS)):
        try:
            execute_notebook(
                INPUT,
                None,
                parameters=job["parameters"],
                engine_name="lesson",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=KERNEL_PATIENCE,
                cwd=job["folder"],
            )
            return
        except RuntimeError as error:
            if left == 0 or watch.timed_out or DIED_EARLY not in str(error):
                raise


def _broken(error: Exception, watch: Watch) -> dict:
    if watch.timed_out:
        return {"name": "Timeout", "message": f"the lesson was stopped after {watch.timeout:g} s, its limit"}
    if isinstance(error, DeadKernelError):
        message = "the kernel died in this cell: it ended itself, crashed, or was stopped for want of memory"
        return {"name": "DeadKernel", "message": message}
    return {"name": type(error).__name__, "message": str(error) or "no more is known"}


def peak_mib() -> float | None:
    """The largest resident memory of a child that has ended, the kernel, in MiB; None where there was none."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # macOS counts in bytes, Linux in KiB.
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1) or None


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    Path(RESULT).write_text(json.dumps(execute(json.load(sys.stdin))), encoding="utf-8")
    return 0
