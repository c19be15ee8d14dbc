"""Bad files: each is refused with one sentence that names the file, what was found and what was expected."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from medlab.data import VolumeError, load_volume

MISSING, LINK = "missing", "dangling link"
SINGULAR = np.array([[1.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
FLAT = np.diag([1.0, 1, 0, 1])
WITH_NAN = np.diag([1.0, np.nan, 1, 1])


def extension(length: int) -> bytes:
    return length.to_bytes(4, "little", signed=True) + (6).to_bytes(4, "little") + b"\0" * 24


def damaged_gzip(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content, 0))
    packed[len(packed) // 2] ^= 255  # stored, not packed: only the checksum can tell
    return bytes(packed)


def floats(*values: float) -> bytes:
    data = np.zeros(60, "<f4")
    data[: len(values)] = values
    return data.tobytes()


# kind of damage: (file's bytes, from the builder of NIfTI files), part of the message
CASES = {
    "empty": (lambda n: b"", "the file is empty"),
    "gzip of nothing": (lambda n: gzip.compress(b""), "the file is empty"),
    "one byte": (lambda n: b"\x01", "neither NIfTI nor DICOM"),
    "text": (lambda n: b"sub-01 was scanned on Monday\n", "it is text"),
    "PNG": (lambda n: b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
    "JPEG": (lambda n: b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
    "zip": (lambda n: b"PK\x03\x04" + bytes(100), "a zip archive"),
    "NumPy": (lambda n: b"\x93NUMPY" + bytes(100), "a NumPy array"),
    "NRRD": (lambda n: b"NRRD0005\n", "an NRRD image"),
    "HTML": (lambda n: b"<!doctype html><title>Not found</title>", "an HTML or XML page"),
    "Git LFS pointer": (lambda n: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "zeros": (lambda n: bytes(5000), "neither NIfTI nor DICOM"),
    "noise": (lambda n: np.random.default_rng(0).bytes(5000), "neither NIfTI nor DICOM"),
    "gzip of text": (lambda n: gzip.compress(b"hello"), "it is text"),
    "gzip twice": (lambda n: gzip.compress(gzip.compress(n())), "gzipped twice"),
    "gzip header only": (lambda n: b"\x1f\x8b", "cut off|cannot be read"),
    "gzip of noise": (lambda n: b"\x1f\x8b\x08\0" + b"\xff" * 500, "cannot be read"),
    "cut in the header": (lambda n: n()[:200], "too early in the header"),
    "cut after the header": (lambda n: n()[:348], "can hold no more than 348"),
    "cut in the voxels": (lambda n: n()[:-1], "can hold no more than 471"),
    "gzip cut in the header": (lambda n: gzip.compress(n())[:40], "cut off"),
    "gzip cut in the voxels": (lambda n: gzip.compress(n(shape=(9, 9, 9)), 0)[:900], "cut off in the voxels"),
    "gzip without its end": (lambda n: gzip.compress(n())[:-4], "cut off"),
    "gzip of a cut file": (lambda n: gzip.compress(n()[:-10]), "ends 10 bytes too early in the voxels"),
    "gzip with a wrong checksum": (lambda n: damaged_gzip(n(shape=(9, 9, 9))), "CRC check failed"),
    "gzip with something behind": (lambda n: gzip.compress(n()) + b"garbage", "cannot be read"),
    "longer than its header says": (lambda n: n() + bytes(512), "goes on after the voxels"),
    "wrong header size": (lambda n: n(sizeof_hdr=347), "neither NIfTI nor DICOM"),
    "NIfTI-1 that says 540": (lambda n: n(sizeof_hdr=540, shape=(9, 9, 9)), "the header's magic is"),
    "header of a pair": (lambda n: n(magic=b"ni1"), "pair, expected a single"),
    "header of a NIfTI-2 pair": (lambda n: n(size=540, magic=b"ni2\0\r\n\x1a\n"), "pair, expected a single"),
    "Analyze": (lambda n: n(magic=b""), r"magic is b'\\x00\\x00\\x00\\x00'"),
    "NIfTI-2 mangled as text": (lambda n: n(size=540, eol_check={0: 10}), "the header's magic is"),
    "no dimensions": (lambda n: n(dim={0: 0}), r"dim\[0\] is 0, expected a number of dimensions from 1 to 7"),
    "eight dimensions": (lambda n: n(dim={0: 8}), r"dim\[0\] is 8"),
    "negative number of dimensions": (lambda n: n(dim={0: -3}), r"dim\[0\] is -3"),
    "one dimension": (lambda n: n(dim={0: 1}), "1 dimensions, expected 3"),
    "two dimensions": (lambda n: n(shape=(8, 8)), "2 dimensions, expected 3"),
    "time and channels": (lambda n: n(shape=(2, 2, 2, 3, 4)), "one dimension at most beyond"),
    "zero size": (lambda n: n(dim={2: 0}), r"size \[3, 0, 5\], expected at least 1"),
    "negative size": (lambda n: n(dim={1: -1}), r"size \[-1, 4, 5\]"),
    "zero channels": (lambda n: n(dim={0: 4, 4: 0}), r"size \[3, 4, 5, 0\]"),
    "more than the file": (lambda n: n(dim={1: 300}), "can hold no more than 472"),
    "absurd size": (lambda n: n(dim={1: 32767, 2: 32767, 3: 32767}), "expected 536870912 at most"),
    "absurd size in NIfTI-2": (lambda n: n(size=540, dim={1: 2**62, 2: 2**62}), "expected 536870912 at most"),
    "absurd size, gzip": (lambda n: gzip.compress(n(dim={1: 32767, 2: 16000, 3: 1})), "can hold no more than"),
    "no datatype": (lambda n: n(datatype=0), "the datatype is 0, expected one of NIfTI's real types"),
    "unknown datatype": (lambda n: n(datatype=77), "the datatype is 77"),
    "single bits": (lambda n: n(datatype=1, bitpix=1), "single bits"),
    "RGB": (lambda n: n(datatype=128, bitpix=24), "RGB colours"),
    "RGBA": (lambda n: n(datatype=2304, bitpix=32), "RGBA colours"),
    "complex": (lambda n: n(datatype=32, bitpix=64), "complex numbers"),
    "long double": (lambda n: n(datatype=1536, bitpix=128), "128-bit floats"),
    "bitpix": (lambda n: n(bitpix=8), "bitpix is 8, expected 16 for datatype 4"),
    "negative offset": (lambda n: n(vox_offset=-352), "vox_offset is -352, expected a whole number from 352"),
    "offset in the header": (lambda n: n(vox_offset=100), "vox_offset is 100"),
    "offset zero": (lambda n: n(vox_offset=0), "vox_offset is 0"),
    "fractional offset": (lambda n: n(vox_offset=352.5), "vox_offset is 352.5"),
    "NaN offset": (lambda n: n(vox_offset=np.nan), "vox_offset is nan"),
    "infinite offset": (lambda n: n(vox_offset=np.inf), "vox_offset is inf"),
    "offset beyond the file": (lambda n: n(vox_offset=4000), "can hold no more than 472"),
    "absurd offset": (lambda n: n(vox_offset=1e12), r"vox_offset is 1e\+12"),
    "extension too long": (lambda n: n(extension=extension(4096)), "extension claims 4096 bytes, expected 16 to 32"),
    "extension too short": (lambda n: n(extension=extension(0)), "extension claims 0 bytes"),
    "negative extension": (lambda n: n(extension=extension(-16)), "extension claims -16 bytes"),
    "infinite slope": (lambda n: n(scl_slope=np.inf), "slope and intercept are inf"),
    "NaN intercept": (lambda n: n(scl_slope=2, scl_inter=np.nan), "slope and intercept are 2.0 and nan"),
    "slope beyond float32": (lambda n: n(scl_slope=3e38), "voxels are NaN or infinite"),
    "NaN voxel": (lambda n: n(kind="f4", data=floats(1, np.nan)), r"1 voxels are NaN .* first at \(0, 1, 0, 0\)"),
    "infinite voxels": (lambda n: n(kind="f4", data=floats(np.inf, -np.inf)), "2 voxels are NaN or infinite"),
    "float64 beyond float32": (
        lambda n: n(kind="f8", data=np.full(60, 1e300).tobytes()),
        "60 voxels are NaN or infinite",
    ),
    "no orientation": (lambda n: n(sform_code=0), "left and right are unknown"),
    "unknown sform code": (lambda n: n(sform_code=9), "sform_code is 9, expected 0 to 5"),
    "negative qform code": (lambda n: n(qform_code=-2), "qform_code is -2"),
    "singular sform": (lambda n: n(affine=SINGULAR), "in its sform, the affine is singular"),
    "flat sform": (lambda n: n(affine=FLAT), "in its sform, voxels measure 1 x 1 x 0 mm"),
    "NaN sform": (lambda n: n(affine=WITH_NAN), "in its sform, the affine holds NaN"),
    "absurd sform": (lambda n: n(affine=np.diag([1e20, 1, 1, 1])), "in its sform, voxels measure 1e"),
    "zero voxel size": (lambda n: n(sform_code=0, qform_code=1, pixdim={1: 0}), "0 x 1.1 x 2.5 mm, expected finite"),
    "negative voxel size": (lambda n: n(sform_code=0, qform_code=1, pixdim={3: -2}), "0.9 x 1.1 x -2 mm"),
    "NaN voxel size": (lambda n: n(sform_code=0, qform_code=1, pixdim={2: np.nan}), "0.9 x nan x 2.5 mm"),
    "no handedness": (
        lambda n: n(sform_code=0, qform_code=1, pixdim={0: 0.5}),
        r"pixdim\[0\] is 0.5, expected 1 or -1",
    ),
    "long quaternion": (lambda n: n(sform_code=0, qform_code=1, quatern_b=2), "quaternion is .2, 0, 0"),
    "NaN quaternion": (lambda n: n(sform_code=0, qform_code=1, quatern_d=np.nan), "quaternion is .0, 0, nan"),
    "NaN offset of the qform": (lambda n: n(sform_code=0, qform_code=1, qoffset_x=np.nan), "in its qform, .* NaN"),
}


def refuse(path: Path, one_sentence, message: str, kind: type = VolumeError) -> None:
    with pytest.raises(kind, match=message) as caught:
        load_volume(path)
    assert type(caught.value) is kind
    one_sentence(caught.value, path)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_refuses(tmp_path, nifti, one_sentence, case, name):
    build, message = CASES[case]
    path = tmp_path / name
    path.write_bytes(build(nifti))
    refuse(path, one_sentence, message)


def test_there_are_many_kinds():
    assert len(CASES) >= 60


def test_missing(tmp_path, one_sentence):
    refuse(tmp_path / "scan.nii", one_sentence, "the file is missing", FileNotFoundError)
    refuse(tmp_path / "no" / "scan.nii", one_sentence, "the file is missing", FileNotFoundError)


def test_below_a_file(tmp_path, nifti, one_sentence):
    (tmp_path / "scan.nii").write_bytes(nifti())
    refuse(tmp_path / "scan.nii" / "scan.nii", one_sentence, "missing", FileNotFoundError)


def test_link_to_nothing(tmp_path, one_sentence):
    path = tmp_path / "scan.nii"
    path.symlink_to(tmp_path / "gone.nii")
    refuse(path, one_sentence, "a link to a file that is missing", FileNotFoundError)


def test_link_to_itself(tmp_path, one_sentence):
    path = tmp_path / "scan.nii"
    path.symlink_to(path)
    refuse(path, one_sentence, "cannot be read")


def test_folder_without_images(tmp_path, one_sentence):
    refuse(tmp_path, one_sentence, "the folder holds no DICOM file")
    (tmp_path / "notes.txt").write_text("nothing here")
    (tmp_path / "deeper").mkdir()
    refuse(tmp_path, one_sentence, "the folder holds no DICOM file")


def test_folder_of_nifti_files(tmp_path, nifti, one_sentence):
    (tmp_path / "scan.nii").write_bytes(nifti())
    refuse(tmp_path, one_sentence, "scan.nii: it is not DICOM")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipe_does_not_hang(tmp_path, one_sentence):
    path = tmp_path / "scan.nii"
    os.mkfifo(path)
    refuse(path, one_sentence, "a device, pipe or socket")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path, nifti, one_sentence):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti())
    path.chmod(0)
    refuse(path, one_sentence, "Permission denied")


def test_null_in_the_name(tmp_path):
    with pytest.raises(VolumeError, match="null"):
        load_volume(f"{tmp_path}/a\0b.nii")


def test_smaller_budget(tmp_path, nifti, one_sentence):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti())
    assert load_volume(path, max_voxels=60).data.numel() == 60
    with pytest.raises(VolumeError, match="60 voxels, expected 59 at most") as caught:
        load_volume(path, max_voxels=59)
    one_sentence(caught.value, path)


def test_wrong_affine_argument(tmp_path, nifti):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(sform_code=0))
    with pytest.raises(VolumeError, match=r"the argument affine.*singular"):
        load_volume(path, affine=SINGULAR)
