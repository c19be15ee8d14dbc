"""Tables beside the images: comma, semicolon or tab separated text, each cell checked where it is read."""

import csv
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from medlab.data.errors import VolumeError

UNKNOWN = {"", "na", "n/a", "nan", "none", "null", "unknown", ".", "-"}
WORKBOOKS = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")  # how .xls and .xlsx begin

Row = Mapping[str, str]


class Table:
    """The rows of a text file, each a mapping of column to text without blanks around it.

    path: of the file. needed: columns, or patterns of them, that must be there. Raises FileNotFoundError where the file
    is missing, and VolumeError where it is an Excel workbook, no text, empty, or lacks a column.
    """

    def __init__(self, path: Path, *needed: str | re.Pattern):
        self.path = path
        text = _text(path)
        lines = [line for line in text.splitlines() if line.strip(" \t,;")]
        if not lines:
            raise VolumeError(f"{path}: the table is empty, expected a row of names and rows below it")
        self._separator = max("\t,;", key=lines[0].count)
        try:
            cells = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=self._separator)]
        except csv.Error as error:
            raise VolumeError(f"{path}: it cannot be read as a table ({error}), expected separated text") from error
        self.columns = cells[0]
        for pattern in needed:
            self.column(pattern)
        if len(cells) == 1:
            raise VolumeError(f"{path}: the table has no rows, expected one for each subject")
        for number, row in enumerate(cells[1:], start=2):
            if len(row) > len(self.columns) and any(row[len(self.columns) :]):
                found, expected = f"row {number} has {len(row)} cells", len(self.columns)
                raise VolumeError(f"{path}: {found}, expected {expected} as in the first row")
        self.rows: list[Row] = [
            dict(zip(self.columns, row + [""] * (len(self.columns) - len(row)), strict=False)) for row in cells[1:]
        ]

    def column(self, pattern: str | re.Pattern) -> str:
        """The name of the column that is so called, or matches. Raises VolumeError where there is none."""
        for name in self.columns:
            if name == pattern if isinstance(pattern, str) else pattern.fullmatch(name):
                return name
        wanted = pattern if isinstance(pattern, str) else pattern.pattern
        columns = ", ".join(self.columns[:8]) + (", ..." if len(self.columns) > 8 else "")
        raise VolumeError(f"{self.path}: there is no column {wanted} (the columns are {columns}), expected one")

    def by(self, key: Callable[[Row], str]) -> dict[str, list[Row]]:
        """The rows of each subject, in the order of the table; rows without a key are passed over."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            name = key(row)
            if name:
                found.setdefault(name, []).append(row)
        return found

    def one(self, rows: list[Row], subject: str) -> Row:
        """The only row of a subject. Raises VolumeError where there is none or where several differ."""
        if not rows:
            raise VolumeError(f"subject {subject}: {self.path} has no row of it, expected one")
        if any(dict(row) != dict(rows[0]) for row in rows[1:]):
            raise VolumeError(f"subject {subject}: {self.path} has {len(rows)} rows of it that differ, expected one")
        return rows[0]

    def number(self, row: Row, column: str, subject: str, least: float, most: float, unit: str) -> float | None:
        """The number in a cell, or None where it is blank. Raises VolumeError for anything not from least to most."""
        text = row[column]
        if is_unknown(text):
            return None
        try:
            value = float(text.replace(",", ".") if self._separator == ";" else text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise VolumeError(
                f"subject {subject}: {self.path} has {text!r} as its {column}, "
                f"expected a number from {least:g} to {most:g} {unit}"
            )
        return value

    def needed_number(self, row: Row, column: str, subject: str, least: float, most: float, unit: str) -> float:
        """As `number`, and a blank cell is refused too."""
        value = self.number(row, column, subject, least, most, unit)
        if value is None:
            raise VolumeError(
                f"subject {subject}: {self.path} says nothing of its {column}, "
                f"expected a number from {least:g} to {most:g} {unit}"
            )
        return value

    def choice(self, row: Row, column: str, subject: str, meanings: Mapping[str, str]) -> str | None:
        """What a cell means, whatever its case, or None where it is blank. Raises VolumeError for other texts."""
        text = row[column]
        if is_unknown(text):
            return None
        if text.lower() not in meanings:
            expected = ", ".join(meanings)
            raise VolumeError(
                f"subject {subject}: {self.path} has {text!r} as its {column}, expected one of {expected}"
            )
        return meanings[text.lower()]


def is_unknown(text: str) -> bool:
    """Whether a cell is blank, or a word for it."""
    return text.strip().lower() in UNKNOWN


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: the table is missing, expected separated text") from None
    except OSError as error:
        raise VolumeError(f"{path}: it cannot be read ({error.strerror}), expected separated text") from error
    if content.startswith(WORKBOOKS):
        raise VolumeError(f"{path}: it is an Excel workbook, expected a table saved as text (CSV)")
    if b"\0" in content:
        raise VolumeError(f"{path}: it is not text, expected a table of separated text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # what older Excel writes; every byte is a letter there
