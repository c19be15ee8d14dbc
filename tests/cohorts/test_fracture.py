"""Fractures: a line cuts every layer and nothing else, a piece moves as a whole, and reports name side and bone."""

import pytest
import torch

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.lesions import DepressedFracture, LinearFracture, draw_fracture
from medlab.cohorts.lesions.breaks import SCALP, template_shares
from medlab.cohorts.lesions.vault import away_mm, bone_at, inward, place_on_vault
from medlab.cohorts.subject import Person, draw_subject
from medlab.cohorts.tissues import BRAIN, HEALTHY, SKULL

LINE = LinearFracture("right", -5.0, 22.0, 35.0, length_mm=40.0, width_mm=1.6, bend_deg=15.0, seed=3)
PIECE = DepressedFracture("left", -10.0, 30.0, 20.0, diameter_mm=26.0, depth_mm=6.0, tilt=0.0, seed=2)


def grid_around(lesion, size=64, spacing=1.0):
    return Grid((size,) * 3, (spacing,) * 3, tuple(lesion.middle.tolist()))


def healthy(points, spacing=1):
    """The tissues of the head model at points of the template."""
    return {name: share.clone() for name, share in template_shares(points, HEALTHY, spacing).items()}


def broken(lesion, points, spacing=1):
    shares = healthy(points, spacing)
    lesion.apply(shares, points)
    return shares


def bone(shares):
    return sum(shares[name] for name in SKULL)


def along_ray(point, span=(-12.0, 14.0), step=0.25):
    """Points on the straight way out through the bone at point, (1, 1, N, 3)."""
    steps = torch.arange(*span, step)
    return (point - steps[:, None] * inward(point))[None, None]


@pytest.fixture(scope="module")
def cases():
    found = {}
    for lesion in (LINE, PIECE):
        points = grid_around(lesion).points()
        found[lesion] = (points, healthy(points), broken(lesion, points))
    return found


@pytest.mark.parametrize("lesion", [LINE, PIECE], ids=["linear", "depressed"])
def test_shares_add_up_to_1(cases, lesion):
    _, before, after = cases[lesion]
    assert float((sum(after.values()) - sum(before.values())).abs().max()) < 2e-6
    assert min(float(share.min()) for share in after.values()) > -1e-6
    assert max(float(share.max()) for share in after.values()) < 1 + 1e-6


@pytest.mark.parametrize("width", [0.7, 1.2, 2.0])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_a_ray_at_the_line_meets_less_than_half_of_the_bone(width, at):
    lesion = LinearFracture("right", -5.0, 22.0, 35.0, length_mm=60.0, width_mm=width, seed=3)
    point = lesion.line[round(at * (len(lesion.line) - 1))]
    fine = along_ray(point)
    whole = bone(healthy(fine))
    left = bone(broken(lesion, fine))
    assert float(whole.sum()) * 0.25 > 4, "the vault is some mm thick"
    assert float(left.sum()) < 0.1 * float(whole.sum())


@pytest.mark.parametrize("width", [1.4, 2.0])
def test_it_does_so_in_voxels_of_1_mm(width):
    lesion = LinearFracture("right", -5.0, 22.0, 35.0, length_mm=40.0, width_mm=width, seed=3)
    grid = grid_around(lesion)
    shares = broken(lesion, grid.points())
    for point in lesion.line[25:56:6]:
        ray = along_ray(point)
        left = sample(bone(shares)[None], grid.affine, ray)
        assert float(left.sum()) < 0.5 * float(bone(healthy(ray)).sum())


