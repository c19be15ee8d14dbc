"""Position regression: frames, patches, the loss, the map, calibration and the commands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.data import Volume
from medlab.methods.anomaly import Heads
from medlab.methods.position_regression import Config, Frame, HeadPatches, PositionRegression, counted_places
from medlab.methods.position_regression.expected import Expected, between
from medlab.methods.position_regression.locating import distances
from medlab.methods.position_regression.patches import lattice_of, patches_of
from medlab.profiles import Profile
from tests.methods.heads_by_hand import head

TINY = replace(Config.for_profile(Profile("ci"), 1), volume=24, counts="any")


def test_frames_by_hand():
    frame = Frame.cartesian((5, 9, 3))
    assert frame.at(torch.tensor([4.0, 0.0, 1.0])).tolist() == [1, 0, 0.5]
    points = [(0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 8.0)]
    barycentric = Frame.barycentric(points)
    corners = barycentric.at(torch.tensor(points, dtype=torch.float64))
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(corners, expected, atol=1e-12, rtol=0)
    middle = barycentric.at(torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64))
    torch.testing.assert_close(middle, torch.full((3,), 0.25, dtype=torch.float64))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_barycentric_coordinates_move_with_the_head(seed):
    chance = np.random.default_rng(seed)
    points, place = chance.normal(0, 40, (4, 3)), chance.normal(0, 40, 3)
    turn, _ = np.linalg.qr(chance.normal(size=(3, 3)))
    shift = chance.normal(0, 20, 3)
    if abs(np.linalg.det((points[:3] - points[3]).T)) < 1e4:
        return
    before = Frame.barycentric(points).at(torch.from_numpy(place))
    after = Frame.barycentric(points @ turn.T + shift).at(torch.from_numpy(turn @ place + shift))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=1e-6)


def test_lattice_of_coordinates_is_the_frame_place_by_place():
    frame = Frame(np.array([[0.1, 0.02, 0, 1], [0, 0.2, 0.03, -1], [0.01, 0, 0.3, 0.5]]))
    found = frame.coordinates((2, 3, 4), start=(1, 2, 3), step=4)
    alone = frame.at(torch.tensor([1.0 + 4, 2 + 8, 3 + 12], dtype=torch.float64))
    torch.testing.assert_close(found[:, 1, 2, 3].double(), alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(frame.to_voxels(alone), torch.tensor([5.0, 10, 15], dtype=torch.float64))


def test_flat_landmarks_are_refused():
    with pytest.raises(ValueError, match="do not lie in one plane"):
        Frame.barycentric([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)])


def test_places_that_count_by_hand():
    foreground = torch.zeros(9, 9, 9, dtype=torch.bool)
    foreground[4, 4, 4] = True
    counted = counted_places(foreground, 3)
    assert torch.equal(counted_places(foreground, 3, "centre"), foreground)
    assert int(counted.sum()) == 27 and bool(counted[3:6, 3:6, 3:6].all())


@pytest.mark.parametrize("seed", range(4))
def test_patches_are_cut_where_they_say(seed):
    image = torch.rand(1, 21, 22, 23)
    counted = torch.rand(21, 22, 23) > 0.5
    frame = Frame.cartesian((21, 22, 23))
    found = patches_of(image, counted, frame, 19, 5, torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.pad(image, (9,) * 6)
    for patch, place, counts in zip(found["image"], found["place"], found["counts"], strict=True):
        i, j, k = (place * torch.tensor([20, 21, 22])).round().int().tolist()
        torch.testing.assert_close(patch, wide[:, i : i + 19, j : j + 19, k : k + 19])
        assert bool(counts) == bool(counted[i, j, k])


@pytest.mark.parametrize("seed", range(6))
def test_a_lattice_holds_the_patches_of_its_places(seed):
    image = torch.rand(1, 21, 22, 24)
    counted = torch.rand(21, 22, 24) > 0.5
    frame = Frame.cartesian((21, 22, 24))
    found = lattice_of(image, counted, frame, 19, torch.Generator().manual_seed(seed))
    assert found["place"].shape[1:] == found["counts"].shape == (6, 6, 6)
    wide = torch.nn.functional.pad(image, (9,) * 6)
    checked = 0
    for at in [(0, 0, 0), (1, 2, 3), (4, 4, 5), (5, 5, 5)]:
        i, j, k = (found["place"][(slice(None), *at)] * torch.tensor([20, 21, 23])).round().int().tolist()
        if i > 20 or j > 21 or k > 23:
            assert not bool(found["counts"][at])  # beyond the volume
            continue
        a, b, c = (4 * one for one in at)
        torch.testing.assert_close(
            found["image"][:, a : a + 19, b : b + 19, c : c + 19], wide[:, i : i + 19, j : j + 19, k : k + 19]
        )
        assert bool(found["counts"][at]) == bool(counted[i, j, k])
        checked += 1
    assert checked >= 3


def test_all_places_are_equally_likely_on_a_lattice():
    seen = torch.zeros(9, 9, 9)
    frame = Frame.cartesian((9, 9, 9))
    for seed in range(640):
        chance = torch.Generator().manual_seed(seed)
        found = lattice_of(torch.zeros(1, 9, 9, 9), torch.ones(9, 9, 9, dtype=torch.bool), frame, 19, chance)
        at = (found["place"] * 8).round().long()[:, found["counts"]]
        seen[tuple(at)] += 1
    # Each place belongs to one beginning of 64: ten visits on average, up to chance.
    assert abs(float(seen.mean()) - 10) < 0.5 and float(seen.min()) > 0


def test_the_loss_is_the_norm_and_not_its_square():
    method = PositionRegression(TINY)
    found = torch.tensor([[0.0, 0, 0], [1, 1, 1], [9, 9, 9]])
    place = torch.tensor([[0.3, 0.4, 0], [1, 1, 1], [0, 0, 0]])
    losses = method.losses(found, place, torch.tensor([True, True, False]))
    torch.testing.assert_close(losses["loss"], torch.tensor(0.25))
    assert float(method.losses(found, place, torch.zeros(3, dtype=torch.bool))["loss"]) == 0


@pytest.mark.parametrize("sampling", ["patches", "lattice"])
def test_it_learns_one_head(sampling):
    config = replace(TINY, size=4, sampling=sampling, patches=64, steps=100, learning_rate=1e-2)
    method = PositionRegression(config)
    stream = HeadPatches([head()], config)
    optimiser = torch.optim.Adam(method.parameters(), config.learning_rate)
    first = last = None
    for step in range(config.steps):
        batch = torch.utils.data.default_collate([stream.draw(step)])
        loss = _loss(method, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        first, last = (float(loss.detach()) if first is None else first), float(loss.detach())
    assert last < 0.8 * first


def _loss(method: PositionRegression, batch: dict) -> torch.Tensor:
    image, place, counts = batch["image"], batch["place"], batch["counts"]
    if image.ndim == 6:
        image, place, counts = image.flatten(0, 1), place.flatten(0, 1), counts.flatten()
    return method.losses(method(image), place, counts)["loss"]


def test_draws_depend_on_their_number_alone():
    stream = HeadPatches([head(name="a"), head(name="b", seed=1)], TINY, 5)
    again = HeadPatches([head(name="a"), head(name="b", seed=1)], TINY, 5)
    again.draw(3)
    for key, value in stream.draw(7).items():
        torch.testing.assert_close(value, again.draw(7)[key])
    assert not torch.equal(stream.draw(0)["image"], stream.draw(1)["image"])


def test_error_map_is_the_distance_patch_by_patch():
    method = PositionRegression(TINY, 3).eval()
    one = head(32)
    found = method.error_map(one, stride=1)
    assert method.settings.counts == "any"
    wide = torch.nn.functional.pad(one.image.data[1:], (9,) * 6)
    for i, j, k in [(12, 12, 12), (5, 14, 9), (0, 0, 0), (20, 11, 3), (31, 16, 16)]:
        patch = wide[None, :, i : i + 19, j : j + 19, k : k + 19]
        place = torch.tensor([[i, j, k]]) / 31
        expected = distances(method.network(patch).detach(), place)[0] * bool(patch.any())
        torch.testing.assert_close(found.values[i, j, k], expected, atol=1e-5, rtol=0)
    assert float(found.values[0, 0, 0]) == 0  # nothing but air around


def test_stride_interpolates_between_the_same_values():
    method = PositionRegression(TINY, 3).eval()
    fine, coarse = (method.error_map(head(), stride=step).values for step in (1, 4))
    torch.testing.assert_close(coarse[::4, ::4, ::4], fine[::4, ::4, ::4], atol=1e-5, rtol=0)
    ramp = torch.arange(9.0)[:, None, None].expand(9, 9, 9)
    torch.testing.assert_close(between(ramp[::4, ::4, ::4][:2], (8, 9, 9), 4, beyond=True), ramp[:8])
    line = torch.arange(7.0)[:, None, None].expand(7, 7, 7)
    torch.testing.assert_close(between(line[::3, ::3, ::3], (7, 7, 7), 3), line)


def test_expected_is_the_mahalanobis_distance():
    chance = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 2.0, 0.5]).view(3, 1, 1, 1)
    draws = [scale * torch.randn(3, 8, 8, 8, generator=chance) + 5 for _ in range(400)]
    expected = Expected(32)
    expected.learn(draws)
    for axis, size in enumerate((1.0, 2.0, 0.5)):
        off = torch.full((3, 8, 8, 8), 5.0)
        off[axis] += 3 * size
        # Three deviations along an axis, less what the floor of a tenth of the mean variance takes.
        assert float(expected.compared(off, 4).mean()) == pytest.approx(3 / (1 + 0.175 / size**2) ** 0.5, rel=0.06)
    assert float(expected.compared(expected.mean, 4).max()) < 1e-3


def test_calibration_travels_with_the_weights():
    method = PositionRegression(TINY, 3).eval()
    heads = [head(seed=seed) for seed in range(4)]
    with pytest.raises(ValueError, match="not calibrated"):
        method.relative_map(heads[0])
    with pytest.raises(ValueError, match="heads are 1, expected 2"):
        method.calibrate(heads[:1])
    method.calibrate(heads)
    unlike = head()
    image = unlike.image.data.clone()
    image[1, 8:12, 8:12, 8:12] = 1.0
    odd = replace(unlike, image=unlike.image.with_data(image))
    there = (slice(6, 15),) * 3
    assert float(method.relative_map(odd).values[there].max()) > float(method.relative_map(unlike).values[there].max())
    again = PositionRegression(TINY, 9)
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again.relative_map(heads[1]).values, method.relative_map(heads[1]).values)


def test_barycentric_frames_are_found_on_heads():
    heads = Heads(Cq500Cohort(2, Grid.cube(32, 256.0), 0), 32, 8.0)
    config = replace(Config.for_profile(Profile("ci"), 1), frame="barycentric")
    drawn = HeadPatches(heads, config).draw(0)
    assert bool(drawn["place"].isfinite().all())
    found = PositionRegression(config).eval().error_map(heads[0], stride=4)
    assert found.volume.shape == (1, 32, 32, 32)
    with pytest.raises(ValueError, match="frame is missing"):
        PositionRegression(config).error_map(Volume(torch.zeros(1, 32, 32, 32), np.eye(4), "x"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"patch": 30}, "patch is 30"),
        ({"frame": "polar"}, "frame is 'polar'"),
        ({"sampling": "all"}, "sampling is 'all'"),
        ({"stride": 0}, "stride is 0"),
        ({"memory_mb": 0}, "memory_mb is 0"),
    ],
)
def test_config_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_config_round_trip_and_paper():
    paper = Config.paper()
    assert (paper.patch, paper.patches, paper.learning_rate, paper.steps) == (31, 256, 1e-4, 222_000)
    assert Config.from_dict(paper.as_dict()) == paper
    with pytest.raises(ValueError, match="config has the field 'depth'"):
        Config.from_dict({**paper.as_dict(), "depth": 3})


def test_wrong_sizes_are_refused_with_the_subject():
    with pytest.raises(ValueError, match="subject one: it measures 20 x 20 x 20, expected 24"):
        HeadPatches([head(20)], TINY)
    with pytest.raises(ValueError, match="samples are none"):
        HeadPatches([], TINY)
