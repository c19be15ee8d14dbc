"""How bad input is refused: one exception, one sentence, one boundary around other people's readers."""

import logging
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class VolumeError(ValueError):
    """A file or array that is not a usable volume; the message is one sentence that names it."""


def reason(error: BaseException) -> str:
    """The first sentence of another library's error, short enough to stand inside one of ours."""
    text = getattr(error, "strerror", None) or str(error)
    first = " ".join(text.split()).split(". ")[0].rstrip(".")
    return (
        f"{type(error).__name__}: {textwrap.shorten(first, 100, placeholder=' ...')}" if first else type(error).__name__
    )


@contextmanager
def refusing(path: Path, expected: str) -> Iterator[None]:
    """The boundary to nibabel, pydicom, gzip and the file system: whatever they raise becomes a VolumeError.

    They raise about twenty kinds of exception on damaged files, and warn or log on others. Inside this boundary they
    are silent; the original error stays attached as the cause.
    """
    log, level = logging.getLogger("pydicom"), logging.getLogger("pydicom").level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL + 1)
        try:
            yield
        except (VolumeError, FileNotFoundError, MemoryError):
            raise
        except Exception as error:
            raise VolumeError(f"{path}: cannot be read ({reason(error)}), expected {expected}") from error
        finally:
            log.setLevel(level)
