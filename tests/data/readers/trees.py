"""Small trees in the layout of each dataset, three subjects each, and what is written in them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (9, 8, 7)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
LPS[:3, 3] = (4, 12, -3)
FINDINGS = (
    *("ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "BleedLocation-Left", "BleedLocation-Right", "ChronicBleed"),
    *("Fracture", "CalvarialFracture", "OtherFracture", "MassEffect", "MidlineShift"),
)


def values(seed: int, shape=SHAPE) -> np.ndarray:
    """A brain of positive whole numbers, all different from the background, which is 0."""
    image = np.zeros(shape, np.int16)
    inside = tuple(slice(1, -1) for _ in shape)
    image[inside] = np.random.default_rng(seed).integers(1, 3000, image[inside].shape)
    return image


def labels(seed: int, known, shape=SHAPE) -> np.ndarray:
    """A label in which each of the known values occurs."""
    label = np.random.default_rng(seed).choice(known, shape)
    label.reshape(-1)[: len(known)] = known
    return label


def put(path: Path, data: np.ndarray, affine=LPS) -> Path:
    """Write a NIfTI file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = data.astype(np.uint8) if data.dtype == np.int64 else data
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.to_filename(path)
    return path


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def brats_case(folder: Path, seed: int, *, new: bool = False, ending: str = ".nii.gz", seg: str | None = None) -> None:
    names = ("-t1n", "-t1c", "-t2w", "-t2f") if new else ("_t1", "_t1ce", "_t2", "_flair")
    for number, name in enumerate(names):
        put(folder / (folder.name + name + ending), values(10 * seed + number))
    known = (0, 1, 2, 3) if new else (0, 1, 2, 4)
    put(folder / (seg or folder.name + ("-seg" if new else "_seg") + ending), labels(seed, known))


def brats_2019(root: Path) -> Path:
    data = root / "MICCAI_BraTS_2019_Data_Training"
    brats_case(data / "HGG" / "BraTS19_2013_10_1", 1)
    brats_case(data / "HGG" / "BraTS19_CBICA_AAB_1", 2)
    brats_case(data / "LGG" / "BraTS19_TCIA10_408_1", 3)
    text(
        data / "name_mapping.csv",
        "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,BraTS_2019_subject_ID",
        "HGG,Brats17_2013_10_1,Brats18_2013_10_1,NA,BraTS19_2013_10_1",
        "HGG,NA,NA,NA,BraTS19_CBICA_AAB_1",
    )
    text(
        data / "survival_data.csv",
        "BraTS19ID,Age,Survival,ResectionStatus",
        "BraTS19_CBICA_AAB_1,60.463,289,GTR",
    )
    return root


def brats_2020(root: Path) -> Path:
    data = root / "BraTS2020_TrainingData" / "MICCAI_BraTS2020_TrainingData"
    brats_case(data / "BraTS20_Training_001", 1, ending=".nii")
    brats_case(data / "BraTS20_Training_002", 2, ending=".nii")
    brats_case(data / "BraTS20_Training_355", 3, ending=".nii", seg="W39_1998.09.19_Segm.nii")
    text(
        data / "name_mapping.csv",
        "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,BraTS_2019_subject_ID,"
        "BraTS_2020_subject_ID",
        "HGG,Brats17_CBICA_AAB_1,Brats18_CBICA_AAB_1,NA,BraTS19_CBICA_AAB_1,BraTS20_Training_001",
        "LGG,NA,NA,NA,NA,BraTS20_Training_002",
        "HGG,NA,NA,NA,NA,BraTS20_Training_355",
    )
    text(
        data / "survival_info.csv",
        "Brats20ID,Age,Survival_days,Extent_of_Resection",
        "BraTS20_Training_001,60.463,289,GTR",
        "BraTS20_Training_355,52.2,ALIVE (361 days later),STR",
    )
    return root


def brats_2021(root: Path) -> Path:
    for seed, number in enumerate(("00000", "00002", "00003")):
        brats_case(root / f"BraTS2021_{number}", seed)
    return root


def brats_2023(root: Path) -> Path:
    data = root / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    for seed, name in enumerate(("00000-000", "00005-000", "00005-001")):
        brats_case(data / f"BraTS-GLI-{name}", seed, new=True)
    return root


