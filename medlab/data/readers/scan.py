"""A scan on disk: its files, whether they lie on one grid, and the sample that they make."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import nibabel as nib
import nibabel.orientations
import numpy as np
import torch
from torch import Tensor

from medlab.data.analyze import read_analyze, read_analyze_grid
from medlab.data.errors import VolumeError
from medlab.data.io import load_volume
from medlab.data.orientation import to_canonical
from medlab.data.resample import resample
from medlab.data.samples import Sample
from medlab.data.volume import Volume

SAME_GRID_MM = 0.1  # how far apart voxels of two images of a subject may lie: what rounding of an affine does
ANALYZE = ".hdr"


@dataclass(frozen=True)
class Scan:
    """Where one sample lies on disk, and what the tables beside it say.

    images: the file of each channel (a folder, for a DICOM series). label, mask: files or None. label_values: what
    each value in the label's file becomes. resampled: images on other grids than the first one's are brought to it,
    instead of refused. The other fields are those of `Sample`.
    """

    subject: str
    images: Mapping[str, Path]
    label: Path | None = None
    mask: Path | None = None
    label_values: Mapping[int, int] = field(default_factory=dict)
    session: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    resampled: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the sample, images first."""
        return (*self.images.values(), *(path for path in (self.label, self.mask) if path is not None))

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"subject {self.subject}" + (f", session {self.session}" if self.session else "")

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever is wrong with a file inside names the subject too."""
        try:
            yield
        except (VolumeError, FileNotFoundError) as error:
            text = str(error)
            raise VolumeError(text if text.startswith("subject ") else f"{self.title}: {text}") from error

    def check_headers(self) -> None:
        """Raises VolumeError where the headers of the files are damaged or do not describe one grid."""
        files = [path for path in self.files if not path.is_dir()]
        grids = [_header_grid(path) for path in files]
        for path, (shape, affine) in zip(files, grids, strict=True):
            if not (self.resampled and path in self.images.values()):
                _check_grid(path, shape, affine, *grids[0], files[0].name)

    def load(self, label_names: Mapping[int, str]) -> Sample:
        """The sample. Raises VolumeError, naming subject and file, for whatever is wrong with one of its files."""
        with self.blamed():
            paths = list(self.images.values())
            volumes = [_read_image(path) for path in paths]
            grid = (volumes[0].shape[1:], volumes[0].affine)
            for at, path in enumerate(paths):
                if self.resampled and _grid_fault(volumes[at].shape[1:], volumes[at].affine, *grid):
                    volumes[at] = resample(volumes[at], like=volumes[0])
                _check_grid(path, volumes[at].shape[1:], volumes[at].affine, *grid, paths[0].name)
            image = volumes[0].with_data(torch.cat([volume.data for volume in volumes]), self.subject)
            label = mask = None
            if self.label is not None:
                found = _read(self.label)
                _check_grid(self.label, found.shape[1:], found.affine, *grid, paths[0].name)
                label = _as_label(self.label, found.data[0], self.label_values)
            if self.mask is not None:
                found = _read(self.mask)
                _check_grid(self.mask, found.shape[1:], found.affine, *grid, paths[0].name)
                mask = _as_mask(self.mask, found.data[0])
            return Sample(
                subject=self.subject,
                image=image,
                channels=tuple(self.images),
                label=label,
                label_names=label_names if label is not None else {},
                mask=mask,
                session=self.session,
                facts=self.facts,
            )


def _read(path: Path) -> Volume:
    """One channel, turned to RAS+."""
    volume = read_analyze(path) if path.suffix == ANALYZE else load_volume(path, tilted=path.is_dir())
    if volume.shape[0] != 1:
        raise VolumeError(f"{path}: the image has {volume.shape[0]} channels, expected one")
    return to_canonical(volume)


def _read_image(path: Path) -> Volume:
    volume = _read(path)
    low, high = torch.aminmax(volume.data)
    if low == high:
        raise VolumeError(f"{path}: every voxel is {float(low):g}, expected an image")
    return volume


def _as_label(path: Path, values: Tensor, wanted: Mapping[int, int]) -> Tensor:
    """The values of a label's file, (X, Y, Z), brought to those of the dataset, uint8."""
    top = max(wanted)
    table, known = torch.zeros(top + 1, dtype=torch.uint8), torch.zeros(top + 1, dtype=torch.bool)
    for old, new in wanted.items():
        table[old], known[old] = new, True
    places = values.clamp(0, top).int()
    good = (places == values) & known[places]
    if not good.all():
        unknown = values[~good].unique().tolist()
        found = ", ".join(f"{value:g}" for value in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise VolumeError(f"{path}: the label has the values {found}, expected only {', '.join(map(str, wanted))}")
    if not values.any():
        raise VolumeError(f"{path}: the label is 0 everywhere, expected at least one labelled voxel")
    return table[places]


def _as_mask(path: Path, values: Tensor) -> Tensor:
    """(X, Y, Z) bool."""
    mask = values == 1
    if not bool((mask | (values == 0)).all()):
        raise VolumeError(f"{path}: the mask has other values than 0 and 1, expected only these")
    if not mask.any():
        raise VolumeError(f"{path}: the mask is 0 everywhere, expected a brain")
    return mask


def _header_grid(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Size and affine in RAS+ order, from the header; of a damaged one `load_volume` says best what is wrong."""
    if path.suffix == ANALYZE:
        shape, affine = read_analyze_grid(path)
    else:
        try:
            image = nib.load(path)
            shape, affine = image.shape, image.affine
        except Exception:  # nibabel raises many kinds
            volume = load_volume(path)
            shape, affine = (*volume.shape[1:], volume.shape[0]), volume.affine
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        found = " x ".join(map(str, shape))
        raise VolumeError(f"{path}: the image measures {found}, expected one channel of three dimensions")
    turn = nibabel.orientations.io_orientation(affine)
    if np.isnan(turn).any():
        raise VolumeError(f"{path}: the affine is singular, expected three axes that do not lie in one plane")
    order = np.argsort(turn[:, 0])
    return tuple(int(shape[axis]) for axis in order), affine @ nibabel.orientations.inv_ornt_aff(turn, shape[:3])


def _check_grid(
    path: Path, shape: tuple[int, ...], affine: np.ndarray, wanted: tuple[int, ...], place: np.ndarray, name: str
) -> None:
    fault = _grid_fault(shape, affine, wanted, place)
    if fault:
        raise VolumeError(f"{path}: {fault} as {name}")


def _grid_fault(shape: tuple[int, ...], affine: np.ndarray, wanted: tuple[int, ...], place: np.ndarray) -> str | None:
    """How a grid of this shape and affine differs from the wanted one, or None."""
    if tuple(shape) != tuple(wanted):
        found, expected = (" x ".join(map(str, size)) for size in (shape, wanted))
        return f"the image measures {found} voxels, expected {expected}"
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in shape))])
    apart = float(np.linalg.norm(corners @ (affine - place).T, axis=1).max())
    if not apart <= SAME_GRID_MM:
        return f"its voxels lie up to {apart:.3g} mm away, expected the same places to {SAME_GRID_MM} mm"
    return None
