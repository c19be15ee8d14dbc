"""Records of results: what a method gave on which data, at which profile and seed, where and when.

A file below data/results/ holds a list of them; pages of the book read it, so that no number is typed.
"""

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from medlab.arguments import whole
from medlab.profiles import Profile
from medlab.training.files import write_text
from medlab.training.machine import machine, now, versions

CHECKOUT = Path(__file__).resolve().parents[2] / "data" / "results"


@dataclass(frozen=True)
class Record:
    """One result. metrics: name to a number, None (undefined), or a list of either, such as one for each subject.

    settings: what else distinguishes this row, such as steps, parameters or a choice of the method.
    """

    lesson: str
    method: str
    data: str
    profile: str
    seed: int
    metrics: Mapping[str, float | list[float | None] | None]
    settings: Mapping[str, object] = field(default_factory=dict)
    machine: Mapping[str, object] = field(default_factory=machine)
    versions: Mapping[str, str] = field(default_factory=versions)
    date: str = field(default_factory=now)

    def __post_init__(self) -> None:
        for name in ("lesson", "method", "data"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ValueError(f"{name} is {value!r}, expected a name")
        Profile(self.profile)
        whole(self.seed, "seed", 0)
        for name, value in self.metrics.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None and not (isinstance(one, int | float) and math.isfinite(one)):
                    raise ValueError(f"metrics[{name!r}] is {one!r}, expected a finite number, or None where undefined")

    def same_row(self, other: "Record") -> bool:
        """Whether both are of the same lesson, method, data, profile, seed and settings."""
        names = ("lesson", "method", "data", "profile", "seed", "settings")
        return all(getattr(self, name) == getattr(other, name) for name in names)


def add_record(record: Record, path: str | os.PathLike) -> Path:
    """Add a record to a file, in the place of an earlier one of the same row; the file is whole at every moment.

    Processes that add at the same time wait for one another (where the system has file locks).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        kept = [one for one in (read_records(path) if path.is_file() else []) if not one.same_row(record)]
        try:
            text = json.dumps({"records": [asdict(one) for one in [*kept, record]]}, indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"record cannot be written as JSON ({error}), expected numbers, text and lists") from None
        return write_text(path, text + "\n")


def read_records(path: str | os.PathLike, **wanted: object) -> list[Record]:
    """The records of a file with these values, such as method="vnet", or of the settings, such as steps=100.

    path: a file, or the name of one of data/results, from the checkout or from where pip put it.
    Raises FileNotFoundError where there is none, ValueError where it holds something else.
    """
    path = _found(path)
    try:
        records = [Record(**row) for row in json.loads(path.read_text(encoding="utf-8"))["records"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: it cannot be read ({error}), expected records of results") from None
    return [one for one in records if all(_value(one, name) == value for name, value in wanted.items())]


def read_record(path: str | os.PathLike, **wanted: object) -> Record:
    """The one record with these values. Raises ValueError where none, or more than one, has them."""
    found = read_records(path, **wanted)
    if len(found) != 1:
        raise ValueError(f"{path}: {len(found)} records have {wanted}, expected one")
    return found[0]


def _value(record: Record, name: str) -> object:
    return getattr(record, name) if name in Record.__dataclass_fields__ else record.settings.get(name)


def _found(path: str | os.PathLike) -> Path:
    given = Path(path)
    if given.is_file():
        return given
    name = given.name if given.suffix == ".json" else f"{given.name}.json"
    if str(given) in (name, given.stem):  # a bare name
        if (CHECKOUT / name).is_file():
            return CHECKOUT / name
        with contextlib.suppress(PackageNotFoundError):
            for file in files("medlab") or []:
                if file.parts[-3:] == ("medlab", "results", name):
                    return Path(str(file.locate()))
    raise FileNotFoundError(f"{given}: there is no such file, expected records of results")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: one process at a time is up to the caller
        yield
        return
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"medlab-{name}.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
