"""Position regression from coarse to fine: places between lattices, what the second look is given, learning."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import default_collate

from medlab.methods.position_regression import CoarseToFine, CoarseToFineConfig, Config, Frame, TwoLooks
from medlab.methods.position_regression.coarse_to_fine import at_places, halved, lattice_index
from medlab.profiles import Profile
from tests.methods.heads_by_hand import head

FINE = replace(Config.for_profile(Profile("ci"), 2), volume=24, counts="any", learning_rate=1e-2)
TINY = CoarseToFineConfig(FINE, coarse_patch=19)


def test_halved_frames_are_where_the_means_are():
    frame = Frame.cartesian((8, 8, 8))
    fine = frame.coordinates((8, 8, 8))
    torch.testing.assert_close(halved(fine[None])[0], frame.halved().coordinates((4, 4, 4)))


def test_places_between_by_hand():
    field = torch.arange(4.0)[:, None, None].expand(4, 4, 4)[None, None] * 10
    at = [torch.tensor([0.5, 2.0, 9.0]), torch.tensor([0.0]), torch.tensor([1.5, 1.0])]
    found = at_places(field, at)
    assert found.shape == (1, 1, 3, 1, 2) and found[0, 0, :, 0, 0].tolist() == [5, 20, 30]
    each = at_places(field.expand(2, -1, -1, -1, -1), [torch.tensor([[1.0], [2.5]]), *at[1:]])
    assert each[:, 0, 0, 0, 0].tolist() == [10, 25]


def test_lattice_index_by_hand():
    # Halved voxel c is the mean of fine voxels 2 c and 2 c + 1: its middle is 2 c + 1/2.
    assert lattice_index(torch.tensor([0.5, 2.5, 8.5]), 0, 1).tolist() == [0, 1, 4]
    assert lattice_index(torch.tensor([8.5]), 2, 2).tolist() == [1]


@pytest.mark.parametrize("index", range(4))
def test_both_lattices_speak_of_one_head(index):
    item = TwoLooks([head()], TINY).draw(index)
    between = at_places(item["coarse_place"][None], [line[None] for line in item["at"]])
    # Inside the coarse lattice its coordinates, taken between its places, are those of the fine places.
    inside = [(line >= 0) & (line <= item["coarse_place"].shape[1] - 1) for line in item["at"]]
    assert all(bool(one.any()) for one in inside)
    at = torch.meshgrid(*inside, indexing="ij")
    mask = at[0] & at[1] & at[2]
    torch.testing.assert_close(between[0][:, mask], item["place"][:, mask], atol=1e-5, rtol=0)


def test_the_second_look_is_given_the_first_answer():
    method = CoarseToFine(TINY, 1).eval()
    batch = default_collate([TwoLooks([head()], TINY).draw(0)])
    one, other = method.losses(batch), method.losses(batch, doubt=0.5)
    assert float(one["coarse"].detach()) == float(other["coarse"].detach())
    assert float(one["fine"].detach()) != float(other["fine"].detach())
    torch.testing.assert_close(one["loss"], one["coarse"] + one["fine"])
    one["fine"].backward()
    assert all(weight.grad is None for weight in method.coarse.parameters())


def test_it_learns_and_maps_and_is_stored():
    stream = TwoLooks([head(seed=seed) for seed in range(2)], TINY)
    method = CoarseToFine(TINY, 0)
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    losses = []
    for step in range(60):
        loss = method.losses(default_collate([stream.draw(step)]))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])
    method.eval()
    found = method.error_map(head(), stride=2)
    assert found.volume.shape == (1, 24, 24, 24) and float(found.values.max()) > 0
    method.calibrate(head(seed=seed) for seed in range(4))
    again = CoarseToFine.from_weights(method.state_dict(), {"config": TINY.as_dict()})
    for name, one in method.maps(head()).items():
        torch.testing.assert_close(again.maps(head())[name].values, one.values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doubt": -1.0}, "doubt is -1.0"),
        ({"coarse_patch": 20}, "patch is 20"),
        ({"fine": replace(FINE, volume=25)}, "fine.volume is 25"),
        ({"fine": replace(FINE, frame="barycentric")}, "fine has the frame barycentric"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
