"""NIfTI files of every kind that counts, read as nibabel reads them."""

import gzip
import io
import warnings

import nibabel as nib
import numpy as np
import pytest

from medlab.data import Volume, load_volume


def theirs(content: bytes) -> nib.Nifti1Image:
    make = (
        nib.Nifti1Image
        if int.from_bytes(content[:2], "little") == 348 or content[2:4] == b"\x01\x5c"
        else nib.Nifti2Image
    )
    return make.from_stream(io.BytesIO(content))


def assert_agrees(volume: Volume, content: bytes, rtol: float = 1e-6) -> None:
    image = theirs(content)
    values = image.get_fdata()
    values = values[..., None] if values.ndim == 3 else values.reshape(*values.shape[:3], -1)
    np.testing.assert_allclose(volume.data.permute(1, 2, 3, 0).numpy(), values, rtol=rtol)
    np.testing.assert_array_equal(volume.affine, image.affine)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("size", [348, 540])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_types_byte_orders_and_versions(tmp_path, nifti, kind, size, order):
    content = nifti(kind=kind, size=size, order=order)
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    volume = load_volume(path)
    assert volume.shape == (1, 3, 4, 5) and volume.name == "scan" and volume.data.is_contiguous()
    assert_agrees(volume, content)


@pytest.mark.parametrize("kind", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize(("slope", "intercept"), [(0.25, -1024), (1, 5), (-2, 0), (1e-6, 1e6)])
def test_slope_and_intercept(tmp_path, nifti, kind, slope, intercept):
    content = nifti(kind=kind, scl_slope=slope, scl_inter=intercept)
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    assert_agrees(load_volume(path), content)


@pytest.mark.parametrize("slope", [0, np.nan])
def test_slope_that_means_none(tmp_path, nifti, slope):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(scl_slope=slope, scl_inter=12))
    assert load_volume(path).data.flatten()[:2].tolist() == [0, 12]  # the voxel (0, 0, 1) is the 13th of the file


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 4, 5), (1, 3, 4, 5)),
        ((3, 4, 1), (1, 3, 4, 1)),
        ((3, 4, 5, 1), (1, 3, 4, 5)),
        ((3, 4, 5, 6), (6, 3, 4, 5)),
        ((3, 4, 5, 1, 3), (3, 3, 4, 5)),
        ((3, 4, 5, 6, 1, 1, 1), (6, 3, 4, 5)),
    ],
)
def test_dimensions(tmp_path, nifti, shape, expected):
    content = nifti(shape=shape)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(content))
    volume = load_volume(path)
    assert volume.shape == expected and volume.name == "scan"
    assert_agrees(volume, content)


def test_the_name_does_not_decide(tmp_path, nifti):
    plain, packed, other = tmp_path / "plain.nii.gz", tmp_path / "packed.nii", tmp_path / "scan.v2.img"
    plain.write_bytes(nifti())
    packed.write_bytes(gzip.compress(nifti()))
    other.write_bytes(nifti())
    assert load_volume(plain).name == "plain" and load_volume(str(packed)).name == "packed"
    assert load_volume(other).name == "scan.v2.img"


def test_qform_with_either_handedness(tmp_path, nifti, oblique):
    for handedness in (1, -1, 0):
        content = nifti(
            sform_code=0,
            qform_code=2,
            quatern_b=0.2,
            quatern_c=-0.3,
            quatern_d=0.4,
            qoffset_y=9,
            pixdim={0: handedness},
        )
        path = tmp_path / "scan.nii"
        path.write_bytes(content)
        assert_agrees(load_volume(path), content)


def test_sform_counts_before_qform(tmp_path, nifti, oblique):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(qform_code=1, pixdim={0: 0.5, 1: -3}))
    np.testing.assert_allclose(load_volume(path).affine, oblique, rtol=1e-6)


@pytest.mark.parametrize(("code", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 1e-3), (2 + 8, 1), (7, 1)])
def test_lengths_become_millimetres(tmp_path, nifti, oblique, code, factor):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(xyzt_units=code))
    np.testing.assert_allclose(load_volume(path).affine[:3], oblique[:3] * factor, rtol=1e-6)


def test_affine_for_a_file_without_orientation(tmp_path, nifti, oblique):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(sform_code=0))
    np.testing.assert_array_equal(load_volume(path, affine=oblique).affine, oblique)
    path.write_bytes(nifti())
    np.testing.assert_allclose(load_volume(path, affine=np.eye(4)).affine, oblique, rtol=1e-6)


def test_extensions_are_passed_over(tmp_path, nifti):
    for order in ("little", "big"):
        comment = b"".join(n.to_bytes(4, order) for n in (32, 6)) + b"a comment of 24 bytes.\0\0"
        content = nifti(extension=comment * 2, order="<" if order == "little" else ">")
        path = tmp_path / "scan.nii"
        path.write_bytes(content)
        assert_agrees(load_volume(path), content)


def test_padding_of_a_block_and_gzip_in_parts(tmp_path, nifti):
    content = nifti()
    path = tmp_path / "scan.nii"
    path.write_bytes(content + b"\0" * 511)
    assert_agrees(load_volume(path), content)
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    assert_agrees(load_volume(path), content)


def test_more_voxels_than_one_chunk(tmp_path, nifti):
    content = nifti(shape=(101, 90, 80))
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(content, 1))
    assert_agrees(load_volume(path), content)


def test_link_is_followed_and_nothing_is_printed(tmp_path, nifti, capfd, caplog):
    target, link = tmp_path / "target.nii", tmp_path / "link.nii"
    target.write_bytes(nifti(bitpix=16, descrip=b"\xff" * 80, pixdim={0: 7}))
    link.symlink_to(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_volume(link).name == "link"
    assert capfd.readouterr() == ("", "") and not caplog.records
