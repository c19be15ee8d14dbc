"""Which of a patient's CT series to take: without contrast medium, thin, complete."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from medlab.data.dicom_geometry import Slice, stack
from medlab.data.errors import VolumeError, refusing
from medlab.data.readers.folder import natural

LEAST_MM = 100.0  # round: a head is some 150 mm high; what is lower is a slab, a localiser or a part
SINGLE = 3  # slices, fewer of which are a localiser
# Words of a series' name. "4cc sec 150cc" are the rate and volume of an injection; "C" alone is short for contrast.
CONTRAST = {"contrast", "post", "cect", "c", "cc", "iv", "oral", "angio", "angiography", "cta"}
PLAIN = {"pre", "plain", "non", "without", "ncct"}
SHARP = {"bone", "hrct", "hires", "res"}  # reconstructed for bone, with much noise in the brain
SCOUT = {"scout", "localizer", "localiser", "topogram", "surview"}
ELSEWHERE = ("NECK", "CHEST", "THORAX", "ABDOMEN", "PELVIS", "SPINE")
GEOMETRY = (
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SeriesInstanceUID",
)
FIRST = (*GEOMETRY, "Modality", "ImageType", "BodyPartExamined", "ContrastBolusAgent", "ConvolutionKernel")
COMPANIONS = (".txt", ".csv", ".json", ".xml", ".html", ".pdf", ".png", ".jpg", ".jpeg", ".gz", ".zip")


@dataclass(frozen=True)
class Series:
    """A folder of slices, and what its first slice says."""

    folder: Path
    slices: tuple[Path, ...]
    thickness_mm: float
    sharp: bool


def choose_series(patient: Path, *, stacked: bool = True) -> Path:
    """The folder of the series that counts.

    Passed over are series with contrast medium (by their name, or a ContrastBolusAgent in the header), localisers,
    those of other parts of the body and other modalities. Of the rest those for bone come last; then the thinnest
    slices come first, of equally thin ones the most, then the order of names. The first whose slices make one regular
    stack of at least 100 mm counts; not stacked: the first, whatever its other slices are.
    Source: Bieder et al. 2022, section 3.2: one scan without contrast a patient, none that is faulty; which of several
    it does not say.
    Raises VolumeError where no series is left, with the reason of the best of them.
    """
    of_no_use: list[str] = []
    usable: list[Series] = []
    for folder, slices in _folders(patient):
        try:
            usable.append(_series(folder, slices))
        except VolumeError as error:
            of_no_use.append(str(error))
    usable.sort(key=lambda one: (one.sharp, one.thickness_mm, -len(one.slices), natural(one.folder.name)))
    faulty: list[str] = []
    for one in usable:
        try:
            if stacked:
                _check_stack(one)
            return one.folder
        except VolumeError as error:
            faulty.append(str(error))
    found = "it holds no DICOM series"
    if faulty or of_no_use:  # the reason of the best of them
        why = (faulty + of_no_use)[0].replace(f"{patient}{os.sep}", "").split(", expected")[0]
        found = f"none of {len(faulty) + len(of_no_use)} series is usable ({why})"
    raise VolumeError(f"{patient}: {found}, expected one complete series without contrast medium")


def _folders(patient: Path) -> list[tuple[Path, tuple[Path, ...]]]:
    """All folders at or below the patient's that hold files which may be slices."""
    found: dict[Path, list[Path]] = {}
    for path in patient.rglob("*"):
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in COMPANIONS:
            found.setdefault(path.parent, []).append(path)
    places = sorted(found, key=lambda folder: natural(str(folder)))
    return [(folder, tuple(sorted(found[folder], key=lambda path: natural(path.name)))) for folder in places]


def _series(folder: Path, slices: tuple[Path, ...]) -> Series:
    """Raises VolumeError where the series is of no use, whatever its slices are."""
    first = _header(slices[0], FIRST)
    words = set(re.findall(r"[a-z]+", folder.name.lower()))
    agent = str(first.get("ContrastBolusAgent") or "").strip()
    part = str(first.get("BodyPartExamined") or "").upper()
    if first.get("Modality") != "CT":
        raise VolumeError(f"{folder}: its Modality is {str(first.get('Modality'))!r}, expected 'CT'")
    if len(slices) < SINGLE or words & SCOUT or "LOCALIZER" in [str(kind) for kind in first.get("ImageType") or []]:
        raise VolumeError(f"{folder}: it is a localiser of {len(slices)} slices, expected a volume")
    if words & CONTRAST and not words & PLAIN:
        raise VolumeError(f"{folder}: its name speaks of contrast medium, expected a plain series")
    if agent and agent.lower() not in ("no", "none"):
        raise VolumeError(f"{folder}: its ContrastBolusAgent is {agent[:30]!r}, expected a plain series")
    if any(word in part for word in ELSEWHERE) and "HEAD" not in part:
        raise VolumeError(f"{folder}: its BodyPartExamined is {part[:30]!r}, expected a head")
    try:
        thickness = float(first.SliceThickness)
    except (AttributeError, TypeError, ValueError):
        raise VolumeError(f"{slices[0]}: SliceThickness is absent, expected a number of mm") from None
    sharp = bool(words & SHARP) or "BONE" in str(first.get("ConvolutionKernel") or "").upper()
    return Series(folder, slices, thickness, sharp)


def _check_stack(series: Series) -> None:
    headers = [_slice(path) for path in series.slices]
    if len({header.series for header in headers}) > 1:
        raise VolumeError(f"{series.folder}: it holds more than one series, expected one in a folder of its own")
    ordered, _ = stack(headers, series.folder, tilted=True)
    height = np.linalg.norm(np.subtract(ordered[-1].position, ordered[0].position))
    height *= len(ordered) / max(len(ordered) - 1, 1)
    if height < LEAST_MM:
        raise VolumeError(
            f"{series.folder}: its slices cover {height:.4g} mm, too little for a head, expected {LEAST_MM:g} mm"
        )


def _slice(path: Path) -> Slice:
    """Where a slice lies; the checks of `load_volume`, which reads the whole file, come later."""
    header = _header(path, GEOMETRY)
    with refusing(path, "a DICOM slice with its size and place"):
        down, across = (float(size) for size in header.PixelSpacing)
        along = tuple(float(part) for part in header.ImageOrientationPatient)
        return Slice(
            path=path,
            series=str(header.get("SeriesInstanceUID", "")),
            rows=int(header.Rows),
            columns=int(header.Columns),
            across=across,
            down=down,
            thickness=float(header.SliceThickness) if header.get("SliceThickness") else None,
            directions=(along[:3], along[3:]),
            position=tuple(float(part) for part in header.ImagePositionPatient),
            slope=1.0,
            intercept=0.0,
        )


def _header(path: Path, elements: Sequence[str]) -> pydicom.Dataset:
    with refusing(path, "a DICOM slice"):
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(elements))
