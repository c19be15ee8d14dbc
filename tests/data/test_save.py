"""save_volume: what is written comes back, and what was there before survives every accident."""

import gzip
import os
import stat

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import medlab.data.io
from medlab.data import Volume, VolumeError, load_volume, save_volume


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_round_trip(tmp_path, oblique, name, channels):
    data = torch.randn(channels, 3, 4, 5, generator=torch.Generator().manual_seed(channels))
    path = save_volume(Volume(data, oblique), tmp_path / name)
    again = load_volume(path)
    assert torch.equal(again.data, data) and again.name == "scan"
    np.testing.assert_allclose(again.affine, oblique, rtol=1e-6)
    assert os.listdir(tmp_path) == [name]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8),
    packed=st.booleans(),
)
def test_every_float_comes_back_bit_for_bit(tmp_path, values, packed):
    data = torch.tensor(values, dtype=torch.float32).reshape(1, 2, 2, 2)
    path = save_volume(Volume(data), tmp_path / ("a.nii.gz" if packed else "a.nii"))
    assert load_volume(path).data.numpy().tobytes() == data.numpy().tobytes()


def test_nibabel_reads_the_same(tmp_path, volume):
    image = nib.load(save_volume(volume, tmp_path / "scan.nii.gz"))
    np.testing.assert_array_equal(image.get_fdata(), volume.data.permute(1, 2, 3, 0).numpy())
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(affine, volume.affine, atol=1e-5)
        assert code == 1
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms()[:3], volume.spacing, rtol=1e-6)


def test_sheared_volume_has_an_sform_only(tmp_path):
    affine = np.eye(4)
    affine[1, 2] = 0.4
    path = save_volume(Volume(torch.ones(1, 2, 2, 2), affine), tmp_path / "tilted.nii")
    assert nib.load(path).get_qform(coded=True)[1] == 0
    np.testing.assert_allclose(load_volume(path).affine, affine, rtol=1e-6)


def test_long_axis_makes_nifti_2(tmp_path):
    path = save_volume(Volume(torch.arange(33000.0).reshape(1, 1, 1, -1)), tmp_path / "long.nii.gz")
    assert gzip.decompress(path.read_bytes())[:4] == (540).to_bytes(4, "little")
    assert load_volume(path).data.flatten()[-1] == 32999


def test_strided_and_learning_tensors_are_saved(tmp_path):
    data = torch.randn(2, 3, 4, 5).permute(0, 3, 1, 2).requires_grad_()
    assert torch.equal(load_volume(save_volume(Volume(data), tmp_path / "a.nii")).data, data.detach())


def test_same_volume_same_bytes(tmp_path, volume):
    one, two = (save_volume(volume, tmp_path / name).read_bytes() for name in ("one.nii.gz", "two.nii.gz"))
    assert one == two


def test_replaces_and_keeps_usual_permissions(tmp_path, volume):
    path = tmp_path / "scan.nii"
    path.write_text("old")
    save_volume(volume, path)
    assert load_volume(path).shape == volume.shape
    other = tmp_path / "plain"
    other.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_writes_through_a_link(tmp_path, volume):
    target, link = tmp_path / "target.nii", tmp_path / "link.nii"
    target.write_text("old")
    link.symlink_to(target)
    save_volume(volume, link)
    assert link.is_symlink() and load_volume(target).shape == volume.shape


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("moment", ["while writing", "before the rename"])
def test_interrupted(tmp_path, volume, monkeypatch, name, error, moment):
    path = save_volume(volume, tmp_path / name)
    old = path.read_bytes()

    def stop(*arguments):
        raise error

    class Halfway:
        def __init__(self, image):
            self.content = image.to_bytes()

        def to_stream(self, file):
            file.write(self.content[: len(self.content) // 2])
            file.flush()
            stop()

    if moment == "while writing":
        whole = medlab.data.io._image
        monkeypatch.setattr(medlab.data.io, "_image", lambda volume: Halfway(whole(volume)))
    else:
        monkeypatch.setattr(medlab.data.io.os, "replace", stop)
    with pytest.raises(error):
        save_volume(Volume(torch.ones(1, 2, 2, 2)), path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == [name]


def test_full_disk_is_a_sentence(tmp_path, volume, monkeypatch, one_sentence):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(medlab.data.io.os, "fsync", full)
    with pytest.raises(VolumeError, match=r"cannot be written .*No space left") as caught:
        save_volume(volume, tmp_path / "scan.nii")
    one_sentence(caught.value, tmp_path / "scan.nii")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("scan.mha", VolumeError, "ends in .mha, expected .nii or .nii.gz"),
        ("scan", VolumeError, "ends in nothing"),
        ("scan.gz", VolumeError, "ends in .gz"),
        ("missing/scan.nii", FileNotFoundError, "there is no folder"),
        ("folder.nii", VolumeError, "it is a folder"),
    ],
)
def test_refuses(tmp_path, volume, one_sentence, name, kind, message):
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(kind, match=message) as caught:
        save_volume(volume, tmp_path / name)
    one_sentence(caught.value, tmp_path / name)
