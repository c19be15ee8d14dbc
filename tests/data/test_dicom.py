"""DICOM: a series with a known grid, and the real slices that pydicom carries."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from scipy.spatial.transform import Rotation

from medlab.data import load_volume, resample, to_canonical


def real(name: str) -> Path:
    return Path(get_testdata_file(name, download=False))


@pytest.mark.parametrize("seed", range(3))
def test_series_has_its_values_and_its_place(tmp_path, write_series, seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    values, affine = write_series(tmp_path / "head", turn=turn, seed=seed)
    volume = load_volume(tmp_path / "head")
    assert volume.shape == (1, 4, 6, 5) and volume.name == "head" and volume.data.is_contiguous()
    np.testing.assert_array_equal(volume.data[0].numpy(), values)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    assert volume.orthogonal and volume.spacing == pytest.approx((0.7, 0.8, 2.5), abs=1e-6)


def test_axial_head_comes_out_in_the_radiologists_order(tmp_path, write_series):
    values, _ = write_series(tmp_path, turn=np.eye(3))
    volume = load_volume(tmp_path)
    assert volume.orientation == "LPS"
    turned = to_canonical(volume)
    assert turned.orientation == "RAS"
    np.testing.assert_array_equal(turned.data[0].numpy(), values[::-1, ::-1])


def test_each_slice_lands_where_its_header_says(tmp_path, write_series):
    write_series(tmp_path)
    volume = load_volume(tmp_path)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        at = volume.to_voxels(np.array(dataset.ImagePositionPatient, float) * (-1, -1, 1))
        np.testing.assert_allclose(at, at.round(), atol=1e-5)
        plane = volume.data[0, :, :, int(at[2].round())].T
        expected = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        np.testing.assert_array_equal(plane.numpy(), expected)


def test_name_of_the_current_folder(tmp_path, write_series, monkeypatch):
    write_series(tmp_path / "head")
    monkeypatch.chdir(tmp_path / "head")
    assert load_volume(".").name == "head"


def test_companions_are_passed_over(tmp_path, write_series):
    write_series(tmp_path, name="IM{}")  # as scanners write them, without an ending
    for name in ("notes.txt", "series.json", "preview.png", ".DS_Store", "DICOMDIR"):
        (tmp_path / name).write_bytes(b"not a slice")
    (tmp_path / "deeper").mkdir()
    assert load_volume(tmp_path).shape == (1, 4, 6, 5)


def test_one_file_of_a_series_is_a_slice(tmp_path, write_series):
    write_series(tmp_path)
    volume = load_volume(tmp_path / "2.dcm")
    assert volume.shape == (1, 4, 6, 1) and volume.name == "2"
    assert volume.spacing == pytest.approx((0.7, 0.8, 2.5), abs=1e-6)


def test_folder_with_one_slice(tmp_path, write_series):
    values, affine = write_series(tmp_path, count=1)
    volume = load_volume(tmp_path)
    np.testing.assert_array_equal(volume.data[0].numpy(), values)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)


def test_values_without_slope_are_the_stored_ones(tmp_path, write_series):
    def plain(index, dataset):
        del dataset.RescaleSlope, dataset.RescaleIntercept

    write_series(tmp_path, count=1, edit=plain)
    stored = pydicom.dcmread(tmp_path / "0.dcm").pixel_array
    np.testing.assert_array_equal(load_volume(tmp_path).data[0, :, :, 0].T.numpy(), stored)


def test_signed_pixels(tmp_path, write_series):
    def signed(index, dataset):
        dataset.PixelRepresentation = 1
        dataset.PixelData = np.arange(-12, 12, dtype="<i2").tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0

    write_series(tmp_path, count=2, edit=signed)
    assert load_volume(tmp_path).data[0, :, :, 0].T.flatten().tolist() == list(range(-12, 12))


def test_rounded_positions_are_no_tilt(tmp_path, write_series):
    def rounded(index, dataset):
        dataset.ImagePositionPatient = [round(float(part), 2) for part in dataset.ImagePositionPatient]

    _, affine = write_series(tmp_path, count=30, edit=rounded)
    volume = load_volume(tmp_path)
    assert volume.orthogonal
    np.testing.assert_allclose(volume.affine, affine, atol=0.01)


def test_tilted_gantry_on_request(tmp_path, write_series):
    values, affine = write_series(tmp_path, shear=(0.0, 0.9))
    volume = load_volume(tmp_path, tilted=True)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    np.testing.assert_array_equal(volume.data[0].numpy(), values)
    assert not volume.orthogonal
    assert resample(volume, 0.8, fill=-1024).orthogonal


def test_real_ct():
    volume = load_volume(real("CT_small.dcm"))
    dataset = pydicom.dcmread(real("CT_small.dcm"))
    assert volume.shape == (1, 128, 128, 1) and volume.orientation == "LPS"
    assert volume.spacing == pytest.approx((0.661468, 0.661468, 5))
    np.testing.assert_allclose(volume.affine[:3, 3], (158.135803, 179.035797, -75.699997))
    np.testing.assert_array_equal(volume.data[0, :, :, 0].T.numpy(), dataset.pixel_array - 1024.0)


@pytest.mark.parametrize("name", ["RLE", "bigendian", "implicit", "padded", "expb", "jp2klossless", "jpeg_ls_lossless"])
@pytest.mark.filterwarnings("error")
def test_real_mr_is_the_same_in_every_transfer_syntax(name):
    path = real(f"MR_small_{name}.dcm")
    syntax = pydicom.dcmread(path).file_meta.TransferSyntaxUID
    if syntax.is_compressed and not pydicom.pixels.get_decoder(syntax).is_available:
        pytest.skip(f"no decoder for {syntax.name} is installed")
    volume, plain = load_volume(path), load_volume(real("MR_small.dcm"))
    assert torch.equal(volume.data, plain.data) and np.array_equal(volume.affine, plain.affine)
    assert volume.shape == (1, 64, 64, 1) and volume.spacing == pytest.approx((0.3125, 0.3125, 0.8))


@pytest.mark.parametrize("preamble", ["nothing", "no preamble", "no meta group"])
def test_files_without_preamble(tmp_path, preamble):
    content = real("MR_small_implicit.dcm").read_bytes()
    meta = 132 + 12 + int.from_bytes(content[140:144], "little")
    content = {"nothing": content, "no preamble": content[132:], "no meta group": content[meta:]}[preamble]
    (tmp_path / "slice").write_bytes(content)
    assert torch.equal(load_volume(tmp_path / "slice").data, load_volume(real("MR_small.dcm")).data)


def test_nothing_is_printed_or_warned(tmp_path, write_series, capfd, caplog):
    def sloppy(index, dataset):
        dataset.add_new("PatientBirthDate", "DA", "not a date")
        dataset.PatientName = "Ünïcode^Näme"  # with no character set declared

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path, edit=sloppy)
    caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_volume(tmp_path)
    assert capfd.readouterr() == ("", "") and not caplog.records
