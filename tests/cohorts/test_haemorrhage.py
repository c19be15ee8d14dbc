"""Haemorrhages: each kind stays in its compartment, has the size and side asked for, and pushes as a mass does."""

import math
from functools import cache

import pytest
import torch

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import (
    DepressedFracture,
    EpiduralHaematoma,
    Glioma,
    IntraparenchymalHaemorrhage,
    IntraventricularHaemorrhage,
    SubarachnoidHaemorrhage,
    SubduralHaematoma,
    cq500_findings,
    draw_haemorrhage,
)
from medlab.cohorts.lesions.breaks import template_shares
from medlab.cohorts.lesions.haemorrhage import FREQUENCIES
from medlab.cohorts.lesions.intra_axial import SITES, lateral_ventricles
from medlab.cohorts.lesions.places import model_points
from medlab.cohorts.lesions.room import Mass, _motion, velocity_for
from medlab.cohorts.lesions.vault import away_mm, inward
from medlab.cohorts.subject import Person, draw_subject
from medlab.cohorts.tissues import BRAIN, FLUID, HEALTHY, SKULL

PERSON = Person(1, shape_mm=0.0, folds=0.0)
GRID = Grid((46, 56, 46), (4.0,) * 3)
X = GRID.points()[..., 0]


def of_kind(kind, side="right"):
    return {
        "epidural": EpiduralHaematoma(side, -5.0, 15.0, 18.0),
        "subdural": SubduralHaematoma(side, 10.0, seed=2),
        "sylvian": SubarachnoidHaemorrhage(side, "sylvian fissure", seed=2),
        "cisterns": SubarachnoidHaemorrhage(side, "basal cisterns", seed=2),
        "sulci": SubarachnoidHaemorrhage(side, "sulci", reach_mm=28.0, seed=2),
        "deep": IntraparenchymalHaemorrhage(side, "putamen", 25.0, seed=2),
        "lobar": IntraparenchymalHaemorrhage(side, "parietal lobe", 15.0, seed=3),
        "intraventricular": IntraventricularHaemorrhage(side, 0.3),
    }[kind]


ALL = ("epidural", "subdural", "sylvian", "cisterns", "sulci", "deep", "lobar", "intraventricular")
MASSES = ("epidural", "subdural", "deep", "lobar")
IN_FLUID = ("sylvian", "cisterns", "sulci", "intraventricular")


@cache
def subject_with(*lesions):
    return draw_subject(PERSON, GRID, lesions)


@cache
def healthy_model():
    return {name: share / 255 for name, share in zip(HEALTHY, head_model(4).shares.float(), strict=True)}


@cache
def painted(lesion):
    """The clot in the head model at 4 mm, which nothing displaces: what a subject has before its shape changes."""
    shares = {name: share.clone() for name, share in healthy_model().items()}
    lesion.apply(shares, model_points(4))
    return shares


def ray_through(lesion, wall, beside_mm=(0.0, 0.0, 0.0), span=(-4.0, 30.0)):
    """The tissues of a subject every half mm along the way into the head, from beside a point of the bone."""
    start = wall + torch.tensor(beside_mm)
    depth = torch.arange(*span, 0.5)
    points = subject_with(lesion).deformation.to_template((start + depth[:, None] * inward(start))[None, None])
    shares = template_shares(points, HEALTHY, 1.0)
    lesion.apply(shares, points)
    return depth, {name: share.flatten() for name, share in shares.items()}


# What all have in common


@pytest.mark.parametrize("kind", ALL)
def test_shares_add_up_to_1_and_no_bone_bleeds(kind):
    healthy, hurt = healthy_model(), painted(of_kind(kind))
    assert float((sum(hurt.values()) - 1).abs().max()) < 1e-5
    assert min(float(share.min()) for share in hurt.values()) >= 0
    assert float(hurt["clot"].sum()) * 0.064 > 0.5
    for name in (*SKULL, "fat", "skin"):
        assert torch.equal(hurt[name], healthy[name])


