"""Every damage of a dataset on disk: one sentence that names subject and file, or the subject left out and listed."""

import gzip
import shutil
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medlab.data import VolumeError
from medlab.data.readers import inventory, read_brats, read_cq500, read_dhcp, read_iseg, read_ixi, read_mrbrains
from tests.data.readers import trees
from tests.data.readers.trees import SHAPE, labels, put, values

READERS = {
    "brats": (trees.brats_2019, read_brats),
    "cq500": (trees.cq500, read_cq500),
    "dhcp": (trees.dhcp, read_dhcp),
    "ixi": (trees.ixi, read_ixi),
    "iseg": (trees.iseg, read_iseg),
    "mrbrains": (trees.mrbrains, read_mrbrains),
}
# Which subject is damaged in all trees, the pattern of one of its image files, and of its label or mask.
SUBJECT = {
    "brats": ("BraTS19_CBICA_AAB_1", "**/BraTS19_CBICA_AAB_1_t1ce.nii.gz", "**/BraTS19_CBICA_AAB_1_seg.nii.gz"),
    "cq500": ("CQ500-CT-1", "CQ500CT1 *", ""),
    "dhcp": ("CC00050XX01", "**/sub-CC00050XX01_ses-7201_desc-restore_T2w.nii.gz", "**/*ses-7201_desc-bet*.nii.gz"),
    "ixi": ("IXI013", "IXI013-HH-1212-T1.nii.gz", ""),
    "iseg": ("subject-2", "subject-2-T2.hdr", "subject-2-label.hdr"),
    "mrbrains": ("14", "training/14/pre/reg_IR.nii.gz", "training/14/segm.nii.gz"),
}


@dataclass
class Damage:
    """change: of the tree. message: what the sentence says. file: what it names. at: the check that sees it."""

    reader: str
    change: object
    message: str
    file: str | None = None  # None: the image's file
    at: str = "headers"


