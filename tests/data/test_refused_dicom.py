"""DICOM that is not one regular series of slices of one number a pixel: refused, each with its sentence."""

import gzip
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from medlab.data import VolumeError, load_volume


def put(at=2, **elements):
    """Change elements of one slice (of all with at=None); None takes an element away."""

    def edit(index, dataset):
        if at in (None, index):
            for key, value in elements.items():
                if value is None:
                    delattr(dataset, key)
                else:
                    setattr(dataset, key, value)

    return edit


def leave_out(*indices):
    return lambda index, dataset: index not in indices


def move(by, at=2):
    def edit(index, dataset):
        if index == at:
            position = np.array(dataset.ImagePositionPatient, float)
            normal = np.cross(*np.array(dataset.ImageOrientationPatient, float).reshape(2, 3))
            dataset.ImagePositionPatient = [f"{part:.7f}" for part in position + by * normal]

    return edit


def raw(key, vr, text):
    """An element whose value pydicom itself would not write."""

    def edit(index, dataset):
        if index == 2:
            tag = pydicom.datadict.tag_for_keyword(key)
            dataset[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(text), text, 0, False, True)

    return edit


def frames(index, dataset):
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3


def colours(index, dataset):
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.PixelData = dataset.PixelData * 3


def table(index, dataset):
    item = pydicom.Dataset()
    item.LUTDescriptor = [2, 0, 16]
    dataset.ModalityLUTSequence = [item]


