"""What the book's benchmarks found: a page that sets a peer's numbers beside its own reads them from the record."""

import json
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2] / "data" / "results" / "benchmarks"


@dataclass(frozen=True)
class Benchmark:
    """The record that a script of `benchmarks/` wrote: its rows, and where, when and with what they were measured."""

    name: str
    rows: list[dict]
    machine: dict
    versions: dict
    date: date

    def row(self, **wanted: object) -> dict:
        """The one row with these values, such as `row(name="ASTRA linear", size=256)`.

        Raises ValueError where no row, or more than one, has them.
        """
        found = [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]
        if len(found) != 1:
            raise ValueError(f"the record {self.name} has {len(found)} rows with {wanted}, expected one")
        return found[0]

    def measured(self, *packages: str) -> str:
        """Which versions of these packages, on which machine and when, as it stands below a table.

        Raises ValueError where the record does not name a package.
        """
        if unknown := [package for package in packages if package not in self.versions]:
            known = ", ".join(self.versions)
            raise ValueError(f"the record {self.name} names no version of {unknown[0]}, expected one of {known}")
        versions = "".join(f"{package} {self.versions[package]}, " for package in packages)
        machine = f"{self.machine['processor']} with {self.machine['cores']} cores"
        return f"{versions}{machine}, {self.date.day} {self.date:%B %Y}"


def benchmark(name: str) -> Benchmark:
    """The committed record of `benchmarks/NAME.py`, from the checkout or from where pip put it.

    Raises FileNotFoundError where there is none.
    """
    path = CHECKOUT / f"{name}.json"
    if not path.is_file():
        path = _installed(path.name)
    record = json.loads(path.read_text(encoding="utf-8"))
    day = date.fromisoformat(record["date"][:10])
    return Benchmark(name, record["rows"], record["machine"], record["versions"], day)


def _installed(name: str) -> Path:
    """A record that was installed with the package (`data-files` in pyproject.toml)."""
    try:
        shipped = files("medlab") or []
    except PackageNotFoundError:
        shipped = []
    for file in shipped:
        if file.parts[-3:] == ("medlab", "benchmarks", name):
            return Path(str(file.locate()))
    raise FileNotFoundError(f"there is no record {name} in {CHECKOUT} nor among medlab's installed files")
