"""Analyze 7.5: a header of 348 bytes (.hdr) and the bare voxels beside it (.img), as old challenges ship them.

The format does not say where left is. What is assumed here is the convention of its makers, the Mayo Clinic, and of
nibabel: the first axis grows to the patient's left, the second to the front, the third to the head ("LAS"). The
header's byte for the orientation and SPM's origin are not believed, since programs fill them at will; the origin of the
world is the middle of the grid.
"""

import math
import os
from pathlib import Path

import nibabel as nib
import nibabel.orientations
import numpy as np
import torch

from medlab.data.errors import VolumeError, refusing
from medlab.data.stream import ByteStream
from medlab.data.volume import MAX_VOXELS, Volume, affine_fault, data_fault

EXPECTED = "an Analyze 7.5 image, a header NAME.hdr with its voxels in NAME.img"
HEADER_SIZE = 348
Header = nib.Spm99AnalyzeImage.header_class  # Analyze 7.5, with SPM's scale factor in a field that was free
REAL = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"}  # datatype: what NumPy calls it
LARGEST_OFFSET = 2**26
PADDING = 512  # bytes after the voxels that a disk or tape block may add


def read_analyze(path: str | os.PathLike, *, orientation: str = "LAS", max_voxels: int = MAX_VOXELS) -> Volume:
    """The volume of an Analyze pair, (1, X, Y, Z), in the order in which it is stored.

    path: the .hdr, with the .img of the same name beside it; either byte order. orientation: where the three axes grow
    to, in letters as those of `Volume.orientation`. Values are multiplied by SPM's scale factor where there is one.
    Raises FileNotFoundError where one of the two files is missing and VolumeError, in one sentence that names the file,
    for what is no such pair, is cut off or goes on, is not of three dimensions or holds colours or complex numbers.
    """
    path = Path(path)
    header, shape, affine = _header(path, orientation, max_voxels)
    image = path.with_suffix(".img")
    if not image.is_file():
        raise FileNotFoundError(f"{image}: the file is missing, expected the voxels of {path.name}")
    dtype = np.dtype(REAL[int(header["datatype"])]).newbyteorder(header.endianness)
    with refusing(image, EXPECTED), ByteStream(image) as stream:
        offset, size = int(header["vox_offset"]), math.prod(shape) * dtype.itemsize
        if offset + size > stream.capacity:
            raise VolumeError(
                f"{image}: it holds {stream.capacity} bytes, expected the {offset + size} that {path.name} describes"
            )
        stream.skip(offset, "what precedes the voxels")
        values = np.frombuffer(stream.exactly(size, "the voxels"), dtype).reshape(shape, order="F")
        if len(stream.up_to(PADDING)) >= PADDING:
            raise VolumeError(f"{image}: it goes on after the voxels that {path.name} describes, expected its end")
        slope = float(header["scl_slope"])
        with np.errstate(all="ignore"):  # what does not fit float32 becomes infinite, and is refused as that
            scaled = values * np.float64(slope) if math.isfinite(slope) and slope not in (0, 1) else values
            data = torch.from_numpy(np.ascontiguousarray(scaled, np.float32)[None])
        fault = data_fault(data)
        if fault:
            raise VolumeError(f"{image}: {fault}")
        return Volume(data, affine, path.stem)


def read_analyze_grid(
    path: str | os.PathLike, *, orientation: str = "LAS", max_voxels: int = MAX_VOXELS
) -> tuple[tuple[int, int, int], np.ndarray]:
    """Size (X, Y, Z) and affine of an Analyze image, from its header alone; arguments and errors as `read_analyze`."""
    _, shape, affine = _header(Path(path), orientation, max_voxels)
    return shape, affine


def _header(path: Path, orientation: str, max_voxels: int) -> tuple[Header, tuple, np.ndarray]:
    if len(orientation) != 3 or not all(set(orientation) & set(pair) for pair in ("LR", "AP", "SI")):
        raise ValueError(f"orientation is {orientation!r}, expected three letters such as 'LAS'")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the file is missing, expected {EXPECTED}")
    with refusing(path, EXPECTED), ByteStream(path) as stream:
        block = stream.up_to(HEADER_SIZE)
        if len(block) < HEADER_SIZE:
            raise VolumeError(f"{path}: it has {len(block)} bytes, expected {HEADER_SIZE}, {EXPECTED}")
        orders = [order for order, name in (("<", "little"), (">", "big")) if _size(block, name) == HEADER_SIZE]
        if not orders:
            raise VolumeError(f"{path}: its first number is not {HEADER_SIZE}, expected {EXPECTED}")
        if block[344:347] in (b"ni1", b"n+1"):
            raise VolumeError(f"{path}: it is a NIfTI header, expected {EXPECTED}")
        header = Header(block, endianness=orders[0], check=False)
        shape = _shape(header, path, max_voxels)
        kind, offset = int(header["datatype"]), float(header["vox_offset"])
        if kind not in REAL:
            raise VolumeError(f"{path}: the datatype is {kind}, expected one of Analyze's real types {sorted(REAL)}")
        if not 0 <= offset <= LARGEST_OFFSET:
            raise VolumeError(f"{path}: vox_offset is {offset:g}, expected 0 to {LARGEST_OFFSET} bytes")
        return header, shape, _affine(header, path, shape, orientation)


def _size(block: bytes, byteorder: str) -> int:
    return int.from_bytes(block[:4], byteorder)


def _shape(header: Header, path: Path, max_voxels: int) -> tuple[int, int, int]:
    dim = [int(size) for size in header["dim"]]
    sizes = dim[1 : dim[0] + 1] if 1 <= dim[0] <= 7 else []
    if len(sizes) < 3 or min(sizes) < 1 or math.prod(sizes[3:]) != 1:
        raise VolumeError(f"{path}: dim is {dim}, expected an image of three dimensions")
    if math.prod(sizes) > max_voxels:
        raise VolumeError(f"{path}: the image has {math.prod(sizes)} voxels, expected {max_voxels} at most")
    return tuple(sizes[:3])


def _affine(header: Header, path: Path, shape: tuple[int, ...], orientation: str) -> np.ndarray:
    """From voxels to mm, with the world's origin in the middle of the grid."""
    sizes = [float(size) for size in header["pixdim"][1:4]]
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for axis, (target, sign) in enumerate(nibabel.orientations.axcodes2ornt(tuple(orientation))):
        affine[int(target), axis] = sign * sizes[axis]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    fault = affine_fault(affine) or (None if min(sizes) > 0 else f"pixdim gives voxels of {sizes} mm, expected above 0")
    if fault:
        raise VolumeError(f"{path}: {fault}")
    return affine
