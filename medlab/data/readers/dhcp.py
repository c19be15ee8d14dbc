"""dHCP, third release: newborns of 26 to 45 weeks in T2, some of them scanned twice or more, with age and brain mask.

participants.tsv                      participant_id, gender (or sex), birth_age, ...
combined.tsv                          the same and those below for all scans, in some downloads
sub-CC00050XX01/sub-CC00050XX01_sessions.tsv      session_id, scan_age, scan_head_circumference, ...
sub-CC00050XX01/ses-7201/anat/sub-CC00050XX01_ses-7201_desc-restore_T2w.nii.gz
sub-CC00050XX01/ses-7201/anat/sub-CC00050XX01_ses-7201_desc-bet_space-T2w_brainmask.nii.gz
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from medlab.data.errors import VolumeError
from medlab.data.readers.folder import Collector, FolderSamples, find_folders, listing, only
from medlab.data.readers.prepare import zoom_to_shape
from medlab.data.readers.scan import Scan
from medlab.data.readers.table import Row, Table
from medlab.data.samples import Sample

IMAGES = {"restored": "_desc-restore_T2w", "native": "_T2w"}  # bias corrected, or not
MASKS = ("bet", "drawem")
LAYOUT = "folders such as sub-CC00050XX01/ses-7201/anat with the derivatives of the structural pipeline"
SUBJECT, SESSION = re.compile(r"sub-(\w+)"), re.compile(r"ses-(\w+)")
SCAN_WEEKS = (20.0, 60.0)  # round: postmenstrual; the scans of the release lie between 26 and 45
BIRTH_WEEKS = (20.0, 45.0)
HEAD_CM = (15.0, 60.0)
SEX = {"male": "male", "m": "male", "female": "female", "f": "female"}
SEX_COLUMN = re.compile(r"(?i)sex|gender")
HEAD_COLUMN = re.compile(r"(?i)\w*head_circumference\w*")
A_DAY = 0.15  # weeks, which rounding may put between birth and a scan on the same day


def read_dhcp(
    folder: str | os.PathLike,
    *,
    strict: bool = True,
    check: str = "headers",
    image: str = "restored",
    mask: str = "bet",
) -> FolderSamples:
    """The scans of newborns in the derivatives of dHCP's structural pipeline.

    folder: that with participants.tsv and the folders sub-*. strict: raise at the first fault; else the scan is left
    out and its subject listed in `left_out`. check: "names", "headers" or "voxels", what is looked at beforehand.
    image: "restored" (bias corrected) or "native". mask: "bet" or "drawem", the program that found the brain; where a
    scan has one mask only, that one.

    Samples: channel T2, mask, session; facts age_weeks (postmenstrual, at the scan), and, where they are known,
    birth_age_weeks, sex ("male" or "female") and head_circumference_cm. Subjects of participants.tsv without folder are
    listed in `absent`.
    Source: Edwards et al. 2022; release notes at github.com/BioMedIA/dHCP-release-notes.
    Raises FileNotFoundError where folder or table are missing, VolumeError (one sentence, naming subject and file)
    otherwise.
    """
    for name, value, known in (("image", image, IMAGES), ("mask", mask, MASKS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
    found = Collector("dHCP", folder, LAYOUT, strict=strict, check=check)
    cases = [path for path in listing(found.root) if path.is_dir() and SUBJECT.fullmatch(path.name)]
    if not cases:
        return found.samples()  # which says that nothing is there
    tables = _Tables(found.root)
    for case in cases:
        subject = SUBJECT.fullmatch(case.name)[1]
        sessions: list[Path] = []
        with found.subject(subject):
            sessions = list(find_folders(case, SESSION, depth=1))
            if not sessions:
                raise VolumeError(f"{case}: it holds no session, expected {LAYOUT}")
        for place in sessions:
            with found.subject(subject):
                session = SESSION.fullmatch(place.name)[1]
                stem = f"{case.name}_{place.name}"
                found.add(
                    Scan(
                        subject=subject,
                        session=session,
                        images={"T2": _image(place / "anat", stem + IMAGES[image])},
                        mask=_brain_mask(place / "anat", stem, mask),
                        facts=tables.facts(subject, session, case),
                    )
                )
    return found.samples(tables.subjects - {SUBJECT.fullmatch(case.name)[1] for case in cases})


def normalise(sample: Sample, *, shape: tuple[int, int, int] = (192, 256, 256)) -> Sample:
    """The sample zoomed to shape by cubic splines and divided by its maximum: intensities in [0, 1].

    Splines overshoot at edges: what they make negative becomes 0. Label and mask are zoomed by the nearest voxel.
    Source: Bieder et al., supplementary material C, as the facts of thesis 000, chapter 8, give it.
    """
    zoomed = zoom_to_shape(sample, shape)
    values = zoomed.image.data.clamp_min(0)
    if not values.any():
        raise VolumeError(f"subject {sample.subject}: the image has no value above 0, expected a head")
    return replace(zoomed, image=zoomed.image.with_data(values / values.max()))


def _image(folder: Path, stem: str) -> Path:
    paths = [folder / (stem + ending) for ending in (".nii.gz", ".nii")]
    return only([path for path in paths if path.exists()], "T2 image", folder, f"one {stem}.nii.gz")


def _brain_mask(folder: Path, stem: str, program: str) -> Path:
    masks = [path for path in listing(folder) if path.name.startswith(stem) and "brainmask.nii" in path.name]
    named = [path for path in masks if f"desc-{program}_" in path.name]
    expected = f"one {stem}_desc-{program}_space-T2w_brainmask.nii.gz"
    return only(named if named or len(masks) > 1 else masks, "brain mask", folder, expected)


class _Tables:
    """What participants.tsv and the tables of the sessions, or combined.tsv, say of each scan."""

    def __init__(self, root: Path):
        combined = root / "combined.tsv"
        self._people = Table(combined if combined.is_file() else root / "participants.tsv", "participant_id")
        self._combined = combined.is_file()
        if self._combined:
            self._people.column("session_id")
            self._people.column("scan_age")
        self._rows = self._people.by(lambda row: row["participant_id"].removeprefix("sub-"))
        self.subjects = set(self._rows)

    def facts(self, name: str, session: str, case: Path) -> dict[str, object]:
        rows, subject = self._rows.get(name, []), f"{name}, session {session}"
        if self._combined:
            table = self._people
            scan = person = table.one(_of_session(rows, session), subject)
        else:
            person = self._people.one(rows, subject)
            table = Table(case / f"{case.name}_sessions.tsv", "session_id", "scan_age")
            scan = table.one(_of_session(table.rows, session), subject)
        age = table.needed_number(scan, "scan_age", subject, *SCAN_WEEKS, "weeks")
        birth = sex = head = None
        if "birth_age" in person:
            birth = self._people.number(person, "birth_age", subject, *BIRTH_WEEKS, "weeks")
        if birth is not None and birth > age + A_DAY:
            raise VolumeError(
                f"subject {subject}: {self._people.path} has {birth:.4g} weeks as its birth_age, expected no more than "
                f"its age at the scan, {age:.4g} weeks"
            )
        column = _matching(person, SEX_COLUMN)
        sex = self._people.choice(person, column, subject, SEX) if column else None
        column = _matching(scan, HEAD_COLUMN)
        head = table.number(scan, column, subject, *HEAD_CM, "cm") if column else None
        known = {"birth_age_weeks": birth, "sex": sex, "head_circumference_cm": head}
        return {"age_weeks": age} | {name: value for name, value in known.items() if value is not None}


def _of_session(rows: list[Row], session: str) -> list[Row]:
    return [row for row in rows if row["session_id"].removeprefix("ses-") == session]


def _matching(row: Row, pattern: re.Pattern) -> str | None:
    return next((column for column in row if pattern.fullmatch(column)), None)