def test_the_line_cuts_every_layer(cases):
    _, before, after = cases[LINE]
    grid = grid_around(LINE)
    ray = along_ray(LINE.line[len(LINE.line) // 2])
    for layer in SKULL:
        there = sample(before[layer][None], grid.affine, ray).sum()
        assert sample(after[layer][None], grid.affine, ray).sum() < 0.5 * there


def test_the_line_leaves_the_rest_untouched(cases):
    points, before, after = cases[LINE]
    far = torch.cdist(points.reshape(-1, 3), LINE.line).amin(1).reshape(points.shape[:3]) > 9
    for name in before:
        assert torch.equal(after[name][far], before[name][far])
    for name in (*BRAIN, "dura mater", "outer csf", "fat", "skin"):
        assert torch.equal(after[name], before[name]), "only bone is cut"
    changed = (bone(after) - bone(before)).abs() > 0.01
    assert bool((LINE.mask(points) | ~changed).all())


def test_the_gap_is_as_wide_and_long_as_asked(cases):
    _, before, after = cases[LINE]
    lost = float((bone(before) - bone(after)).double().sum())
    ray = along_ray(LINE.middle)
    thickness = 0.25 * float(bone(healthy(ray)).sum())
    # It narrows like a root over 12 % of its length at each end, which takes a third of these.
    assert lost == pytest.approx(0.92 * LINE.length_mm * LINE.width_mm * thickness, rel=0.12)
    assert float((after["blood"] - before["blood"]).double().sum()) == pytest.approx(lost, rel=1e-4)


def test_more_bone_is_lost_by_wider_and_longer_lines():
    points = grid_around(LINE, 48, 2.0).points()

    def blood(**changes):
        shape = {"length_mm": 40.0, "width_mm": 1.0, "seed": 3} | changes
        return float(broken(LinearFracture("right", -5.0, 22.0, 35.0, **shape), points, 2)["blood"].sum())

    assert blood() < blood(width_mm=1.4) < blood(width_mm=2.0)
    assert blood() < blood(length_mm=60.0) < blood(length_mm=80.0)


def middle_of_bone(shares):
    """Where on a ray the middle of its bone lies, as an index."""
    share = bone(shares).double().flatten()
    return float((share * torch.arange(len(share))).sum() / share.sum())


@pytest.mark.parametrize("depth", [3.0, 6.0, 10.0])
def test_the_piece_lies_deeper_by_its_depth(depth):
    lesion = DepressedFracture("left", -10.0, 30.0, 20.0, diameter_mm=30.0, depth_mm=depth, tilt=0.0, seed=2)
    along, across, into = lesion.frame
    ray = (lesion.middle + 4 * across + 3 * along - torch.arange(-18, 14, 0.25)[:, None] * into)[None, None]
    before, after = healthy(ray), broken(lesion, ray)
    assert (middle_of_bone(before) - middle_of_bone(after)) * 0.25 == pytest.approx(depth, abs=0.15)
    assert float(bone(after).sum()) == pytest.approx(float(bone(before).sum()), rel=0.03), "no bone is lost"
    for layer in SKULL:
        assert float(after[layer].sum()) == pytest.approx(float(before[layer].sum()), rel=0.08)


def test_tilt_raises_one_end():
    flat, tilted = (
        DepressedFracture("left", -10.0, 30.0, 20.0, diameter_mm=30.0, depth_mm=8.0, tilt=tilt) for tilt in (0.0, 0.6)
    )
    along, _, _ = flat.frame
    ends = torch.stack([flat.middle - 14 * along, flat.middle + 14 * along])
    assert flat.place_in_piece(ends)[2].tolist() == [8.0, 8.0]
    low, high = tilted.place_in_piece(ends)[2].tolist()
    assert 3.2 <= low < 4 and high > 7.5


def test_outside_the_piece_and_its_gap_nothing_changes(cases):
    points, before, after = cases[PIECE]
    outside = PIECE.place_in_piece(points)[0] < -2.5
    for name in before:
        torch.testing.assert_close(after[name][outside], before[name][outside], rtol=0, atol=1e-6)
    assert bool((PIECE.place_in_piece(points)[0] > 3).any())
    moved = (bone(after) - bone(before)).abs() > 0.5
    assert bool(PIECE.mask(points)[moved].all())
    assert float(PIECE.mask(points).float().mean()) < 0.1


def test_a_gap_runs_around_the_piece(cases):
    points, _, after = cases[PIECE]
    inside, _, _ = PIECE.place_in_piece(points)
    away = away_mm(points)
    solid = (away > 3) & (away < 5)
    rim = float(bone(after)[solid & (inside.abs() < 0.4)].mean())
    beside = float(bone(after)[solid & (inside > -4) & (inside < -2)].mean())
    assert rim < 0.35 and beside > 0.95


def test_blood_lifts_the_scalp_and_bone_stays():
    flat, swollen = (
        LinearFracture("right", -5.0, 22.0, 35.0, length_mm=40.0, swelling_mm=height) for height in (0.0, 6.0)
    )
    ray = along_ray(flat.middle + 15 * flat.frame[1], (-12.0, 40.0))
    before, level, lifted = healthy(ray), broken(flat, ray), broken(swollen, ray)
    assert torch.equal(level["skin"], before["skin"])
    torch.testing.assert_close(bone(lifted), bone(before), rtol=0, atol=1e-5)
    places = torch.arange(ray.shape[2], dtype=torch.float32)

    def height(shares):
        return float((shares["skin"].flatten() * places).sum() / shares["skin"].sum()) * 0.25

    assert 2.0 < height(lifted) - height(before) < 6.0
    assert float(lifted["blood"].sum()) * 0.25 == pytest.approx(height(lifted) - height(before), abs=0.6)
    assert float((sum(lifted[name] for name in SCALP) - sum(before[name] for name in SCALP)).max()) < 1e-5


@pytest.mark.parametrize(
    ("azimuth", "elevation", "name"),
    [(60, 20, "frontal"), (-10, 45, "parietal"), (-10, -8, "temporal"), (-75, 0, "occipital")],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_reports_name_the_bone_and_the_side(azimuth, elevation, name, side):
    lesion = DepressedFracture(side, float(azimuth), float(elevation), 0.0)
    found = lesion.finding()
    assert found["bone"] == name and found["side"] == side and found["kind"] == "depressed"
    assert float(lesion.middle[0]) * (1 if side == "right" else -1) > 0
    assert bone_at(place_on_vault(side, azimuth, elevation)) == name
    assert abs(float(away_mm(lesion.middle)) - 4.5) < 0.1


def test_the_part_of_the_head_that_is_sampled_is_the_head():
    model = head_model(4)
    points = Grid((9, 7, 8), (13.0, 17.0, 11.0), (70.0, 60.0, 40.0)).points()  # some of them beyond the model
    found = template_shares(points, ("skin", "outer table"), 4.0)
    for name in found:
        expected = sample(model.share(name)[None], model.affine, points)[0]
        torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-5)


def test_a_subject_has_it_on_its_side():
    grid = Grid((46, 56, 46), (4.0,) * 3)
    person = Person(1)
    whole = draw_subject(person, grid)
    for side, sign in (("left", -1), ("right", 1)):
        lesion = DepressedFracture(side, -10.0, 30.0, 20.0, diameter_mm=36.0, depth_mm=9.0)
        hurt = draw_subject(person, grid, [lesion])
        gained = hurt.share("blood") - whole.share("blood")
        assert float((gained.sum((1, 2)) * grid.axes()[0]).sum() / gained.sum()) * sign > 30
        assert float((hurt.share(*hurt.shares) - 1).abs().max()) < 1e-5
        mask = lesion.mask(hurt.deformation.to_template(grid.points()))
        assert float((mask.float().sum((1, 2)) * grid.axes()[0]).sum() / mask.sum()) * sign > 30


def test_a_grid_elsewhere_is_left_alone():
    points = Grid((6, 6, 6), (1.0,) * 3, (-40.0, 0.0, 10.0)).points()
    before, after = healthy(points), broken(LINE, points)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not bool(LINE.mask(points).any())


def test_draws_repeat_and_cover_what_there_is():
    drawn = [draw_fracture(seed) for seed in range(24)]
    assert drawn[:6] == [draw_fracture(seed) for seed in range(6)]
    assert {type(lesion) for lesion in drawn} == {LinearFracture, DepressedFracture}
    assert {lesion.side for lesion in drawn} == {"left", "right"}
    assert {lesion.bone for lesion in drawn} == {"frontal", "parietal", "temporal", "occipital"}
    assert all(lesion.on_vault for lesion in drawn if isinstance(lesion, LinearFracture))
    assert draw_fracture(3, "depressed", "left").side == "left"
    assert isinstance(draw_fracture(3, "linear", "right"), LinearFracture)


def test_the_same_lesion_gives_the_same_bytes():
    points = grid_around(LINE, 24, 2.0).points()
    for lesion, kind in ((LINE, LinearFracture), (PIECE, DepressedFracture)):
        again = kind(**{name: getattr(lesion, name) for name in lesion.__dataclass_fields__})
        one, other = broken(lesion, points, 2), broken(again, points, 2)
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(LINE.line, LinearFracture("right", -5.0, 22.0, 35.0, length_mm=40.0, seed=4).line)


def test_a_line_is_as_long_as_asked():
    for length in (30.0, 70.0):
        line = LinearFracture("right", -5.0, 22.0, 35.0, length_mm=length).line
        assert float(line.diff(dim=0).norm(dim=1).sum()) == pytest.approx(length, rel=0.03)
        assert float((away_mm(line) - 4.5).abs().max()) < 0.1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearFracture("middle", 0.0, 20.0, 0.0), "side is 'middle', expected left or right"),
        (lambda: LinearFracture("left", 0.0, 20.0, 0.0, length_mm=120.0), "length_mm is 120.0, expected a number"),
        (
            lambda: LinearFracture("left", 0.0, 20.0, 0.0, width_mm=0.2),
            "width_mm is 0.2, expected a number of at least",
        ),
        (lambda: LinearFracture("left", 0.0, 89.0, 0.0), "elevation_deg is 89.0, expected a number"),
        (lambda: LinearFracture("left", 0.0, 20.0, 0.0, seed=-1), "seed is -1, expected a whole number"),
        (lambda: DepressedFracture("left", 0.0, 20.0, 0.0, diameter_mm=60.0), "diameter_mm is 60.0, expected"),
        (lambda: DepressedFracture("left", 0.0, 20.0, 0.0, depth_mm=1.0), "depth_mm is 1.0, expected"),
        (lambda: DepressedFracture("left", 0.0, 20.0, 0.0, tilt=float("nan")), "tilt is nan, expected"),
        (lambda: draw_fracture(1, "basal"), "kind is 'basal', expected one of linear, depressed"),
        (lambda: draw_fracture(1, None, "both"), "side is 'both', expected left or right"),
        (lambda: draw_fracture(1.5), "seed is 1.5, expected a whole number"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_line_that_leaves_the_vault_is_refused():
    lesion = LinearFracture("left", 0.0, 68.0, 90.0, length_mm=100.0)
    assert not lesion.on_vault
    with pytest.raises(ValueError, match=r"line of 100 mm .* leaves the vault of the left side, expected one on it"):
        broken(lesion, grid_around(lesion, 16, 2.0).points(), 2)