@pytest.mark.parametrize("kind", MASSES)
def test_so_it_is_in_a_subject(kind):
    healthy, hurt = subject_with(), subject_with(of_kind(kind))
    assert float((hurt.share(*hurt.shares) - 1).abs().max()) < 1e-5
    assert hurt.volume_ml(*SKULL) == pytest.approx(healthy.volume_ml(*SKULL), rel=0.01), "bone is at rest"
    clot = hurt.share("clot")
    assert float(clot[X > 0].sum() / clot.sum()) > 0.99


@pytest.mark.parametrize("kind", ALL)
def test_blood_is_on_its_side(kind):
    x = model_points(4)[..., 0]
    for side, sign in (("right", 1), ("left", -1)):
        clot = painted(of_kind(kind, side))["clot"]
        on_side = float(clot[x * sign > 0].sum() / clot.sum())
        # The basal cisterns of both sides are one room.
        assert on_side > (0.75 if kind == "cisterns" else 0.99)


@pytest.mark.parametrize("kind", ("subdural", "deep", "cisterns", "intraventricular"))
def test_the_same_lesion_gives_the_same_bytes(kind):
    points = model_points(4)[::2, ::2, ::2]
    found = []
    for _ in range(2):
        shares = {name: share[::2, ::2, ::2] / 255 for name, share in zip(HEALTHY, head_model(4).shares, strict=True)}
        _motion.cache_clear()
        of_kind(kind).apply(shares, points)
        found.append(shares)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert float(found[0]["clot"].sum()) > 0


@pytest.mark.parametrize(
    "build",
    [
        lambda value: EpiduralHaematoma("left", -5.0, 15.0, 6.0 + 18 * value),
        lambda value: EpiduralHaematoma("left", -5.0, 15.0, 12.0, inner_radius_mm=40 + 80 * value),
        lambda value: SubduralHaematoma("left", 4.0 + 11 * value),
        lambda value: SubduralHaematoma("left", 8.0, half_azimuth_deg=40 + 50 * value),
        lambda value: SubarachnoidHaemorrhage("left", "sylvian fissure", density=0.3 + 0.6 * value),
        lambda value: SubarachnoidHaemorrhage("left", "basal cisterns", reach_mm=8 + 20 * value),
        lambda value: IntraparenchymalHaemorrhage("left", "frontal lobe", 4 + 50 * value),
        lambda value: IntraventricularHaemorrhage("left", 0.1 + 0.7 * value),
    ],
    ids=["thick lens", "wide lens", "thick", "long", "dense", "spread", "volume", "level"],
)
def test_volumes_grow_with_the_parameter(build):
    lesions = [build(value) for value in (0.0, 0.5, 1.0)]
    masses = isinstance(lesions[0], Mass)
    small, middle, large = (
        lesion.mass_ml if masses else 0.064 * float(painted(lesion)["clot"].sum()) for lesion in lesions
    )
    assert 0 < small < 0.95 * middle < 0.9 * large < 200


# Masses


@pytest.mark.parametrize("kind", MASSES)
def test_a_mass_pushes_the_midline_to_the_other_side(kind):
    septum = torch.tensor([[0.0, 4.0, 12.0]])
    lesion = of_kind(kind, "right")
    deformation = subject_with(lesion).deformation
    moved = -float((deformation.to_subject(septum) - septum)[0, 0])
    assert 0.4 < moved < 12
    assert lesion.midline_shift_mm == pytest.approx(moved, abs=0.05)
    assert lesion.finding()["midline_shift_mm"] == lesion.midline_shift_mm
    mirrored = of_kind(kind, "left")
    assert float((mirrored.pushed(septum) - septum)[0, 0]) > 0.4
    assert mirrored.midline_shift_mm > 0.4


