"""How much a process grows: the resident memory that the system counts, at its highest."""

import threading
from pathlib import Path

import psutil

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class ResidentPeak:
    """`with ResidentPeak() as peak: work()`, then `peak.growth`: bytes by which the process grew at its fullest.

    Linux keeps the highest value itself; elsewhere a thread looks every two milliseconds, and may miss a short peak.
    """

    growth = 0

    def __enter__(self) -> "ResidentPeak":
        self._process = psutil.Process()
        self._before = self._highest = self._process.memory_info().rss
        self._done = threading.Event()
        self._watcher = None
        if not _forget_highest():
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._watcher is not None:
            self._watcher.join()
        else:
            self._highest = max(self._highest, _highest_of_linux())
        self.growth = self._highest - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self._highest = max(self._highest, self._process.memory_info().rss)


def _forget_highest() -> bool:
    """Whether the system starts to count anew."""
    try:
        _RESET.write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def _highest_of_linux() -> int:
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
