"""DICOM: one slice from a file, one series from a folder. CT, MR and PET with one frame a file."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import torch
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medlab.data.dicom_geometry import Slice, slice_affine, stack
from medlab.data.errors import VolumeError, refusing
from medlab.data.stream import GZIP_MAGIC
from medlab.data.volume import Volume, affine_fault, data_fault

EXPECTED = "a DICOM slice"
MODALITIES = ("CT", "MR", "PT")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
LARGEST_FILE = 2**28  # bytes of one slice: 8192 x 8192 pixels of 32 bits
# No compression in use makes more than this many pixels of a byte; below the small size it does not matter.
DENSEST, SMALL_SLICE = 1032, 2**22
# What lies beside slices in real folders and is passed over; every other file must be a slice of the series.
COMPANIONS = (
    ".txt",
    ".md",
    ".json",
    ".csv",
    ".tsv",
    ".xml",
    ".html",
    ".pdf",
    ".bval",
    ".bvec",
    ".png",
    ".jpg",
    ".jpeg",
)


def looks_like_dicom(start: bytes) -> bool:
    """Whether these first bytes are those of a DICOM file, with or without its preamble."""
    if start[128:132] == b"DICM":
        return True
    # Without a preamble the file starts with an element of group 2 or 8, in either byte order.
    return start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08") and any(start[2:8])


def read_dicom_file(path: Path, *, max_voxels: int) -> Volume:
    """One slice as a volume (1, columns, rows, 1), as thick as its header says."""
    header = _read_header(path)
    if header.thickness is None:
        raise VolumeError(f"{path}: SliceThickness is absent, expected the thickness of a single slice in mm")
    affine = slice_affine(header, header.thickness)
    return _volume(path, path.stem, [header], affine, max_voxels)


def read_dicom_folder(folder: Path, *, max_voxels: int, tilted: bool) -> Volume:
    """The one series in a folder, its slices in order along their normal; see `medlab.data.load_volume`."""
    paths = [
        path
        for path in sorted(folder.iterdir())
        if not path.is_dir()
        and not path.name.startswith(".")
        and path.name.upper() != "DICOMDIR"
        and path.suffix.lower() not in COMPANIONS
    ]
    if not paths:
        raise VolumeError(f"{folder}: the folder holds no DICOM file, expected the slices of one series directly in it")
    for path in paths:
        if not path.is_file():
            raise VolumeError(f"{path}: it is a link to nothing or no plain file, expected {EXPECTED}")
    headers = [_read_header(path) for path in paths]
    series = {header.series for header in headers}
    if len(series) > 1:
        raise VolumeError(f"{folder}: the folder holds {len(series)} series, expected one, each in a folder of its own")
    ordered, affine = stack(headers, folder, tilted=tilted)
    return _volume(folder, folder.resolve().name, ordered, affine, max_voxels)


def _volume(source: Path, name: str, slices: Sequence[Slice], affine: np.ndarray, max_voxels: int) -> Volume:
    first = slices[0]
    count = len(slices) * first.rows * first.columns
    if count > max_voxels:
        raise VolumeError(f"{source}: the image has {count} voxels, expected {max_voxels} at most")
    for header in slices:
        size = header.path.stat().st_size
        if header.rows * header.columns > SMALL_SLICE + DENSEST * size:
            pixels = f"{header.rows} x {header.columns} pixels"
            raise VolumeError(
                f"{header.path}: the header describes {pixels}, expected no more than {size} bytes can hold"
            )
    fault = affine_fault(affine)
    if fault:
        raise VolumeError(f"{source}: {fault}")
    values = np.empty((1, first.columns, first.rows, len(slices)), dtype=np.float32)
    for at, header in enumerate(slices):
        values[0, ..., at] = _read_pixels(header)
    data = torch.from_numpy(values)
    fault = data_fault(data)
    if fault:
        raise VolumeError(f"{source}: {fault}")
    return Volume(data, affine, name)


def _parse(path: Path, *, pixels: bool) -> pydicom.Dataset:
    """The file's elements. All reading goes through memory of the file's own size: an element's claimed length
    cannot ask for more."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise VolumeError(f"{path}: the file has {size} bytes, expected {LARGEST_FILE} at most for one slice")
    content = path.read_bytes()
    if not looks_like_dicom(content[:132]):
        found = "it is gzipped" if content[:2] == GZIP_MAGIC else "it is not DICOM" if content else "the file is empty"
        raise VolumeError(f"{path}: {found}, expected {EXPECTED}")
    if content[128:132] == b"DICM":
        syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            raise VolumeError(f"{path}: the file is deflated as a whole, expected another transfer syntax")
    return pydicom.dcmread(BytesIO(content), force=True, stop_before_pixels=not pixels)