def test_thicker_blood_pushes_more():
    thin, thick = (SubduralHaematoma("right", thickness, seed=2).midline_shift_mm for thickness in (5.0, 15.0))
    assert 0 < 1.5 * thin < of_kind("subdural").midline_shift_mm < thick


@pytest.mark.parametrize("kind", MASSES)
def test_fluid_gives_way_and_brain_keeps_its_volume(kind):
    healthy, hurt = subject_with(), subject_with(of_kind(kind))
    clot = hurt.volume_ml("clot")
    brain = hurt.volume_ml(*BRAIN, "oedema") - healthy.volume_ml(*BRAIN)
    fluid = hurt.volume_ml(*FLUID) - healthy.volume_ml(*FLUID)
    assert fluid < -0.3 * clot
    assert abs(brain) < 0.03 * healthy.volume_ml(*BRAIN)
    inside = healthy.volume_ml(*BRAIN, *FLUID, "dura mater", "blood")
    assert clot + brain + fluid == pytest.approx(0, abs=0.01 * inside)


def test_the_ventricle_beside_the_mass_narrows_more():
    healthy, hurt = subject_with(), subject_with(of_kind("deep"))
    ratio = {}
    for side in (1, -1):
        part = X * side > 6
        ratio[side] = float(hurt.share("ventricular csf")[part].sum() / healthy.share("ventricular csf")[part].sum())
    assert ratio[1] < 0.9 * ratio[-1]


@pytest.mark.parametrize("kind", MASSES)
def test_nothing_moves_in_bone_and_little_at_the_other_wall(kind):
    velocity = of_kind(kind).velocity_mm()
    away = head_model(4).away_mm
    assert float(velocity.norm(dim=0)[away > 3].max()) == 0
    assert 1 < float(velocity.norm(dim=0).max()) < 40
    far = (away > -4) & (model_points(4)[..., 0] < -30)  # the masses are on the right
    assert float(velocity[0][far].abs().mean()) < 0.6


def test_the_flow_has_the_divergence_that_was_asked_for():
    points = model_points(4)
    within = (1.5 - (points - torch.tensor([30.0, 0.0, 20.0])).norm(dim=-1) / 16).clamp(0, 1)
    velocity = velocity_for(within, 0.8, "right")
    divergence = sum(torch.gradient(velocity[axis], spacing=4.0, dim=axis)[0] for axis in range(3))
    # Outflow through a surface around the mass, by Gauss's theorem: the mass, and the swelling just around it.
    around = (points - torch.tensor([30.0, 0.0, 20.0])).norm(dim=-1) < 25
    core = within == 1
    assert float(divergence[core].mean()) == pytest.approx(0.8, abs=0.1)
    assert float(divergence[around].sum()) * 0.064 > 0.8 * float(within.sum()) * 0.064
    inside = head_model(4).away_mm < -8
    assert abs(float(divergence[inside].mean())) < 0.02, "what comes in somewhere goes out elsewhere"


@pytest.mark.parametrize("kind", MASSES)
def test_the_mass_comes_from_a_smaller_place(kind):
    lesion = of_kind(kind)
    points = model_points(4)
    skull = away_mm(points) < lesion.wall_mm
    after = float(((lesion.inside_mm(points) > 0) & skull).sum())
    before = float(((lesion.inside_mm(lesion.pushed(points)) > 0) & skull).sum())
    expected = math.exp(-lesion.log_expansion)
    assert expected - 0.12 < before / after < min(expected + 0.25, 0.95)
    assert lesion.mass_ml == pytest.approx(after * 0.064, rel=0.08)
    assert subject_with(lesion).volume_ml("clot") == pytest.approx(lesion.mass_ml, rel=0.12)


# Epidural and subdural