def ct_series(
    folder: Path, seed: int = 0, *, count: int = 5, apart: float = 25.0, thickness=None, edit=None
) -> np.ndarray:
    """Slices of 6 rows and 4 columns; returns the values in HU as (columns, rows, slices).

    edit(index, dataset) changes a slice before it is written, or returns False to leave it out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.random.default_rng(seed).integers(0, 3000, (count, 6, 4), dtype=np.uint16)
    uid = generate_uid()
    for index, plane in enumerate(stored):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.Modality = uid, "CT"
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.5], thickness or apart
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-1, -2, index * apart]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.PixelData = plane.tobytes()
        if edit is None or edit(index, dataset) is not False:
            dataset.save_as(folder / f"CT{index:06d}.dcm", enforce_file_format=True)
    return stored.transpose(2, 1, 0).astype(np.float32) - 1024


def reads_row(name: str, *raters: str) -> str:
    """A row of reads.csv; each rater says a text of 14 letters, "-" for nothing."""
    return ",".join([name, "B1", *("" if letter == "-" else letter for rater in raters for letter in rater)])


def cq500(root: Path) -> Path:
    for number in (0, 1, 12):
        study = root / f"CQ500CT{number} CQ500CT{number}" / "Unknown Study"
        ct_series(study / "CT Plain", number, count=4, apart=30.0)
        ct_series(study / "CT PLAIN THIN", 100 + number)
        ct_series(study / "CT POST CONTRAST THIN", 200 + number, count=11, apart=10.0)
    header = ["name", "Category", *(f"{rater}:{name}" for rater in ("R1", "R2", "R3") for name in FINDINGS)]
    text(
        root / "reads.csv",
        ",".join(header),
        reads_row("CQ500-CT-0", "0" * 14, "0" * 14, "0" * 14),
        reads_row("CQ500-CT-1", "10000110010000", "10000100011000", "00000110011000"),
        reads_row("CQ500-CT-12", "0" * 13 + "1", "-" * 13 + "1", "0" * 14),
        reads_row("CQ500-CT-99", "1" * 14, "1" * 14, "1" * 14),
    )
    return root


def dhcp(root: Path, *, combined: bool = False) -> Path:
    sessions = {"CC00050XX01": ("7201",), "CC00063AN06": ("15102", "25000"), "CC00099BN17": ("30100",)}
    ages = {"7201": "42.71", "15102": "33.86", "25000": "41.14", "30100": "39.29"}
    seed = 0
    for subject, names in sessions.items():
        for session in names:
            seed += 1
            anat = root / f"sub-{subject}" / f"ses-{session}" / "anat"
            stem = f"sub-{subject}_ses-{session}"
            put(anat / f"{stem}_desc-restore_T2w.nii.gz", values(seed))
            put(anat / f"{stem}_T2w.nii.gz", values(seed) + 1)
            put(anat / f"{stem}_desc-bet_space-T2w_brainmask.nii.gz", (values(seed) > 0).astype(np.uint8))
            put(anat / f"{stem}_desc-drawem_space-T2w_brainmask.nii.gz", (values(seed) > 9).astype(np.uint8))
        rows = [f"{name}\t{ages[name]}\t34.5\t1\t2\t0" for name in names]
        if not combined:
            head = "session_id\tscan_age\tscan_head_circumference\tscan_number\tradiology_score\tsedation"
            text(root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv", head, *rows)
    people = {"CC00050XX01": "Female\t42.14", "CC00063AN06": "Male\t33.0", "CC00099BN17": "male\tNaN"}
    if combined:
        text(
            root / "combined.tsv",
            "participant_id\tsex\tbirth_age\tsession_id\tscan_age\thead_circumference",
            *(f"{one}\t{people[one]}\t{name}\t{ages[name]}\tNaN" for one, names in sessions.items() for name in names),
            "CC00999XX99\tMale\t40\t1\t41\t35",
        )
    else:
        rows = [f"{one}\t{said}\t3.2\tSingle" for one, said in people.items()]
        text(root / "participants.tsv", "participant_id\tgender\tbirth_age\tbirth_weight\tsingleton", *rows)
    return root


T2_GRID = np.diag([1.5, 1.0, 1.2, 1.0])


def ixi(root: Path) -> Path:
    for seed, name in enumerate(("IXI002-Guys-0828", "IXI013-HH-1212", "IXI567-IOP-1077")):
        put(root / f"{name}-T1.nii.gz", values(seed))
        put(root / f"{name}-T2.nii.gz", values(50 + seed, (8, 8, 8)), T2_GRID)
        put(root / f"{name}-PD.nii.gz", values(90 + seed, (8, 8, 8)), T2_GRID)
    text(
        root / "IXI.csv",
        'IXI_ID,"SEX_ID (1=m, 2=f)",HEIGHT,WEIGHT,DOB,STUDY_DATE,AGE',
        "1,2,170,80,1969-08-21,2005-08-03,35.95",
        "2,2,164,58,1970-02-21,2005-11-18,35.8",
        "13,1,182,70,1958-09-15,2005-06-01,46.71",
        "13,1,182,70,1958-09-15,,",
        "567,2,,,,2006-03-01,61.2",
    )
    return root


def analyze(path: Path, data: np.ndarray, spacing=(1.0, 1.0, 1.0), order: str = "<", **fields) -> Path:
    """Write NAME.hdr and NAME.img from raw header fields; as iSEG's, with a fourth dimension of 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = nib.Spm99AnalyzeImage.header_class(endianness=order)
    data = data.astype(data.dtype.newbyteorder(order))
    header["dim"] = [4, *data.shape, 1, 1, 1, 1]
    header.set_data_dtype(data.dtype)
    header["pixdim"][1:4] = spacing
    header["scl_slope"] = 0
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock)
    path.with_suffix(".img").write_bytes(data.tobytes(order="F"))
    return path


def iseg(root: Path) -> Path:
    for number in (1, 2, 10):
        analyze(root / f"subject-{number}-T1.hdr", values(number))
        analyze(root / f"subject-{number}-T2.hdr", values(20 + number))
        analyze(root / f"subject-{number}-label.hdr", labels(number, (0, 10, 150, 250)).astype(np.uint8))
    return root


def mrbrains(root: Path) -> Path:
    for seed, name in enumerate(("1", "14", "070")):
        case = root / "training" / name
        for at, image in enumerate(("reg_T1", "reg_IR", "FLAIR")):
            put(case / "pre" / f"{image}.nii.gz", values(10 * seed + at))
            put(case / "orig" / f"{image}.nii.gz", values(10 * seed + at) + 5)
        put(case / "segm.nii.gz", labels(seed, range(11)))
    return root
