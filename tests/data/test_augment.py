"""Augmentation: one draw for image, label and mask, plain parameters, and no chance that nobody asked for."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.data.augment import (
    Affine,
    BiasField,
    Blur,
    Compose,
    Elastic,
    Flip,
    Gamma,
    Ghosting,
    HeadMotion,
    LowResolution,
    Noise,
    Sometimes,
)
from medlab.data.samples import Sample

SHAPE = (20, 23, 18)
TURNED = np.array([[0.2, -1.9, 0.1, 5.0], [1.4, 0.3, 0.2, -8.0], [0.1, 0.2, 2.5, 3.0], [0, 0, 0, 1]])
ALL = {
    "flip": Flip(1.0),
    "affine": Affine(),
    "elastic": Elastic(6.0, 20.0),
    "gamma": Gamma(),
    "noise": Noise(),
    "rician noise": Noise((0.1, 0.3), rician=True),
    "blur": Blur((0.5, 1.5)),
    "low resolution": LowResolution((2.0, 4.0)),
    "bias field": BiasField((0.1, 0.4)),
    "ghosting": Ghosting((0.1, 0.3)),
    "motion": HeadMotion(),
    "all": Compose((Flip(), Affine(), Elastic(6.0, 20.0), Sometimes(Gamma(), 0.5), Noise(), HeadMotion(), Affine())),
}
OF_SPACE = ("flip", "affine", "elastic", "all")


def head(shape=SHAPE, affine=TURNED, channels=2) -> Sample:
    """A bright asymmetric body with texture, its label in three parts, and a mask."""
    points = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij"))
    radius = (points * torch.tensor([1.3, 1.2, 1.5])[:, None, None, None]).square().sum(0).sqrt()
    noise = torch.rand(channels, *shape, generator=torch.Generator().manual_seed(5))
    image = (radius < 1) * (2 + points[0] + noise)
    label = ((radius < 0.9).int() + (radius < 0.5).int() + ((radius < 0.9) & (points[1] > 0.3)).int()).to(torch.uint8)
    names = {0: "background", 1: "grey", 2: "white", 3: "lesion"}
    volume = Volume(image, affine, "head")
    return Sample("A01", volume, ("T1", "T2", "FLAIR")[:channels], label, names, radius < 1, facts={"age": 40})


def same(one: Sample, other: Sample) -> bool:
    pairs = ((one.image.data, other.image.data), (one.label, other.label), (one.mask, other.mask))
    return all(torch.equal(a, b) for a, b in pairs) and np.array_equal(one.image.affine, other.image.affine)


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_bytes_whatever_came_before(name):
    transform, sample = ALL[name], head()
    torch.manual_seed(1)
    first, second = transform(sample, 11), transform(sample, 12)
    torch.manual_seed(99)
    again_second, again_first = ALL[name](head(), 12), ALL[name](head(), 11)
    assert same(first, again_first) and same(second, again_second)
    if name != "flip":
        assert not torch.equal(first.image.data, second.image.data)
    assert same(sample, head()), "the sample itself was changed"
    assert first.subject == "A01" and first.channels == ("T1", "T2") and first.label_names == sample.label_names


@pytest.mark.parametrize("name", ALL)
def test_parameters_survive_json_and_replay_to_the_same_bytes(name):
    transform, sample = ALL[name], head()
    parameters = transform.draw(3)
    stored = json.loads(json.dumps(parameters))
    assert stored == parameters
    assert same(transform.replay(sample, stored), transform(sample, 3))
    assert transform.replay(sample, None) is sample


@pytest.mark.parametrize("name", ALL)
def test_global_state_is_neither_read_nor_changed(name):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  the global state is what is tested
    random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    ALL[name](head(), 5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


@pytest.mark.parametrize("name", [*OF_SPACE[1:3], "affine then elastic"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 3])
def test_image_label_and_mask_go_the_same_way(name, axis, seed):
    """A ramp is interpolated exactly, so the label that holds its values must be what it rounds to."""
    sample = head(channels=1)
    index = torch.arange(SHAPE[axis]).view([-1 if a == axis else 1 for a in range(3)]).expand(SHAPE)
    ramp = replace(
        sample,
        image=sample.image.with_data((index + 1).float()[None].contiguous()),
        label=(index + 1).to(torch.uint8),
        label_names={value: str(value) for value in range(40)},
        mask=index >= SHAPE[axis] // 2,
    )
    joined = Compose((Affine(fill=-5.0), Elastic(6.0, 20.0, fill=-5.0)))
    transform = {"affine": Affine(fill=-5.0), "elastic": Elastic(6.0, 20.0, fill=-5.0)}.get(name, joined)
    moved = transform(ramp, seed)
    image, label = moved.image.data[0], moved.label
    inside = image > -4
    assert torch.equal(label != 0, inside)
    assert 0.5 < inside.float().mean() < 1 or name == "elastic"
    assert float((image - label.float())[inside].abs().max()) <= 0.5 + 1e-4
    clear = inside & ((image - image.floor() - 0.5).abs() > 1e-3)
    assert torch.equal(label[clear].float(), image[clear].round())
    assert torch.equal(moved.mask, label > SHAPE[axis] // 2)
    assert (image - (index + 1))[inside].abs().max() > 0.3, "nothing moved"


@pytest.mark.parametrize("name", ALL)
def test_labels_take_no_value_between_and_intensity_leaves_them_alone(name):
    sample = head()
    other = ALL[name](sample, 8)
    assert set(other.label.unique().tolist()) <= {0, 1, 2, 3}
    assert other.label.dtype == torch.uint8 and other.mask.dtype == torch.bool
    if name not in OF_SPACE:
        assert other.label is sample.label and other.mask is sample.mask
        assert not torch.equal(other.image.data, sample.image.data)


@pytest.mark.parametrize("name", ALL)
def test_a_sample_without_label_and_mask(name):
    bare = replace(head(channels=1), label=None, mask=None, label_names={})
    other = ALL[name](bare, 2)
    assert other.label is None and other.mask is None
    assert torch.equal(other.image.data, ALL[name](head(channels=1), 2).image.data)


def test_a_composition_keeps_the_draws_of_its_steps_when_others_join():
    few = Compose((Affine(), Noise(), Affine()))
    many = Compose((Flip(), Affine(), Gamma(), Noise(), Sometimes(Blur()), Affine()))
    for seed in range(5):
        a, b = few.draw(seed)["steps"], many.draw(seed)["steps"]
        assert [a[0], a[1], a[2]] == [b[1], b[3], b[5]]
        assert a[0]["parameters"] != a[2]["parameters"]


def test_sometimes_is_as_often_as_it_says_and_changes_nothing_else():
    transform = Sometimes(Gamma(), 0.3)
    drawn = [transform.draw(seed) for seed in range(1000)]
    applied = [seed for seed, parameters in enumerate(drawn) if parameters is not None]
    assert 0.25 < len(applied) / 1000 < 0.35
    assert all(drawn[seed] == Gamma().draw(seed) for seed in applied)
    assert Sometimes(Gamma(), 0).draw(4) is None and Sometimes(Gamma(), 1).draw(4) == Gamma().draw(4)


def test_joined_steps_are_interpolated_once():
    """There and back is the image itself, where two interpolations would have blurred it."""
    sample = head()
    there = {"scale": [1.1, 1.1, 1.1], "angles_deg": [0.0, 0.0, 9.0], "shift_mm": [0.0, 0.0, 0.0]}
    back = {"scale": [1 / 1.1] * 3, "angles_deg": [0.0, 0.0, -9.0], "shift_mm": [0.0, 0.0, 0.0]}
    steps = [{"transform": "Affine", "parameters": parameters} for parameters in (there, back)]
    result = Compose((Affine(), Affine())).replay(sample, {"steps": steps})
    torch.testing.assert_close(result.image.data, sample.image.data, atol=1e-4, rtol=0)
    assert torch.equal(result.label, sample.label)
    twice = Affine().replay(Affine().replay(sample, there), back)
    assert float((twice.image.data - sample.image.data).abs().max()) > 0.1


def test_joined_steps_are_those_one_after_the_other():
    smooth = Blur().replay(head((40, 42, 44), np.diag([2.0, 2, 2, 1])), {"sigma_mm": 6.0})
    steps = (Affine(0.1, 10, 3), Sometimes(Gamma(), 0.0), Elastic(8.0, 30.0), Affine(0.1, 10, 3))
    joined = Compose(steps)
    for seed in range(3):
        parameters = joined.draw(seed)
        one_by_one = smooth
        for step, one in zip(steps, parameters["steps"], strict=True):
            one_by_one = step.replay(one_by_one, one["parameters"])
        other = joined.replay(smooth, parameters)
        inner = (slice(None), *[slice(8, -8)] * 3)
        assert float((other.image.data - one_by_one.image.data)[inner].abs().max()) < 0.06
        assert float((other.image.data - smooth.image.data)[inner].abs().max()) > 0.3
        assert float((other.label == one_by_one.label)[inner[1:]].float().mean()) > 0.9


REFUSED = {
    "seed": (lambda: Affine()(head(), -1), "seed is -1, expected a whole number"),
    "seed of steps": (lambda: Compose((Affine(),)).draw(1.5), "seed is 1.5"),
    "no step": (lambda: Compose((Affine(), "flip")), "steps contain 'flip', expected augmentations"),
    "other parameters": (lambda: Affine().replay(head(), {"gamma": 1.0}), r"parameters of Affine are \['gamma'\]"),
    "no parameters": (lambda: Gamma().replay(head(), 1.2), "parameters of Gamma are 1.2, expected gamma"),
    "other steps": (
        lambda: Compose((Affine(),)).replay(head(), Compose((Gamma(),)).draw(0)),
        r"those of \['Gamma'\], expected \['Affine'\]",
    ),
    "half a step": (lambda: Compose((Gamma(),)).replay(head(), {"steps": [{}]}), "Compose are .* expected what draw"),
    "joined step": (
        lambda: Compose((Affine(),)).replay(head(), {"steps": [{"transform": "Affine", "parameters": {"x": 1}}]}),
        r"parameters of Affine are \['x'\]",
    ),
    "probability": (lambda: Sometimes(Gamma(), 1.5), "probability is 1.5"),
    "flip": (lambda: Flip(-0.1), "probability is -0.1"),
    "angle": (lambda: Affine(angle_deg=200), "angle_deg is 200"),
    "scale 0": (
        lambda: Affine().replay(head(), {"scale": [1, 0, 1], "angles_deg": [0] * 3, "shift_mm": [0] * 3}),
        "scale is .* expected three numbers above 0",
    ),
    "two numbers": (
        lambda: Affine().replay(head(), {"scale": [1, 1], "angles_deg": [0] * 3, "shift_mm": [0] * 3}),
        r"scale is \[1, 1\], expected three numbers",
    ),
    "fold": (lambda: Elastic(20.0, 40.0), "largest_mm is 20.0, .* at most 16"),
    "fold again": (
        lambda: Elastic().replay(head(), {"displacement_mm": 9.0, "spacing_mm": 20.0, "seed": 0}),
        "displacement_mm is 9.0",
    ),
    "fill": (lambda: Affine(fill=float("nan")), "fill is nan"),
    "too large a fill": (lambda: Elastic(fill=1e39), r"fill is 1e\+39"),
    "gamma": (lambda: Gamma().replay(head(), {"gamma": 0.0}), "gamma is 0.0"),
    "range": (lambda: Noise((0.3, 0.1)), r"sigma is \(0.3, 0.1\), expected the second number"),
    "no range": (lambda: Blur(1.0), "sigma_mm is 1.0, expected two numbers"),
    "finer": (lambda: LowResolution((0.5, 2.0)), "factor is 0.5"),
    "axis": (lambda: LowResolution().replay(head(), {"axis": 3, "factor": 2.0}), "axis is 3"),
    "poses": (
        lambda: HeadMotion().replay(head(), {"readout": 0, "phase": 1, "moments": [0.5], "poses": [[0, 0, 0]]}),
        "1 moments and 1 poses, expected two axes and one pose more",
    ),
    "label without 0": (
        lambda: Affine(0, 0, 50)(replace(head(), label=torch.ones(SHAPE, dtype=torch.uint8), label_names={1: "x"}), 0),
        r"A01: the label has the values \[0\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
