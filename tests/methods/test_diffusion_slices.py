"""Slices of a head and back, simplex noise, the stream of training slices, and the commands that train on it."""

import argparse
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.utils.data import default_collate

from medlab.data import Volume
from medlab.data.samples import Sample, Samples
from medlab.methods.anoddpm import AnoDDPM, Config
from medlab.methods.anoddpm import command as anoddpm_command
from medlab.methods.anomaly import study
from medlab.methods.anomaly.data import split_heads
from medlab.methods.classifier_guidance import command as guidance_command
from medlab.methods.diffusion import SliceGrid, TrainingSlices, evaluation, simplex_noise
from medlab.methods.diffusion.noise import DIRECTIONS, simplex_octave
from medlab.profiles import Profile
from medlab.training import read_record, save_weights


def volume(data: torch.Tensor, spacing: float = 2.0) -> Volume:
    return Volume(data.float()[None], np.diag([spacing, spacing, spacing, 1.0]))


def test_a_slice_is_the_mean_of_blocks_around_the_middle():
    data = torch.rand(12, 16, 8) + 0.1
    found, at = SliceGrid((4, 4), 4.0).slices(volume(data))
    assert found.shape == (4, 1, 4, 4) and at.tolist() == [0, 1, 2, 3]
    # 8 of 12 and of 16 voxels: from 2 and 4 on.
    assert found[1, 0, 0, 3] == pytest.approx(float(data[2:4, 10:12, 2:4].mean()))


def test_a_window_larger_than_the_head_is_filled_with_air():
    found, _ = SliceGrid((8, 4), 2.0).slices(volume(torch.ones(4, 4, 1)))
    assert found[0, 0].sum(1).tolist() == [0, 0, 4, 4, 4, 4, 0, 0]


def test_slices_with_little_in_them_are_left_out():
    data = torch.zeros(4, 4, 6)
    data[:, :, 2:5] = 1
    data[0, 0, 0] = 1
    _, at = SliceGrid((4, 4), 2.0, least=0.2).slices(volume(data))
    assert at.tolist() == [2, 3, 4]
    _, at = SliceGrid((4, 4), 2.0, least=0.2, stride=2).slices(volume(data))
    assert at.tolist() == [2, 4]
    empty, at = SliceGrid((4, 4), 2.0).slices(volume(torch.zeros(4, 4, 6)))
    assert not len(empty)
    assert not SliceGrid((4, 4), 2.0).back(empty, at, volume(torch.zeros(4, 4, 6))).any()


