"""What all readers share: how a folder is searched, and the dataset that is found in it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from medlab.data.errors import VolumeError, reason
from medlab.data.readers.scan import Scan
from medlab.data.samples import LeftOut, Sample, Samples

CHECKS = ("names", "headers", "voxels")
NIFTI = (".nii", ".nii.gz")


class FolderSamples(Samples):
    """A dataset on disk. Images come in RAS+ order (`to_canonical`), one channel a sequence, values as in the files.

    root: the folder. scans: where each sample lies. left_out: what was found and cannot be used. absent: subjects of
    the dataset's table without images here, which is no fault (only a part of the dataset is there).
    """

    def __init__(
        self,
        name: str,
        root: Path,
        scans: Sequence[Scan],
        label_names: Mapping[int, str],
        left_out: Sequence[LeftOut] = (),
        absent: Sequence[str] = (),
    ):
        self.name, self.root, self.scans, self.label_names = name, root, tuple(scans), dict(label_names)
        self.left_out, self.absent = tuple(left_out), tuple(absent)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(scan.subject for scan in self.scans)

    def facts(self, index: int) -> Mapping[str, object]:
        return self.scans[index].facts

    def load(self, index: int) -> Sample:
        """Raises VolumeError, naming subject and file, for whatever is wrong with one of its files."""
        return self.scans[index].load(self.label_names)


class Collector:
    """Gathers the scans of a dataset while its reader walks through the folder.

    layout: what is expected there, for messages. strict: raise at the first fault; else the subject is left out and
    listed. check: what is looked at beforehand: "names" of files only, "headers" (sizes and affines too), or "voxels"
    (everything is read once).
    Raises FileNotFoundError where the folder is missing, VolumeError where it is a file.
    """

    def __init__(
        self,
        name: str,
        folder: str | os.PathLike,
        layout: str,
        *,
        strict: bool,
        check: str,
        label_names: Mapping[int, str] | None = None,
    ):
        if check not in CHECKS:
            raise ValueError(f"check is {check!r}, expected one of {', '.join(CHECKS)}")
        self.root = Path(folder)
        if not self.root.exists():
            raise FileNotFoundError(f"{self.root}: the folder is missing, expected {layout}")
        if not self.root.is_dir():
            raise VolumeError(f"{self.root}: it is a file, expected a folder with {layout}")
        self.name, self.layout, self.strict, self.check = name, layout, strict, check
        self.label_names = dict(label_names or {})
        self._scans: list[Scan] = []
        self._left_out: list[LeftOut] = []

    @contextmanager
    def subject(self, name: str) -> Iterator[None]:
        """A fault inside belongs to this subject: it is raised, or the subject is left out."""
        try:
            yield
        except (VolumeError, OSError) as error:
            text = reason(error) if isinstance(error, OSError) and error.errno else str(error)
            text = text if text.startswith("subject ") else f"subject {name}: {text}"
            if self.strict:
                raise VolumeError(text) from error
            self._left_out.append(LeftOut(name, text))

    def add(self, scan: Scan) -> None:
        """Take a scan. Raises VolumeError for files that are missing or, where headers are checked, do not fit."""
        with scan.blamed():
            for path in scan.files:
                if not path.exists():
                    raise VolumeError(f"{path}: the file is missing, expected {self.layout}")
            if self.check != "names":
                scan.check_headers()
        self._scans.append(scan)

    def samples(self, absent: Sequence[str] = ()) -> FolderSamples:
        """The dataset, sorted by subject; raises VolumeError where there is nothing in the folder."""
        if not self._scans and not self._left_out:
            raise VolumeError(f"{self.root}: no subject was found in the folder, expected {self.layout}")
        good = []
        for scan in self._without_twins():
            with self.subject(scan.subject):
                if self.check == "voxels":
                    scan.load(self.label_names)
                good.append(scan)
        good.sort(key=lambda scan: (natural(scan.subject), natural(scan.session)))
        left_out = sorted(self._left_out, key=lambda row: natural(row.subject))
        absent = sorted(set(absent), key=natural)
        return FolderSamples(self.name, self.root, good, self.label_names, left_out, absent)

    def _without_twins(self) -> list[Scan]:
        """Of a scan that is there twice nobody knows which is right: neither is used."""
        places: dict[tuple[str, str], list[Scan]] = {}
        for scan in self._scans:
            places.setdefault((scan.subject, scan.session), []).append(scan)
        for (subject, _), twins in places.items():
            if len(twins) > 1:
                with self.subject(subject):
                    found = " and ".join(str(scan.files[0].parent) for scan in twins[:2])
                    raise VolumeError(f"{twins[0].title}: it is there {len(twins)} times, in {found}, expected once")
        return [twins[0] for twins in places.values() if len(twins) == 1]


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts subject-2 before subject-10."""
    return [(int(part), "") if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", text)]


def listing(folder: Path) -> list[Path]:
    """What lies in a folder, in natural order, without hidden files (macOS leaves twins named "._" among images)."""
    visible = (path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX")
    return sorted(visible, key=lambda path: natural(path.name))


def find_folders(root: Path, pattern: re.Pattern, depth: int = 3) -> Iterator[Path]:
    """Folders below root whose whole name matches, at most so many levels down; none inside another."""
    for path in listing(root):
        if path.is_dir():
            if pattern.fullmatch(path.name):
                yield path
            elif depth > 1:
                yield from find_folders(path, pattern, depth - 1)


def find_file(root: Path, pattern: re.Pattern, depth: int = 3) -> Path | None:
    """The first file at or below root whose whole name matches, the highest first, or None."""
    level = [root]
    for _ in range(depth):
        inside = [path for folder in level for path in listing(folder)]
        found = [path for path in inside if path.is_file() and pattern.fullmatch(path.name)]
        if found:
            return found[0]
        level = [path for path in inside if path.is_dir()]
    return None


def only(paths: Sequence[Path], what: str, folder: Path, expected: str) -> Path:
    """The one file of a kind. Raises VolumeError where there is none, more than one, or a folder."""
    if len(paths) != 1:
        found = (
            f"{len(paths)} files are its {what}, {paths[0].name} and {paths[1].name}" if paths else f"{what} is missing"
        )
        raise VolumeError(f"{folder}: {found}, expected {expected}")
    if paths[0].is_dir():
        raise VolumeError(f"{paths[0]}: it is a folder, expected {expected}")
    return paths[0]


def image_stem(path: Path) -> str:
    """The name of an image's file without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".hdr")
