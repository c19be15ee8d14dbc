"""A head that grows: its size, its folds, its fluid and its contrast are known at every age, and change smoothly."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import ellipe

from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.growth import (
    FIELD_OF_VIEW_MM,
    NEONATAL_T1,
    NEONATAL_T2,
    Neonate,
    border_area_mm2,
    draw_neonatal_subject,
    draw_neonate,
    gyrification,
    head_circumference_cm,
    measured_circumference_cm,
    neonatal_mr_image,
    neonatal_values,
    ripe_weeks,
    scan_ages,
)
from medlab.cohorts.growth.folding import cortical_surface_mm, fold_pattern
from medlab.cohorts.growth.neonate import _velocity
from medlab.cohorts.growth.template import neonatal_template
from medlab.cohorts.growth.timetable import stage_at, sulcal_depth_mm
from medlab.cohorts.scan import Sequence, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.cohorts.tissues import BRAIN, FLUID, SKULL, TISSUES

GRID = Grid.cube(76, FIELD_OF_VIEW_MM)  # 2 mm: drawn as it is
CLEAN = {"noise": 0.0, "bias": 0.0, "variation": 0.0, "texture": 0.0}


@cache
def neonate(seed, **changes):
    return draw_neonate(seed, **changes)


@cache
def head(seed, age):
    return draw_neonatal_subject(neonate(seed), age, GRID)


def ellipsoid(spacing, half, centre=(0.3, -0.4, 0.2)):
    """The distance to an ellipsoid as a share of its half axes, on a grid that it does not lie evenly on."""
    axes = [torch.arange(-75, 75, h, dtype=torch.float64) + c for h, c in zip(spacing, centre, strict=True)]
    return sum((x / a) ** 2 for x, a in zip(torch.meshgrid(*axes, indexing="ij"), half, strict=True)).sqrt()


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.0, 2.0, 3.0), (3.0, 3.0, 3.0)], ids=str)
@pytest.mark.parametrize("half", [(50.0, 60.0, 40.0), (42.0, 55.0, 45.0), (50.0, 50.0, 50.0)], ids=str)
def test_the_circumference_of_an_ellipsoid_is_that_of_its_largest_ellipse(spacing, half):
    short, long = sorted(half[:2])
    truth = 4 * long * ellipe(1 - (short / long) ** 2) / 10
    radius = ellipsoid(spacing, half)
    assert measured_circumference_cm(radius < 1, spacing) == pytest.approx(truth, rel=0.006)
    soft = (0.5 - (radius - 1) * short / max(spacing[:2])).clamp(0, 1)
    assert measured_circumference_cm(soft, spacing) == pytest.approx(truth, rel=0.004)


def test_the_tape_is_straight_over_hollows_and_stays_on_the_head():
    radius = ellipsoid((2.0,) * 3, (50.0, 60.0, 40.0))
    whole = measured_circumference_cm(radius < 1, 2.0)
    dented = radius < 1
    dented[:12, 30:34] = False
    dented[40:, :30, 20:24] &= radius[40:, :30, 20:24] < 0.8
    apart = radius < 1
    apart[2:5, 2:5, 30:50] = True
    shell = (radius < 1) & (radius > 0.9)
    for changed in (dented, apart, shell):
        assert measured_circumference_cm(changed, 2.0) == pytest.approx(whole, rel=1e-3)
    assert measured_circumference_cm(dented.numpy(), (2.0, 2.0, 2.0)) == pytest.approx(whole, rel=1e-3)


def test_the_curve_of_head_circumference():
    # INTERGROWTH-21st at 30 weeks by hand: -28.2849 + 1523.403 - 1216.74 mm.
    assert head_circumference_cm(30.0) == pytest.approx(27.84, abs=0.01)
    assert head_circumference_cm(40.0) == pytest.approx(34.2) and head_circumference_cm(44.3) == pytest.approx(36.9)
    ages = np.linspace(24, 46, 441)
    sizes = np.array([head_circumference_cm(float(age)) for age in ages])
    steps = np.diff(sizes)
    assert steps.min() > 0 and steps.max() < 0.06, "always growing, by less than 1.2 cm a week, and without a jump"
    spread = [head_circumference_cm(age, 1.0) - head_circumference_cm(age) for age in (40.0, 45.0)]
    assert 1.2 <= spread[0] < spread[1] <= 1.5


@pytest.mark.parametrize("seed, age", [(1, 26.0), (1, 32.0), (1, 45.0), (2, 41.0), (3, 41.0)])
def test_the_drawn_head_has_the_circumference_of_the_curve(seed, age):
    subject = head(seed, age)
    truth = head_circumference_cm(age, neonate(seed).centile_z)
    for mask in (1 - subject.share("air"), subject.share("air") < 0.5):
        assert measured_circumference_cm(mask, GRID.spacing_mm) == pytest.approx(truth, rel=0.01)


def test_a_neonate_keeps_its_centile():
    own, larger = neonate(1).centile_z, draw_neonatal_subject(neonate(1, centile_z=2.5), 35.0, GRID)
    sizes = [measured_circumference_cm(1 - one.share("air"), GRID.spacing_mm) for one in (head(1, 35.0), larger)]
    assert sizes[1] / sizes[0] == pytest.approx((1 + 2.5 * 0.037) / (1 + own * 0.037), rel=0.01)


def test_shares_add_up_and_coarse_voxels_hold_means():
    for age in (26.0, 45.0):
        shares = head(1, age).shares
        assert float((sum(shares.values()) - 1).abs().max()) < 1e-5
        assert all(float(share.min()) >= 0 and float(share.max()) <= 1 + 1e-5 for share in shares.values())
        assert list(shares) == [name for name in TISSUES if name in shares] and "diploe" not in shares
    coarse = draw_neonatal_subject(neonate(1), 45.0, Grid.cube(38, FIELD_OF_VIEW_MM))
    for name, share in coarse.shares.items():
        means = head(1, 45.0).share(name).reshape(38, 2, 38, 2, 38, 2).mean((1, 3, 5))
        torch.testing.assert_close(share, means, rtol=0, atol=1e-5)


def test_any_part_of_the_head_can_be_drawn_alone():
    whole, z = head(1, 45.0), 40
    part = Grid((*GRID.shape[:2], 3), GRID.spacing_mm, (*GRID.centre_mm[:2], float(GRID.axes()[2][z])))
    slab = draw_neonatal_subject(neonate(1), 45.0, part)
    for name in ("white matter", "grey matter", "outer csf", "skin"):
        torch.testing.assert_close(slab.share(name)[..., 1], whole.share(name)[..., z], rtol=0, atol=1e-3)
    single = draw_neonatal_subject(neonate(1), 45.0, replace(part, shape=(*GRID.shape[:2], 1)))
    assert single.share("air").shape == (*GRID.shape[:2], 1)
    assert float((single.share("skin")[..., 0] - whole.share("skin")[..., z]).abs().max()) < 1e-3


def test_the_same_seed_gives_the_same_bytes():
    first = head(2, 41.0)
    image = neonatal_mr_image(first, NEONATAL_T2, 5)
    fold_pattern.cache_clear()
    _velocity.cache_clear()
    again = draw_neonatal_subject(draw_neonate(2), 41.0, GRID)
    assert list(first.shares) == list(again.shares)
    assert all(torch.equal(share, again.shares[name]) for name, share in first.shares.items())
    assert torch.equal(image, neonatal_mr_image(again, NEONATAL_T2, 5))
    assert not torch.equal(image, neonatal_mr_image(again, NEONATAL_T2, 6)), "another scan has other noise"


@pytest.mark.parametrize("age", [32.0, 38.0])
def test_growth_is_continuous(age):
    """A hundredth of a week changes nearly nothing, and three weeks change more than a hundred times as much."""
    now, soon, late = (neonatal_mr_image(head(1, one), NEONATAL_T2, 1, **CLEAN) for one in (age, age + 0.01, age + 3))
    little, much = ((other - now).abs().mean() for other in (soon, late))
    assert 0 < float(little) < 0.01 * float(much)
    assert float((soon - now).abs().max()) < 0.05


def test_folding_deepens_with_age():
    found = [gyrification(head(1, age)) for age in (26.0, 32.0, 35.0, 38.0, 41.0, 45.0)]
    assert all(late > early for early, late in pairwise(found)), found
    assert found[0] < 1.1 and found[-1] > 1.6
    # Some sulci are early and some late; all only ever deepen.
    depths = torch.stack([sulcal_depth_mm(float(age), torch.linspace(0, 1, 5)) for age in range(24, 47)])
    assert bool((depths.diff(dim=0) > 0).all()) and bool((depths.diff(dim=1) > 0).all())
    assert float(depths[2].max()) < 2 and float(depths[21].min()) > 5


def test_the_area_of_a_sphere():
    grid = Grid.cube(48, 96.0)
    radius = (grid.points() - torch.tensor(grid.centre_mm)).norm(dim=-1)
    ball = (0.5 - (radius - 35.0) / 2).clamp(0, 1)
    assert border_area_mm2(ball, grid.spacing_mm) == pytest.approx(4 * np.pi * 35.0**2, rel=0.02)


def test_the_cortex_is_a_band_whose_thickness_grows():
    for age in (26.0, 45.0):
        subject, stage = head(1, age), stage_at(age + neonate(1).ahead_weeks)
        # Above the hindbrain its volume over the area of its inner side, which closed sulci do not hide.
        above = (hindbrain_mm(subject) > 4).float()
        inner = subject.share("white matter", "deep grey matter", "ventricular csf") * above
        thickness = float((subject.share("grey matter") * above).sum()) * 8 / border_area_mm2(inner, GRID.spacing_mm)
        assert thickness == pytest.approx(stage.cortex_mm, rel=0.3), age
    assert stage_at(26.0).cortex_mm == pytest.approx(1.2, abs=0.1)
    assert stage_at(45.0).cortex_mm == pytest.approx(2.0, abs=0.1)


def hindbrain_mm(subject):
    """The distance to cerebellum and brain stem in each voxel."""
    template, places = neonatal_template(), subject.deformation.to_template(subject.grid.points())
    return sample(template.shapes[2:3], template.affine, places)[0]


@cache
def pattern(seed, age, **changes):
    """White matter just below the smooth surface of the template, where it is folded or not: (N,), and the places."""
    template = neonatal_template()
    shell = ((template.shapes[0] + 5).abs() < 1) & (template.shapes[2] > 8)
    shell[1::2] = shell[:, 1::2] = False
    places = torch.from_numpy(shell.nonzero().numpy() * 2.0 + template.affine[:3, 3]).float()
    places = places[places[:, 0].abs() > 8]
    subject = draw_neonatal_subject(neonate(seed, **changes), age, GRID) if changes else head(seed, age)
    return sample(subject.share("white matter")[None], GRID.affine, subject.deformation.to_subject(places))[0], places


def correlation(one, two):
    return float(torch.corrcoef(torch.stack([one, two]))[0, 1])


def test_folds_are_the_persons_own():
    (early, places), (late, _) = pattern(1, 35.0), pattern(1, 41.0)
    assert correlation(early, late) > 0.8, "one person at two ages"
    others = [correlation(pattern(1, 41.0)[0], pattern(seed, 41.0)[0]) for seed in (2, 3)]
    others.append(correlation(late, pattern(1, 41.0, folds_seed=99)[0]))
    assert max(others) < 0.45, "two people, and twins with other folds"
    right = places[:, 0] > 0
    mirrored = places[right] * torch.tensor([-1.0, 1.0, 1.0])
    left = sample(
        head(1, 41.0).share("white matter")[None], GRID.affine, head(1, 41.0).deformation.to_subject(mirrored)
    )
    assert correlation(late[right], left[0]) < 0.45, "the two sides of one brain"


def test_sulci_never_move_while_they_deepen():
    """The fluid of an early sulcus stays fluid: in the template's frame the surface only ever goes inwards."""
    places, template = pattern(1, 41.0)[1], neonatal_template()
    surface, early = sample(template.shapes[[0, 4]], template.affine, places)
    stage = stage_at(36.0)  # all else held still
    levels = [
        cortical_surface_mm(places, surface, early, 0.6, fold_pattern(1), stage, age) for age in (28.0, 34.0, 40.0)
    ]
    # Deeper sulci have more room at a given depth.
    assert bool((levels[1] >= levels[0] - 1e-4).all()) and bool((levels[2] >= levels[1] - 1e-4).all())


