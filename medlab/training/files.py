"""Files that are whole or not there at all, whatever interrupts their writing."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PART = ".part"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, bring it to the disk, then rename it; the path.

    A reader sees the old file or the new one. The folder is made where it is missing. A process that is killed leaves a
    hidden file ending in .part behind, which `remove_parts` takes away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return path


def write_text(path: Path, text: str) -> Path:
    """Text as UTF-8, whole or not at all."""
    return write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def remove_parts(folder: Path) -> None:
    """Take away what killed writers left behind."""
    for part in folder.glob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name on the disk too, where the system lets a folder be synchronised."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