@settings(max_examples=25, deadline=None)
@given(
    shape=some.tuples(*[some.integers(6, 20)] * 3),
    spacing=some.sampled_from([1.0, 2.0, 3.0]),
    stride=some.integers(1, 3),
)
def test_maps_of_any_size_come_back_on_the_grid(shape, spacing, stride):
    grid = SliceGrid((8, 8), 4.0, least=0.0, stride=stride)
    head = volume(torch.ones(shape), spacing)
    found, at = grid.slices(head)
    values = grid.back(torch.full_like(found, 0.25), at, head)
    assert values.shape == shape
    assert set(values.unique().tolist()) <= {0.0, 0.25}
    assert values[shape[0] // 2, shape[1] // 2, round(int(at[0]) * 4 / spacing)] == 0.25


def test_a_linear_map_comes_back_linear_also_between_slices_that_were_left_out():
    head = volume(torch.ones(8, 8, 24))
    for stride in (1, 2, 3):
        grid = SliceGrid((8, 8), 2.0, least=0.0, stride=stride)
        _, at = grid.slices(head)
        values = grid.back(at.float()[:, None, None, None].expand(-1, 1, 8, 8), at, head)
        assert torch.allclose(values[3, 4, : int(at[-1]) + 1], torch.arange(int(at[-1]) + 1).float())


def test_what_is_marked_in_a_slice_lies_there_in_the_map():
    data = torch.ones(16, 16, 16)
    grid = SliceGrid((8, 8), 4.0, least=0.0)
    found, at = grid.slices(volume(data))
    mark = torch.zeros_like(found)
    mark[3, 0, 2, 5] = 1  # voxels 4 and 5 of x with 2 mm, 10 and 11 of y, 6 and 7 of z: the window is the volume
    peak = grid.back(mark, at, volume(data))
    where = (peak == peak.max()).nonzero()
    assert where.min(0).values.tolist() == [4, 10, 6] and where.max(0).values.tolist() == [5, 11, 7]
    data[4:6] = 0
    assert not grid.back(mark, at, volume(data))[4:6].any()


def slow_simplex(x: float, y: float, table: list[int]) -> float:
    """One point, in the plainest words: the corners of all triangles around are tried, the far ones are silent."""
    skew, unskew = (math.sqrt(3) - 1) / 2, (3 - math.sqrt(3)) / 6
    i0, j0 = math.floor(x + (x + y) * skew), math.floor(y + (x + y) * skew)
    total = 0.0
    for i in range(i0 - 2, i0 + 4):
        for j in range(j0 - 2, j0 + 4):
            dx, dy = x - i + (i + j) * unskew, y - j + (i + j) * unskew
            angle = 2 * math.pi * (table[(i + table[j % 256]) % 256] % DIRECTIONS) / DIRECTIONS
            total += max(0.5 - dx * dx - dy * dy, 0) ** 4 * (math.cos(angle) * dx + math.sin(angle) * dy)
    return total


def test_simplex_noise_is_that_of_the_plain_words():
    """The sum over all corners near: that only three are heard is the theorem which the fast way uses."""
    generator = torch.Generator().manual_seed(1)
    table = torch.rand(1, 256, generator=generator).argsort(1)
    points = 40 * torch.rand(1, 2, 5, 8, generator=generator, dtype=torch.float64)
    found = simplex_octave(points, table)[0]
    for a in range(5):
        for b in range(8):
            x, y = points[0, :, a, b].tolist()
            assert float(found[a, b]) == pytest.approx(slow_simplex(x, y, table[0].tolist()), abs=1e-9)


@pytest.mark.parametrize(("octaves", "persistence"), [(1, 0.8), (4, 0.8), (3, 0.5)])
def test_simplex_noise_has_mean_0_and_variance_1(octaves, persistence):
    options = {"octaves": octaves, "wavelength": 8.0, "persistence": persistence}
    found = simplex_noise((100, 1, 32, 32), torch.Generator().manual_seed(0), **options)
    assert float(found.mean()) == pytest.approx(0, abs=0.02)
    assert float(found.var()) == pytest.approx(1, abs=0.03)


def test_simplex_noise_is_smooth_and_each_image_has_its_own():
    found = simplex_noise((2, 2, 64, 64), torch.Generator().manual_seed(0), octaves=1, wavelength=16.0)
    near = (found[..., 1:] * found[..., :-1]).mean()
    far = (found[..., 20:] * found[..., :-20]).mean()
    assert near > 0.9 and abs(far) < 0.15
    flat = found.reshape(4, -1)
    assert (torch.corrcoef(flat) - torch.eye(4)).abs().max() < 0.15
    again = simplex_noise((2, 2, 64, 64), torch.Generator().manual_seed(0), octaves=1, wavelength=16.0)
    assert torch.equal(found, again)


def head(name: str, bleed: bool, labelled: bool = True) -> Sample:
    """A cube of tissue with, or without, a clot in its upper left."""
    image = torch.zeros(32, 32, 16)
    image[6:26, 4:28] = 0.5
    label = torch.zeros(32, 32, 16, dtype=torch.uint8)
    if bleed:
        label[8:14, 8:14, 8:12] = 1
    image[label == 1] = 0.9
    data = torch.stack([100 * image, image])
    facts = {"bleeding_left": bleed, "bleeding_right": False, "fracture": False}
    names = {0: "background", 1: "clot", 2: "fracture"}
    both = (label, names) if labelled else (None, {})
    return Sample(name, Volume(data, np.diag([8.0, 8.0, 8.0, 1.0])), ("HU", "equalised"), *both, facts=facts)


SMALL = Config(
    size=(24, 28), pixel_mm=8.0, width=8, multipliers=(1, 2), noise="simplex", octaves=2, wavelength=8.0, latest=300
)


def test_training_slices_know_their_kind_and_are_the_same_every_time():
    slices = TrainingSlices([head("a", False), head("b", True)], SMALL, 3, balanced=True)
    assert len(slices) == 32 and slices.kinds.tolist() == [0] * 24 + [1] * 4 + [0] * 4
    items = [slices.draw(index) for index in range(60)]
    assert {tuple(one["image"].shape) for one in items} == {(1, 24, 28)}
    assert 20 <= sum(int(one["kind"]) for one in items) <= 40  # half, though they are an eighth
    assert all(0 <= int(one["time"]) < 300 for one in items)
    assert all(bool((one["image"] > 0.7).any()) == bool(one["kind"]) for one in items)
    assert min(float(one["image"].min()) for one in items) == -1
    again = TrainingSlices([head("a", False), head("b", True)], SMALL, 3, balanced=True).draw(7)
    assert all(torch.equal(again[name], items[7][name]) for name in again)


def test_without_marked_voxels_all_slices_are_as_the_scan():
    slices = TrainingSlices([head("a", False, False), head("b", True, False)], SMALL)
    assert slices.kinds.tolist() == [0] * 16 + [1] * 16


class HandMade(Samples):
    """Six healthy heads, and four with a clot."""

    name = "hand-made"

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(f"head {index}" for index in range(10))

    def facts(self, index: int) -> dict[str, bool]:
        bleed = index >= 6
        return {
            "intracranial_haemorrhage": bleed,
            "fracture": False,
            "bleeding_left": bleed,
            "bleeding_right": False,
        }

    def load(self, index: int) -> Sample:
        return replace(head(self.subjects[index], index >= 6), facts=self.facts(index))


@pytest.mark.parametrize("command", [anoddpm_command, guidance_command])
def test_the_commands_train_a_step_and_keep_what_they_learned_from(command, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "open_for", lambda profile, root, subjects: HandMade())
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = parser.parse_args([])
    given.seed, given.workers = 0, 0
    training = command.training_of(given, Profile("ci"), ["steps=1", "width=8"])
    assert training.config["steps"] == 1 and training.config["width"] == 8
    item = training.batches.item(0)
    assert item["image"].shape == (1, 24, 28)
    loss = training.method.losses(default_collate([training.batches.item(index) for index in range(2)]))["loss"]
    assert float(loss.detach()) > 0
    learned, tested = (set(training.data["subjects"][part]) for part in ("train", "test"))
    assert learned and tested and not learned & tested
    # Only the weakly supervised one learns from heads with a clot.
    assert any(int(name.split()[1]) >= 6 for name in learned) == (command is guidance_command)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.config_of(parser.parse_args(["--paper"]), Profile("ci"), []).size == (256, 256)
    with pytest.raises(ValueError, match="--flips"):
        tensors = training.method.state_dict()
        command.predict(tensors, {"config": training.config}, [], tmp_path, torch.device("cpu"), True)


def test_a_head_is_watched_by_the_noise_on_its_slices():
    method, seen_values = AnoDDPM(replace(SMALL, noise="gaussian", groups=4)), {}
    method.log = lambda name, value, **_: seen_values.update({name: float(value.detach())})
    method.validation_step(head("a", False), 0)
    # An untrained network finds nothing: what is left is the variance of the noise.
    assert seen_values["validation/noise"] == pytest.approx(1, abs=0.05)


def test_a_record_of_weights_on_heads_that_are_new(monkeypatch, tmp_path):
    halves = {"left hemisphere": torch.zeros(32, 32, 16, dtype=torch.bool), "skull": torch.zeros(32, 32, 16).bool()}
    halves["left hemisphere"][7:16, 5:27] = True
    halves["skull"][25] = True
    halves["right hemisphere"] = halves["left hemisphere"].flip(0)
    for module in (evaluation, study):
        monkeypatch.setattr(module, "structures_of", lambda head: halves)
    monkeypatch.setattr(evaluation, "open_for", lambda *_: HandMade())
    # A method that finds what is bright: bleeds stand out perfectly.
    monkeypatch.setattr(AnoDDPM, "restored", lambda self, x, generator: torch.zeros_like(x))
    config = Config.from_dict({**SMALL.as_dict(), "groups": 4})
    card = {"method": "anoddpm", "config": config.as_dict(), "profile": "ci", "seed": 0, "steps": 1}
    path = tmp_path / "one.safetensors"
    save_weights(AnoDDPM(config), path, {**card, "data": {"subjects": {"train": ["head 100"]}}})
    assert evaluation.main([str(path), "--bleeds", "2", "--normals", "3", "--records", str(tmp_path / "r.json")]) == 0
    record = read_record(tmp_path / "r.json", method="anoddpm")
    assert record.metrics["auroc haemorrhage"] == 1.0 and record.settings["synthetic"]
    assert min(record.metrics["voxel auroc"]) > 0.95
    tested = evaluation.chosen(split_heads(HandMade())["test"], 1, 1).subjects
    save_weights(AnoDDPM(config), path, {**card, "data": {"subjects": {"train": [tested[0]]}}})
    with pytest.raises(ValueError, match="was learned from"):
        evaluation.evaluate(path, 1, 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SliceGrid((4, 4, 4), 2.0), "two numbers"),
        (lambda: SliceGrid((4, 4), 0.0), "pixel_mm is 0.0"),
        (lambda: SliceGrid((4, 4), 1.0).slices(Volume(torch.zeros(2, 4, 4, 4))), "2 channels"),
        (lambda: TrainingSlices([], SMALL), "0 slices"),
        (lambda: TrainingSlices([head("a", False)], SMALL, balanced=True), "healthy and anomalous"),
        (lambda: simplex_noise((4, 4), torch.Generator()), "shape is"),
        (lambda: simplex_noise((1, 1, 4, 4), torch.Generator(), octaves=0), "octaves is 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