def test_anatomy_changes_as_it_should():
    young, old = head(1, 26.0), head(1, 45.0)
    share = [one.volume_ml("ventricular csf") / one.volume_ml(*BRAIN) for one in (young, old)]
    assert share[0] > 1.3 * share[1], "ventricles are larger beside the brain when it is preterm"
    outside = [one.volume_ml("outer csf") / one.volume_ml(*BRAIN) for one in (young, old)]
    assert outside[0] > 1.5 * outside[1], "and so is the room around it"
    assert 80 < young.volume_ml(*BRAIN) < 160 and 330 < old.volume_ml(*BRAIN) < 550
    skull = [border_area_mm2(one.share(*BRAIN, *FLUID, "blood", "dura mater"), GRID.spacing_mm) for one in (young, old)]
    thick = [1000 * one.volume_ml(*SKULL) / area for one, area in zip((young, old), skull, strict=True)]
    assert 0.7 < thick[0] < thick[1] < 2.5, "the skull is thin, in mm"


def test_the_deformation_is_the_true_growth():
    """From one age to another through the template: the inside of the skull lands on itself."""
    early, late = head(1, 32.0), head(1, 41.0)
    origin = early.deformation.to_subject(late.deformation.to_template(GRID.points()))
    carried = sample(early.share("ventricular csf")[None], GRID.affine, origin)[0]
    inside = late.share("ventricular csf") > 0.9
    assert float((carried[inside] > 0.3).float().mean()) > 0.9


