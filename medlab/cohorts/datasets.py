"""One door to each dataset: the real one where `data_root` says where it lies, else the cohort that stands in for it.

Both give `medlab.data.samples.Sample`s with the same channels, labels and names of facts, so a lesson changes only
this argument. With a grid, real images are resampled onto it; without one they stay as they are on disk.
"""

import os

from medlab.cohorts import brats, cq500, dhcp, iseg, ixi, mrbrains
from medlab.cohorts.grid import Grid
from medlab.data.readers import read_brats, read_cq500, read_dhcp, read_iseg, read_ixi, read_mrbrains
from medlab.data.regrid import OnGrid
from medlab.data.samples import Samples

Root = str | os.PathLike | None


def open_brats(
    data_root: Root = None, *, subjects: int = 369, grid: Grid | None = None, seed: int = 0, strict: bool = True
) -> Samples:
    """BraTS 2018 to 2023, or `brats.BratsCohort`: T1, T1ce, T2, FLAIR; labels 1, 2, 4."""
    if data_root is not None:
        return _first(_on(read_brats(data_root, strict=strict), grid), subjects)
    return brats.BratsCohort(subjects, grid or brats.GRID, seed)


def open_cq500(
    data_root: Root = None, *, subjects: int = 491, grid: Grid | None = None, seed: int = 0, strict: bool = True
) -> Samples:
    """CQ500, or `cq500.Cq500Cohort`: CT in HU and findings; only the cohort has labels."""
    if data_root is not None:
        return _first(_on(read_cq500(data_root, strict=strict), grid, outside=-1024.0), subjects)
    return cq500.Cq500Cohort(subjects, grid or cq500.GRID, seed)


def open_dhcp(
    data_root: Root = None, *, subjects: int = 329, grid: Grid | None = None, seed: int = 0, strict: bool = True
) -> Samples:
    """dHCP's third release, or `dhcp.DhcpCohort`: T2, brain mask, age at scan; some subjects more than once."""
    if data_root is not None:
        return _first(_on(read_dhcp(data_root, strict=strict), grid), subjects)
    return dhcp.DhcpCohort(subjects, grid or dhcp.GRID, seed)


def open_ixi(
    data_root: Root = None,
    *,
    subjects: int = 581,
    grid: Grid | None = None,
    seed: int = 0,
    channels: tuple[str, ...] = ("T1",),
    strict: bool = True,
) -> Samples:
    """IXI, or `ixi.IxiCohort`: T1, T2, PD as asked for; age, sex and site."""
    if data_root is not None:
        return _first(_on(read_ixi(data_root, channels=channels, strict=strict), grid), subjects)
    return ixi.IxiCohort(subjects, grid or ixi.GRID, seed, channels)


def open_iseg(
    data_root: Root = None, *, subjects: int = 10, grid: Grid | None = None, seed: int = 0, strict: bool = True
) -> Samples:
    """iSEG 2017's training set, or `iseg.IsegCohort`: T1, T2 at six months; labels 1 to 3."""
    if data_root is not None:
        return _first(_on(read_iseg(data_root, strict=strict), grid), subjects)
    return iseg.IsegCohort(subjects, grid or iseg.GRID, seed)


def open_mrbrains(
    data_root: Root = None, *, subjects: int = 7, grid: Grid | None = None, seed: int = 0, strict: bool = True
) -> Samples:
    """MRBrainS 2018's training set, or `mrbrains.MrbrainsCohort`: T1, T1-IR, FLAIR in thick slices; labels 1 to 3."""
    if data_root is not None:
        return _first(_on(read_mrbrains(data_root, strict=strict), grid), subjects)
    return mrbrains.MrbrainsCohort(subjects, grid or mrbrains.GRID, seed)


def _on(samples: Samples, grid: Grid | None, outside: float = 0.0) -> Samples:
    return samples if grid is None else OnGrid(samples, grid.shape, grid.spacing_mm, outside=outside)


def _first(samples: Samples, subjects: int) -> Samples:
    """The samples of the first so many subjects."""
    wanted = set(list(dict.fromkeys(samples.subjects))[:subjects])
    if len(wanted) == len(set(samples.subjects)):
        return samples
    return samples.choose([index for index, subject in enumerate(samples.subjects) if subject in wanted])