def test_epidural_blood_lies_between_bone_and_dura():
    lesion = of_kind("epidural")
    thickness = lesion.thickness_mm
    depth, shares = ray_through(lesion, lesion.wall)
    assert float(shares["clot"].sum()) * 0.5 == pytest.approx(thickness, abs=1.0)
    full = (depth > 1.5) & (depth < thickness - 1.5)
    assert float(shares["clot"][full].min()) > 0.97, "no gap and no brain within it"
    assert float(sum(shares[name] for name in SKULL)[(depth > -3.5) & (depth < -1.5)].min()) > 0.9
    dura = (shares["dura mater"] * depth).sum() / shares["dura mater"].sum()
    assert thickness - 0.5 < float(dura) < thickness + 2, "the dura is on its inner side"
    assert float(shares["clot"][depth > thickness + 2].max()) < 1e-3
    assert float(sum(shares[name] for name in BRAIN)[depth < thickness - 1.5].max()) < 0.03


def test_the_lens_is_thickest_in_the_middle_and_ends_at_its_rim():
    lesion = of_kind("epidural")
    clot = subject_with(lesion).share("clot")
    far = (GRID.points() - lesion.wall).norm(dim=-1) > lesion.half_extent_mm + 14
    assert 25 < lesion.half_extent_mm < 45
    assert float(clot[far].max()) == 0
    thick = [float(ray_through(lesion, lesion.wall, (0.0, along, 0.0))[1]["clot"].sum()) / 2 for along in (0, 12, 22)]
    assert thick[0] > thick[1] + 1 > thick[2] + 3


def test_subdural_blood_is_a_crescent_under_the_dura_of_one_side():
    lesion = of_kind("subdural")
    hurt = subject_with(lesion)
    clot, away = hurt.share("clot"), away_mm(GRID.points())
    assert float(clot[X < -2].max()) == 0, "it does not cross the midline"
    assert float(clot[away < -1.2 * 10 - 4].max()) == 0, "it is no thicker than asked"
    assert float(clot[away > 6].max()) < 0.01
    there = clot > 0.5
    points = GRID.points()[there]
    assert float(points[:, 1].max() - points[:, 1].min()) > 100, "it reaches from the forehead to the occiput"
    assert hurt.volume_ml("dura mater") == pytest.approx(subject_with().volume_ml("dura mater"), rel=0.03)
    from_wall = lesion.thickness_at(torch.tensor([[75.0, -17.0, 30.0], [40.0, 45.0, 20.0], [-40.0, -17.0, 30.0]]))
    assert from_wall[0] > from_wall[1] > from_wall[2] == 0


@pytest.mark.parametrize(("side", "sign"), [("right", 1), ("left", -1)])
def test_the_falx_holds_the_widest_subdural_blood_back(side, sign):
    widest = SubduralHaematoma(side, 15.0, 0.0, 50.0, half_azimuth_deg=100.0, half_elevation_deg=70.0)
    points = model_points(4)
    inside = widest.inside_mm(points)
    assert float(inside[points[..., 0] * sign < 4].max()) < -3.9
    assert float(inside[points[..., 0] * sign > 30].max()) > 10


def test_subdural_blood_lies_on_the_inside_of_the_dura():
    lesion = of_kind("subdural")
    wall = torch.tensor([70.0, -17.0, 30.0])
    for _ in range(20):
        wall = wall + away_mm(wall) * inward(wall)
    depth, shares = ray_through(lesion, wall)
    expected = float(lesion.thickness_at(wall))
    assert float(shares["clot"].sum()) * 0.5 == pytest.approx(expected, abs=1.0)
    assert float(shares["clot"][(depth > 1) & (depth < expected - 1.5)].min()) > 0.97
    first_blood = float(depth[shares["clot"] > 0.5].min())
    assert float((shares["dura mater"] * depth).sum() / shares["dura mater"].sum()) < first_blood


# Within fluid