def test_values_fall_with_age_and_meet():
    ages, none = (26.0, 30.0, 34.0, 38.0, 42.0, 45.0), torch.zeros(1)
    found = [neonatal_values(age, none) for age in ages]
    at = {name: TISSUES.index(name) for name in ("white matter", "grey matter", "deep grey matter", "outer csf")}
    for key in ("t1_ms", "t2_ms"):
        for name in BRAIN:
            course = [float(values[key][0, at[name]]) for values in found]
            assert all(late < early for early, late in pairwise(course)), (key, name)
        gap = [float(values[key][0, at["white matter"]] - values[key][0, at["grey matter"]]) for values in found]
        assert gap[-1] > 0, "white matter without myelin holds more water than grey"
    ratio = [float(values["t2_ms"][0, 1] / values["t2_ms"][0, 2]) for values in found]
    ripe = neonatal_values(42.0, torch.tensor([-1.0, 0.0, 0.5, 1.0]))
    for key in ("t1_ms", "t2_ms"):
        assert bool((ripe[key][:, at["white matter"]].diff() < 0).all())
        assert float(ripe[key][:, at["outer csf"]].std()) == 0
    assert float(ripe["t2_ms"][-1, at["white matter"]]) < 1.2 * float(ripe["t2_ms"][-1, at["grey matter"]])
    assert all(1.4 < one < 2.0 for one in ratio)
    for values in [*found, ripe]:
        assert bool((values["t2_star_ms"] <= values["t2_ms"]).all())
        assert bool((values["t2_ms"] <= 2 * values["t1_ms"]).all())


