"""IXI: some 600 healthy adults from three London hospitals, in T1, T2 and proton density, with age and sex.

IXI002-Guys-0828-T1.nii.gz, all in one folder or in one for each sequence
IXI.xls, a workbook, to be saved as IXI.csv
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from medlab.data.errors import VolumeError
from medlab.data.readers.folder import NIFTI, Collector, FolderSamples, find_file, listing, only
from medlab.data.readers.scan import Scan
from medlab.data.readers.table import Row, Table

SEQUENCES = ("T1", "T2", "PD")
SITES = {"guys": ("Guys", 1.5), "hh": ("HH", 3.0), "iop": ("IOP", 1.5)}  # hospital and its scanner's field in T
LAYOUT = "files such as IXI002-Guys-0828-T1.nii.gz"
NAME = re.compile(r"(IXI\d+)-([A-Za-z]+)-(\d+)-(T1|T2|PD)\.nii(?:\.gz)?", re.IGNORECASE)
SEX = {"1": "male", "2": "female", "1.0": "male", "2.0": "female", "m": "male", "f": "female"}
SEX_COLUMN = re.compile(r"(?i)sex(_id)?( ?\(.*\))?")
AGE_YEARS = (10.0, 110.0)  # round: the youngest in the table is 19, the oldest 90
SAME_AGE_YEARS = 0.01


def read_ixi(
    folder: str | os.PathLike,
    *,
    channels: tuple[str, ...] = ("T1",),
    demographics: bool = True,
    table: str | os.PathLike | None = None,
    strict: bool = True,
    check: str = "headers",
) -> FolderSamples:
    """The subjects of IXI.

    folder: that with the images, or the one above folders named by sequence. channels: of T1, T2, PD; images of
    different grids (T1 has another one than T2 and PD) are resampled linearly onto the first one's. demographics:
    refuse a subject without age or sex; else neither is read. table: IXI.csv, where it does not lie in the folder.
    strict: raise at the first fault, which the real table has; else the subject is left out and listed in `left_out`.
    check: "names", "headers" or "voxels", what is looked at beforehand.

    Samples: facts age_years, sex ("male" or "female"), site ("Guys", "HH", "IOP") and field_t. Rows that the table has
    twice are merged where they do not contradict one another in age and sex. Subjects of the table without images are
    listed in `absent`.
    Source: brain-development.org/ixi-dataset.
    Raises FileNotFoundError where folder or table are missing, VolumeError (one sentence, naming subject and file)
    otherwise.
    """
    unknown = [channel for channel in channels if channel not in SEQUENCES]
    if unknown or not channels or len(set(channels)) != len(channels):
        raise ValueError(f"channels are {channels!r}, expected each once of {', '.join(SEQUENCES)}")
    found = Collector("IXI", folder, LAYOUT, strict=strict, check=check)
    scans = _by_subject(found.root, channels)
    if not scans:
        return found.samples()  # which says that nothing is there
    people = _people(_table(found.root, table)) if demographics else None
    for subject, files in scans.items():
        with found.subject(subject):
            images = {
                name: only(files[name], name, found.root, f"one {subject}-...-{name}.nii.gz") for name in channels
            }
            sites = sorted({NAME.fullmatch(path.name)[2].lower() for path in images.values()})
            if len(sites) > 1 or sites[0] not in SITES:
                expected = "one of Guys, HH and IOP"
                raise VolumeError(
                    f"{next(iter(images.values()))}: the site is {' and '.join(sites)}, expected {expected}"
                )
            site, field_t = SITES[sites[0]]
            facts = {} if people is None else _facts(subject, *people)
            found.add(Scan(subject, images, facts=facts | {"site": site, "field_t": field_t}, resampled=True))
    return found.samples(set() if people is None else set(people[1]) - set(scans))


def _by_subject(root: Path, channels: tuple[str, ...]) -> dict[str, dict[str, list[Path]]]:
    """For each subject with one of these sequences the files of each."""
    folders = [root, *(path for path in listing(root) if path.is_dir())]
    found: dict[str, dict[str, list[Path]]] = {}
    for path in (path for folder in folders for path in listing(folder) if path.name.lower().endswith(NIFTI)):
        match = NAME.fullmatch(path.name)
        if match and match[4].upper() in channels:
            files = found.setdefault(_subject(match[1]), {channel: [] for channel in channels})
            files[match[4].upper()].append(path)
    return found


def _subject(text: str) -> str:
    """IXI002 for whatever stands for it in a table: IXI002, 2, 2.0; "" where there is no number."""
    match = re.fullmatch(r"(?:IXI)?0*(\d+)(?:\.0+)?", text.strip(), re.IGNORECASE)
    return f"IXI{int(match[1]):03d}" if match else ""


def _table(root: Path, given: str | os.PathLike | None) -> Table:
    path = Path(given) if given is not None else find_file(root, re.compile(r"IXI\.csv", re.IGNORECASE), depth=2)
    if path is None and (root.parent / "IXI.csv").is_file():
        path = root.parent / "IXI.csv"
    workbook = path if path is not None and path.suffix.lower() in (".xls", ".xlsx") else None
    if path is None:
        places = (folder / f"IXI{ending}" for folder in (root, root.parent) for ending in (".xls", ".xlsx"))
        workbook = next((place for place in places if place.is_file()), None)
    if workbook is not None:
        raise VolumeError(
            f"{workbook}: it is an Excel workbook, expected IXI.csv beside it, as a spreadsheet program saves it, or "
            f"Python: import pandas; pandas.read_excel('{workbook.name}').to_csv('IXI.csv', index=False)"
        )
    if path is None:
        raise FileNotFoundError(f"{root / 'IXI.csv'}: the table is missing, expected it, or demographics=False")
    return Table(path, "IXI_ID", "AGE", SEX_COLUMN)


def _people(table: Table) -> tuple[Table, dict[str, list[Row]]]:
    return table, table.by(lambda row: _subject(row["IXI_ID"]))


def _facts(subject: str, table: Table, people: Mapping[str, list[Row]]) -> dict[str, object]:
    """Age and sex of a subject, from all rows of it."""
    rows = people.get(subject, [])
    if not rows:
        raise VolumeError(f"subject {subject}: {table.path} has no row of it, expected its age and sex")
    ages = [table.number(row, "AGE", subject, *AGE_YEARS, "years") for row in rows]
    sexes = [table.choice(row, table.column(SEX_COLUMN), subject, SEX) for row in rows]
    ages, sexes = ([value for value in values if value is not None] for values in (ages, sexes))
    for name, values in (("age", ages), ("sex", sexes)):
        if not values:
            raise VolumeError(f"subject {subject}: {table.path} says nothing of its {name}, expected it")
    if max(ages) - min(ages) > SAME_AGE_YEARS or len(set(sexes)) > 1:
        found = f"{len(rows)} rows of it with ages {', '.join(f'{age:.4g}' for age in ages)} and sex {', '.join(sexes)}"
        raise VolumeError(f"subject {subject}: {table.path} has {found}, expected rows that agree")
    return {"age_years": ages[0], "sex": sexes[0]}
