"""Where and with what a number was measured."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import medlab


def processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> dict:
    """Processor, cores, operating system and, where there is one, accelerator."""
    found = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    elif torch.backends.mps.is_available():
        found["gpu"] = "MPS"
    return found


def versions(packages: Iterable[str] = ("lightning", "numpy", "safetensors")) -> dict[str, str]:
    """The versions of Python, torch, medlab and of these packages, as far as they are installed."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "medlab": medlab.__version__}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """Date and time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
