"""Reading a file that may be gzipped, never more of it than was asked for."""

import gzip
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from medlab.data.errors import VolumeError

GZIP_MAGIC = b"\x1f\x8b"
# Deflate packs at most 258 bytes into two bits: no gzip file holds more than this many bytes per byte.
DEFLATE_LIMIT = 1032
BLOCK = 2**20


class ByteStream:
    """The bytes of a file in order, unpacked if its first bytes (not its name) say gzip.

    Every read is bounded by what the caller asks for, so a gzip bomb costs nothing. `capacity` is the largest
    number of bytes that the file can hold: its size, or what deflate could make of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self.gzipped = self._file.read(2) == GZIP_MAGIC
        self._file.seek(0)
        self._bytes = gzip.GzipFile(fileobj=self._file) if self.gzipped else self._file
        self.capacity = size * DEFLATE_LIMIT if self.gzipped else size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def up_to(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end of the file."""
        parts, missing = [], count
        while missing:
            part = self._bytes.read(min(missing, BLOCK))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def skip(self, count: int, what: str) -> None:
        """Leave out the next `count` bytes, holding one block of them at a time."""
        while count:
            count -= len(self.exactly(min(count, BLOCK), what))

    def exactly(self, count: int, what: str) -> bytes:
        """The next `count` bytes; VolumeError where the file ends before."""
        try:
            found = self.up_to(count)
        except EOFError as error:
            raise VolumeError(f"{self.path}: its gzip stream is cut off in {what}, expected a whole file") from error
        if len(found) < count:
            raise VolumeError(
                f"{self.path}: it ends {count - len(found)} bytes too early in {what}, expected a whole file"
            )
        return found