def test_myelin_comes_in_its_order():
    # Pons, thalamus, posterior limb, corona radiata, optic radiation, white matter of the frontal lobe.
    places = torch.tensor(
        [[8, -22, -36], [12, -18, 7], [22, -15, 5], [25, -20, 27], [32, -55, 8], [25, 40, 10]]
    ).float()
    hindbrain = torch.tensor([-8.0, 20.0, 20.0, 30.0, 20.0, 60.0])
    weeks = ripe_weeks(places, hindbrain).tolist()
    assert weeks == sorted(weeks) and weeks[0] < 31 and weeks[1] < 36 < weeks[2] < 39 < weeks[3] < 44 < weeks[4]
    mirrored = ripe_weeks(places * torch.tensor([-1.0, 1.0, 1.0]), hindbrain)
    torch.testing.assert_close(mirrored, torch.tensor(weeks))
    front, back = ripe_weeks(torch.tensor([[25.0, 17.0, 20.0], [25.0, -53.0, 20.0]]), torch.full((2,), 40.0)).tolist()
    assert front > back + 1
    line = torch.stack([torch.tensor([x, -15.0, 5.0]) for x in np.linspace(22, 60, 9)]).float()
    assert bool((ripe_weeks(line, torch.full((9,), 40.0)).diff() > 0).all()), "from the centre outwards"
    ripeness = [head(1, age).ripeness[head(1, age).share("white matter") > 0.9].mean() for age in (26.0, 38.0, 45.0)]
    assert ripeness[0] < ripeness[1] < ripeness[2]


