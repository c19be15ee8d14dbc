"""MRBrainS 2018: adults in T1, T1 inversion recovery and FLAIR, in thick slices, ten structures labelled by hand.

training/1/pre/reg_T1.nii.gz, reg_IR.nii.gz, FLAIR.nii.gz   registered to FLAIR, bias corrected with N4
training/1/orig/                                            the same before the correction
training/1/segm.nii.gz
"""

import os
import re
from pathlib import Path

from medlab.data.errors import VolumeError
from medlab.data.readers.folder import Collector, FolderSamples, find_folders
from medlab.data.readers.scan import Scan

FILES = {"T1": "reg_T1", "T1-IR": "reg_IR", "FLAIR": "FLAIR"}
STRUCTURES = {
    0: "background",
    1: "cortical grey matter",
    2: "basal ganglia",
    3: "white matter",
    4: "white matter lesions",
    5: "extracerebral cerebrospinal fluid",
    6: "ventricles",
    7: "cerebellum",
    8: "brain stem",
    9: "infarction",
    10: "other",
}
LABEL_NAMES = {0: "background", 1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}
# Which of the four each structure counts to. The pairs 1+2, 3+4 and 5+6 are those of the challenge of 2013, whose
# evaluation makes cerebellum and brain stem background; infarction and other, which the challenge of 2018 leaves out of
# its scores, are background here too. The thesis says only that ten labels are merged to four.
MERGED = {0: 0, 1: 2, 2: 2, 3: 3, 4: 3, 5: 1, 6: 1, 7: 0, 8: 0, 9: 0, 10: 0}
LAYOUT = "a folder for each subject with pre/reg_T1.nii.gz, pre/reg_IR.nii.gz, pre/FLAIR.nii.gz and segm.nii.gz"


def read_mrbrains(
    folder: str | os.PathLike,
    *,
    strict: bool = True,
    check: str = "headers",
    labelled: bool = True,
    merged: bool = True,
    corrected: bool = True,
) -> FolderSamples:
    """The subjects of MRBrainS 2018, seven in its training folder.

    folder: the folder `training`, or one with it at most two levels down. strict: raise at the first fault; else the
    subject is left out and listed in `left_out`. check: "names", "headers" or "voxels", what is looked at beforehand.
    labelled: refuse a subject without segmentation; else its label is None. merged: the four labels of `LABEL_NAMES`,
    in the order of iSEG, by `MERGED`; else the eleven of `STRUCTURES`. corrected: the images in pre/, else in orig/.

    Samples: channels T1, T1-IR, FLAIR; no facts: the challenge gives none.
    Source: Kuijf and Bennink, MRBrainS18, mrbrains18.isi.uu.nl; thesis 002, section 5.3.
    Raises FileNotFoundError where the folder is missing, VolumeError (one sentence, naming subject and file) otherwise.
    """
    names = LABEL_NAMES if merged else STRUCTURES
    found = Collector("MRBrainS 2018", folder, LAYOUT, strict=strict, check=check, label_names=names)
    for case in find_folders(found.root, re.compile(r"\d+"), depth=3):
        with found.subject(case.name):
            images = case / ("pre" if corrected else "orig")
            if not images.is_dir():
                raise VolumeError(f"{images}: the folder is missing, expected {LAYOUT}")
            label = _either(case / "segm")
            found.add(
                Scan(
                    # 070 and 70 are one subject.
                    subject=str(int(case.name)),
                    images={channel: _either(images / name) for channel, name in FILES.items()},
                    label=label if labelled or label.exists() else None,
                    label_values=MERGED if merged else {value: value for value in STRUCTURES},
                )
            )
    return found.samples()


def _either(path: Path) -> Path:
    """The file as it was shipped, or unpacked."""
    plain = path.with_name(path.name + ".nii")
    return plain if plain.exists() else path.with_name(path.name + ".nii.gz")
