"""Gliomas: the growth against its analytic truths, cells only where cells can be, and what a subject shows of them."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import Deformation
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import GLIOMA_LABELS, GLIOMA_NAMES, Glioma, draw_glioma
from medlab.cohorts.lesions.glioma import LOBE_SHARES, lobe_at
from medlab.cohorts.lesions.infiltration import diffusivity_map, infiltrate
from medlab.cohorts.lesions.places import model_points
from medlab.cohorts.lesions.reaction_diffusion import grow
from medlab.cohorts.subject import Person, draw_subject
from medlab.cohorts.tissues import BRAIN, SKULL, TISSUES

MM = 4
MODEL = head_model(MM)
POINTS = model_points(MM)
HIGH = Glioma(1, "high", (-28.5, 3.5, 28.5), 30.0, 6.0, 70.0, enhancing=0.5, push_mm=6.0, spacing_mm=MM)
LOW = Glioma(2, "low", (27.5, -28.5, 29.5), 0.8, 1.0, 40.0, enhancing=0.0, push_mm=2.0, spacing_mm=MM)
GRID = Grid((38, 44, 34), (4.0, 4.0, 4.0))
PERSON = Person(1, shape_mm=0.0, folds=0.0)
SICK = {lesion.grade: draw_subject(PERSON, GRID, [lesion]) for lesion in (HIGH, LOW)}
HEALTHY = draw_subject(PERSON, GRID)
ONE = torch.full((20, 18, 16), 30.0)


def some(shape=ONE.shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


# The equation


def test_without_division_no_cell_appears_or_is_lost():
    wander = 60 * some() * (some() > 0.3)
    before = torch.where(wander > 0, some(ONE.shape), 0.0)
    after = grow(before, wander, 0.0, 900.0, 2.0)
    assert float(after.double().sum()) == pytest.approx(float(before.double().sum()), rel=1e-5)
    assert float((after - before).abs().max()) > 0.1, "they did move"
    assert torch.equal(after[wander == 0], before[wander == 0])


def test_a_cloud_of_cells_widens_by_two_d_t():
    # The variance of a random walk on a grid grows exactly as that of diffusion.
    before = torch.zeros(41, 41, 41)
    before[20, 20, 20] = 1
    after = grow(before, torch.full(before.shape, 12.0), 0.0, 365.25, 2.0).double()
    for axis in range(3):
        line = after.sum([a for a in range(3) if a != axis])
        place = 2.0 * (torch.arange(41) - 20)
        assert float((line * place).sum()) == pytest.approx(0, abs=1e-4)
        assert float((line * place.square()).sum()) == pytest.approx(2 * 12.0, rel=1e-3)


def test_evenly_spread_cells_divide_logistically():
    after = grow(torch.full(ONE.shape, 0.1), ONE, 3.0, 365.25, 2.0)
    torch.testing.assert_close(after, torch.full(ONE.shape, 0.1 / (0.1 + 0.9 * math.exp(-3))), rtol=0, atol=2e-5)


def front_mm(density, spacing):
    line = density.flatten().numpy()
    last = int(np.flatnonzero(line >= 0.5)[-1])
    return spacing * (last + (line[last] - 0.5) / (line[last] - line[last + 1]))


def test_the_front_runs_at_twice_the_root_of_rho_d():
    wander, rho, spacing = 20.0, 5.0, 0.5
    medium = torch.full((420, 1, 1), wander)
    cells = torch.zeros(medium.shape)
    cells[:10] = 1
    early = grow(cells, medium, rho, 4 * 365.25, spacing)
    late = grow(early, medium, rho, 4 * 365.25, spacing)
    length, speed = math.sqrt(wander / rho), 2 * math.sqrt(rho * wander)
    run = front_mm(late, spacing) - front_mm(early, spacing)
    assert run == pytest.approx(4 * speed, rel=0.04)
    # It gets there from below (Bramson): x = 2 t - 1.5 ln t in units of 1 / rho and the length.
    assert run == pytest.approx(4 * speed - 1.5 * length * math.log(8 / 4), rel=0.01)


def test_a_ball_grows_alike_in_all_directions_and_at_the_same_speed():
    medium = torch.full((49, 49, 49), 30.0)
    axes = torch.meshgrid(*[2.0 * (torch.arange(49.0) - 24)] * 3, indexing="ij")
    cells = (sum(axis.square() for axis in axes) < 36).float()
    radii = []
    for years in (0.7, 1.3):
        grown = grow(cells, medium, 6.0, years * 365.25, 2.0)
        assert torch.allclose(grown, grown.flip(0), atol=1e-5)
        assert torch.allclose(grown, grown.transpose(0, 2), atol=1e-5)
        radii.append((0.75 / math.pi * 8 * float((grown >= 0.5).sum())) ** (1 / 3))
    # A curved front is slower by 2 D / radius, and Bramson's term counts here too.
    late = 1.5 * math.sqrt(30 / 6) * math.log(1.3 / 0.7)
    curved = 2 * 30 * 0.6 / np.mean(radii)
    assert radii[1] - radii[0] == pytest.approx(0.6 * 2 * math.sqrt(180) - late - curved, rel=0.08)


def test_cells_run_faster_where_they_wander_faster():
    wander = torch.full((200, 1, 1), 28.0)
    wander[:80] = 4.0
    cells = torch.zeros(200, 1, 1)
    cells[78:82] = 1
    ends = []
    for _ in range(2):
        cells = grow(cells, wander, 6.0, 1.5 * 365.25, 1.0)
        ends.append((front_mm(cells, 1.0), front_mm(cells.flip(0), 1.0)))
    fast, slow = (late - early for early, late in zip(*ends, strict=True))
    assert fast / slow == pytest.approx(math.sqrt(7), rel=0.08)


def test_a_margin_of_empty_space_changes_nothing():
    cells, wander = torch.zeros(30, 30, 30), 40 * some((30, 30, 30))
    cells[14:16, 14:16, 14:16] = 1
    wide = torch.nn.functional.pad(cells, (9,) * 6)
    walled = torch.nn.functional.pad(wander, (9,) * 6)
    inner = grow(wide, walled, 5.0, 300.0, 2.0)[9:-9, 9:-9, 9:-9]
    torch.testing.assert_close(inner, grow(cells, wander, 5.0, 300.0, 2.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"density": torch.zeros(3, 3)}, r"density has the shape \(3, 3\), expected \(X, Y, Z\)"),
        ({"diffusivity": torch.ones(3, 3, 4)}, r"diffusivity has the shape \(3, 3, 4\), expected that of density"),
        ({"density": torch.full((3, 3, 3), 1.5)}, "density is 1.5 somewhere, expected shares of at most 1"),
        ({"density": -torch.ones(3, 3, 3)}, "density is -1, expected 0 cells or more"),
        ({"diffusivity": torch.full((3, 3, 3), math.nan)}, "diffusivity contains NaN, expected finite"),
        ({"rho": -1.0}, "rho is -1.0, expected a number of at least 0"),
        ({"days": math.inf}, "days is inf, expected a number of at least 0"),
        ({"spacing_mm": 0}, "spacing_mm is 0, expected a length above 0 mm"),
    ],
)
def test_growth_refuses(changed, message):
    given = {"density": torch.zeros(3, 3, 3), "diffusivity": torch.ones(3, 3, 3), "rho": 1.0, "days": 1.0}
    with pytest.raises(ValueError, match=message):
        grow(**{**given, "spacing_mm": 2.0, **changed})


# The head


def test_no_cell_is_in_fluid_bone_or_dura():
    closed = diffusivity_map(MM, 30.0, 7.0) == 0
    assert bool(closed[MODEL.share(*BRAIN) < 0.5].all())
    assert bool(closed[MODEL.share("ventricular csf", "outer csf", "dura mater", *SKULL) > 0.5].all())
    cells = HIGH.cells
    assert bool((cells.density[cells.brain == 0] == 0).all())
    assert 0.9 < float(cells.density.max()) <= 1


def test_hemispheres_hang_together_at_depth_only():
    x, _, z = POINTS.unbind(-1)
    free = diffusivity_map(MM, 30.0, 7.0) > 0
    for region, joined in (((z > 40), False), ((z > -6) & (z < 40), True)):
        parts, _ = ndimage.label((free & region).numpy())
        right, left = (set(np.unique(parts[(region & side).numpy()])) - {0} for side in (x > 6, x < -6))
        assert bool(right & left) is joined


def test_cells_reach_farther_in_white_matter_than_in_grey():
    cells = infiltrate(HIGH.origin_mm, 30.0, 6.0, grey_ratio=8.0, spacing_mm=MM, threshold=0.16, volume_ml=70.0)
    density = torch.zeros(MODEL.shares.shape[1:])
    start = np.rint((cells.affine[:3, 3] - MODEL.affine[:3, 3]) / MM).astype(int)
    density[tuple(slice(a, a + n) for a, n in zip(start, cells.density.shape, strict=True))] = cells.density
    away = (POINTS - torch.tensor(HIGH.origin_mm)).norm(dim=-1)
    shell = (away > 18) & (away < 32)
    white, grey = (density[shell & (MODEL.share(name) > 0.7)].mean() for name in ("white matter", "grey matter"))
    assert white > 1.5 * grey


@pytest.mark.parametrize("lesion", [HIGH, LOW], ids=lambda lesion: lesion.grade)
def test_it_grows_until_its_volume(lesion):
    assert lesion.cells.volume_ml(0.16) == pytest.approx(lesion.volume_ml, rel=0.03)
    finding = lesion.finding()
    assert 0.05 * finding["volume_ml"] < finding["core_ml"] < finding["volume_ml"]
    assert finding["side"] == ("right" if lesion.origin_mm[0] > 0 else "left")


def test_it_grows_for_its_days():
    longer = [Glioma(1, "high", HIGH.origin_mm, volume_ml=None, days=d, spacing_mm=MM) for d in (200.0, 300.0)]
    volumes = [one.cells.volume_ml(0.16) for one in longer]
    assert longer[0].cells.days == 200 and 0 < volumes[0] < volumes[1]


# The subject


@pytest.mark.parametrize("grade", ["high", "low"])
def test_shares_still_add_up(grade):
    total = sum(SICK[grade].shares.values())
    assert float((total - 1).abs().max()) < 1e-5
    assert all(float(s.min()) >= 0 and float(s.max()) <= 1 + 1e-5 for s in SICK[grade].shares.values())


def test_labels_are_those_of_brats():
    assert set(GLIOMA_NAMES) == set(GLIOMA_LABELS) == {1, 2, 4}
    assert {name for names in GLIOMA_LABELS.values() for name in names} <= set(TISSUES)
    assert set(SICK["high"].labels(GLIOMA_LABELS).unique().tolist()) == {0, 1, 2, 4}
    assert set(SICK["low"].labels(GLIOMA_LABELS).unique().tolist()) == {0, 1, 2}, "nothing enhances"


def test_what_a_subject_shows_has_about_the_volume_that_was_grown():
    # The mass effect widens it, and wandering borders move it.
    for lesion, subject in ((HIGH, SICK["high"]), (LOW, SICK["low"])):
        shown = subject.volume_ml("oedema", "enhancing tumour", "tumour core")
        assert 0.7 < shown / lesion.volume_ml < 1.7


def test_necrosis_lies_within_the_rim_and_oedema_around_it():
    subject = SICK["high"]
    density = HIGH.cells.at(subject.deformation.to_template(GRID.points()))
    means = [
        float((density * subject.share(name)).sum() / subject.share(name).sum())
        for name in ("tumour core", "enhancing tumour", "oedema")
    ]
    assert means[0] > means[1] > means[2] + 0.1


def test_enhancement_takes_the_share_of_the_core_that_was_asked_for():
    fine = Grid((40, 40, 40), (2.0, 2.0, 2.0), HIGH.origin_mm)
    for asked in (0.2, 0.5, 0.8):
        lesion, own = Glioma(1, "high", HIGH.origin_mm, 15.0, 8.0, enhancing=asked, spacing_mm=MM), {}
        own["white matter"] = torch.ones(fine.shape)
        lesion.apply(own, fine.points())
        rim, core = (float(own[name].sum()) for name in ("enhancing tumour", "tumour core"))
        assert rim / (rim + core) == pytest.approx(asked, abs=0.12)


def test_oedema_follows_white_matter():
    deep = Grid((30, 30, 30), (2.0, 2.0, 2.0), HIGH.origin_mm)
    found = []
    for tissue in ("white matter", "grey matter"):
        shares = {tissue: torch.ones(deep.shape)}
        HIGH.apply(shares, deep.points())
        found.append(float(shares["oedema"].sum()))
    assert found[0] > 1.5 * found[1]


def test_bone_and_blood_are_left_as_they_are():
    points = Grid((30, 30, 30), (3.0, 3.0, 3.0), HIGH.origin_mm).points()
    shares = {name: torch.full(points.shape[:-1], 0.25) for name in ("diploe", "blood", "white matter", "dura mater")}
    HIGH.apply(shares, points)
    assert all(bool((shares[name] == 0.25).all()) for name in ("diploe", "blood", "dura mater"))
    assert float(shares["white matter"].min()) < 0.05


def test_a_tumour_elsewhere_changes_nothing():
    points = Grid((8, 8, 8), (3.0, 3.0, 3.0), (50.0, -60.0, -30.0)).points()
    shares = {"white matter": torch.ones(8, 8, 8)}
    HIGH.apply(shares, points)
    assert list(shares) == ["white matter"] and bool((shares["white matter"] == 1).all())


def test_it_pushes_midline_and_ventricles_away_and_not_the_skull():
    moved = Deformation(HIGH.velocity_mm(), np.eye(4))
    assert float(HIGH.velocity_mm().norm(dim=0).max()) == pytest.approx(HIGH.push_mm, rel=1e-4)
    shift = moved.to_subject(POINTS) - POINTS
    ventricles = MODEL.share("ventricular csf")
    assert float((shift[..., 0] * ventricles).sum() / ventricles.sum()) > 0.5, "from the left to the right"
    middle = (POINTS[..., 0].abs() < 4) & ((POINTS[..., 1:] - torch.tensor(HIGH.origin_mm[1:])).norm(dim=-1) < 15)
    assert 1 < float(shift[..., 0][middle].mean()) < 6
    assert float(shift.norm(dim=-1)[MODEL.share(*SKULL) > 0.5].max()) < 0.25
    assert float(moved.jacobian_determinant().min()) > 0
    healthy, sick = (s.share("ventricular csf").sum((1, 2)) for s in (HEALTHY, SICK["high"]))
    x = GRID.axes()[0]
    assert float((x * sick).sum() / sick.sum()) > float((x * healthy).sum() / healthy.sum()) + 0.5


# The draw


def test_the_same_seed_gives_the_same_bytes():
    one, two = draw_glioma(5, "high", MM), draw_glioma(5, "high", MM)
    assert one == two and one != draw_glioma(6, "high", MM)
    assert one.cells.density.numpy().tobytes() == two.cells.density.numpy().tobytes()
    points = Grid((20, 20, 20), (4.0, 4.0, 4.0), one.origin_mm).points()
    shares = [{"white matter": torch.ones(20, 20, 20)} for _ in range(2)]
    one.apply(shares[0], points)
    two.apply(shares[1], points)
    assert all(torch.equal(share, shares[1][name]) for name, share in shares[0].items())


def test_drawn_gliomas_are_plausible():
    drawn = [draw_glioma(seed, spacing_mm=MM) for seed in range(150)]
    assert 0.7 < np.mean([one.grade == "high" for one in drawn]) < 0.9
    assert 0.35 < np.mean([one.origin_mm[0] > 0 for one in drawn]) < 0.65
    white = MODEL.share("white matter")
    for one in drawn:
        high = one.grade == "high"
        assert (20 if high else 15) <= one.volume_ml <= (180 if high else 120)
        assert 2 <= one.push_mm <= 8 and 5 <= one.grey_ratio <= 10
        speed = 2 * math.sqrt(one.diffusivity * one.proliferation)
        assert (8 < speed < 80) if high else (0.6 < speed < 7)
        assert 0.35 <= one.enhancing <= 0.9 if high else one.enhancing <= 0.1
        at = np.rint((np.array(one.origin_mm) - MODEL.affine[:3, 3]) / MM).astype(int)
        assert float(white[tuple(at)]) > 0.8 and abs(one.origin_mm[0]) > 14
    lobes = np.bincount([int(lobe_at(torch.tensor(one.origin_mm))) for one in drawn], minlength=4) / len(drawn)
    assert lobes == pytest.approx(LOBE_SHARES, abs=0.12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"grade": "IV"}, "grade is 'IV', expected high or low"),
        ({"seed": -1}, "seed is -1, expected a whole number"),
        ({"origin_mm": (1.0, 2.0)}, r"origin_mm is \(1.0, 2.0\), expected three finite numbers"),
        ({"diffusivity": 0.0}, "diffusivity is 0.0, expected a number above 0"),
        ({"proliferation": -2.0}, "proliferation is -2.0, expected a number above 0"),
        ({"grey_ratio": 0.5}, "grey_ratio is 0.5, expected a number of at least 1"),
        ({"enhancing": 1.2}, "enhancing is 1.2, expected a number of at least 0 and at most 1"),
        ({"push_mm": 40.0}, "push_mm is 40.0, expected a number of at least 0 and at most 15"),
        ({"spacing_mm": 9}, "spacing_mm is 9, expected a whole number from 1 to 8"),
        ({"days": 100.0}, "volume_ml is 60.0 and days is 100.0, expected one of them to be None"),
        ({"volume_ml": None}, "volume_ml is None and days is None, expected one of them to be None"),
        ({"volume_ml": 4000.0}, "volume_ml is 4000.0, expected a number of at least 0.5 and at most 400"),
    ],
)
def test_a_glioma_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        Glioma(**{"seed": 1, "grade": "high", "origin_mm": (-28.0, 0.0, 28.0), **changed})


def test_it_is_refused_outside_the_brain_and_with_a_volume_out_of_reach():
    for place in ((0.0, 20.0, 200.0), (-100.0, 0.0, 0.0)):
        with pytest.raises(ValueError, match=r"origin_mm is \(.*\), expected a place in white or grey matter"):
            _ = Glioma(1, "high", place, spacing_mm=MM).cells
    with pytest.raises(ValueError, match=r"volume_ml is 30, expected one that is reached; it was .* ml at the end"):
        # Cells wander off faster than they divide.
        infiltrate(HIGH.origin_mm, 100.0, 0.01, grey_ratio=7.0, spacing_mm=8, threshold=0.16, volume_ml=30.0)
    with pytest.raises(ValueError, match="grade is 'medium', expected high or low"):
        draw_glioma(1, "medium")
