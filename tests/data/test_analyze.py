"""Analyze 7.5 pairs: against nibabel, and every damage with its sentence."""

import nibabel as nib
import numpy as np
import pytest

from medlab.data import VolumeError
from medlab.data.analyze import read_analyze, read_analyze_grid
from tests.data.readers.trees import analyze

DATA = np.random.default_rng(2).integers(0, 200, (5, 6, 7))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8"])
def test_equals_nibabel(tmp_path, order, kind):
    path = analyze(tmp_path / "head.hdr", DATA.astype(kind), (0.9, 1.1, 2.5), order)
    volume, oracle = read_analyze(path), nib.AnalyzeImage.load(path)
    assert volume.name == "head"
    assert np.array_equal(volume.data[0].numpy(), oracle.get_fdata()[..., 0])
    assert np.allclose(volume.affine, oracle.affine) and volume.orientation == "LAS"
    shape, affine = read_analyze_grid(path)
    assert shape == (5, 6, 7) and np.array_equal(affine, volume.affine)


def test_the_middle_is_the_origin_whatever_the_orientation(tmp_path):
    path = analyze(tmp_path / "head.hdr", DATA.astype("i2"), (1, 2, 3))
    for letters in ("LAS", "RAS", "PIR", "ASL"):
        volume = read_analyze(path, orientation=letters)
        assert volume.orientation == letters
        assert np.allclose(volume.to_world([2, 2.5, 3]), 0) and np.allclose(volume.spacing, (1, 2, 3))
    with pytest.raises(ValueError, match="orientation is 'LLS', expected three letters such as 'LAS'"):
        read_analyze(path, orientation="LLS")


def test_scale_and_offset(tmp_path):
    path = analyze(tmp_path / "head.hdr", DATA.astype("i2"), scl_slope=0.25, vox_offset=16)
    image = path.with_suffix(".img")
    image.write_bytes(bytes(16) + image.read_bytes())
    assert np.array_equal(read_analyze(path).data[0].numpy(), DATA / 4)


def test_unstated_orientation_byte_changes_nothing(tmp_path):
    path = analyze(tmp_path / "head.hdr", DATA.astype("i2"), orient=b"\2")
    assert read_analyze(path).orientation == "LAS"


HEADERS = {
    "empty": (lambda path: path.write_bytes(b""), "it has 0 bytes, expected 348"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:200]), "it has 200 bytes, expected 348"),
    "text": (lambda path: path.write_bytes(b"x" * 348), "its first number is not 348"),
    "a NIfTI pair": (lambda path: patch(path, 344, b"ni1\0"), "it is a NIfTI header, expected an Analyze 7.5 image"),
    "two dimensions": (lambda path: patch(path, 40, np.int16(2)), "expected an image of three dimensions"),
    "no dimensions": (lambda path: patch(path, 40, np.int16(0)), "expected an image of three dimensions"),
    "several volumes": (lambda path: patch(path, 48, np.int16(3)), "expected an image of three dimensions"),
    "size zero": (lambda path: patch(path, 42, np.int16(0)), "expected an image of three dimensions"),
    "complex numbers": (
        lambda path: patch(path, 70, np.int16(32)),
        "the datatype is 32, expected one of Analyze's real",
    ),
    "no voxel size": (lambda path: patch(path, 80, np.float32(0)), "voxels measure 0 x"),
    "a negative voxel size": (
        lambda path: patch(path, 80, np.float32(-1)),
        "pixdim gives voxels of .* expected above 0",
    ),
    "NaN as voxel size": (lambda path: patch(path, 80, np.float32(np.nan)), "NaN or infinity, expected finite"),
    "a wild offset": (lambda path: patch(path, 108, np.float32(-8)), "vox_offset is -8, expected 0 to"),
}
IMAGES = {
    "voxels cut off": (lambda path: path.write_bytes(path.read_bytes()[:99]), "holds 99 bytes, expected the 420"),
    "voxels empty": (lambda path: path.write_bytes(b""), "holds 0 bytes, expected the 420"),
    "too many voxels": (lambda path: path.write_bytes(path.read_bytes() * 4), "goes on after the voxels"),
}


def patch(path, place, value):
    content = bytearray(path.read_bytes())
    raw = bytes(value) if isinstance(value, bytes) else value.tobytes()
    content[place : place + len(raw)] = raw
    path.write_bytes(content)


@pytest.mark.parametrize("case", [*HEADERS, *IMAGES])
def test_refuses(tmp_path, one_sentence, case):
    path = analyze(tmp_path / "head.hdr", DATA.astype("i2"))
    change, message = HEADERS[case] if case in HEADERS else IMAGES[case]
    damaged = path if case in HEADERS else path.with_suffix(".img")
    change(damaged)
    with pytest.raises(VolumeError, match=message) as caught:
        read_analyze(path)
    one_sentence(caught.value, damaged)
    if case in HEADERS:
        with pytest.raises(VolumeError, match=message):
            read_analyze_grid(path)


def test_refuses_half_a_pair_nan_and_too_many_voxels(tmp_path, one_sentence):
    path = analyze(tmp_path / "head.hdr", np.full((3, 3, 3), np.nan, "f4"))
    with pytest.raises(VolumeError, match="27 voxels are NaN or infinite") as caught:
        read_analyze(path)
    one_sentence(caught.value, path.with_suffix(".img"))
    with pytest.raises(VolumeError, match="the image has 27 voxels, expected 26 at most"):
        read_analyze(path, max_voxels=26)
    path.with_suffix(".img").unlink()
    with pytest.raises(FileNotFoundError, match=r"head\.img: the file is missing, expected the voxels of head\.hdr"):
        read_analyze(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.hdr: the file is missing"):
        read_analyze(tmp_path / "gone.hdr")


@pytest.mark.filterwarnings("error")
def test_mutated_pairs_are_refused_or_right(tmp_path, one_sentence):
    """400 damaged pairs: a VolumeError of one sentence, or a finite image of the size that the header states."""
    random = np.random.default_rng(7)
    path = analyze(tmp_path / "head.hdr", DATA.astype("i2"))
    whole, voxels = path.read_bytes(), path.with_suffix(".img").read_bytes()
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            content[random.choice([random.integers(348), random.integers(40, 116)])] = random.integers(256)
        path.write_bytes(content)
        path.with_suffix(".img").write_bytes(voxels[: random.integers(300, 421)] if random.random() < 0.1 else voxels)
        try:
            volume = read_analyze(path, max_voxels=10**6)
        except VolumeError as error:
            one_sentence(error, path.with_suffix(".img") if ".img: " in str(error) else path)
            refused += 1
        else:
            assert volume.shape[1:] == read_analyze_grid(path)[0] and np.isfinite(volume.data.numpy()).all()
    assert 100 < refused < 400
