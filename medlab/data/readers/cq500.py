"""CQ500: head CTs of an emergency department in DICOM, with the findings of three raters.

CQ500CT0 CQ500CT0/Unknown Study/CT PLAIN THIN/CT000000.dcm ...    several series a patient
reads.csv       name, Category, R1:ICH, ... R1:MidlineShift, R2:ICH, ... R3:MidlineShift, 0 or 1 each
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medlab.data.errors import VolumeError
from medlab.data.readers.cq500_series import choose_series
from medlab.data.readers.equalise import equalise
from medlab.data.readers.folder import Collector, FolderSamples, find_file, find_folders
from medlab.data.readers.prepare import fit_to_shape
from medlab.data.readers.scan import Scan
from medlab.data.readers.table import Row, Table, is_unknown
from medlab.data.register import register_rigid
from medlab.data.regrid import on_grid
from medlab.data.resample import resample
from medlab.data.samples import Sample
from medlab.data.volume import Volume

RATERS = ("R1", "R2", "R3")
# The table's columns, after "R1:" and the like, and what the facts call them.
FINDINGS = {
    "ICH": "intracranial_haemorrhage",
    "IPH": "intraparenchymal_haemorrhage",
    "IVH": "intraventricular_haemorrhage",
    "SDH": "subdural_haemorrhage",
    "EDH": "epidural_haemorrhage",
    "SAH": "subarachnoid_haemorrhage",
    "BleedLocation-Left": "bleeding_left",
    "BleedLocation-Right": "bleeding_right",
    "ChronicBleed": "chronic_bleeding",
    "Fracture": "fracture",
    "CalvarialFracture": "calvarial_fracture",
    "OtherFracture": "other_fracture",
    "MassEffect": "mass_effect",
    "MidlineShift": "midline_shift",
}
VOTES = {"0": False, "1": True, "0.0": False, "1.0": True}
PATIENT = re.compile(r"cq500[-_ ]?ct[-_ ]?(\d+)(?: .*)?", re.IGNORECASE)
LAYOUT = "folders such as 'CQ500CT0 CQ500CT0/Unknown Study/CT PLAIN THIN' with DICOM slices, and reads.csv"
AIR_HU = -1024.0
FOREGROUND_HU = -200.0  # round: between air and fat
DENSE_HU = 1000.0  # round: dense bone; registration sees nothing above, such as metal


def read_cq500(
    folder: str | os.PathLike, *, table: str | os.PathLike | None = None, strict: bool = True, check: str = "headers"
) -> FolderSamples:
    """The patients of CQ500, one scan without contrast medium each.

    folder: that with the patients' folders, at most two levels down. table: reads.csv, where it does not lie in the
    folder. strict: raise at the first fault; else the patient is left out and listed in `left_out`. check: "names" (the
    series is chosen by its name and first slice alone), "headers" (the headers of all its slices must make a stack,
    which takes half a second a patient), or "voxels".

    Which series of a patient counts: see `cq500_series.choose_series`.

    Samples: channel CT in HU, on the grid as reconstructed (a tilted gantry's is sheared, and `resample` makes it
    straight); facts: each finding of `FINDINGS` as a bool, the majority of three raters; votes, those of the three by
    finding; series, the chosen one. Patients of the table without folder are listed in `absent`.
    Source: Chilamkurthy et al. 2018; thesis 000, chapter 6, section 3.2.
    Raises FileNotFoundError where folder or table are missing, VolumeError (one sentence, naming patient and file)
    otherwise.
    """
    found = Collector("CQ500", folder, LAYOUT, strict=strict, check=check)
    patients = list(find_folders(found.root, PATIENT))
    if not patients:
        return found.samples()  # which says that nothing is there
    path = (
        Path(table) if table is not None else find_file(found.root, re.compile(r"reads\.csv", re.IGNORECASE), depth=2)
    )
    if path is None:
        raise FileNotFoundError(f"{found.root / 'reads.csv'}: the table is missing, expected it, or the argument table")
    reads = Table(path, "name", *(f"{rater}:{column}" for rater in RATERS for column in FINDINGS))
    rows = reads.by(lambda row: _subject(row["name"]))
    for patient in patients:
        subject = _subject(patient.name)
        with found.subject(subject):
            votes = _votes(reads, rows, subject)
            series = choose_series(patient, stacked=check != "names")
            facts = {name: sum(three.values()) > 1 for name, three in votes.items()}
            known = {name: tuple(three.get(rater) for rater in RATERS) for name, three in votes.items()}
            facts |= {"votes": known, "series": series.name}
            found.add(Scan(subject, {"CT": series}, facts=facts))
    return found.samples(set(rows) - {_subject(patient.name) for patient in patients})


def normalise(
    sample: Sample, *, size: int = 256, spacing_mm: float = 1.0, reference: Volume | None = None, seed: int = 0
) -> Sample:
    """The sample on a cube of voxels, with its histogram equalised to [0, 1] and its foreground as mask.

    Without a reference: resampled to spacing_mm, which straightens a tilted stack, then padded with air or cropped
    around the middle to size voxels along each side. With a reference (a CT of another head, (1, X, Y, Z) in HU): the
    reference is brought to such a cube, unless it is one, and the sample is registered to it rigidly (`register_rigid`,
    by the mutual information of what lies between air and dense bone; seed: of its samples) and interpolated once, on
    the reference's cube. A label goes the same way, by the nearest voxel. The foreground is what has more than -200 HU;
    over it the histogram is equalised, the rest is 0.

    Source: Bieder et al. 2022, section 3.3, which registers to a training volume chosen by hand, with AirLab. By which
    measure, over which voxels the histogram goes and what foreground is, it does not say.
    Raises VolumeError where nothing is above -200 HU, and for whatever `register_rigid` refuses.
    """
    if reference is None:
        spaced = resample(sample.image, spacing_mm, fill=AIR_HU)
        fitted = fit_to_shape(on_grid(sample, spaced, outside=AIR_HU), (size,) * 3, fill=AIR_HU)
    else:
        cube = reference_cube(reference, size=size, spacing_mm=spacing_mm)
        seen = [image.with_data(image.data.clamp(FOREGROUND_HU, DENSE_HU)) for image in (sample.image, cube)]
        found = register_rigid(*seen, seed=seed)
        fitted = found.apply_to_sample(sample, cube, outside=AIR_HU)
    inside = fitted.image.data > FOREGROUND_HU
    if not inside.any():
        raise VolumeError(f"subject {sample.subject}: nothing is above {FOREGROUND_HU:g} HU, expected a head")
    image = fitted.image.with_data(equalise(fitted.image.data, inside), sample.image.name)
    return replace(fitted, image=image, mask=inside[0])


def reference_cube(reference: Volume, *, size: int = 256, spacing_mm: float = 1.0) -> Volume:
    """A CT (1, X, Y, Z) in HU on a cube of size voxels of spacing_mm, padded with air or cropped around its middle.

    Made once, it saves `normalise` the work for every other sample.
    """
    spaced = resample(reference, spacing_mm, fill=AIR_HU)
    return fit_to_shape(Sample(reference.name, spaced, ("CT",)), (size,) * 3, fill=AIR_HU).image


def _subject(text: str) -> str:
    """CQ500-CT-0 for whatever stands for it, in folders or in the table; "" for anything else."""
    match = PATIENT.fullmatch(text.strip())
    return f"CQ500-CT-{int(match[1])}" if match else ""


def _votes(table: Table, rows: Mapping[str, list[Row]], subject: str) -> dict[str, dict[str, bool]]:
    """For each finding what the raters say; two who agree settle it when the third is silent."""
    row = table.one(rows.get(subject, []), subject)
    votes: dict[str, dict[str, bool]] = {}
    for column, name in FINDINGS.items():
        said = {rater: row[f"{rater}:{column}"] for rater in RATERS}
        wrong = [(rater, text) for rater, text in said.items() if not is_unknown(text) and text not in VOTES]
        if wrong:
            (rater, text), *_ = wrong
            raise VolumeError(f"subject {subject}: {table.path} has {text!r} as {rater}:{column}, expected 0 or 1")
        votes[name] = {rater: VOTES[text] for rater, text in said.items() if text in VOTES}
        given = list(votes[name].values())
        if max(given.count(True), given.count(False)) < 2:
            found = ", ".join(f"{rater} {text or 'nothing'}" for rater, text in said.items())
            raise VolumeError(
                f"subject {subject}: {table.path} has no majority for {column} ({found}), expected two raters of three "
                "who agree"
            )
    return votes