def contrast(age, sequence):
    """The signals of white and grey matter and fluid whose mix by shares comes nearest to the image of the cerebrum."""
    subject = head(1, age)
    image = neonatal_mr_image(subject, sequence, 1, **CLEAN)
    shares = [subject.share(*names) for names in (("white matter",), ("grey matter",), FLUID)]
    only = (hindbrain_mm(subject) > 4) & (sum(shares) > 0.999)
    found = torch.linalg.lstsq(torch.stack([share[only] for share in shares], 1), image[only][:, None]).solution
    return dict(zip(("white", "grey", "fluid"), found[:, 0].tolist(), strict=True))


def test_contrast_is_a_neonates():
    for age in (26.0, 45.0):
        t2, t1 = contrast(age, NEONATAL_T2), contrast(age, NEONATAL_T1)
        assert t2["fluid"] > 1.3 * t2["white"] > 1.3 * 1.2 * t2["grey"]
        assert t1["grey"] > t1["white"] > 0
    young, old = contrast(26.0, NEONATAL_T2), contrast(45.0, NEONATAL_T2)
    assert young["white"] - young["grey"] > old["white"] - old["grey"], "white matter approaches grey"


def test_the_image_is_the_mix_of_the_signals_of_its_tissues():
    subject = head(3, 41.0)
    image = neonatal_mr_image(subject, NEONATAL_T2, 1, **CLEAN)
    fluid = (subject.share("outer csf") > 0.9999) & (subject.share("blood") == 0)
    # 1 - 2 E(TR - TE/2) + E(TR) with T1 4300 ms, and the decay with T2 2000 ms, written out.
    expected = (1 - 2 * np.exp(-(12000 - 78) / 4300) + np.exp(-12000 / 4300)) * np.exp(-156 / 2000)
    assert float((image[fluid] - expected).abs().max()) < 1e-3 and int(fluid.sum()) > 100
    assert float(image[subject.share("air") > 0.9999].max()) < 1e-4
    noisy = neonatal_mr_image(subject, NEONATAL_T2, 1, noise=0.05, bias=0.0, variation=0.0, texture=0.0)
    white = neonatal_values(41.0 + neonate(3).ahead_weeks, torch.zeros(1))
    sigma = 0.05 * float(NEONATAL_T2.signals(white)[0, TISSUES.index("white matter")])
    assert float((noisy - image)[fluid].std()) == pytest.approx(sigma, rel=0.1)


def test_an_adults_scanner_takes_a_neonate():
    image = mr_image(head(1, 41.0), Sequence("T2", "spin echo", 5000.0, 95.0), 1)
    assert image.shape == GRID.shape and bool(image.isfinite().all())