@pytest.mark.parametrize("kind", IN_FLUID)
def test_blood_in_fluid_changes_nothing_but_fluid(kind):
    healthy, hurt = healthy_model(), painted(of_kind(kind))
    own = "ventricular csf" if kind == "intraventricular" else "outer csf"
    assert of_kind(kind).velocity_mm() is None
    torch.testing.assert_close(hurt["clot"] + hurt[own], healthy[own], rtol=0, atol=1e-6)
    for name, share in healthy.items():
        if name != own:
            assert torch.equal(hurt[name], share)
    if own == "outer csf":
        assert float((hurt["clot"] / healthy[own].clamp(min=0.05)).max()) <= 0.76, "it is mixed with fluid"


def test_ventricular_blood_fills_up_to_its_level():
    points, model = model_points(4), head_model(4)
    for side in ("left", "both"):
        lesion = IntraventricularHaemorrhage(side, 0.35)
        shares = {name: model.share(name) for name in (*FLUID, *BRAIN)}
        room = shares["ventricular csf"] * lateral_ventricles(points, side)
        lesion.apply(shares, points)
        clot = shares["clot"]
        assert float(clot.sum() / room.sum()) == pytest.approx(0.95 * 0.35, rel=0.05)
        assert float(clot[points[..., 1] > lesion.level_mm + 2.1].max()) == 0, "nothing floats"
        below = (points[..., 1] < lesion.level_mm - 2.1) & (room > 0.5)
        torch.testing.assert_close(clot[below], 0.95 * room[below], rtol=0, atol=1e-6)
    levels = [IntraventricularHaemorrhage("both", filled).level_mm for filled in (0.05, 0.2, 0.5, 0.9)]
    assert levels == sorted(levels) and levels[0] < -45 and levels[-1] > 0


def test_the_third_and_fourth_ventricles_are_not_lateral():
    places = torch.tensor([[0.5, -14.0, 4.0], [0.5, -44.0, -32.0], [2.0, -46.0, 2.0]])
    assert lateral_ventricles(places, "right").tolist() == [0, 0, 0]
    horns = torch.tensor([[8.0, 26.0, 6.0], [26.0, -46.0, 6.0], [10.0, -10.0, 22.0], [-26.0, -46.0, 6.0]])
    assert lateral_ventricles(horns, "right").tolist() == [1, 1, 1, 0]
    assert lateral_ventricles(horns, "both").tolist() == [1, 1, 1, 1]


def test_sulci_are_reached_around_their_place_only():
    lesion = SubarachnoidHaemorrhage("left", "sulci", reach_mm=12.0, azimuth_deg=-20.0, elevation_deg=45.0)
    points = model_points(4)
    found = lesion.share_of_fluid(points)
    assert float(found.max()) <= 0.75
    middle = (points * found[..., None]).sum((0, 1, 2)) / found.sum()
    assert float(middle[0]) < -20 and float(middle[2]) > 40
    assert float(found[(points - middle).norm(dim=-1) > 24].max()) == 0


# Within the brain


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("volume", [5.0, 20.0])
def test_a_clot_has_the_volume_asked_for(site, volume):
    lesion = IntraparenchymalHaemorrhage("right", site, volume, seed=5)
    assert lesion.mass_ml == pytest.approx(volume, rel=0.06)


def test_the_largest_clot_stays_in_its_hemisphere_and_off_the_skull():
    lesion = IntraparenchymalHaemorrhage("left", "putamen", 60.0, seed=1)
    hurt = subject_with(lesion)
    clot = hurt.share("clot")
    assert hurt.volume_ml("clot") == pytest.approx(60, rel=0.1)
    assert float(clot[X > 4].max()) == 0
    assert float(clot[away_mm(GRID.points()) > 0].max()) < 1e-3
    healthy = subject_with()
    assert hurt.volume_ml("ventricular csf") < healthy.volume_ml("ventricular csf")


