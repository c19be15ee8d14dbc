"""BraTS 2018 to 2023: gliomas in four MR sequences, skull-stripped, 1 mm, with the tumour's parts as label.

2018, 2019  HGG/BraTS19_CBICA_AAB_1/BraTS19_CBICA_AAB_1_t1ce.nii.gz, and the same below LGG/
2020        BraTS20_Training_001/BraTS20_Training_001_t1ce.nii, name_mapping.csv, survival_info.csv
2021        BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz
2023        BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz, a patient and the patient's time point
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from medlab.data.errors import VolumeError
from medlab.data.readers.folder import (
    NIFTI,
    Collector,
    FolderSamples,
    find_file,
    find_folders,
    image_stem,
    listing,
    only,
)
from medlab.data.readers.prepare import fit_to_shape
from medlab.data.readers.scan import Scan
from medlab.data.readers.table import Row, Table, is_unknown
from medlab.data.samples import Sample
from medlab.data.transforms import percentile_scale

CHANNELS = ("T1", "T1ce", "T2", "FLAIR")
LABEL_NAMES = {
    0: "background",
    1: "necrotic and non-enhancing tumour core",
    2: "peritumoral oedema",
    4: "enhancing tumour",
}
LAYOUT = "a folder for each patient as BraTS 2018 to 2023 have them, such as BraTS20_Training_001"
CASE = re.compile(r"brats(?:(?:18|19)_\w+|20_(?:training|validation)_\d+|2021_\d+|-(?:gli|ssa)-\d+-\d+)", re.IGNORECASE)
NEW = re.compile(r"(brats-\w+-\d+)-(\d+)", re.IGNORECASE)  # since 2023: patient, time point
ENDINGS = {"T1": ("_t1", "-t1n"), "T1ce": ("_t1ce", "-t1c"), "T2": ("_t2", "-t2w"), "FLAIR": ("_flair", "-t2f")}
OLD_VALUES = {0: 0, 1: 1, 2: 2, 4: 4}
NEW_VALUES = {0: 0, 1: 1, 2: 2, 3: 4}  # since 2023 enhancing tumour is 3 in the files; a 4 is the cavity of 2024
GRADES = {"hgg": "HGG", "lgg": "LGG"}
AGE_YEARS = (0.0, 120.0)  # of a patient who is alive


def read_brats(
    folder: str | os.PathLike, *, strict: bool = True, check: str = "headers", labelled: bool = True
) -> FolderSamples:
    """The patients of a BraTS training or validation folder of 2018 to 2023.

    folder: the unpacked archive, or a folder with it at most two levels down. strict: raise at the first fault; else
    the patient is left out and listed in `left_out`. check: "names", "headers" or "voxels", what is looked at
    beforehand (see `Collector`); voxels take seconds a patient. labelled: refuse a patient without segmentation; else,
    for validation folders, the label of such a patient is None.

    Samples: channels T1, T1ce, T2, FLAIR; label 0, 1, 2, 4 (`LABEL_NAMES`), whatever the year; facts grade ("HGG" or
    "LGG", from the folder or name_mapping.csv), age_years and survival_days, where they are known. A file with another
    name is taken for the segmentation where it is the only one with "seg" in its name (BraTS20_Training_355 has such).
    Source: Menze et al. 2015, Bakas et al. 2017 and 2018, Baid et al. 2021.
    Raises FileNotFoundError where the folder is missing, VolumeError (one sentence, naming patient and file) otherwise.
    """
    found = Collector("BraTS", folder, LAYOUT, strict=strict, check=check, label_names=LABEL_NAMES)
    grades, survival = _grades(found.root), _survival(found.root)
    for case in find_folders(found.root, CASE):
        new = NEW.fullmatch(case.name)
        subject = new[1] if new else case.name
        with found.subject(subject):
            facts = _grade(case, *grades) | _age(case.name, *survival)
            found.add(
                Scan(
                    subject=subject,
                    session=new[2] if new else "",
                    images={channel: _sequence(case, channel) for channel in CHANNELS},
                    label=_segmentation(case, labelled),
                    label_values=NEW_VALUES if new else OLD_VALUES,
                    facts=facts,
                )
            )
    return found.samples()


def normalise(sample: Sample, *, low: float = 1, high: float = 99, size: int | None = 256) -> Sample:
    """Intensities of each sequence in [0, 1] and a cube of voxels, as PatchDDM wants them.

    The low and the high percentile of the voxels that are not 0 (the brain) become 0 and 1, clipped beyond; the
    background stays 0. size: voxels along each side after padding with 0 on both sides, None for no padding.
    Source: Bieder et al. 2024, section 3, "Dataset", which does not say over which voxels the percentiles go: over all
    of them, two thirds of which are background, the low one would always be 0. Raises VolumeError where the image is
    larger than size.
    """
    image = sample.image
    if size is not None and max(image.shape[1:]) > size:
        found = " x ".join(map(str, image.shape[1:]))
        raise VolumeError(
            f"subject {sample.subject}: the image measures {found}, expected {size} at most along each side"
        )
    scaled = []
    for name, values in zip(sample.channels, image.data, strict=True):
        brain = values != 0
        if not brain.any():
            raise VolumeError(f"subject {sample.subject}: {name} is 0 everywhere, expected a brain")
        scaled.append(percentile_scale(values, low, high, brain) * brain)
    sample = replace(sample, image=image.with_data(torch.stack(scaled)))
    return sample if size is None else fit_to_shape(sample, (size, size, size))


def _sequence(case: Path, channel: str) -> Path:
    files = [path for path in _images(case) if image_stem(path).lower().endswith(ENDINGS[channel])]
    old, new = ENDINGS[channel]
    return only(files, channel, case, f"one file that ends in {old}.nii or {new}.nii (or .nii.gz)")


def _segmentation(case: Path, needed: bool) -> Path | None:
    files = [path for path in _images(case) if re.search(r"[_-]seg$", image_stem(path), re.IGNORECASE)]
    files = files or [path for path in _images(case) if "seg" in path.name.lower().removeprefix(case.name.lower())]
    if not files and not needed:
        return None
    return only(files, "segmentation", case, "one file that ends in _seg.nii or -seg.nii (or .nii.gz)")


def _images(case: Path) -> list[Path]:
    return [path for path in listing(case) if path.name.lower().endswith(NIFTI)]


def _grades(root: Path) -> tuple[Table | None, dict[str, list[Row]]]:
    """The rows of name_mapping.csv by each of a patient's names, one for each year."""
    path = find_file(root, re.compile(r"name_mapping\.csv", re.IGNORECASE))
    if path is None:
        return None, {}
    names = re.compile(r"brats_\d+_subject_id", re.IGNORECASE)
    table = Table(path, "Grade", names)
    rows: dict[str, list[Row]] = {}
    for column in filter(names.fullmatch, table.columns):
        for name, found in table.by(lambda row, column=column: "" if is_unknown(row[column]) else row[column]).items():
            rows.setdefault(name, []).extend(row for row in found if row not in rows.get(name, []))
    return table, rows


