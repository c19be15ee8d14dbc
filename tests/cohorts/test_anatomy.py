"""The head model: shares that add up, volumes of a grown-up, sides that differ, and coarser copies."""

import numpy as np
import pytest
import torch

from medlab.cohorts.anatomy import FURROWED, head_model
from medlab.cohorts.anatomy.brain import hull_distance
from medlab.cohorts.tissues import HEALTHY, LESIONS, TISSUES, attenuation, hounsfield, index, magnetic, materials
from medlab.data import load_icbm152


def volume_ml(model, *names):
    return float(model.share(*names).double().sum()) * model.spacing_mm**3 / 1000


@pytest.mark.parametrize("spacing", [1, 2, 4])
def test_shares_add_up_exactly_in_every_voxel(spacing):
    total = head_model(spacing).shares.sum(0, dtype=torch.int32)
    assert int(total.min()) == int(total.max()) == 255


@pytest.mark.parametrize("spacing", [1, 2, 4])
def test_wider_furrows_only_move_borders(spacing):
    model = head_model(spacing)
    moved = [HEALTHY.index(name) for name in FURROWED]
    stays = [n for n in range(len(HEALTHY)) if n not in moved]
    for part in (0.0, 0.3, 1.0):
        shares = model.with_furrows(part)
        assert torch.equal(shares[stays], model.shares[stays])
        total = shares.sum(0, dtype=torch.int32)
        assert int(total.min()) == int(total.max()) == 255
    assert torch.equal(shares[moved], model.wide)


def test_furrows_cost_the_same_brain_on_every_grid():
    lost = {}
    for spacing in (1, 2, 4, 8):
        model = head_model(spacing)
        at = [(model.with_furrows(part).double().sum((1, 2, 3))) * spacing**3 / 255e3 for part in (0.0, 0.5, 1.0)]
        white, grey, fluid = ([float(one[HEALTHY.index(name)]) for one in at] for name in FURROWED)
        assert white[0] > white[1] > white[2] and grey[0] > grey[1] > grey[2] and fluid[0] < fluid[1] < fluid[2]
        lost[spacing] = fluid[2] - fluid[0]
        assert fluid[1] - fluid[0] == pytest.approx(lost[spacing] / 2, rel=0.02)
    assert lost[1] > 150 and all(one == pytest.approx(lost[1], rel=0.02) for one in lost.values())


def test_volumes_are_those_of_a_grown_up():
    model = head_model(1)
    assert 550 < volume_ml(model, "white matter") < 750
    assert 900 < volume_ml(model, "grey matter", "deep grey matter") < 1150, "with the cerebellum's"
    assert 25 < volume_ml(model, "deep grey matter") < 60
    assert 15 < volume_ml(model, "ventricular csf") < 45
    inside = float((model.away_mm < 0).sum()) / 1000
    assert 1500 < inside < 2000, "the cavity of the skull"
    for name in HEALTHY:
        assert volume_ml(model, name) > 1, f"{name} is missing"


def test_white_matter_is_the_templates():
    model, template = head_model(1), load_icbm152()
    theirs = template.white.data[0] > 0.5
    ours = model.share("white matter") > 0.5
    # The torque moves it by up to 2.5 mm; otherwise it is the same white matter.
    overlap = 2 * float((theirs & ours).sum()) / float(theirs.sum() + ours.sum())
    assert 0.85 < overlap < 0.999
    middle = slice(97, 100)  # where the torque is nothing
    assert float((theirs ^ ours)[middle].float().mean()) < 0.005


def test_left_and_right_differ():
    share = head_model(2).share("white matter", "grey matter")
    mirrored = share.flip(0)
    assert float((share - mirrored).abs().mean()) > 0.02 * float(share.mean())
    # Yakovlev's torque: the right frontal pole lies before the left one.
    fronts = []
    for side in (share[: share.shape[0] // 2 - 4], share[share.shape[0] // 2 + 4 :]):
        fronts.append(int((side.sum((0, 2)) > 0.5).nonzero().max()))
    assert fronts[1] > fronts[0]


def test_the_skull_lies_around_the_brain_in_layers():
    model = head_model(1)
    x = 98  # the middle plane; upwards from the top of the brain
    line = {
        name: model.share(name)[x + 25, 134, 125:] for name in ("inner table", "diploe", "outer table", "fat", "skin")
    }
    places = [float((share * torch.arange(len(share))).sum() / share.sum()) for share in line.values()]
    assert places == sorted(places)
    thickness = sum(float(line[name].sum()) for name in ("inner table", "diploe", "outer table"))
    assert 4 < thickness < 11
    brain = model.share("white matter", "grey matter", "deep grey matter")
    assert float(brain[model.away_mm > 1].sum()) == 0


def test_a_coarse_head_holds_the_means_of_the_fine_one():
    fine, coarse = head_model(1), head_model(4)
    expected = torch.nn.functional.avg_pool3d(fine.share("white matter")[None, :196, :232, :188], 4)[0]
    torch.testing.assert_close(coarse.share("white matter")[:49, :58, :47], expected, rtol=0, atol=0.008)
    assert coarse.spacing_mm == 4
    np.testing.assert_allclose(coarse.affine[:3, 3], fine.affine[:3, 3] + 1.5)


def test_the_hull_of_a_ball_is_its_distance():
    axis = np.arange(60) - 29.5
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    away = hull_distance(radius <= 20)
    near = np.abs(radius - 20) < 6
    assert np.abs(away - (radius - 20))[near].max() < 1.5
    dented = (radius <= 20) & ~((np.abs(axis)[:, None, None] < 1.5) & (axis > 0))
    assert np.abs(hull_distance(dented) - away).max() < 1.5, "a furrow of 3 mm is closed"


def test_tissues_look_as_they_should():
    hu = dict(zip(TISSUES, hounsfield(), strict=True))
    assert hu["air"] < -990 and hu["fat"] < -70 and 0 < hu["outer csf"] < 15
    assert 25 < hu["white matter"] < hu["grey matter"] < 45 < hu["blood"] < 60 < hu["clot"] < 85
    assert hu["oedema"] < hu["white matter"] - 8 and hu["inner table"] > 1000 > hu["diploe"] > 150
    values = magnetic(3.0)
    assert all(value.shape == (len(TISSUES),) for value in values.values())
    assert float(values["proton_density"][index("air")]) == 0
    assert values["t2_ms"][index("oedema")] > 1.5 * values["t2_ms"][index("white matter")]
    assert len(materials()) == len(TISSUES) == len(HEALTHY) + len(LESIONS)
    assert attenuation(70.0)[index("outer table")] > 2 * attenuation(70.0)[index("white matter")]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: head_model(0), "spacing_mm is 0, expected a whole number from 1 to 8"),
        (lambda: head_model(1.5), "spacing_mm is 1.5, expected a whole number"),
        (lambda: index("bone"), "tissue is 'bone', expected one of air, white matter"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