def test_a_clot_beside_a_ventricle_leaves_its_fluid():
    lesion = IntraparenchymalHaemorrhage("right", "thalamus", 25.0, shift_mm=(-4.0, 10.0, 12.0))
    hurt, healthy = painted(lesion), healthy_model()
    assert float(healthy["ventricular csf"][lesion.inside_mm(lesion.pushed(model_points(4))) > 2].sum()) > 2
    assert torch.equal(hurt["ventricular csf"], healthy["ventricular csf"])


def test_oedema_is_a_rim_around_the_clot():
    dry, wet = (IntraparenchymalHaemorrhage("right", "parietal lobe", 15.0, oedema_mm=mm, seed=3) for mm in (0.0, 6.0))
    assert "oedema" not in painted(dry)
    hurt = painted(wet)
    outside = wet.inside_mm(wet.pushed(model_points(4))) < -1.5 * 6.0 - 0.1
    assert float(hurt["oedema"][outside].max()) == 0
    assert 2 < float(hurt["oedema"].sum()) * 0.064 < 40
    torch.testing.assert_close(hurt["clot"], painted(dry)["clot"], rtol=0, atol=1e-5)
    white = healthy_model()["white matter"] > 0.9
    near = wet.inside_mm(wet.pushed(model_points(4)))
    rim = hurt["oedema"] / (1 - hurt["clot"]).clamp(min=1e-3)
    assert float(rim[white & (near < -2.5) & (near > -3.5)].mean()) > 2 * float(rim[white & (near < -7)].mean())


def test_no_two_clots_have_one_shape():
    points = torch.tensor([36.0, -44.0, 34.0]) + 14 * torch.nn.functional.normalize(
        torch.randn(200, 3, generator=torch.Generator().manual_seed(1)), dim=1
    )
    one, other = (IntraparenchymalHaemorrhage("right", "parietal lobe", 15.0, seed=seed) for seed in (1, 2))
    assert float((one.inside_mm(points) - other.inside_mm(points)).std()) > 0.5


# Drawing and reading


@pytest.mark.parametrize("kind", FREQUENCIES)
def test_draws_repeat_and_keep_to_what_is_asked(kind):
    drawn = [draw_haemorrhage(seed, kind, side) for seed, side in ((1, "left"), (2, "right"), (3, None))]
    assert drawn == [draw_haemorrhage(seed, kind, side) for seed, side in ((1, "left"), (2, "right"), (3, None))]
    assert drawn[0].side == "left" and drawn[1].side == "right"
    assert drawn[0] != drawn[2]
    assert drawn[0].finding()["kind"] == kind and len({type(lesion) for lesion in drawn}) == 1


def test_draws_have_all_kinds_as_often_as_they_should():
    drawn = [draw_haemorrhage(seed) for seed in range(600)]
    kinds = [
        IntraparenchymalHaemorrhage,
        SubarachnoidHaemorrhage,
        SubduralHaematoma,
        IntraventricularHaemorrhage,
        EpiduralHaematoma,
    ]
    for kind, share in zip(kinds, FREQUENCIES.values(), strict=True):
        assert sum(isinstance(lesion, kind) for lesion in drawn) / 600 == pytest.approx(share, abs=0.05)
    assert {lesion.side for lesion in drawn} == {"left", "right", "both"}
    assert {lesion.site for lesion in drawn if hasattr(lesion, "site")} == set(SITES)
    assert 0.4 < sum(lesion.side == "left" for lesion in drawn) / 600 < 0.6