def file(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def image(reader, change):
    return lambda root: change(file(root, SUBJECT[reader][1]))


def label(reader, change):
    return lambda root: change(file(root, SUBJECT[reader][2]))


def rows(name, old, new):
    """Change a table: each occurrence of old becomes new."""

    def change(root: Path) -> None:
        path = file(root, f"**/{name}")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def unlink(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def flip(path: Path) -> None:
    """One bit of the voxels, in gzip's checksum too late to be seen before the end."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content), mtime=0))
    packed[-6] ^= 1
    path.write_bytes(packed)


def write(content: bytes):
    return lambda path: path.write_bytes(content)


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def again(data, affine=trees.LPS):
    return lambda path: put(path, data, affine)


def shifted(path: Path) -> None:
    moved = trees.LPS.copy()
    moved[:3, 3] += (0, 0, 2.5)
    put(path, values(1), moved)


def pair(data: np.ndarray, **fields):
    return lambda path: trees.analyze(path, data, **fields)


def copy(old: str, new: str):
    """A folder of a tree once more under another name, with its files renamed."""

    def change(root: Path) -> None:
        source = file(root, old)
        for path in [path for path in source.rglob("*") if path.is_file()]:
            place = source.parent / new / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())

    return change


def series(**arguments):
    """Other slices in both series of the damaged patient that would do."""

    def change(root: Path) -> None:
        for name in ("CT Plain", "CT PLAIN THIN"):
            folder = file(root, f"CQ500CT1 */Unknown Study/{name}")
            for path in folder.iterdir():
                path.unlink()
            trees.ct_series(folder, **arguments)

    return change


def empty_patient(root: Path) -> None:
    for path in file(root, "CQ500CT1 *").rglob("*.dcm"):
        path.unlink()


def broken_pixels(index, dataset):
    if index == 2:
        dataset.PixelData = dataset.PixelData[:-8]


def second_site(root: Path) -> None:
    trees.put(root / "more" / "IXI013-IOP-1212-T1.nii.gz", values(4))


blank, ghost = np.zeros(SHAPE, np.int16), np.full(SHAPE, np.nan, np.float32)
many = np.stack([values(1)] * 3, axis=-1)
DAMAGES = {
    # Files of images.
    "a sequence is missing": Damage("brats", image("brats", unlink), "T1ce is missing, expected one file that ends in"),
    "an inversion recovery is missing": Damage("mrbrains", image("mrbrains", unlink), "the file is missing, expected"),
    "a header is missing": Damage("iseg", image("iseg", unlink), "T2 is missing, expected one subject-2-T2.hdr", ""),
    "the voxels of a pair are missing": Damage(
        "iseg",
        lambda root: unlink(root / "subject-2-T2.img"),
        "subject-2-T2.img: the file is missing, expected the voxels of",
        "subject-2-T2.img",
        "voxels",
    ),
    "two files for one sequence": Damage(
        "brats",
        lambda root: put(file(root, SUBJECT["brats"][1]).with_suffix(""), values(2)),
        "2 files are its T1ce, BraTS19_CBICA_AAB_1_t1ce.nii and BraTS19_CBICA_AAB_1_t1ce.nii.gz, expected one",
    ),
    "a folder for a file": Damage("brats", image("brats", into_folder), "it is a folder, expected one file"),
    "an empty file": Damage("ixi", image("ixi", write(b"")), "the file is empty, expected a NIfTI image"),
    "text": Damage("ixi", image("ixi", write(b"404 not found")), "it is text, expected a NIfTI image"),
    "a web page": Damage(
        "dhcp", image("dhcp", write(b"<html><body>log in</body></html>")), "it is an HTML or XML page"
    ),
    "a pointer of Git LFS": Damage(
        "ixi", image("ixi", write(b"version https://git-lfs.github.com")), "a Git LFS pointer"
    ),
    "a header cut off": Damage(
        "mrbrains", image("mrbrains", write(gzip.compress(b"\x5c\1\0\0"))), "ends 344 bytes too"
    ),
    "an Analyze header cut off": Damage("iseg", image("iseg", cut), "it has 288 bytes, expected 348"),
    "gzip cut off": Damage("brats", image("brats", cut), "cut off|too early", at="voxels"),
    "gzip damaged": Damage("mrbrains", image("mrbrains", flip), "CRC check failed", at="voxels"),
    "Analyze voxels cut off": Damage(
        "iseg",
        lambda root: cut(root / "subject-2-T1.img"),
        "it holds 948 bytes, expected the 1008 that subject-2-T1.hdr describes",
        "subject-2-T1.img",
        "voxels",
    ),
    "another size": Damage(
        "brats", image("brats", again(values(1, (9, 8, 6)))), "measures 9 x 8 x 6 voxels, expected 9 x"
    ),
    "another place": Damage("brats", image("brats", shifted), r"its voxels lie up to 2\.5 mm away, expected the same"),
    "another spacing": Damage(
        "mrbrains", image("mrbrains", again(values(1), trees.LPS @ np.diag([1, 1, 1.2, 1]))), "voxels lie up to"
    ),
    "another size in Analyze": Damage("iseg", image("iseg", pair(values(1, (9, 8, 6)))), "measures 9 x 8 x 6 voxels"),
    "several channels": Damage("brats", image("brats", again(many)), "measures 9 x 8 x 7 x 3, expected one channel"),
    "a flat image": Damage("ixi", image("ixi", again(values(1)[0])), "measures 8 x 7, expected one|has 2 dimensions"),
    "a singular affine": Damage("ixi", image("ixi", lambda path: singular(path)), "singular|lie in one plane|measure"),
    "NaN": Damage("brats", image("brats", again(ghost)), "504 voxels are NaN or infinite", at="voxels"),
    "a blank image": Damage("dhcp", image("dhcp", again(blank)), "every voxel is 0, expected an image", at="voxels"),
    # Labels and masks.
    "no segmentation": Damage("brats", label("brats", unlink), "segmentation is missing, expected one file", ""),
    "no label of tissues": Damage(
        "iseg", label("iseg", unlink), "label is missing, expected one subject-2-label.hdr", ""
    ),
    "no brain mask": Damage(
        "dhcp",
        lambda root: [unlink(path) for path in root.glob("sub-CC00050XX01/**/*brainmask*")],
        "brain mask is missing, expected one sub-CC00050XX01_ses-7201_desc-bet_space-T2w_brainmask.nii.gz",
        "",
    ),
    "a label on another grid": Damage(
        "mrbrains", label("mrbrains", shifted), "voxels lie up to 2.5 mm away", "segm.nii.gz"
    ),
    "an unknown label": Damage(
        "brats",
        label("brats", again(labels(1, (0, 1, 3)))),
        "values 3, expected only 0, 1, 2, 4",
        "_seg.nii.gz",
        "voxels",
    ),
    "an unknown structure": Damage(
        "mrbrains", label("mrbrains", again(labels(1, range(12)))), "the values 11, expected", "segm.nii.gz", "voxels"
    ),
    "an unknown grey value": Damage(
        "iseg", label("iseg", pair(labels(1, (0, 10, 99)).astype("u1"))), "values 99, expected", "label.hdr", "voxels"
    ),
    "a negative label": Damage(
        "brats", label("brats", again(-labels(1, (0, 1)).astype("i2"))), "the values -1,", "_seg.nii.gz", "voxels"
    ),
    "an interpolated label": Damage(
        "brats",
        label("brats", again(labels(1, (0, 1)).astype("f4") / 2)),
        r"the label has the values 0\.5, expected only 0, 1, 2, 4",
        "_seg.nii.gz",
        "voxels",
    ),
    "an empty label": Damage(
        "brats",
        label("brats", again(blank)),
        "the label is 0 everywhere, expected at least one",
        "_seg.nii.gz",
        "voxels",
    ),
    "an empty label of tissues": Damage(
        "iseg", label("iseg", pair(blank.astype("u1"))), "the label is 0 everywhere", "label.hdr", "voxels"
    ),
    "an empty mask": Damage(
        "dhcp", label("dhcp", again(blank)), "the mask is 0 everywhere", "brainmask.nii.gz", "voxels"
    ),
    "a mask of grey values": Damage(
        "dhcp", label("dhcp", again(values(1))), "the mask has other values than 0 and 1", "brainmask.nii.gz", "voxels"
    ),
    # Subjects.
    "a patient of two grades": Damage(
        "brats",
        rows("name_mapping.csv", "HGG,NA,NA,NA,BraTS19_CBICA", "LGG,NA,NA,NA,BraTS19_CBICA"),
        "it lies in the folder HGG but .* says LGG, expected one",
        "name_mapping.csv",
    ),
    "a patient twice": Damage(
        "brats",
        copy("**/HGG/BraTS19_CBICA_AAB_1", "../BraTS19_CBICA_AAB_1"),
        "it is there 2 times, in .*, expected once",
        "",
    ),
    "a subject under two names": Damage("mrbrains", copy("training/14", "0014"), "it is there 2 times", ""),
    "a patient in two folders": Damage("cq500", copy("CQ500CT1 CQ500CT1", "CQ500-CT-1"), "it is there 2 times", ""),
    "a subject at two sites": Damage(
        "ixi", second_site, "2 files are its T1, IXI013-HH-1212-T1.nii.gz and IXI013-IOP", ""
    ),
    "a site that is none": Damage(
        "ixi",
        lambda root: (root / "IXI013-HH-1212-T1.nii.gz").rename(root / "IXI013-UCL-1212-T1.nii.gz"),
        "the site is ucl, expected one of Guys, HH and IOP",
        "IXI013-UCL-1212-T1.nii.gz",
    ),
    "no session": Damage(
        "dhcp",
        lambda root: file(root, "sub-CC00050XX01/ses-7201").rename(root / "sub-CC00050XX01" / "session"),
        "it holds no session, expected folders such as",
        "sub-CC00050XX01",
    ),
    "no folder of corrected images": Damage(
        "mrbrains",
        lambda root: file(root, "training/14/pre").rename(root / "training" / "14" / "post"),
        "pre: the folder is missing, expected",
        "training/14/pre",
    ),
    # Series of slices.
    "a missing slice": Damage(
        "cq500", series(edit=lambda index, dataset: index != 2), "none of 3 series .*slice is missing"
    ),
    "a slab": Damage("cq500", series(apart=2.0), "its slices cover 10 mm, too little for a head"),
    "no series": Damage(
        "cq500", empty_patient, "it holds no DICOM series, expected one complete series without contrast"
    ),
    "contrast medium in all": Damage(
        "cq500",
        series(edit=lambda index, dataset: setattr(dataset, "ContrastBolusAgent", "IODINE")),
        "none of 3 series is usable .*ContrastBolusAgent is 'IODINE'",
    ),
    "slices that are text": Damage(
        "cq500",
        lambda root: [path.write_bytes(b"text") for path in root.glob("CQ500CT1 */Unknown Study/CT P*/*.dcm")],
        "none of 3 series is usable .*cannot be read",
    ),
    "pixels cut off": Damage(
        "cq500", series(edit=broken_pixels), "its pixels end after 40 bytes, expected 48", at="voxels"
    ),
    # What the tables say.
    "two raters only, who disagree": Damage(
        "cq500",
        rows("reads.csv", "CQ500-CT-1,B1,1,", "CQ500-CT-1,B1,,"),
        r"no majority for ICH \(R1 nothing, R2 1, R3 0\)",
        "reads.csv",
    ),
    "a rater who says 2": Damage(
        "cq500",
        rows("reads.csv", "CQ500-CT-1,B1,1,", "CQ500-CT-1,B1,2,"),
        "'2' as R1:ICH, expected 0 or 1",
        "reads.csv",
    ),
    "a patient without reads": Damage(
        "cq500", rows("reads.csv", "CQ500-CT-1,", "CQ500-CT-7,"), "has no row of it, expected one", "reads.csv"
    ),
    "reads that contradict each other": Damage(
        "cq500", rows("reads.csv", "CQ500-CT-99,", "CQ500-CT-1,"), "has 2 rows of it that differ", "reads.csv"
    ),
    "an absurd age": Damage(
        "brats",
        rows("survival_data.csv", "60.463", "604.63"),
        "'604.63' as its Age, expected .* 0 to 120",
        "survival_data.csv",
    ),
    "a negative age": Damage(
        "brats", rows("survival_data.csv", "60.463", "-6"), "'-6' as its Age", "survival_data.csv"
    ),
    "an unknown grade": Damage(
        "brats",
        rows("name_mapping.csv", "HGG,NA,NA,NA,BraTS19_CBICA", "XGG,NA,NA,NA,BraTS19_CBICA"),
        "'XGG' as its Grade, expected one of hgg, lgg",
        "name_mapping.csv",
    ),
    "no age of a newborn": Damage(
        "dhcp", rows("sub-CC00050XX01_sessions.tsv", "42.71", ""), "nothing of its scan_age, expected", "_sessions.tsv"
    ),
    "NaN as the age of a newborn": Damage(
        "dhcp", rows("sub-CC00050XX01_sessions.tsv", "42.71", "NaN"), "nothing of its scan_age", "_sessions.tsv"
    ),
    "a newborn's age in days": Damage(
        "dhcp",
        rows("sub-CC00050XX01_sessions.tsv", "42.71", "299"),
        "'299' as its scan_age, .* 20 to 60",
        "_sessions.tsv",
    ),
    "a scan before birth": Damage(
        "dhcp", rows("sub-CC00050XX01_sessions.tsv", "42.71", "38"), "42.14 weeks as its birth_age, .* 38 weeks", ""
    ),
    "a session without a row": Damage(
        "dhcp", rows("sub-CC00050XX01_sessions.tsv", "7201", "7202"), "has no row of it, expected one", "_sessions.tsv"
    ),
    "no table of sessions": Damage(
        "dhcp",
        lambda root: unlink(file(root, "**/sub-CC00050XX01_sessions.tsv")),
        "sub-CC00050XX01_sessions.tsv: the table is missing",
        "_sessions.tsv",
    ),
    "an empty table of sessions": Damage(
        "dhcp",
        lambda root: file(root, "**/sub-CC00050XX01_sessions.tsv").write_text(""),
        "sub-CC00050XX01_sessions.tsv: the table is empty",
        "_sessions.tsv",
    ),
    "a newborn that nobody knows": Damage(
        "dhcp", rows("participants.tsv", "CC00050XX01", "CC00051XX01"), "has no row of it", "participants.tsv"
    ),
    "a sex that is none": Damage(
        "dhcp",
        rows("participants.tsv", "Female", "Fem"),
        "'Fem' as its gender, expected one of male",
        "participants.tsv",
    ),
    "an absurd head": Damage(
        "dhcp", rows("sub-CC00050XX01_sessions.tsv", "34.5", "345"), "'345' as its scan_head_circ", "_sessions.tsv"
    ),
    "an adult without a row": Damage(
        "ixi", rows("IXI.csv", "\n13,", "\n14,"), "has no row of it, expected its age", "IXI.csv"
    ),
    "an adult without age": Damage(
        "ixi", rows("IXI.csv", "46.71", ""), "says nothing of its age, expected it", "IXI.csv"
    ),
    "an adult of a thousand": Damage("ixi", rows("IXI.csv", "46.71", "1046"), "'1046' as its AGE, expected", "IXI.csv"),
    "an adult of no known sex": Damage("ixi", rows("IXI.csv", "13,1,", "13,0,"), "'0' as its SEX_ID", "IXI.csv"),
    "rows of different ages": Damage(
        "ixi",
        rows("IXI.csv", "1958-09-15,,", "1958-09-15,,43.2"),
        r"2 rows of it with ages 46\.71, 43\.2 and sex",
        "IXI.csv",
    ),
}


def singular(path: Path) -> None:
    image = nib.Nifti1Image(values(1), None)
    image.header["sform_code"], image.header["srow_x"] = 1, (1, 0, 0, 0)
    image.header["srow_y"], image.header["srow_z"] = (2, 0, 0, 0), (0, 0, 0, 0)
    path.write_bytes(gzip.compress(image.header.binaryblock + bytes(4) + values(1).tobytes(order="F")))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The trees as they should be, each written once, and their subjects."""

    @cache
    def tree(reader: str) -> tuple[Path, tuple[str, ...]]:
        build, read = READERS[reader]
        root = build(tmp_path_factory.mktemp(reader))
        return root, read(root).subjects

    return tree


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.filterwarnings("error")
def test_damage(tmp_path, one_sentence, sound, case):
    damage = DAMAGES[case]
    read = READERS[damage.reader][1]
    subject, pattern, _ = SUBJECT[damage.reader]
    source, whole = sound(damage.reader)
    root = shutil.copytree(source, tmp_path / "data")
    damage.change(root)

    # Strict: one sentence that names the subject and the file.
    with pytest.raises(VolumeError, match=damage.message) as caught:
        read(root, check=damage.at)
    text = one_sentence(caught.value, root)
    assert text.startswith(f"subject {subject}") and ": subject " not in text
    assert (damage.file if damage.file is not None else pattern.rsplit("/")[-1].rstrip(" *")[:12]) in text

    # Not strict: the subject is left out, with that sentence, and all others are there.
    found = read(root, check=damage.at, strict=False)
    assert [(row.subject, row.reason) for row in found.left_out] == [(subject, text)]
    assert found.subjects == tuple(one for one in whole if one != subject)
    assert all(sample.subject != subject for sample in found)
    assert [row["reason"] for row in inventory(found) if row["state"] == "left out"] == [text]

    # What only the voxels show is said when they are read.
    if damage.at == "voxels":
        lazy = read(root)
        with pytest.raises(VolumeError, match=damage.message) as caught:
            lazy[lazy.subjects.index(subject)]
        assert str(caught.value) == text


def empty_table(name: str):
    return lambda root: file(root, f"**/{name}").write_text("")


def head_only(name: str):
    return lambda root: file(root, f"**/{name}").write_text(file(root, f"**/{name}").read_text().split("\n")[0])


WHOLE = {
    "an empty name_mapping.csv": ("brats", empty_table("name_mapping.csv"), "the table is empty"),
    "a name_mapping.csv without grades": ("brats", rows("name_mapping.csv", "Grade,", "Stage,"), "no column Grade"),
    "a survival table without ages": ("brats", rows("survival_data.csv", ",Age", ",Alter"), "there is no column Age"),
    "an empty reads.csv": ("cq500", empty_table("reads.csv"), "the table is empty"),
    "a reads.csv with names of columns only": ("cq500", head_only("reads.csv"), "the table has no rows"),
    "a third rater missing": ("cq500", rows("reads.csv", "R3:ICH", "R4:ICH"), "there is no column R3:ICH"),
    "an empty participants.tsv": ("dhcp", empty_table("participants.tsv"), "the table is empty"),
    "an empty IXI.csv": ("ixi", empty_table("IXI.csv"), "the table is empty"),
    "an IXI.csv without ages": ("ixi", rows("IXI.csv", ",AGE", ",DATE"), "there is no column AGE"),
}


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("strict", [True, False])
def test_damage_of_a_whole_dataset_is_always_raised(tmp_path, one_sentence, case, strict):
    reader, change, message = WHOLE[case]
    build, read = READERS[reader]
    change(build(tmp_path))
    with pytest.raises(VolumeError, match=message) as caught:
        read(tmp_path, strict=strict)
    one_sentence(caught.value, tmp_path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("strict", [True, False])
def test_folders_without_anything(tmp_path, one_sentence, reader, strict):
    read = partial(READERS[reader][1], strict=strict)
    with pytest.raises(FileNotFoundError, match="the folder is missing, expected") as caught:
        read(tmp_path / "gone")
    one_sentence(caught.value, tmp_path / "gone")
    with pytest.raises(VolumeError, match="no subject was found in the folder, expected") as caught:
        read(tmp_path)
    one_sentence(caught.value, tmp_path)
    (tmp_path / "data.zip").write_bytes(b"PK")
    with pytest.raises(VolumeError, match="it is a file, expected a folder with") as caught:
        read(tmp_path / "data.zip")
    one_sentence(caught.value, tmp_path / "data.zip")
    with pytest.raises(ValueError, match="check is 'all', expected one of names, headers, voxels"):
        read(tmp_path, check="all")


@pytest.mark.parametrize(("reader", "name"), [("cq500", "reads.csv"), ("dhcp", "participants.tsv"), ("ixi", "IXI.csv")])
def test_a_missing_table(tmp_path, one_sentence, reader, name):
    build, read = READERS[reader]
    build(tmp_path)
    file(tmp_path, f"**/{name}").unlink()
    with pytest.raises(FileNotFoundError, match="the table is missing, expected") as caught:
        read(tmp_path)
    one_sentence(caught.value, tmp_path / name)


def test_several_damages_leave_out_several_subjects(tmp_path):
    root = trees.mrbrains(tmp_path)
    unlink(root / "training" / "14" / "segm.nii.gz")
    cut(root / "training" / "1" / "pre" / "FLAIR.nii.gz")
    found = read_mrbrains(root, strict=False, check="voxels")
    assert found.subjects == ("70",) and [row.subject for row in found.left_out] == ["1", "14"]
    shifted(root / "training" / "070" / "segm.nii.gz")
    found = read_mrbrains(root, strict=False, check="voxels")
    assert len(found) == 0 and len(found.left_out) == 3
