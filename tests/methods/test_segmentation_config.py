"""The config: the thesis's numbers, what a profile makes of them, and what is refused."""

import json

import pytest

from medlab import nn
from medlab.methods.segmentation import Config
from medlab.profiles import Profile


@pytest.mark.parametrize(
    ("network", "dataset", "patch", "channels", "steps"),
    [
        ("vnet", "iseg", (64, 128, 128), ("T1",), 60_000),
        ("vnet_light", "mrbrains", (128, 128, 32), ("T1",), 60_000),
        ("unet3d", "iseg", (64, 128, 128), ("T1", "T2"), 60_000),
        ("unet3d", "mrbrains", (128, 128, 32), ("T1", "T1-IR", "FLAIR"), 60_000),
        ("densenet3d", "iseg", (28, 28, 28), ("T1", "T2"), 240_000),
        ("late_fusion", "mrbrains", (28, 28, 28), ("T1", "T1-IR"), 240_000),
        ("early_fusion", "mrbrains", (28, 28, 28), ("T1", "T1-IR", "FLAIR"), 240_000),
    ],
)
def test_the_thesis(network, dataset, patch, channels, steps):
    config = Config.paper(network, dataset)
    assert (config.patch, config.channels, config.steps) == (patch, channels, steps)
    assert (config.optimiser, config.learning_rate, config.weight_decay, config.batch) == ("sgd", 1e-3, 1e-8, 1)
    assert nn.build(network, len(channels), 4, **config.network_options)  # with the dropout of its code
    assert config.network_options["dropout"] == {"unet3d": 0.6, "vnet": 0.5, "vnet_light": 0.5}.get(network, 0.1)
    assert config.cross_entropy_weight == 0 and config.absent == "ignore" and config.classes == 4


def test_the_sub_volumes_of_the_thesis_hold_half_a_million_voxels_and_more():
    for dataset, voxels in (("iseg", 128 * 128 * 64), ("mrbrains", 128 * 128 * 32)):
        x, y, z = Config.paper("unet3d", dataset).patch
        assert x * y * z == voxels


@pytest.mark.parametrize("name", ["ci", "cpu", "gpu"])
@pytest.mark.parametrize("dataset", ["iseg", "mrbrains"])
@pytest.mark.parametrize("network", [one for one in nn.NETWORKS if one != "unet2d"])
def test_profiles_shrink_the_configuration_and_not_the_network(name, dataset, network):
    config = Config.for_profile(Profile(name), network, dataset)
    assert config.network == network and config.options == ()
    paper = Config.paper("unet3d", dataset)
    assert all(ours <= theirs for ours, theirs in zip(config.patch, paper.patch, strict=True))
    assert all(ours >= theirs for ours, theirs in zip(config.spacing_mm, paper.spacing_mm, strict=True))


def test_it_survives_json():
    config = Config.for_profile(Profile("cpu"), "unet3d", "mrbrains")
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    narrow = Config(options=(("width", 4), ("levels", 3)))
    assert Config.from_dict(json.loads(json.dumps(narrow.as_dict()))) == narrow
    with pytest.raises(ValueError, match=r"^config has the field 'colour', expected one of .*patch"):
        Config.from_dict({"colour": 1})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"network": "alexnet"}, "network is 'alexnet', expected one of"),
        ({"patch": (8, 8)}, "patch is .*, expected three sizes"),
        ({"patch": (8, 8, 0)}, "patch is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"channels": ()}, "channels are .*, expected at least one"),
        ({"channels": ("T1", "T1")}, "channels are .*each once"),
        ({"labels": (0,), "label_names": ("air",)}, "labels are .*, expected at least two"),
        ({"labels": (0, 300, 1, 2)}, "labels is 300"),
        ({"label_names": ("air",)}, "label_names are .*, expected one for each of 4"),
        ({"overlap": 1}, "overlap is 1, expected below 1"),
        ({"augment": ("cutmix",)}, "augment is 'cutmix', expected one of"),
        ({"optimiser": "lion"}, "optimiser is 'lion'"),
        ({"absent": "zero"}, "absent is 'zero'"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"clip": 0}, "clip is 0"),
        ({"spacing_mm": (1, 1, -1)}, "spacing_mm"),
    ],
)
def test_refusals(fields, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Config(**fields)


def test_the_thesis_has_no_other_models():
    with pytest.raises(ValueError, match="network is 'hyperdense', expected one of vnet"):
        Config.paper("hyperdense")
    with pytest.raises(ValueError, match="dataset is 'brats', expected one of iseg, mrbrains"):
        Config.paper("unet3d", "brats")
