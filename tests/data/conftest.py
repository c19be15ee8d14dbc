"""Builders of image files for the tests of medlab.data: right ones, and the pieces of wrong ones."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medlab.data import Volume

# A grid without any symmetry: three sizes, three spacings, an oblique rotation, an offset.
TURN = np.linalg.qr(np.array([[9.0, -2, 1], [2, 9, -3], [-1, 3, 9]]))[0]
TURN = TURN * np.sign(np.diag(TURN))
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = TURN * (0.9, 1.1, 2.5)
OBLIQUE[:3, 3] = (-31, 12.5, 7)


@pytest.fixture
def oblique() -> np.ndarray:
    return OBLIQUE.copy()


@pytest.fixture
def volume() -> Volume:
    """Two channels of values that are all different, on the oblique grid."""
    values = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(3))
    return Volume(values, OBLIQUE, "asymmetric")


@pytest.fixture
def nifti():
    """Build the bytes of a NIfTI file from raw header fields; nothing is checked or completed."""
    return nifti_bytes


def nifti_bytes(
    shape=(3, 4, 5), kind="<i2", size=348, order="<", extension=b"", data=None, affine=OBLIQUE, flag=None, **fields
) -> bytes:
    make = {348: nib.Nifti1Header, 540: nib.Nifti2Header}[size]
    header = make(endianness=order)
    dtype = np.dtype(kind).newbyteorder(order)
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header.set_data_dtype(dtype)
    header["pixdim"][:4] = (1, 0.9, 1.1, 2.5)
    header["sform_code"] = 1
    header.set_sform(affine, code=1)
    header["vox_offset"] = size + 4 + len(extension)
    header["magic"] = header.single_magic
    header["scl_slope"] = np.nan
    header["xyzt_units"] = 2
    for name, value in fields.items():
        if isinstance(value, dict):  # {index: value} of a field that is an array
            for at, part in value.items():
                header[name][at] = part
        else:
            header[name] = value
    if data is None:
        data = (np.arange(int(np.prod(shape))) % 251).astype(dtype).tobytes()
    flag = bool(extension) if flag is None else flag
    return header.binaryblock + bytes([flag, 0, 0, 0]) + extension + data


@pytest.fixture
def write_series():
    """Write a CT series of 16-bit slices and return its values in HU and its affine (RAS)."""
    return series


def series(folder: Path, count=5, rows=6, columns=4, turn=TURN, shear=(0.0, 0.0), edit=None, name="{}.dcm", seed=0):
    """turn: (3, 3), its columns are the LPS directions of a row, of a column and of the slices.

    edit(index, dataset) changes a slice before it is written, or returns False to leave it out. The names of the files
    have nothing to do with the order of the slices.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    across, down, apart = 0.7, 0.8, 2.5
    origin = np.array([-40.25, 33.5, 12.125])
    step = turn @ (*shear, apart)
    stored = random.integers(0, 3000, (count, rows, columns), dtype=np.uint16)
    slopes = [2.0 + index for index in range(count)]
    uid, frame = generate_uid(), generate_uid()
    for index, letter in enumerate(random.permutation(count)):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = uid, frame
        dataset.Modality = "CT"
        dataset.Rows, dataset.Columns = rows, columns
        dataset.PixelSpacing = [down, across]  # between rows first
        dataset.SliceThickness = apart
        dataset.ImageOrientationPatient = [f"{part:.9f}" for part in (*turn[:, 0], *turn[:, 1])]
        dataset.ImagePositionPatient = [f"{part:.7f}" for part in origin + index * step]
        dataset.RescaleSlope, dataset.RescaleIntercept = slopes[index], -1024
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.PixelData = stored[index].tobytes()
        if edit is None or edit(index, dataset) is not False:
            dataset.save_as(folder / name.format(letter), enforce_file_format=True)
    values = np.stack([plane.T * slope - 1024.0 for plane, slope in zip(stored, slopes, strict=True)], axis=-1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([turn[:, 0] * across, turn[:, 1] * down, step], axis=1)
    affine[:3, 3] = origin
    return values, np.diag([-1.0, -1, 1, 1]) @ affine


@pytest.fixture
def one_sentence():
    """Check that a message is one sentence that names the file and says what was expected."""

    def check(error: BaseException, path: Path) -> str:
        message = str(error)
        assert str(path) in message
        assert "expected" in message
        assert "\n" not in message
        assert ". " not in message and not message.endswith(".")
        assert len(message) < 400 + len(str(path))
        return message

    return check
