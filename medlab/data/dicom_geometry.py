"""Where DICOM slices lie: their order, and one affine for all of them, or a sentence why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medlab.data.errors import VolumeError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
DIRECTION_TOLERANCE = 1e-3  # of unit vectors, which files store to about six digits
SAME_PLACE_MM = 1e-3
REGULAR = 0.02  # share of the slice distance by which a slice may be off its place
MOST_TILT_DEGREES = 0.2  # what rounding of positions may look like


@dataclass(frozen=True)
class Slice:
    """What the header of one slice says; positions in DICOM's LPS, mm."""

    path: Path
    series: str
    rows: int
    columns: int
    across: float  # mm between columns
    down: float  # mm between rows
    thickness: float | None  # mm
    directions: tuple[tuple[float, ...], tuple[float, ...]]  # along a row, along a column
    position: tuple[float, ...]  # centre of the first pixel
    slope: float
    intercept: float


def slice_affine(header: Slice, step: float | np.ndarray) -> np.ndarray:
    """Affine, voxel (column, row, slice) to RAS mm, of slices that begin with this one.

    step: from one slice to the next, as a distance in mm along the normal or as a vector (3,) in LPS
    (DICOM PS3.3 C.7.6.2.1.1, where the first three direction cosines run along a row).
    """
    across, down = _directions(header)
    affine = np.eye(4)
    affine[:3, 0] = across * header.across
    affine[:3, 1] = down * header.down
    affine[:3, 2] = step if np.ndim(step) else step * np.cross(across, down)
    affine[:3, 3] = header.position
    return LPS_TO_RAS @ affine


def stack(headers: Sequence[Slice], folder: Path, *, tilted: bool) -> tuple[list[Slice], np.ndarray]:
    """The slices in order along their normal, and their affine.

    Raises VolumeError where they do not make one regular grid: other sizes or directions, two at one place, a gap,
    uneven distances, or (unless `tilted`) a stack that leans. Slices missing at an end leave no trace.
    """
    first = headers[0]
    for header in headers[1:]:
        _check_alike(first, header)
    across, down = _directions(first)
    normal = np.cross(across, down)
    ordered = sorted(headers, key=lambda header: float(np.dot(header.position, normal)))
    if len(ordered) == 1:
        if first.thickness is None:
            raise VolumeError(f"{first.path}: SliceThickness is absent, expected the thickness of a single slice in mm")
        return ordered, slice_affine(first, first.thickness)

    positions = np.array([header.position for header in ordered])
    heights = positions @ normal
    gaps = np.diff(heights)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # of two middle ones the smaller: gaps only ever add
    _check_gaps(ordered, gaps, usual, folder)

    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    places = positions[0] + np.arange(len(ordered))[:, None] * step
    off = np.linalg.norm(positions - places, axis=1)
    worst = int(off.argmax())
    if off[worst] > REGULAR * usual + SAME_PLACE_MM:
        raise VolumeError(
            f"{ordered[worst].path}: the slice lies {off[worst]:.3g} mm off its place, expected slices at equal "
            f"distances on a straight line, here {usual:.4g} mm apart"
        )
    lean = np.degrees(np.arctan2(np.linalg.norm(step - (step @ normal) * normal), step @ normal))
    if lean > MOST_TILT_DEGREES and not tilted:
        raise VolumeError(
            f"{folder}: the stack of slices leans by {lean:.1f} degrees (a tilted gantry), expected a straight one, or "
            "the argument tilted=True"
        )
    # Below the tolerance the lean is rounding: the axis is then set upright, so that the grid has right angles.
    step = step if lean > MOST_TILT_DEGREES else (step @ normal) * normal
    return ordered, slice_affine(ordered[0], step)


def _directions(header: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along a row and along a column, checked to be at right angles."""
    across, down = (np.array(direction) for direction in header.directions)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across @ down)) > DIRECTION_TOLERANCE:
        found = [round(float(part), 4) for direction in header.directions for part in direction]
        raise VolumeError(
            f"{header.path}: ImageOrientationPatient is {found}, expected two unit vectors at right angles"
        )
    across = across / lengths[0]
    down = down - (down @ across) * across
    return across, down / np.linalg.norm(down)


def _check_alike(first: Slice, other: Slice) -> None:
    """Whether two slices have the same grid in their plane."""
    for what, one, two, tolerance in (
        ("size", (first.columns, first.rows), (other.columns, other.rows), 0),
        ("pixel spacing", (first.across, first.down), (other.across, other.down), 1e-4),
        ("orientation", sum(first.directions, ()), sum(other.directions, ()), DIRECTION_TOLERANCE),
    ):
        if np.abs(np.subtract(one, two)).max() > tolerance:
            found, expected = (" ".join(f"{part:g}" for part in parts) for parts in (two, one))
            raise VolumeError(
                f"{other.path}: the slice has {what} {found}, expected {expected} as in {first.path.name}"
            )


def _check_gaps(ordered: Sequence[Slice], gaps: np.ndarray, usual: float, folder: Path) -> None:
    at = int(gaps.argmin())
    if gaps[at] < SAME_PLACE_MM:
        raise VolumeError(
            f"{folder}: {ordered[at].path.name} and {ordered[at + 1].path.name} lie at the same place (copies, echoes "
            "or time points?), expected one slice at each"
        )
    at = int(gaps.argmax())
    if gaps[at] > 1.5 * usual:
        raise VolumeError(
            f"{folder}: {gaps[at]:.4g} mm lie between {ordered[at].path.name} and {ordered[at + 1].path.name} "
            f"(a slice is missing), expected {usual:.4g} mm as between the others"
        )
