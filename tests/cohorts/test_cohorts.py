"""Every cohort: the format of its dataset, exact repetition, and the same numbers from the cache."""

import pickle

import pytest
import torch

from medlab.cohorts.brats import BratsCohort
from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.dhcp import DhcpCohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.iseg import IsegCohort
from medlab.cohorts.ixi import IxiCohort
from medlab.cohorts.measured import low_resolution, measure_kspace
from medlab.cohorts.mrbrains import MrbrainsCohort
from medlab.cohorts.registration import draw_pair, warp, warp_label
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.cohorts.translation import FlairCohort, MrCtCohort, MrPetCohort
from medlab.data.readers import brats, iseg, mrbrains
from medlab.data.samples import Sample
from medlab.physics.mri.encoding import MultiCoil, to_image

SMALL = Grid.cube(28)
COHORTS = {
    "BraTS": lambda: BratsCohort(3, SMALL),
    "CQ500": lambda: Cq500Cohort(3, SMALL, anomalous=1.0, reconstructed=False),
    "dHCP": lambda: DhcpCohort(3, Grid.cube(28, 152.0)),
    "IXI": lambda: IxiCohort(3, SMALL, channels=("T1", "PD")),
    "iSEG": lambda: IsegCohort(3, SMALL),
    "MRBrainS": lambda: MrbrainsCohort(3, Grid((28, 28, 9), (8.0, 8.0, 24.0))),
    "MR-CT": lambda: MrCtCohort(3, SMALL, misalignment_mm=3.0),
    "MR-PET": lambda: MrPetCohort(3, SMALL),
    "FLAIR": lambda: FlairCohort(3, SMALL),
}


@pytest.fixture(autouse=True)
def kept_here(tmp_path, monkeypatch):
    """Samples go to a folder of this test; the head model stays where it is."""
    from medlab.cohorts import cohort

    monkeypatch.setattr(cohort, "cache_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", COHORTS)
def test_a_cohort_gives_samples_that_are_the_same_twice(name, kept_here):
    cohort = COHORTS[name]()
    sample = cohort[0]
    assert isinstance(sample, Sample)
    assert sample.channels == cohort.channels and sample.image.data.shape[0] == len(cohort.channels)
    assert sample.image.shape[1:] == cohort.grid.shape and sample.image.orientation == "RAS"
    assert dict(sample.facts) == dict(cohort.facts(0)) and "synthetic" in sample.subject
    assert list(kept_here.rglob("*.npz")), "it is kept"
    from_cache, anew = cohort[0], COHORTS[name]().make(0)
    for other in (from_cache, anew):
        assert torch.equal(other.image.data, sample.image.data)
        assert sample.label is None or torch.equal(other.label, sample.label)
        assert sample.mask is None or torch.equal(other.mask, sample.mask)
    assert not torch.equal(cohort[1].image.data, sample.image.data)
    assert pickle.loads(pickle.dumps(sample)).subject == sample.subject


def test_subjects_do_not_depend_on_how_many_there_are():
    few, many = BratsCohort(2, SMALL), BratsCohort(5, SMALL)
    assert few.subjects == many.subjects[:2] and few.folder == many.folder
    assert dict(few.facts(1)) == dict(many.facts(1))
    assert BratsCohort(2, SMALL, seed=1).folder != few.folder


def test_several_processes_make_the_same(kept_here):
    alone = FlairCohort(2, Grid.cube(16))
    expected = [alone.make(index).image.data for index in range(2)]
    alone.prepare(workers=2)
    for index, image in enumerate(expected):
        assert torch.equal(alone[index].image.data, image)


def test_cohorts_speak_the_language_of_their_readers():
    assert BratsCohort.channels == brats.CHANNELS and BratsCohort.label_names == brats.LABEL_NAMES
    assert IsegCohort.channels == iseg.CHANNELS and IsegCohort.label_names == iseg.LABEL_NAMES
    assert MrbrainsCohort.label_names == mrbrains.LABEL_NAMES
    assert MrbrainsCohort.channels == tuple(mrbrains.FILES)
    from medlab.data.readers import cq500

    facts = Cq500Cohort(1, SMALL).facts(0)
    assert set(cq500.FINDINGS.values()) <= set(facts)
    assert {"age_weeks", "sex"} <= set(DhcpCohort(1, SMALL).facts(0))
    assert {"age_years", "sex", "site"} <= set(IxiCohort(1, SMALL).facts(0))


def test_tumours_show_as_they_do_in_patients():
    cohort = BratsCohort(12, Grid.cube(40))
    index = next(n for n in range(12) if cohort.facts(n)["grade"] == "HGG")
    sample = cohort[index]
    healthy = (sample.label == 0) & sample.mask
    rim, swelling = sample.label == 4, sample.label == 2
    assert bool(rim.any()) and bool(swelling.any())
    t1, contrast, flair = (sample.channel(name) for name in ("T1", "T1ce", "FLAIR"))
    assert float((contrast / t1.clamp(min=1e-3))[rim].mean()) > 1.2
    assert float(flair[swelling].mean()) > 1.15 * float(flair[healthy].mean())
    assert float(sample.image.data[:, ~sample.mask].abs().max()) == 0, "skull-stripped"


