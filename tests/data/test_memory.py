"""Absurd sizes are refused before memory is taken: shown in a process that may not have it."""

import gzip
import subprocess
import sys
import zlib

import pytest

pytest.importorskip("resource", reason="the system cannot limit a process's memory this way")

# The limit holds for addresses, so even memory that is asked for and never touched would break it.
SCRIPT = """
import resource, sys
from medlab.data import VolumeError, load_volume
import medlab.data.dicom
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
for path in sys.argv[1:]:
    try:
        print(load_volume(path))
    except VolumeError as error:
        print("refused:", error)
"""


def bomb(header: bytes, size: int) -> bytes:
    """A gzip file of a header and of `size` zeros, made without holding them."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(2**20)
    parts = [packer.compress(header)] + [packer.compress(block) for _ in range(size // 2**20)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps this limit and tells its use")
def test_no_gigabytes(tmp_path, nifti, write_series):
    files = {
        "sizes.nii": nifti(shape=(800, 800, 800), kind="f4", data=b"\0" * 100),
        "sizes.nii.gz": gzip.compress(nifti(shape=(800, 800, 800), kind="f4", data=b"\0" * 100)),
        "sizes2.nii": nifti(size=540, shape=(2**20, 2**20, 2**20), data=b"", dim={1: 2**21}),
        "bomb.nii.gz": bomb(nifti(shape=(10, 10, 10), data=b""), 2**28),
        "offset.nii.gz": bomb(nifti(vox_offset=2**26, data=b""), 2**27),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def enormous(index, dataset):
        dataset.Rows = dataset.Columns = 65535

    write_series(tmp_path / "series", edit=enormous)
    write_series(tmp_path / "slice", count=1, edit=enormous)

    def large(index, dataset):
        dataset.Rows = dataset.Columns = 20000  # within the budget of voxels, beyond what the file can hold

    write_series(tmp_path / "large", count=1, edit=large)
    paths = [tmp_path / name for name in files]
    paths += [tmp_path / "series", tmp_path / "slice" / "0.dcm", tmp_path / "large"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, paths)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths) and all(line.startswith("refused:") for line in lines), done.stdout
    assert done.stderr == ""
