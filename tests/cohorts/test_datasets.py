"""One door to each dataset: a folder in its layout where data_root says so, else the cohort that stands in for it."""

import numpy as np
import pytest

from medlab.cohorts import datasets
from medlab.cohorts.grid import Grid
from medlab.data import VolumeError
from medlab.data.samples import Sample
from tests.data.readers import trees

SMALL = Grid.cube(16)
# The door, the writer of a tree, what else it is given, and the size of an image on disk.
REAL = {
    "brats": (datasets.open_brats, trees.brats_2020, {}, trees.SHAPE),
    "cq500": (datasets.open_cq500, trees.cq500, {}, (4, 6, 5)),
    "dhcp": (datasets.open_dhcp, trees.dhcp, {}, trees.SHAPE),
    "ixi": (datasets.open_ixi, trees.ixi, {"channels": ("T1", "T2")}, trees.SHAPE),
    "iseg": (datasets.open_iseg, trees.iseg, {}, trees.SHAPE),
    "mrbrains": (datasets.open_mrbrains, trees.mrbrains, {}, trees.SHAPE),
}
# Facts that only the real dataset has, and those that only its stand-in has; all others bear the same names.
ONLY_REAL = {"brats": {"survival_days"}, "cq500": {"votes", "series"}, "ixi": {"field_t"}}
ONLY_MADE = {"cq500": {"age_years"}, "iseg": {"age_months"}, "mrbrains": {"age_years"}}


@pytest.fixture(autouse=True)
def kept_here(tmp_path, monkeypatch):
    """Samples go to a folder of this test; the head model stays where it is."""
    from medlab.cohorts import cohort

    monkeypatch.setattr(cohort, "cache_folder", lambda: tmp_path / "cache")


def opened(name: str, root, **options):
    door, _, more, _ = REAL[name]
    return door(root, **more, **options)


@pytest.mark.parametrize("name", REAL)
def test_a_folder_is_read_as_it_lies_on_disk(name, tmp_path):
    found = opened(name, REAL[name][1](tmp_path))
    assert len(set(found.subjects)) == 3 and not any("synthetic" in subject for subject in found.subjects)
    sample = found[0]
    assert isinstance(sample, Sample) and sample.image.shape[1:] == REAL[name][3]
    assert sample.subject == found.subjects[0] and dict(sample.facts) == dict(found.facts(0))


@pytest.mark.parametrize("name", REAL)
def test_with_a_grid_the_folder_gives_the_format_of_the_stand_in(name, tmp_path):
    grid = Grid((20, 22, 24), (1.5, 1.0, 2.0))
    stand_in = opened(name, None, subjects=2, grid=SMALL)
    real = opened(name, REAL[name][1](tmp_path), grid=grid)
    sample, made = real[0], stand_in[0]
    assert sample.image.shape[1:] == grid.shape and np.allclose(sample.image.spacing, grid.spacing_mm)
    assert sample.channels == made.channels and sample.image.orientation == made.image.orientation == "RAS"
    assert sample.mask is None or made.mask is not None  # the cohort always knows the brain, where it has a mask at all
    if sample.label is not None:
        assert set(sample.label_names) == set(made.label_names)
        assert set(sample.label.unique().tolist()) <= set(made.label_names)
    else:
        assert made.label is None or name == "cq500"  # only the cohort knows where the bleeds are
    known = set().union(*(real.facts(index) for index in range(len(real))))
    assert known - set(made.facts) == ONLY_REAL.get(name, set())
    assert set(made.facts) - known == ONLY_MADE.get(name, set())
    if name == "cq500":
        assert float(sample.image.data[0, 0, 0, 0]) == -1024  # air, not water, lies beyond a CT


@pytest.mark.parametrize("name", REAL)
def test_without_a_folder_a_stand_in_says_that_it_is_one(name):
    found = opened(name, None, subjects=2, grid=SMALL, seed=3)
    assert len(set(found.subjects)) == 2 and all("synthetic" in subject for subject in found.subjects)
    assert found.seed == 3 and found.grid == SMALL
    other = opened(name, None, subjects=2, grid=SMALL, seed=4)
    assert found.folder != other.folder


@pytest.mark.parametrize(("name", "count"), [("dhcp", 3), ("iseg", 2)])
def test_the_first_so_many_subjects_come_with_all_their_scans(name, count, tmp_path):
    found = opened(name, REAL[name][1](tmp_path), subjects=2)
    assert len(found) == count and len(set(found.subjects)) == 2  # one newborn of the two was scanned twice
    everybody = opened(name, tmp_path, subjects=99)
    assert len(set(everybody.subjects)) == 3
    assert found.subjects == everybody.subjects[:count]


def test_a_damaged_subject_is_refused_or_left_out(tmp_path):
    root = trees.brats_2020(tmp_path)
    next(root.rglob("BraTS20_Training_002_t2.nii")).unlink()
    with pytest.raises((VolumeError, FileNotFoundError), match="BraTS20_Training_002"):
        datasets.open_brats(root)
    found = datasets.open_brats(root, strict=False, grid=SMALL)
    assert len(found) == 2 and [one.subject for one in found.left_out] == ["BraTS20_Training_002"]


@pytest.mark.parametrize("name", REAL)
def test_a_folder_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        opened(name, tmp_path / "nowhere")
