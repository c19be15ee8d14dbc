"""iSEG 2017: infants of six months in T1 and T2, when grey and white matter look alike, with the tissues as label.

iSeg-2017-Training/subject-1-T1.hdr and .img, subject-1-T2, subject-1-label   Analyze 7.5, ten subjects
iSeg-2017-Testing/subject-11-T1.hdr ...                                       thirteen without label
"""

import os
import re
from pathlib import Path

from medlab.data.readers.folder import NIFTI, Collector, FolderSamples, image_stem, listing, only
from medlab.data.readers.scan import ANALYZE, Scan

CHANNELS = ("T1", "T2")
LABEL_NAMES = {0: "background", 1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}
LABEL_VALUES = {0: 0, 10: 1, 150: 2, 250: 3}
LAYOUT = "files such as subject-1-T1.hdr with subject-1-T1.img, subject-1-T2.hdr and subject-1-label.hdr"
NAME = re.compile(r"(subject-\d+)-(t1|t2|label)", re.IGNORECASE)


def read_iseg(
    folder: str | os.PathLike, *, strict: bool = True, check: str = "headers", labelled: bool = True
) -> FolderSamples:
    """The subjects of iSEG 2017 (iSEG 2019 has the same layout).

    folder: that with the files, in one level; NIfTI files of these names are taken too. strict: raise at the first
    fault; else the subject is left out and listed in `left_out`. check: "names", "headers" or "voxels", what is looked
    at beforehand. labelled: refuse a subject without label; else, for the testing folder, its label is None.

    Samples: channels T1, T2; label 0 to 3 (`LABEL_NAMES`), in the files 0, 10, 150, 250; no facts. Which side is
    left the Analyze files do not say: see `medlab.data.analyze`.
    Source: Wang et al. 2019, iseg2017.web.unc.edu; thesis 002, section 5.2.
    Raises FileNotFoundError where the folder is missing, VolumeError (one sentence, naming subject and file) otherwise.
    """
    found = Collector("iSEG 2017", folder, LAYOUT, strict=strict, check=check, label_names=LABEL_NAMES)
    for subject, files in _by_subject(found.root).items():
        with found.subject(subject):
            images = {
                channel: only(files.get(channel.lower(), []), channel, found.root, f"one {subject}-{channel}.hdr")
                for channel in CHANNELS
            }
            label = None
            if labelled or files.get("label"):
                label = only(files.get("label", []), "label", found.root, f"one {subject}-label.hdr")
            found.add(Scan(subject, images, label, label_values=LABEL_VALUES))
    return found.samples()


def _by_subject(root: Path) -> dict[str, dict[str, list[Path]]]:
    """For each subject the headers that are called T1, T2 and label."""
    found: dict[str, dict[str, list[Path]]] = {}
    for path in listing(root):
        # Of a pair with its header missing the voxels remain: the subject is known, and the header is missed.
        known = path.name.lower().endswith((ANALYZE, ".img", *NIFTI))
        match = NAME.fullmatch(image_stem(path).removesuffix(".img")) if known else None
        if match:
            files = found.setdefault(match[1].lower(), {})
            if path.suffix != ".img":
                files.setdefault(match[2].lower(), []).append(path)
    return found