SERIES = {
    "two series": (put(SeriesInstanceUID=generate_uid()), "holds 2 series, expected one"),
    "missing slice": (leave_out(2), "a slice is missing"),
    "two missing slices": (leave_out(2, 3), "a slice is missing"),
    "uneven distances": (move(0.4), "mm off its place, expected slices at equal distances"),
    "a repeated place": (move(2.5), "lie at the same place"),
    "another matrix": (put(Rows=4, Columns=6), "the slice has size 6 4, expected 4 6"),
    "another pixel spacing": (put(PixelSpacing=[0.8, 0.9]), "the slice has pixel spacing"),
    "another orientation": (put(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "the slice has orientation"),
    "axes not at right angles": (put(None, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), "at right angles"),
    "axes not of unit length": (put(None, ImageOrientationPatient=[2, 0, 0, 0, 1, 0]), "two unit vectors"),
    "zero axes": (put(None, ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "two unit vectors"),
    "no position": (put(ImagePositionPatient=None), "ImagePositionPatient is absent, expected 3 finite numbers"),
    "no orientation": (put(ImageOrientationPatient=None), "ImageOrientationPatient is absent, expected 6"),
    "no pixel spacing": (put(PixelSpacing=None), "PixelSpacing is absent, expected 2 finite numbers"),
    "zero pixel spacing": (put(PixelSpacing=[0, 1]), "PixelSpacing is .0, 1.*expected 2 finite numbers of 1e-06"),
    "negative pixel spacing": (put(PixelSpacing=[-1, 1]), "PixelSpacing is .-1, 1"),
    "two numbers of a position": (put(ImagePositionPatient=[1, 2]), "ImagePositionPatient is .1, 2., expected 3"),
    "NaN in a position": (raw("ImagePositionPatient", "DS", b"0\\nan\\0 "), "ImagePositionPatient is .0, nan, 0"),
    "words for a spacing": (raw("PixelSpacing", "DS", b"wide\\tall "), "PixelSpacing is not of numbers"),
    "no rows": (put(Rows=None), "Rows is absent"),
    "zero rows": (put(None, Rows=0), "Rows is .0., expected 1 finite number of 1 or more"),
    "zero slope": (put(RescaleSlope=0), "RescaleSlope is 0"),
    "infinite slope": (raw("RescaleSlope", "DS", b"inf "), "RescaleSlope is"),
    "slope beyond float32": (put(RescaleSlope=1e300), "NaN or infinite"),
    "several frames": (frames, "multi-frame file of 3 frames, expected one slice a file"),
    "colours": (colours, "'RGB' with 3 samples, expected 'MONOCHROME2'"),
    "palette": (put(None, PhotometricInterpretation="PALETTE COLOR"), "'PALETTE COLOR'"),
    "no photometric interpretation": (put(PhotometricInterpretation=None), "of no stated kind"),
    "absurd size": (put(None, Rows=10000, Columns=10000), "describes 10000 x 10000 pixels, expected no more"),
    "inverted": (put(PhotometricInterpretation="MONOCHROME1"), "'MONOCHROME1' with 1"),
    "a lookup table": (table, "ModalityLUTSequence"),
    "ultrasound": (put(None, Modality="US"), "Modality is 'US', expected CT, MR, PT"),
    "no modality": (put(Modality=None), "Modality is absent"),
    "no pixels": (put(PixelData=None), "it holds no pixels"),
    "pixels cut off": (put(PixelData=bytes(46)), "its pixels end after 46 bytes, expected 48"),
    "odd bit depth": (put(BitsAllocated=24, PixelData=bytes(72)), "cannot be read"),
    "a kilometre of voxel": (put(None, PixelSpacing=[1e6, 1e6]), "voxels measure"),
}


@pytest.mark.parametrize("case", SERIES)
@pytest.mark.filterwarnings("error")
def test_refuses_series(tmp_path, write_series, one_sentence, case):
    edit, message = SERIES[case]
    write_series(tmp_path / "head", edit=edit)
    with pytest.raises(VolumeError, match=message) as caught:
        load_volume(tmp_path / "head")
    one_sentence(caught.value, tmp_path / "head")


def test_tilted_gantry(tmp_path, write_series, one_sentence):
    write_series(tmp_path, shear=(0.0, 0.9))
    with pytest.raises(VolumeError, match=r"leans by 19\.8 degrees.*expected a straight one") as caught:
        load_volume(tmp_path)
    one_sentence(caught.value, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("9.dcm", b"", "the file is empty"),
        ("9", b"", "the file is empty"),
        ("9.dcm", b"not an image", "it is not DICOM"),
        ("9.dcm", bytes(128) + b"DICM", "cannot be read|Modality is absent"),
        ("9.dcm", bytes(128) + b"DICM" + b"\xff" * 400, "cannot be read|Modality is absent"),
        ("9.dcm.gz", gzip.compress(b"x", mtime=0), "it is gzipped"),
    ],
)
def test_refuses_a_series_with_something_else_among_its_slices(
    tmp_path, write_series, one_sentence, name, content, message
):
    write_series(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError, match=message) as caught:
        load_volume(tmp_path)
    one_sentence(caught.value, tmp_path / name)


def test_link_to_nothing_among_the_slices(tmp_path, write_series, one_sentence):
    write_series(tmp_path)
    (tmp_path / "5.dcm").symlink_to(tmp_path / "gone.dcm")
    with pytest.raises(VolumeError, match="a link to nothing") as caught:
        load_volume(tmp_path)
    one_sentence(caught.value, tmp_path / "5.dcm")


def test_single_slice_without_thickness(tmp_path, write_series, one_sentence):
    write_series(tmp_path, count=1, edit=put(0, SliceThickness=None))
    for path in (tmp_path, tmp_path / "0.dcm"):
        with pytest.raises(VolumeError, match="SliceThickness is absent, expected the thickness") as caught:
            load_volume(path)
        one_sentence(caught.value, path)


def test_budget(tmp_path, write_series, one_sentence):
    write_series(tmp_path)
    with pytest.raises(VolumeError, match="120 voxels, expected 119 at most") as caught:
        load_volume(tmp_path, max_voxels=119)
    one_sentence(caught.value, tmp_path)


REAL = {
    "MR_truncated.dcm": "its pixels end after 8130 bytes, expected 8192",
    "image_dfl.dcm": "deflated as a whole",
    "rtplan.dcm": "Modality is 'RTPLAN'",
    "rtdose_1frame.dcm": "Modality is 'RTDOSE'",
    "SC_rgb_small_odd.dcm": "Modality is 'OT'",
    "examples_palette.dcm": "Modality is 'US'",
    "DICOMDIR-bigEnd": "Modality is absent",
    "zipMR.gz": "it is gzipped, expected a DICOM slice",
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("error")
def test_refuses_real_files(one_sentence, name):
    found = get_testdata_file("dicomdirtests/" + name if name.startswith("DICOMDIR") else name, download=False)
    if found is None:
        pytest.skip("this pydicom does not carry the file")
    with pytest.raises(VolumeError, match=REAL[name]) as caught:
        load_volume(found)
    one_sentence(caught.value, Path(found))


def test_compression_without_decoder(one_sentence, monkeypatch):
    path = Path(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))

    class Missing:
        is_available = False

    monkeypatch.setattr("medlab.data.dicom.get_decoder", lambda syntax: Missing)
    with pytest.raises(VolumeError, match=r"compressed as JPEG-LS Lossless.*expected a compression") as caught:
        load_volume(path)
    one_sentence(caught.value, path)


@pytest.mark.filterwarnings("error")
def test_mutated_files_are_refused_or_right(tmp_path, one_sentence, capfd):
    """600 damaged DICOM files: a VolumeError or a finite image of the stated size, nothing else."""
    random = np.random.default_rng(5)
    names = ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "CT_small.dcm")
    sources = [Path(get_testdata_file(name, download=False)).read_bytes() for name in names]
    refused = 0
    for number in range(600):
        content = bytearray(sources[number % len(sources)])
        for _ in range(random.integers(1, 6)):
            content[random.integers(128, 2000)] = random.integers(256)
        if random.random() < 0.2:
            content = content[: random.integers(len(content))]
        path = tmp_path / "slice.dcm"
        path.write_bytes(content)
        try:
            volume = load_volume(path)
        except VolumeError as error:
            one_sentence(error, path)
            refused += 1
        else:
            assert volume.shape[0] == volume.shape[3] == 1
    assert 100 < refused < 550, refused
    assert capfd.readouterr() == ("", "")