def test_ages_are_those_of_a_neonatal_study():
    drawn = scan_ages(4, 1500)
    ages = np.array([age for _, one in drawn for age in one])
    assert [index for index, _ in drawn] == list(range(1500))
    assert ages.min() >= 26 and ages.max() <= 45 and np.median(ages) == pytest.approx(40.57, abs=0.3)
    assert np.percentile(ages, 10) < 35 and np.percentile(ages, 90) < 44, "the tail is on the preterm side"
    repeated = [one for _, one in drawn if len(one) > 1]
    assert len(repeated) / 1500 == pytest.approx(0.1, abs=0.025) and {len(one) for one in repeated} == {2, 3}
    assert all(one[0] < 37 and one[-1] > 38 and list(one) == sorted(one) for one in repeated)
    assert scan_ages(4, 20) == drawn[:20] and scan_ages(5, 20) != drawn[:20]
    assert all(len(one) == 1 for _, one in scan_ages(4, 200, 0.0))
    assert all(len(one) > 1 for _, one in scan_ages(4, 200, 1.0))


def test_people_differ_in_size():
    z = np.array([draw_neonate(seed).centile_z for seed in range(300)])
    assert abs(z.mean()) < 0.2 and 0.8 < z.std() < 1.1
    assert draw_neonate(7) == draw_neonate(7) and draw_neonate(7) != draw_neonate(8)


BAD = {
    "too young": (lambda: head_circumference_cm(20.0), "age_weeks is 20.0, expected a number of at least 24"),
    "too old": (lambda: head(1, 47.0), "age_weeks is 47.0, expected a number of at least 24 and at most 46"),
    "NaN age": (lambda: head(1, float("nan")), "age_weeks is nan"),
    "no size": (lambda: head_circumference_cm(30.0, -30.0), "z is -30, expected a number for which a head has a size"),
    "NaN z": (lambda: head_circumference_cm(30.0, float("nan")), "z contains NaN"),
    "seed": (lambda: draw_neonate(-1), "seed is -1, expected a whole number of at least 0"),
    "folds": (lambda: Neonate(1, 1.5), "folds_seed is 1.5"),
    "centile": (lambda: Neonate(1, 1, centile_z=9.0), "centile_z is 9.0"),
    "proportions": (lambda: Neonate(1, 1, proportions=(1, 0, 1)), "proportions are .* above 0"),
    "pose": (lambda: Neonate(1, 1, angles_deg=(1, 2)), "angles_deg is .* three finite numbers"),
    "no neonate": (lambda: draw_neonatal_subject(3, 40.0, GRID), "neonate is 3, expected a Neonate"),
    "beside": (
        lambda: draw_neonatal_subject(neonate(1), 40.0, replace(GRID, centre_mm=(900.0, 0.0, 0.0))),
        "holds none of the head",
    ),
    "an adult": (
        lambda: neonatal_mr_image(draw_subject(draw_person(1), Grid.cube(12)), NEONATAL_T2, 1),
        "subject is Subject, expected a NeonatalSubject",
    ),
    "ripeness": (lambda: neonatal_values(40.0, torch.tensor([2.0])), "expected \\(N,\\), each from -1 to 1"),
    "flat mask": (lambda: measured_circumference_cm(torch.ones(4, 4), 1.0), "mask has shape \\(4, 4\\)"),
    "empty mask": (lambda: measured_circumference_cm(torch.zeros(4, 4, 4), 1.0), "mask is empty, expected a head"),
    "one voxel": (lambda: measured_circumference_cm(torch.eye(9)[None] > 2, 1.0), "mask is empty"),
    "speck": (lambda: measured_circumference_cm(speck(), 1.0), "mask holds 1 voxels in one piece"),
    "labels": (lambda: measured_circumference_cm(3 * torch.ones(4, 4, 4), 1.0), "values from 3 to 3, expected 0 to 1"),
    "spacing": (lambda: measured_circumference_cm(torch.ones(4, 4, 4), (1.0, 0.0, 1.0)), "spacing_mm is 0.0"),
    "two spacings": (
        lambda: measured_circumference_cm(torch.ones(4, 4, 4), (1.0, 1.0)),
        "expected one number or three",
    ),
    "share": (lambda: scan_ages(1, 5, 1.5), "share_repeated is 1.5"),
    "subjects": (lambda: scan_ages(1, -5), "subjects is -5"),
}


def speck():
    mask = torch.zeros(9, 9, 9, dtype=torch.bool)
    mask[4, 4, 4] = True
    return mask


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