def _grade(case: Path, table: Table | None, rows: Mapping[str, list[Row]]) -> dict[str, object]:
    name, stated = case.name, GRADES.get(case.parent.name.lower())
    listed = None
    if table is not None and name in rows:
        listed = table.choice(table.one(rows[name], name), "Grade", name, GRADES)
    if stated and listed and stated != listed:
        raise VolumeError(
            f"subject {name}: it lies in the folder {stated} but {table.path} says {listed}, expected one"
        )
    grade = stated or listed
    return {"grade": grade} if grade else {}


def _survival(root: Path) -> tuple[Table | None, dict[str, list[Row]]]:
    """The rows of survival_info.csv (2020) or survival_data.csv (2018, 2019) by patient."""
    path = find_file(root, re.compile(r"survival_(?:info|data)\.csv", re.IGNORECASE))
    if path is None:
        return None, {}
    table = Table(path, re.compile(r"(?i)brats\d*_?id"), "Age")
    key = table.column(re.compile(r"(?i)brats\d*_?id"))
    return table, table.by(lambda row: row[key])


def _age(name: str, table: Table | None, rows: Mapping[str, list[Row]]) -> dict[str, object]:
    if table is None or name not in rows:
        return {}
    row = table.one(rows[name], name)
    age = table.number(row, "Age", name, *AGE_YEARS, "years")
    facts: dict[str, object] = {} if age is None else {"age_years": age}
    days = next((row[column] for column in ("Survival_days", "Survival") if column in row), "")
    # Some say "ALIVE (361 days later)": then the number is not the survival.
    return facts | ({"survival_days": int(days)} if days.isdigit() else {})
