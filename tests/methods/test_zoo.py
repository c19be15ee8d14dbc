"""The zoo at one budget: what is the same for all networks, and the record of one row."""

import pytest
import torch

from medlab.methods.segmentation.zoo import NETWORKS, step_flops, train_and_judge, zoo_config
from medlab.profiles import Profile
from medlab.training import add_record, read_record
from tests.methods.hand_made import changed, nested


@pytest.mark.parametrize("dataset", ["iseg", "mrbrains"])
@pytest.mark.parametrize("profile", ["ci", "cpu"])
def test_all_networks_have_the_same_budget(dataset, profile):
    configs = [zoo_config(name, dataset, Profile(profile)) for name in NETWORKS]
    same = ("patch", "batch", "steps", "optimiser", "learning_rate", "schedule", "augment", "absent", "dice_weight")
    for field in (*same, "spacing_mm", "law", "least", "precision"):
        assert len({getattr(config, field) for config in configs}) == 1, field
    assert len(NETWORKS) == 8


def test_at_gpu_no_network_is_narrowed():
    assert all(zoo_config(name, "iseg", Profile("gpu")).options == () for name in NETWORKS)


def test_arithmetic_of_a_step_grows_with_its_voxels():
    config = changed(options=(("width", 2), ("levels", 2)), patch=(16, 16, 16))
    small, large = step_flops(config), step_flops(changed(options=config.options, patch=(32, 16, 16)))
    assert large == pytest.approx(2 * small)  # arithmetic is in proportion to the voxels


@pytest.mark.slow
def test_a_row_of_the_table(tmp_path):
    samples = [nested((16, 16, 16), seed=seed, subject=str(seed)) for seed in range(4)]
    parts = {"train": samples[:2], "validation": samples[2:3], "test": samples[2:]}
    config = changed(options=(("width", 2), ("levels", 2)), steps=4)
    record = train_and_judge(
        config, _Parts(parts), dataset="balls", profile=Profile("ci"), seed=0, directory=tmp_path / "run"
    )
    assert record.method == "segmentation" and record.data == "balls" and record.settings["steps"] == 4
    assert len(record.metrics["dice grey matter"]) == len(record.metrics["hd95 fluid"]) == 2
    assert record.metrics["paper_parameters"] == 1_781_744 > record.metrics["parameters"]
    assert record.metrics["curve_steps"][-1] == 4
    path = add_record(record, tmp_path / "zoo.json")
    again = read_record(path, network="unet3d")
    assert again.metrics["mean_dice"] == record.metrics["mean_dice"]
    # Trained again with the same seed it gives the same numbers.
    other = train_and_judge(
        config, _Parts(parts), dataset="balls", profile=Profile("ci"), seed=0, directory=tmp_path / "again"
    )
    assert other.metrics["mean_dice"] == record.metrics["mean_dice"]
    assert torch.tensor(other.metrics["curve_dice"]).equal(torch.tensor(record.metrics["curve_dice"]))


class _Parts(dict):
    """Lists of samples that tell their subjects, as parts of a dataset do."""

    def __getitem__(self, name):
        return _Part(super().__getitem__(name))


class _Part(list):
    @property
    def subjects(self):
        return tuple(sample.subject for sample in self)