def test_bleeds_and_fractures_are_where_the_labels_say():
    cohort = Cq500Cohort(40, Grid.cube(48), anomalous=1.0, reconstructed=False)
    # A bleed inside the brain: beside bone, a voxel of 5 mm holds some of both.
    bleeding = next(n for n in range(40) if cohort.facts(n)["intraparenchymal_haemorrhage"])
    sample = cohort[bleeding]
    assert bool((sample.label == 1).any())
    assert 50 < float(sample.channel("CT")[sample.label == 1].mean()) < 95
    healthy = Cq500Cohort(6, Grid.cube(24), anomalous=0.0, reconstructed=False)
    for index in range(6):
        assert not any(value for value in healthy.facts(index).values() if value is True)
    assert int(healthy[0].label.max()) == 0


def test_six_months_hide_the_border_of_white_matter():
    sample = IsegCohort(1, Grid.cube(40))[0]
    adult = IxiCohort(1, Grid.cube(40))[0]
    contrasts = []
    for image, label in ((sample.channel("T1"), sample.label),):
        white, grey = image[label == 3], image[label == 2]
        contrasts.append(abs(float(white.mean() - grey.mean())) / float(white.mean()))
    assert contrasts[0] < 0.1 and adult.label is None


def test_a_misaligned_ct_lies_elsewhere():
    straight, moved = (MrCtCohort(1, Grid.cube(32), misalignment_mm=mm) for mm in (0.0, 6.0))
    ours, theirs = straight[0], moved[0]
    torch.testing.assert_close(ours.channel("T1"), theirs.channel("T1"))
    assert float((ours.channel("CT") - theirs.channel("CT")).abs().mean()) > 20


def test_plaques_take_up_less_tracer():
    sample = MrPetCohort(3, Grid.cube(64))[1]
    for name in ("MTR", "PET"):
        image = sample.channel(name)
        assert float(image[sample.label == 2].mean()) < 0.93 * float(image[sample.label == 1].mean())


def test_the_displacement_of_a_pair_is_the_truth():
    grid = Grid.cube(72, 200.0)
    pair = draw_pair(3, grid)
    warped = warp_label(pair.moving_label, pair.displacement_mm, grid)
    for value in (3, 5):
        theirs, ours = warped == value, pair.fixed_label == value
        before = pair.moving_label == value
        overlap = 2 * float((theirs & ours).sum()) / float(theirs.sum() + ours.sum())
        assert overlap > 0.8 > 2 * float((before & ours).sum()) / float(before.sum() + ours.sum())
    brain = [(label > 1) for label in (warped, pair.fixed_label)]
    assert 2 * float((brain[0] & brain[1]).sum()) / float(brain[0].sum() + brain[1].sum()) > 0.97
    image = warp(pair.moving, pair.displacement_mm, grid)
    assert float((image - pair.fixed).abs().mean()) < 0.5 * float((pair.moving - pair.fixed).abs().mean())


def test_measured_k_space_is_that_of_the_target():
    subject = draw_subject(draw_person(1), Grid((48, 48, 3), (5.0, 5.0, 5.0)))
    scan = measure_kspace(subject, 1, 0, factor=3.0, noise=0.0)
    assert scan.kspace.shape == (8, 48, 48) and scan.mask.shape == (48,)
    assert 12 <= int(scan.mask.sum()) <= 20
    expected = MultiCoil(scan.sensitivities, scan.mask)(scan.target)
    torch.testing.assert_close(scan.kspace, expected)
    full = measure_kspace(subject, 1, 0, factor=1.0, noise=0.0)
    weights = full.sensitivities.abs().square().sum(0)
    image = (full.sensitivities.conj() * to_image(full.kspace)).sum(0) / weights
    torch.testing.assert_close(image, full.target, rtol=0, atol=1e-4)


def test_thick_slices_keep_place_and_mean():
    volume = FlairCohort(1, Grid.cube(24))[0].image
    thick = low_resolution(volume, 4)
    assert thick.shape[1:] == (24, 24, 6) and thick.spacing[2] == pytest.approx(40.0)
    torch.testing.assert_close(thick.data[..., 2], volume.data[..., 8:12].mean(-1))
    middle = volume.to_world([0, 0, 9.5])
    assert thick.to_world([0, 0, 2]) == pytest.approx(middle)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: BratsCohort(0, SMALL), "subjects is 0, expected a whole number"),
        (lambda: BratsCohort(2, (24, 24, 24)), r"grid is \(24, 24, 24\), expected a Grid"),
        (lambda: BratsCohort(2, SMALL, -1), "seed is -1"),
        (lambda: IxiCohort(2, SMALL, channels=("FLAIR",)), "channels are"),
        (lambda: Cq500Cohort(2, SMALL, anomalous=2.0), "anomalous is 2.0, expected a share"),
        (lambda: MrCtCohort(2, SMALL, misalignment_mm=-1.0), "misalignment_mm is -1.0"),
        (
            lambda: low_resolution(FlairCohort(1, Grid.cube(8))[0].image, 9),
            "factor is 9, expected a whole number from 1",
        ),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_an_index_beyond_the_end_is_refused():
    with pytest.raises(IndexError, match="index is 3, expected one of 3 samples of FLAIR"):
        FlairCohort(3, SMALL)[3]
