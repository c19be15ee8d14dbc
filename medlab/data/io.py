"""Volumes from files and back: the one door through which images enter."""

import gzip
import os
import stat
import uuid
from pathlib import Path

import nibabel as nib
import numpy as np

from medlab.data.dicom import looks_like_dicom, read_dicom_file, read_dicom_folder
from medlab.data.errors import VolumeError, reason, refusing
from medlab.data.nifti import LONGEST_HEADER, header_size, read_nifti
from medlab.data.stream import GZIP_MAGIC, ByteStream
from medlab.data.volume import MAX_VOXELS, Volume

EXPECTED = "a NIfTI image (.nii, .nii.gz), a DICOM file or a folder with one DICOM series"
# The first bytes of files that are handed in by mistake, so that the sentence can say what they are.
SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"BM": "a BMP picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file (MINC 2?)",
    b"CDF\x01": "a NetCDF file (MINC 1?)",
    b"NRRD": "an NRRD image",
    b"ObjectType": "a MetaImage",
    b"\x00\x00\x00\x01": "perhaps a FreeSurfer .mgh image",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"<": "an HTML or XML page",
    b"{": "JSON text",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


def load_volume(
    path: str | os.PathLike,
    *,
    max_voxels: int = MAX_VOXELS,
    affine: np.ndarray | None = None,
    tilted: bool = False,
) -> Volume:
    """The volume in a NIfTI file, a DICOM file, or a folder that holds one DICOM series.

    The kind of file is told by its first bytes, not by its name. The name of the volume is that of the file or
    folder without its endings. Values are float32 after slope and intercept.

    NIfTI-1 and -2, single files, gzipped or not, in either byte order: a 3D image gives (1, X, Y, Z); the last axis
    of a 4D one, or of a 5D one of vectors (X, Y, Z, 1, C), is the channel. The sform counts where there is one, else
    the qform; lengths in metres or micrometres become mm. DICOM: CT, MR and PET slices of one frame, in any order of
    files, give (1, columns, rows, slices), along the normal of the slices; a single slice is as thick as it says.
    Positions are turned from DICOM's LPS to RAS. No axis is reordered: see `to_canonical`.

    max_voxels: what a larger image is refused against, before memory is taken for it.
    affine: (4, 4), used for a NIfTI file that states no orientation, which is refused otherwise.
    tilted: accept a DICOM series with a tilted gantry; its affine is sheared, and `resample` makes it straight.

    Raises FileNotFoundError where there is nothing at `path`, and VolumeError (a ValueError) with one sentence that
    names the file, says what was found and what was expected: for what is not an image, is cut off, damaged or of
    another number of dimensions, holds NaN or infinity, has a singular affine, is a mixed series or one with missing,
    repeated or irregular slices, holds colours or complex numbers, or needs a decoder that is not installed.
    """
    path = Path(path)
    with refusing(path, EXPECTED):
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            return read_dicom_folder(path, max_voxels=max_voxels, tilted=tilted)
        if not stat.S_ISREG(mode):
            raise VolumeError(f"{path}: it is a device, pipe or socket, expected {EXPECTED}")
        start = _start(path)
        if looks_like_dicom(start):
            return read_dicom_file(path, max_voxels=max_voxels)
        if header_size(start):
            return read_nifti(path, max_voxels=max_voxels, affine=affine)
        raise VolumeError(f"{path}: {_kind(start)}, expected {EXPECTED}")


def save_volume(volume: Volume, path: str | os.PathLike) -> Path:
    """Write a volume as NIfTI-1 (NIfTI-2 where an axis is longer than 32,767), float32, and return its path.

    path: ends in .nii or .nii.gz, in a folder that exists. One channel is written as 3D, more as 4D with channels
    last. Values come back bit for bit, the affine to float32's precision; the same volume gives the same bytes. The
    file is written under a temporary name beside its place and then renamed: whatever interrupts it, the old file
    stays.
    Raises FileNotFoundError where the folder is missing and VolumeError where the path cannot be such a file.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise VolumeError(f"{path}: the name ends in {path.suffix or 'nothing'}, expected .nii or .nii.gz")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}, expected one that exists")
    if path.is_dir():
        raise VolumeError(f"{path}: it is a folder, expected the name of a file")

    place = Path(os.path.realpath(path))  # through a link, to the file that it means
    temporary = place.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            if path.name.endswith(".gz"):
                # No name and no time in the gzip header: equal volumes give equal files.
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
                    _image(volume).to_stream(packed)
            else:
                _image(volume).to_stream(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except OSError as error:
        raise VolumeError(f"{path}: cannot be written ({reason(error)}), expected a folder with room") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _image(volume: Volume) -> nib.Nifti1Image:
    data = volume.data.detach().cpu().permute(1, 2, 3, 0).numpy()
    data = data[..., 0] if data.shape[-1] == 1 else data
    make = nib.Nifti1Image if max(data.shape) < 2**15 else nib.Nifti2Image
    image = make(data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code="scanner")
    # A quaternion cannot hold a shear; then the sform alone says where the voxels are.
    image.set_qform(volume.affine, code="scanner" if volume.orthogonal else "unknown")
    return image


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        what = "a link to a file that is missing" if path.is_symlink() else "missing"
        raise FileNotFoundError(f"{path}: the file is {what}, expected {EXPECTED}") from None


def _start(path: Path) -> bytes:
    """The first bytes of a file, unpacked where it is gzipped."""
    with ByteStream(path) as stream:
        try:
            return stream.up_to(LONGEST_HEADER)
        except EOFError as error:
            raise VolumeError(f"{path}: its gzip stream is cut off, expected {EXPECTED}") from error


def _kind(start: bytes) -> str:
    """What the first bytes of a file that is no image show."""
    if not start:
        return "the file is empty"
    if start.startswith(GZIP_MAGIC):
        return "it is gzipped twice"
    for signature, kind in SIGNATURES.items():
        if start.startswith(signature):
            return f"it is {kind}"
    if start.isascii() and start.decode().replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return "it is text"
    return f"it begins with {start[:8]!r}, as neither NIfTI nor DICOM does"
