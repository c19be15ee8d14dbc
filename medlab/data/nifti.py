"""NIfTI-1 and NIfTI-2 in single files, in either byte order, gzipped or not.

nibabel knows the header's fields and its affines. The checks and the reading are ours, because here every number of
the header is a claim that may be wrong: each is compared with what the standard allows and with what the file can
hold, before memory is taken for it.
"""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from medlab.data.errors import VolumeError, refusing
from medlab.data.stream import ByteStream
from medlab.data.volume import Volume, affine_fault, data_fault

EXPECTED = "a NIfTI image"
# size of the header: its class in nibabel, the magic of a single file, the magic of a .hdr/.img pair
KINDS = {
    348: (nib.Nifti1Header, b"n+1\0", b"ni1\0"),
    540: (nib.Nifti2Header, b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"),
}
LONGEST_HEADER = 540
REAL = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
REFUSED = {
    1: "single bits",
    32: "complex numbers",
    128: "RGB colours",
    1536: "128-bit floats",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "RGBA colours",
}
MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: metres, millimetres, micrometres
FORMS = (1, 2, 3, 4, 5)  # scanner, aligned, Talairach, MNI 152, another template
LARGEST_OFFSET = 2**26  # header extensions of 64 MiB
WITHIN = "the header's extensions"
PADDING = 512  # bytes after the voxels that a disk or tape block may add
CHUNK = 2**18  # voxels converted at a time


def header_size(block: bytes) -> tuple[int, str] | None:
    """Size and byte order ("<" or ">") of the NIfTI header that these bytes begin, or None."""
    for order, name in (("<", "little"), (">", "big")):
        size = int.from_bytes(block[:4], name)
        if size in KINDS:
            return size, order
    return None


def read_nifti(path: Path, *, max_voxels: int, affine: np.ndarray | None = None) -> Volume:
    """The volume in a NIfTI file; see `medlab.data.load_volume`."""
    with refusing(path, EXPECTED), ByteStream(path) as stream:
        header = _header(stream)
        shape = _shape(header, path, max_voxels)
        dtype = _dtype(header, path)
        scale = _scale(header, path)
        grid = _affine(header, path, affine)
        _to_voxels(header, stream, math.prod(shape) * dtype.itemsize)
        data = _voxels(stream, shape, dtype, scale)
        fault = data_fault(data)
        if fault:
            raise VolumeError(f"{path}: {fault}")
        return Volume(data, grid, path.name.removesuffix(".gz").removesuffix(".nii"))


def _header(stream: ByteStream) -> nib.Nifti1Header:
    """The header as it stands, nothing but its kind checked; the stream is left behind it."""
    start = stream.exactly(4, "the header")
    kind = header_size(start)
    if kind is None:
        raise VolumeError(f"{stream.path}: the header's size is not 348 or 540, expected {EXPECTED}")
    size, order = kind
    block = start + stream.exactly(size - 4, "the header")
    make, single, pair = KINDS[size]
    header = make(block, endianness=order, check=False)
    magic = block[344:348] if size == 348 else block[4:12]
    if magic == pair:
        raise VolumeError(
            f"{stream.path}: it is the header of a .hdr/.img pair, expected a single .nii or .nii.gz file"
        )
    if magic != single:
        raise VolumeError(f"{stream.path}: the header's magic is {magic!r}, expected {single!r}")
    return header


def _shape(header: nib.Nifti1Header, path: Path, max_voxels: int) -> tuple[int, int, int, int]:
    """(C, X, Y, Z) of a 3D image, a 4D one (last axis: channels), or a 5D one of vectors (X, Y, Z, 1, C)."""
    dim = [int(size) for size in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise VolumeError(f"{path}: dim[0] is {dim[0]}, expected a number of dimensions from 1 to 7")
    sizes = dim[1 : dim[0] + 1]
    if len(sizes) < 3:
        raise VolumeError(f"{path}: the image has {len(sizes)} dimensions, expected 3, or 4 with channels last")
    if min(sizes) < 1:
        raise VolumeError(f"{path}: the image has size {sizes}, expected at least 1 along each dimension")
    x, y, z, *rest = sizes
    long = [size for size in rest if size > 1]
    if len(long) > 1:
        raise VolumeError(f"{path}: the image has size {sizes}, expected one dimension at most beyond X, Y and Z")
    shape = (math.prod(long), x, y, z)
    if math.prod(shape) > max_voxels:
        raise VolumeError(f"{path}: the image has {math.prod(shape)} voxels, expected {max_voxels} at most")
    return shape


def _dtype(header: nib.Nifti1Header, path: Path) -> np.dtype:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code in REFUSED:
        raise VolumeError(f"{path}: the voxels are {REFUSED[code]} (datatype {code}), expected one real number each")
    if code not in REAL:
        raise VolumeError(f"{path}: the datatype is {code}, expected one of NIfTI's real types {sorted(REAL)}")
    dtype = np.dtype(REAL[code]).newbyteorder(header.endianness)
    if bits != 8 * dtype.itemsize:
        raise VolumeError(f"{path}: bitpix is {bits}, expected {8 * dtype.itemsize} for datatype {code}")
    return dtype


def _scale(header: nib.Nifti1Header, path: Path) -> tuple[float, float] | None:
    """Slope and intercept; None where the header asks for none (slope 0, or NaN as nibabel writes it)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope) or (slope, intercept) == (1, 0):
        return None
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise VolumeError(f"{path}: slope and intercept are {slope} and {intercept}, expected finite numbers")
    return slope, intercept


def _affine(header: nib.Nifti1Header, path: Path, fallback: np.ndarray | None) -> np.ndarray:
    """The sform where there is one, else the qform, else what the caller says; in mm."""
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    for name, code in (("sform", sform), ("qform", qform)):
        if code not in (0, *FORMS):
            raise VolumeError(f"{path}: {name}_code is {code}, expected 0 to {FORMS[-1]}")
    if not sform and not qform:
        if fallback is None:
            raise VolumeError(
                f"{path}: it has neither an sform nor a qform, so that left and right are unknown, expected one of "
                "them, or the argument affine"
            )
        return Volume(torch.zeros(1, 1, 1, 1), fallback, "the argument affine").affine
    affine = header.get_sform() if sform else _qform(header, path)
    affine = np.diag([MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)] * 3 + [1.0]) @ affine
    fault = affine_fault(affine)
    if fault:
        raise VolumeError(f"{path}: in its {'sform' if sform else 'qform'}, {fault}")
    return affine


def _qform(header: nib.Nifti1Header, path: Path) -> np.ndarray:
    handedness, *sizes = (float(size) for size in header["pixdim"][:4])
    if handedness not in (-1, 0, 1):
        raise VolumeError(f"{path}: pixdim[0] is {handedness:g}, expected 1 or -1, the handedness of the qform")
    if not all(0 < size < math.inf for size in sizes):
        found = " x ".join(f"{size:g}" for size in sizes)
        raise VolumeError(f"{path}: pixdim gives voxels of {found} mm, expected finite sizes above 0")
    quaternion = [float(header[f"quatern_{part}"]) for part in "bcd"]
    # With nibabel's allowance for rounding, in the precision of the header.
    if not sum(part * part for part in quaternion) <= 1 + 3 * np.finfo(header["quatern_b"].dtype).eps:
        found = ", ".join(f"{part:g}" for part in quaternion)
        raise VolumeError(f"{path}: the qform's quaternion is ({found}), expected a length of 1 at most")
    if handedness == 0:
        header["pixdim"][0] = 1  # the standard's reading of 0
    return header.get_qform()


def _to_voxels(header: nib.Nifti1Header, stream: ByteStream, size: int) -> None:
    """Leave the stream at the first voxel, past the header's extensions, when the file can hold `size` bytes more."""
    path, offset = stream.path, float(header["vox_offset"])
    least = header.single_vox_offset
    if not least <= offset <= LARGEST_OFFSET or offset != int(offset):
        raise VolumeError(f"{path}: vox_offset is {offset:g}, expected a whole number from {least} to {LARGEST_OFFSET}")
    offset = int(offset)
    if offset + size > stream.capacity:
        raise VolumeError(
            f"{path}: the header describes {offset + size} bytes but the file can hold no more than "
            f"{stream.capacity}, expected a whole file"
        )
    left = offset - least
    if stream.exactly(4, "the header")[0]:  # extensions follow, each with its length and a code in front
        order = "little" if header.endianness == "<" else "big"
        while left >= 16:
            length = int.from_bytes(stream.exactly(8, WITHIN)[:4], order, signed=True)
            if not 16 <= length <= left:
                raise VolumeError(f"{path}: a header extension claims {length} bytes, expected 16 to {left}")
            stream.skip(length - 8, WITHIN)
            left -= length
    stream.skip(left, WITHIN)


def _voxels(
    stream: ByteStream, shape: tuple[int, int, int, int], dtype: np.dtype, scale: tuple[float, float] | None
) -> torch.Tensor:
    """The voxels as float32 (C, X, Y, Z), converted piece by piece, and the end of the file checked."""
    count = math.prod(shape)
    values = np.empty(count, dtype=np.float32)
    with np.errstate(all="ignore"):  # what does not fit float32 becomes infinite, and is refused as that
        for start in range(0, count, CHUNK):
            length = min(CHUNK, count - start)
            raw = np.frombuffer(stream.exactly(length * dtype.itemsize, "the voxels"), dtype)
            values[start : start + length] = raw if scale is None else raw.astype(np.float64) * scale[0] + scale[1]
    # Reading on to the end makes gzip compare its checksum; more voxels than the header describes mean a wrong header.
    try:
        rest = stream.up_to(PADDING)
    except EOFError as error:
        raise VolumeError(f"{stream.path}: its gzip stream is cut off at the end, expected a whole file") from error
    if len(rest) >= PADDING:
        raise VolumeError(f"{stream.path}: it goes on after the voxels that its header describes, expected its end")
    channels, x, y, z = shape
    return torch.from_numpy(np.ascontiguousarray(values.reshape(channels, z, y, x).transpose(0, 3, 2, 1)))
