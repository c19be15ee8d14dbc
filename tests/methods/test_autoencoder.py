"""The autoencoder: its loss, its filters against SciPy and by hand, its maps, training, weights, the two commands."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medlab import predict, train
from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.data import Volume, load_volume, save_volume
from medlab.data.samples import Sample
from medlab.methods.autoencoder import Autoencoder, Config, HeadVolumes, eroded, median
from medlab.methods.autoencoder.filters import median_in_slabs
from medlab.profiles import Profile
from medlab.training import fit, load_weights, read_card, save_weights, training_batches

SMALL = Config(size=1, levels=2, volume=16, spacing_mm=16.0, batch=1, steps=30, learning_rate=1e-2, filter_voxels=3)


def head(seed=0, side=16):
    """A block in air: as HU and equalised."""
    generator = torch.Generator().manual_seed(seed)
    equalised = torch.zeros(side, side, side)
    equalised[3:-3, 4:-4, 5:-5] = 0.5
    equalised[5:-5, 6:-6, 6:-6] = 0.8 + 0.1 * torch.rand((), generator=generator)
    hu = torch.where(equalised > 0, 100 * equalised, torch.tensor(-1000.0))
    image = Volume(torch.stack([hu, equalised]), np.diag([16.0, 16.0, 16.0, 1.0]), f"head {seed}")
    return Sample(f"head {seed}", image, ("HU", "equalised"), mask=equalised > 0)


def test_the_paper():
    paper = Config.paper(32)
    assert (paper.size, paper.batch, paper.learning_rate, paper.filter_voxels) == (32, 4, 1e-3, 5)
    assert paper.steps * paper.batch == 2000 * 111 and paper.volume * paper.spacing_mm == 256


@pytest.mark.parametrize("profile", ["ci", "cpu", "gpu"])
def test_a_config_comes_back_from_its_dict(profile):
    config = Config.for_profile(Profile(profile), 8)
    assert Config.from_dict(config.as_dict()) == config
    assert config.volume * config.spacing_mm == 256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 65),
        ("size", 0),
        ("levels", 9),
        ("volume", 4),
        ("spacing_mm", 0.0),
        ("batch", 0),
        ("learning_rate", -1.0),
        ("schedule", "steep"),
        ("precision", "8"),
        ("filter", "mean"),
        ("filter_voxels", 4),
    ],
)
def test_a_config_names_the_field_it_refuses(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        Config(**{field: value})


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="config has the field 'depth'"):
        Config.from_dict({"depth": 3})


def test_the_loss_by_hand():
    method = Autoencoder(SMALL)
    image = torch.tensor([0.0, 1.0, 0.5, 0.25]).view(1, 1, 4, 1, 1)
    restored = torch.tensor([0.5, 1.0, 0.0, 0.25]).view(1, 1, 4, 1, 1)
    assert float(method.losses(restored, image)["loss"]) == pytest.approx(0.25)


@given(
    shape=st.tuples(*[st.integers(1, 8)] * 3),
    width=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_filters_are_those_of_scipy(shape, width, seed):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    expected = torch.from_numpy(ndimage.median_filter(values.numpy(), width, mode="nearest"))
    torch.testing.assert_close(median(values, width), expected)
    torch.testing.assert_close(median_in_slabs(values, width), expected)
    least = torch.from_numpy(ndimage.grey_erosion(values.numpy(), (width,) * 3, mode="nearest"))
    torch.testing.assert_close(eroded(values, width), least)


def test_filters_by_hand():
    """A block of 5 voxels, a sheet of 2 and a single one."""
    values = torch.zeros(24, 24, 24)
    values[2:7, 2:7, 2:7] = 1.0
    values[12:14, :, :] = 1.0
    values[20, 20, 20] = 1.0
    left = eroded(values, 3)
    assert int(left.sum()) == 27 and float(left[3:6, 3:6, 3:6].min()) == 1.0
    middle = median(values, 3)
    assert bool((middle[12:14] == 1).all()), "a sheet of two voxels fills 18 of 27: it stays"
    assert float(middle[20, 20, 20]) == 0.0 and float(middle[4, 4, 4]) == 1.0
    assert float(median(values, 5)[12, 12, 12]) == 0.0, "and 50 of 125: it goes"


@pytest.mark.parametrize("width", [0, 2, 2.5])
@pytest.mark.parametrize("made", [median, eroded])
def test_filters_without_a_middle_are_refused(made, width):
    with pytest.raises(ValueError, match="width is"):
        made(torch.zeros(4, 4, 4), width)


def test_slabs_do_not_change_the_median(monkeypatch):
    values = torch.rand(9, 5, 4)
    whole = median_in_slabs(values, 3)
    monkeypatch.setattr("medlab.methods.autoencoder.filters.SLAB_NUMBERS", 1)
    torch.testing.assert_close(median_in_slabs(values, 3), whole)


def test_every_head_once_an_epoch():
    stream = HeadVolumes([head(0), head(1), head(2)], 16, seed=4)
    brightest = [float(stream.draw(index)["image"].max()) for index in range(6)]
    assert len(set(brightest[:3])) == 3 and sorted(brightest[:3]) == sorted(brightest[3:])
    again = HeadVolumes([head(0), head(1), head(2)], 16, seed=4).draw(5)["image"]
    assert torch.equal(again, stream.draw(5)["image"])


def test_heads_of_another_size_and_none_are_refused():
    with pytest.raises(ValueError, match="subject head 0: it measures 16 x 16 x 16, expected 32"):
        HeadVolumes([head()], 32)
    with pytest.raises(ValueError, match="samples are none"):
        HeadVolumes([], 16)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_map_is_the_difference(channels_last):
    method = Autoencoder(Config(**{**SMALL.as_dict(), "channels_last": channels_last}))
    sample = head()
    found = method.error_map(sample, filter="none")
    with torch.no_grad():
        restored = method.network(sample.image.data[None, 1:])[0, 0]
    torch.testing.assert_close(found.values, (restored - sample.image.data[1]).abs(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(method.restore(sample).data[0], restored, atol=1e-5, rtol=1e-4)
    assert (found.volume.affine == sample.image.affine).all()


def test_maps_are_the_filtered_difference():
    method = Autoencoder(SMALL)
    maps = method.maps(head())
    residual = maps["none"].values
    torch.testing.assert_close(maps["median"].values, median(residual, 3))
    torch.testing.assert_close(maps["erosion"].values, eroded(residual, 3))
    torch.testing.assert_close(method.error_map(head(), filter="median").values, maps["median"].values)


def test_odd_grids_have_maps_too():
    volume = Volume(torch.rand(1, 13, 9, 11), np.eye(4), "odd")
    assert Autoencoder(SMALL).error_map(volume, filter="erosion").values.shape == (13, 9, 11)


def test_what_error_map_refuses():
    method = Autoencoder(SMALL)
    with pytest.raises(ValueError, match="filter is 'mean'"):
        method.error_map(head(), filter="mean")
    with pytest.raises(ValueError, match="has 2 channels, expected one, equalised"):
        method.error_map(head().image)


def test_it_learns_what_it_has_seen_and_not_what_it_has_not(tmp_path):
    """Trained on one head it restores that head; a bright block that it has never seen stays in the difference."""
    config = Config(**{**SMALL.as_dict(), "size": 4, "steps": 60})
    method = Autoencoder(config)
    stream = HeadVolumes([head()], 16)
    before = float(method.error_map(head(), filter="none").values.mean())
    fit(method, training_batches(stream.draw, 1, 0), directory=tmp_path, steps=60, profile="ci")
    after = method.error_map(head(), filter="none").values
    assert float(after.mean()) < before / 4
    ill = head()
    changed = ill.image.data.clone()
    changed[1, 7:9, 7:9, 7:9] = 0.0
    found = method.error_map(ill.image.with_data(changed[1:]), filter="none").values
    assert float(found[7:9, 7:9, 7:9].mean()) > 5 * float(after.mean())


def test_weights_come_back(tmp_path):
    method = Autoencoder(SMALL, seed=3)
    path = save_weights(method, tmp_path / "a.safetensors", {"config": SMALL.as_dict()})
    again = Autoencoder.from_weights(*load_weights(path))
    torch.testing.assert_close(again.error_map(head()).values, method.error_map(head()).values)
    assert not again.training


def test_the_same_seed_gives_the_same_weights():
    one, two, other = (Autoencoder(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_from_a_training_to_a_map(tmp_path, capsys):
    quick = ["autoencoder", "--profile", "ci", "--subjects", "12", "--set", "steps=2", "--size", "1"]
    assert train.main([*quick, "--directory", str(tmp_path / "run")]) == 0
    card = read_card(tmp_path / "run" / "weights.safetensors")
    assert card["method"] == "autoencoder" and card["data"]["synthetic"] and card["config"]["size"] == 1
    sample = Cq500Cohort(1, Grid.cube(32, 256.0), 5)[0]
    save_volume(sample.image, tmp_path / "patient.nii.gz")
    arguments = [
        str(tmp_path / "run" / "weights.safetensors"),
        str(tmp_path / "patient.nii.gz"),
        "--output",
        str(tmp_path),
    ]
    assert predict.main(arguments) == 0
    written = load_volume(tmp_path / "patient_error_map.nii.gz")
    assert written.shape == (1, 32, 32, 32) and float(written.data.max()) > 0
    assert predict.main([*arguments, "--flips"]) == 2
    assert "--flips is given" in capsys.readouterr().err