def _read_header(path: Path) -> Slice:
    with refusing(path, EXPECTED):
        dataset = _parse(path, pixels=False)
        modality = dataset.get("Modality")
        if modality not in MODALITIES:
            found = f"is {str(modality)[:16]!r}" if modality else "is absent"
            raise VolumeError(f"{path}: Modality {found}, expected {', '.join(MODALITIES)}")
        _check_pixel_kind(path, dataset)
        rows, columns = (_numbers(path, dataset, key, 1, least=1)[0] for key in ("Rows", "Columns"))
        down, across = _numbers(path, dataset, "PixelSpacing", 2, least=1e-6)
        along = _numbers(path, dataset, "ImageOrientationPatient", 6)
        thickness = _numbers(path, dataset, "SliceThickness", 1, least=1e-6) if dataset.get("SliceThickness") else None
        slope, intercept = (
            _numbers(path, dataset, key, 1)[0] if key in dataset else default
            for key, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
        if slope == 0:
            raise VolumeError(f"{path}: RescaleSlope is 0, expected another number")
        return Slice(
            path=path,
            series=str(dataset.get("SeriesInstanceUID", "")),
            rows=int(rows),
            columns=int(columns),
            across=across,
            down=down,
            thickness=thickness and thickness[0],
            directions=(along[:3], along[3:]),
            position=_numbers(path, dataset, "ImagePositionPatient", 3),
            slope=slope,
            intercept=intercept,
        )


def _check_pixel_kind(path: Path, dataset: pydicom.Dataset) -> None:
    frames = dataset.get("NumberOfFrames") or 1
    if frames != 1:
        raise VolumeError(f"{path}: it is a multi-frame file of {str(frames)[:16]} frames, expected one slice a file")
    photometric, samples = dataset.get("PhotometricInterpretation"), dataset.get("SamplesPerPixel", 1)
    # MONOCHROME1 is drawn inverted: whether the numbers are inverted too, the file does not say.
    if photometric != "MONOCHROME2" or samples != 1:
        found = f"{str(photometric)[:20]!r} with {str(samples)[:8]} samples" if photometric else "of no stated kind"
        raise VolumeError(f"{path}: the pixels are {found}, expected 'MONOCHROME2' with 1 sample each")
    if "ModalityLUTSequence" in dataset:
        raise VolumeError(
            f"{path}: its values go through a ModalityLUTSequence, expected RescaleSlope and RescaleIntercept"
        )


def _numbers(path: Path, dataset: pydicom.Dataset, key: str, count: int, least: float = -math.inf) -> tuple[float, ...]:
    """The numbers of one element, checked: so many, finite, not below the least."""
    expected = f"{count} finite number{'s' * (count > 1)}" + (f" of {least:g} or more" if least > -math.inf else "")
    try:
        value = dataset.get(key)
        values = tuple(float(number) for number in (value if isinstance(value, list | tuple) or count > 1 else [value]))
    except (TypeError, ValueError):
        values = ()
    if len(values) != count or not all(math.isfinite(number) and number >= least for number in values):
        shown = ", ".join(f"{number:g}" for number in values[:8])
        found = f"[{shown}]" if values else "not of numbers" if key in dataset else "absent"
        raise VolumeError(f"{path}: {key} is {found}, expected {expected}")
    return values


def _read_pixels(header: Slice) -> np.ndarray:
    """The slice's values as float32 (columns, rows), after slope and intercept."""
    path = header.path
    with refusing(path, "pixels that can be decoded"):
        dataset = _parse(path, pixels=True)
        if not any(key in dataset for key in PIXELS):
            raise VolumeError(f"{path}: it holds no pixels, expected {EXPECTED}")
        syntax = _transfer_syntax(dataset)
        decoder = None if not syntax.is_compressed else get_decoder(syntax)
        if decoder is not None and not decoder.is_available:
            raise VolumeError(
                f"{path}: its pixels are compressed as {syntax.name}, expected a compression for which pydicom has a "
                "decoder here (pip install pylibjpeg[all] adds them)"
            )
        if decoder is None:
            found, expected = _stored_bytes(dataset), header.rows * header.columns * int(dataset.BitsAllocated) // 8
            if found < expected:
                raise VolumeError(f"{path}: its pixels end after {found} bytes, expected {expected}")
        pixels = dataset.pixel_array
        if pixels.shape != (header.rows, header.columns):
            found, expected = pixels.shape, (header.rows, header.columns)
            raise VolumeError(f"{path}: its pixels decode to shape {found}, expected {expected}")
        with np.errstate(all="ignore"):  # what does not fit float32 becomes infinite, and is refused as that
            return (pixels.T * np.float64(header.slope) + header.intercept).astype(np.float32)


def _stored_bytes(dataset: pydicom.Dataset) -> int:
    return len(next(dataset[key].value for key in PIXELS if key in dataset) or b"")


def _transfer_syntax(dataset: pydicom.Dataset) -> pydicom.uid.UID:
    """How the pixels are stored; where a file without preamble does not say, as its elements are."""
    if not getattr(dataset, "file_meta", None):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset.file_meta.TransferSyntaxUID
