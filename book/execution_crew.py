"""The worker processes of a build: started with a job, watched over, and ended together."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

CODE = Path(__file__).resolve().parent.parent
# Reading notebooks loads a checker of schemas, which spends more than a second on a grammar of web addresses that no
# notebook needs; a module that is None there counts as not installed.
START = """
import sys
sys.modules["rfc3987_syntax"] = None
from book.execution_worker import main
sys.exit(main())
"""
PATIENCE = 10  # seconds for a worker to end its kernel and itself when asked to


class Interrupted(RuntimeError):
    """The build was interrupted; what a worker has left is not to be kept."""


class Crew:
    """The worker processes that are running now, by lesson id."""

    def __init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), False
        self._processes: dict[str, subprocess.Popen] = {}

    def running(self) -> list[str]:
        with self._lock:
            return list(self._processes)

    def run(self, lesson_id: str, folder: Path, job: dict, limit: float | None) -> int | None:
        """Run a worker in `folder`; returns its exit status, None where it had to be ended after `limit` seconds.

        Its words go to `log.txt` there. Raises Interrupted once the crew has been stopped.
        """
        process = self._start(lesson_id, folder, job)
        try:
            process.communicate(json.dumps(job).encode(), timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
        except BrokenPipeError:
            process.wait()
        finally:
            with self._lock:
                self._processes.pop(lesson_id, None)
        if self._stopped:
            raise Interrupted(lesson_id)
        return process.returncode

    def _start(self, lesson_id: str, folder: Path, job: dict) -> subprocess.Popen:
        command = [sys.executable, "-c", START]
        environment = {**os.environ, **job["environment"], "PYTHONPATH": str(CODE)}
        with open(folder / "log.txt", "wb") as log, self._lock:
            if self._stopped:
                raise Interrupted(lesson_id)
            # A session of its own: Ctrl-C in the terminal reaches the build alone, which then ends its workers.
            self._processes[lesson_id] = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            return self._processes[lesson_id]

    def stop(self) -> None:
        """End every worker, and its kernel with it; start no other."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes.values())
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
