"""2,000 damaged NIfTI headers: a clear error or a right image, never anything else, and nothing large or slow."""

import gzip
import io
import logging
import sys
import time
import warnings

import nibabel as nib
import numpy as np
import pytest

from medlab.data import Volume, VolumeError, load_volume

resource = pytest.importorskip("resource", reason="the system does not measure memory this way")

COUNT = 2000
SECONDS = 2.0  # for one file, on a busy machine; the usual time is one millisecond
MEGABYTES = 64
EXTREMES = {
    "i": [0, 1, -1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, -32768, 2**31 - 1, -(2**31), 2**62, -(2**63)],
    "f": [0, 1, -1, 0.5, 351, 352, 353, 368, 1e-45, 1e-30, 1e30, -1e30, 3e38, np.inf, -np.inf, np.nan],
}


def originals(nifti) -> list[tuple[bytes, np.dtype]]:
    comment = (32).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"a comment of 24 bytes.\0\0"
    qform = {"sform_code": 0, "qform_code": 1, "quatern_b": 0.3, "quatern_c": 0.2, "qoffset_x": -7}
    return [
        (nifti(size=size, order=order, **more), make.template_dtype.newbyteorder(order))
        for size, make in ((348, nib.Nifti1Header), (540, nib.Nifti2Header))
        for order in "<>"
        for more in (
            {},
            {"kind": "u1", "shape": (3, 4, 5, 2), **qform},
            {"kind": "f4", "scl_slope": 2, "scl_inter": -1, **({"extension": comment} if order == "<" else {})},
            {"kind": "i2", "xyzt_units": 3, "shape": (2, 3, 4, 1, 2)},
        )
    ]


def mutate(content: bytes, layout: np.dtype, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.integers(1, 4)):
        how = random.integers(5)
        if how == 0:  # any byte of the header or of its first extension
            damaged[random.integers(min(layout.itemsize + 16, len(damaged)))] = random.integers(256)
        elif how == 1:  # one bit
            damaged[random.integers(min(layout.itemsize, len(damaged)))] ^= 1 << random.integers(8)
        elif how <= 3 and len(damaged) >= layout.itemsize:  # an extreme value in a field
            header = np.frombuffer(bytes(damaged[: layout.itemsize]), layout).copy()
            field = layout.names[random.integers(len(layout.names))]
            values = header[field].reshape(-1)
            if values.dtype.kind in EXTREMES:
                value = EXTREMES[values.dtype.kind][random.integers(len(EXTREMES[values.dtype.kind]))]
                if values.dtype.kind == "i":
                    limits = np.iinfo(values.dtype)
                    value = min(max(value, limits.min), limits.max)
                values[random.integers(len(values))] = value
                damaged[: layout.itemsize] = header.tobytes()
        elif how == 4 and random.random() < 0.3:  # shorter or longer
            damaged = damaged[: random.integers(len(damaged)) + 1] if random.random() < 0.7 else damaged + bytes(700)
    return bytes(damaged)


def assert_right(volume: Volume, content: bytes) -> None:
    """The image is what nibabel makes of the same bytes; its lengths are in mm, nibabel's as they are."""
    make = (
        nib.Nifti1Image
        if 348 in (int.from_bytes(content[:4], order) for order in ("little", "big"))
        else nib.Nifti2Image
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        image = make.from_stream(io.BytesIO(content))
        values = np.asarray(image.dataobj, dtype=np.float64)
    unit = {1: 1000, 3: 0.001}.get(int(image.header["xyzt_units"]) & 7, 1)
    assert volume.shape[1:] == image.shape[:3]
    np.testing.assert_allclose(volume.affine[:3], image.affine[:3] * unit, rtol=1e-12)
    ours = volume.data.permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(ours, values.reshape(ours.shape), rtol=2e-6, atol=1e-37)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@pytest.mark.filterwarnings("error")
def test_two_thousand_mutants(tmp_path, nifti, one_sentence, capfd, caplog):
    caplog.set_level(logging.CRITICAL + 1, "nibabel.global")  # the oracle's own remarks
    random = np.random.default_rng(20261)
    sources = originals(nifti)
    right = refused = 0
    for content, _ in sources:  # whole files first: they also warm up what is allocated once
        path = tmp_path / "whole.nii"
        path.write_bytes(content)
        assert_right(load_volume(path), content)

    before = peak_megabytes()
    for number in range(COUNT):
        content, layout = sources[random.integers(len(sources))]
        content = mutate(content, layout, random)
        packed = random.random() < 0.5
        path = tmp_path / f"{number}.nii{'.gz' if packed else ''}"
        written = gzip.compress(content, 1) if packed else content
        if packed and random.random() < 0.1:
            written = written[: random.integers(1, len(written))]
        path.write_bytes(written)
        start = time.perf_counter()
        try:
            volume = load_volume(path)
        except VolumeError as error:
            one_sentence(error, path)
            refused += 1
        else:
            assert_right(volume, content)
            right += 1
        assert time.perf_counter() - start < SECONDS, path
        path.unlink()

    assert right + refused == COUNT
    assert right > 500 and refused > 500, (right, refused)
    assert peak_megabytes() - before < MEGABYTES
    assert capfd.readouterr() == ("", "")