COLUMNS = {
    "epidural": "EDH",
    "subdural": "SDH",
    "sylvian": "SAH",
    "deep": "IPH",
    "lobar": "IPH",
    "intraventricular": "IVH",
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_bleed_is_read_as_what_it_is(kind):
    found = cq500_findings([of_kind(kind, "left")])
    assert {name for name in ("IPH", "IVH", "SDH", "EDH", "SAH") if found[name]} == {COLUMNS[kind]}
    assert found["ICH"] and found["BleedLocation-Left"] and not found["BleedLocation-Right"]
    assert not found["Fracture"] and not found["CalvarialFracture"]
    assert found["MassEffect"] == (kind in MASSES)


def test_a_scan_without_lesions_has_no_findings():
    assert list(cq500_findings([])) == [
        "ICH",
        "IPH",
        "IVH",
        "SDH",
        "EDH",
        "SAH",
        "BleedLocation-Left",
        "BleedLocation-Right",
        "ChronicBleed",
        "Fracture",
        "CalvarialFracture",
        "OtherFracture",
        "MassEffect",
        "MidlineShift",
    ]
    assert not any(cq500_findings([]).values())
    assert not any(cq500_findings([Glioma(1, "high", (30.0, 0.0, 30.0))]).values())


def test_findings_of_several_lesions_add_up():
    fracture = DepressedFracture("left", -10.0, 30.0, 0.0)
    found = cq500_findings(iter([fracture]))
    assert {name for name in found if found[name]} == {"Fracture", "CalvarialFracture"}
    both = cq500_findings([IntraventricularHaemorrhage("both"), fracture])
    assert both["BleedLocation-Left"] and both["BleedLocation-Right"] and both["Fracture"] and not both["MassEffect"]
    one, other = (SubduralHaematoma(side, 11.0) for side in ("left", "right"))
    assert cq500_findings([one])["MidlineShift"] and cq500_findings([other])["MidlineShift"]
    mirrored = cq500_findings([one, other])
    assert not mirrored["MidlineShift"] and mirrored["MassEffect"], "shifts to both sides cancel"
    small = IntraparenchymalHaemorrhage("left", "thalamus", 4.0)
    assert not cq500_findings([small])["MassEffect"] and not cq500_findings([small])["MidlineShift"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EpiduralHaematoma("top", 0.0, 10.0, 10.0), "side is 'top', expected left or right"),
        (lambda: EpiduralHaematoma("left", 0.0, 10.0, 40.0), "thickness_mm is 40.0, expected a number"),
        (lambda: EpiduralHaematoma("left", 0.0, 10.0, 10.0, inner_radius_mm=5.0), "inner_radius_mm is 5.0, expected"),
        (lambda: SubduralHaematoma("both", 8.0), "side is 'both', expected left or right"),
        (lambda: SubduralHaematoma("left", 1.0), "thickness_mm is 1.0, expected a number of at least 3"),
        (lambda: SubduralHaematoma("left", 8.0, seed=True), "seed is True, expected a whole number"),
        (lambda: SubarachnoidHaemorrhage("left", "pons"), "region is 'pons', expected one of sylvian fissure, basal"),
        (lambda: SubarachnoidHaemorrhage("left", "sulci", density=1.5), "density is 1.5, expected a number"),
        (lambda: SubarachnoidHaemorrhage("left", "sulci", reach_mm=math.inf), "reach_mm is inf, expected a number"),
        (lambda: IntraparenchymalHaemorrhage("left", "pons", 9.0), "site is 'pons', expected one of putamen, thalamus"),
        (lambda: IntraparenchymalHaemorrhage("left", "putamen", 90.0), "volume_ml is 90.0, expected a number"),
        (lambda: IntraparenchymalHaemorrhage("left", "putamen", 9.0, shift_mm=3.0), "shift_mm is 3.0, expected three"),
        (lambda: IntraventricularHaemorrhage("front"), "side is 'front', expected left or right"),
        (lambda: IntraventricularHaemorrhage("left", 1.2), "filled is 1.2, expected a number"),
        (lambda: draw_haemorrhage(1, "nasal"), "kind is 'nasal', expected one of intraparenchymal, subarachnoid"),
        (lambda: draw_haemorrhage(1, None, "up"), "side is 'up', expected left or right"),
        (lambda: draw_haemorrhage("1"), "seed is '1', expected a whole number"),
        (lambda: cq500_findings(["EDH"]), "lesions holds 'EDH', expected lesions"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(ValueError, match=message):
        build()
