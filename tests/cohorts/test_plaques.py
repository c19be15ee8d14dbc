"""Plaques: of the size that was drawn at any spacing, only in white matter, and where multiple sclerosis has them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.lesions import PLAQUE_LABELS, PLAQUE_NAMES, Plaque, Plaques, draw_plaques
from medlab.cohorts.lesions.plaques import PLACES
from medlab.cohorts.subject import Person, draw_subject
from medlab.cohorts.tissues import TISSUES

ONE = Plaque((1.3, -20.4, 20.2), (0.6, 0.0, 0.8), 5.0, 3.0, "deep white")
DRAWN = [draw_plaques(seed) for seed in range(40)]
MODEL = head_model(2)


def white_box(spacing_mm: float, centre=ONE.centre_mm, edge_mm: float = 24.0):
    grid = Grid((round(edge_mm / spacing_mm),) * 3, (spacing_mm,) * 3, centre)
    return {"white matter": torch.ones(grid.shape)}, grid.points()


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("size", [1.0, 0.5])
def test_an_ellipsoid_has_its_volume_at_every_spacing(spacing, size):
    one = replace(ONE, half_length_mm=5.0 * size, half_width_mm=3.0 * size)
    volumes = []
    shifts = spacing * torch.rand(3 if spacing < 1 else 10, 3, generator=torch.Generator().manual_seed(1))
    for shift in shifts:
        _, points = white_box(spacing)
        amount = one.amount(points + shift, torch.zeros(points.shape[:-1]), max(1.0, spacing))
        volumes.append(float(amount.sum()) * spacing**3 / 1000)
    assert np.mean(volumes) == pytest.approx(one.volume_ml, rel=0.05)
    assert volumes == pytest.approx([one.volume_ml] * len(shifts), rel=0.3), "wherever its voxels lie"
    assert one.volume_ml == pytest.approx(4 / 3 * math.pi * 45 * size**3 / 1000)


def test_an_ellipsoid_lies_along_its_axis():
    _, points = white_box(0.5)
    amount = ONE.amount(points, torch.zeros(points.shape[:-1]), 1.0).flatten()
    away = points.reshape(-1, 3) - torch.tensor(ONE.centre_mm)
    moments = torch.linalg.eigh((away.T * amount) @ away / amount.sum())
    assert abs(float(moments.eigenvectors[:, -1] @ torch.tensor(ONE.axis))) > 0.999
    # An ellipsoid's second moments are its half axes squared, by 5.
    assert moments.eigenvalues.sqrt().mul(math.sqrt(5)).tolist() == pytest.approx([3, 3, 5], rel=0.08)


def test_borders_are_uneven_and_strength_is_the_share_that_is_replaced():
    shares, points = white_box(1.0)
    Plaques(3, (replace(ONE, strength=0.8),)).apply(shares, points)
    smooth = 0.8 * ONE.amount(points, torch.zeros(points.shape[:-1]), 1.0)
    assert float(shares["plaque"].max()) == pytest.approx(0.8, rel=0.05)
    assert float((shares["plaque"] - smooth).abs().max()) > 0.1
    assert float(shares["plaque"].sum()) == pytest.approx(float(smooth.sum()), rel=0.4)


def test_only_white_matter_is_replaced_and_the_sum_stays():
    _, points = white_box(1.0)
    chance = torch.Generator().manual_seed(1)
    parts = torch.rand((3, *points.shape[:-1]), generator=chance)
    white, grey, fluid = parts / parts.sum(0)
    shares = {"white matter": white.clone(), "grey matter": grey.clone(), "ventricular csf": fluid.clone()}
    Plaques(1, (ONE,)).apply(shares, points)
    assert torch.equal(shares["grey matter"], grey) and torch.equal(shares["ventricular csf"], fluid)
    torch.testing.assert_close(shares["white matter"] + shares["plaque"], white, rtol=0, atol=1e-6)
    assert float(shares["plaque"].max()) > 0.5


def test_overlapping_plaques_are_one():
    shares, points = white_box(1.0)
    Plaques(1, (ONE, ONE)).apply(shares, points)
    assert float(shares["plaque"].max()) <= 1 + 1e-6
    torch.testing.assert_close(sum(shares.values()), torch.ones(points.shape[:-1]), rtol=0, atol=1e-6)


def test_a_subject_has_them_in_its_white_matter_only():
    grid, person, lesion = Grid((32, 40, 28), (4.0, 4.0, 4.0)), Person(1, folds=0.0), DRAWN[0]
    healthy, sick = draw_subject(person, grid), draw_subject(person, grid, [lesion])
    assert float((sum(sick.shares.values()) - 1).abs().max()) < 1e-5
    for name, share in healthy.shares.items():
        if name != "white matter":
            assert torch.equal(share, sick.shares[name])
    lost = healthy.share("white matter") - sick.share("white matter")
    torch.testing.assert_close(lost, sick.share("plaque"), rtol=0, atol=1e-6)
    assert 0.3 < sick.volume_ml("plaque") / lesion.finding()["volume_ml"] < 1.1
    assert set(PLAQUE_LABELS) == set(PLAQUE_NAMES) == {1} and set(PLAQUE_LABELS[1]) <= set(TISSUES)
    assert int(sick.labels(PLAQUE_LABELS).sum()) > 0


def test_counts_sizes_and_volumes_are_plausible():
    counts = [len(one.plaques) for one in DRAWN]
    assert min(counts) >= 5 and max(counts) <= 60 and 14 < np.median(counts) < 28 and len(set(counts)) > 10
    lengths = [2 * p.half_length_mm for one in DRAWN for p in one.plaques]
    assert min(lengths) >= 2 and max(lengths) <= 12 and 5 < np.median(lengths) < 9
    assert all(p.half_width_mm <= p.half_length_mm + 0.01 for one in DRAWN for p in one.plaques)
    volumes = [one.finding()["volume_ml"] for one in DRAWN]
    assert min(volumes) > 0.2 and max(volumes) < 15 and 1.5 < np.median(volumes) < 6
    assert len(draw_plaques(4, count=17).plaques) == 17


def test_places_have_their_parts():
    for one in DRAWN:
        found = one.finding()
        for place, part in PLACES.items():
            assert abs(found["places"][place] - part * found["count"]) <= 2
    assert sum(PLACES.values()) == pytest.approx(1)


def at(values, points):
    return sample(values[None], MODEL.affine, torch.tensor(points))[0]


def test_plaques_lie_where_their_places_are():
    lying = {place: [p.centre_mm for one in DRAWN for p in one.plaques if p.place == place] for place in PLACES}
    white, grey = MODEL.share("white matter"), MODEL.share("grey matter")
    to_grey = torch.from_numpy(2 * ndimage.distance_transform_edt(~(grey > 0.5).numpy())).float()
    for place, centres in lying.items():
        assert float(at(white, centres).mean()) > (0.75 if place != "juxtacortical" else 0.6)
    assert float(at(to_grey, lying["juxtacortical"]).max()) < 6
    assert float(at(to_grey, lying["deep white"]).mean()) > float(at(to_grey, lying["juxtacortical"]).mean()) + 2
    infratentorial = torch.tensor(lying["infratentorial"])
    assert float(infratentorial[:, 2].max()) < -14 < float(torch.tensor(lying["deep white"])[:, 2].min())
    sides = [math.copysign(1, x) for centres in lying.values() for x, _, _ in centres]
    assert abs(np.mean(sides)) < 0.2


def test_dawsons_fingers_stand_on_the_wall_of_a_ventricle():
    fingers = [p for one in DRAWN for p in one.plaques if p.place == "periventricular"]
    fluid = (MODEL.share("ventricular csf") > 0.5).numpy()
    to_fluid = torch.from_numpy(2 * ndimage.distance_transform_edt(~fluid)).float()
    centres, axes = (torch.tensor([getattr(p, name) for p in fingers]) for name in ("centre_mm", "axis"))
    half = torch.tensor([p.half_length_mm for p in fingers])[:, None]
    near, far = (at(to_fluid, (centres + s * half * axes).tolist()) for s in (-1, 1))
    assert float(near.quantile(0.9)) < 3
    assert float(((far - near) / (2 * half[:, 0])).median()) > 0.7


def test_the_same_seed_gives_the_same_bytes():
    assert draw_plaques(3) == DRAWN[3] and DRAWN[3] != DRAWN[4]
    centre = DRAWN[3].plaques[0].centre_mm
    first, second = white_box(2.0, centre), white_box(2.0, centre)
    DRAWN[3].apply(*first)
    draw_plaques(3).apply(*second)
    assert torch.equal(first[0]["plaque"], second[0]["plaque"]) and float(first[0]["plaque"].sum()) > 0


def test_no_white_matter_no_plaque():
    shares, points = {"grey matter": torch.ones(8, 8, 8)}, Grid((8,) * 3, (2.0,) * 3, ONE.centre_mm).points()
    Plaques(1, (ONE,)).apply(shares, points)
    assert list(shares) == ["grey matter"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"centre_mm": (0.0, math.nan, 0.0)}, r"centre_mm is \(0.0, nan, 0.0\), expected three finite numbers"),
        ({"axis": (1.0, 1.0, 0.0)}, r"axis is \(1.0, 1.0, 0.0\), expected a vector of length 1"),
        ({"half_length_mm": 0.0}, "half_length_mm is 0.0, expected a number above 0"),
        ({"half_width_mm": 30.0}, "half_width_mm is 30.0, expected a number above 0 and at most 20"),
        ({"strength": 1.5}, "strength is 1.5, expected a number above 0 and at most 1"),
        ({"place": "spine"}, "place is 'spine', expected one of periventricular, juxtacortical"),
    ],
)
def test_a_plaque_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(ONE, **changed)


def test_the_draw_refuses():
    with pytest.raises(ValueError, match="count is 0, expected a whole number from 1 to 200"):
        draw_plaques(1, count=0)
    with pytest.raises(ValueError, match=r"count is 2\.5, expected a whole number"):
        draw_plaques(1, count=2.5)
    with pytest.raises(ValueError, match="seed is -1, expected a whole number"):
        draw_plaques(-1)
    with pytest.raises(ValueError, match=r"plaques is \[\], expected a tuple of Plaque"):
        Plaques(1, [])
