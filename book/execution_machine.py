"""The machine that executes lessons, in words that a reader of the status page understands."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from book.lessons import ROOT

PACKAGES = ("torch", "numpy", "medlab")
ASK_DEVICE = """
import torch
from medlab.profiles import Profile
device = Profile("gpu").device
print(torch.cuda.get_device_name(device) if device.type == "cuda" else device.type)
"""


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict:
    """cpu (its name), cores, os, python and the versions of the packages that decide about numbers."""
    return {"cpu": _cpu_name(), "cores": cores(), "os": _system_name(), **versions()}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(profile: str, root: Path = ROOT) -> str:
    """The device of a profile: `cpu`, `mps` or the name of a graphics card.

    Only `gpu` has to ask torch, in a process of its own: loading torch here would cost every build its seconds.
    """
    if profile != "gpu":
        return "cpu"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    asked = subprocess.run(
        [sys.executable, "-c", ASK_DEVICE], env=environment, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else "not known"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _system_name() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
