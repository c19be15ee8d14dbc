"""Patches: exact laws, the last position too, an end for every volume, and coordinates."""

import signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.data import Volume
from medlab.data.patches import PatchSampler, centre_law, normalised_coordinates
from medlab.data.samples import Sample


def sample_of(shape=(9, 10, 11), channels=1, label=None, mask=None, image=None) -> Sample:
    if image is None:
        image = torch.rand(channels, *shape, generator=torch.Generator().manual_seed(0)) + 0.1
    names = {} if label is None else {value: str(value) for value in range(5)}
    return Sample("A01", Volume(image), ("T1", "T2")[: len(image)], label, names, mask)


def dotted(shape, *places, values=None, dtype=torch.bool) -> torch.Tensor:
    volume = torch.zeros(shape, dtype=dtype)
    for place, value in zip(places, values or [1] * len(places), strict=True):
        volume[place] = value
    return volume


def counted(mask, size):
    """The number of chosen voxels at each position, by looking at every patch."""
    ends = [length - side + 1 for length, side in zip(mask.shape, size, strict=True)]
    counts = np.zeros(ends, int)
    for at in np.ndindex(*ends):
        counts[at] = int(mask[tuple(slice(a, a + s) for a, s in zip(at, size, strict=True))].sum())
    return counts


def table(sampler, shape):
    return np.array(
        [[[sampler.probability((x, y, z)) for z in range(shape[2])] for y in range(shape[1])] for x in range(shape[0])]
    )


def assert_drawn_as_said(sampler, probabilities, count=4000):
    """Pearson's statistic of many draws, at most what chance exceeds about once in a million."""
    starts = sampler.starts(count, 7).numpy()
    found = np.zeros(probabilities.shape)
    np.add.at(found, tuple(starts.T), 1)
    assert not found[probabilities == 0].any(), "a position without probability was drawn"
    expected = count * probabilities[probabilities > 0]
    freedom = len(expected) - 1
    statistic = ((found[probabilities > 0] - expected) ** 2 / expected).sum()
    assert statistic < freedom + 6 * np.sqrt(2 * freedom) + 12


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_laws_are_those_of_counting_every_patch(data):
    shape = data.draw(st.tuples(*[st.integers(2, 7)] * 3))
    size = tuple(data.draw(st.integers(1, length)) for length in shape)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    mask = torch.rand(shape, generator=generator) < data.draw(st.sampled_from([0.02, 0.2, 0.9]))
    label = (torch.rand(shape, generator=generator) < 0.3) * 2 + (torch.rand(shape, generator=generator) < 0.2)
    sample = sample_of(shape, mask=mask, label=label.to(torch.uint8))
    if not mask.any() or not (label > 1).any():
        return
    full = counted(mask, size) > 0
    uniform = table(PatchSampler(sample, size), full.shape)
    np.testing.assert_allclose(uniform, full / full.sum())
    weights = counted(label > 1, size)
    foreground = table(PatchSampler(sample, size, "foreground", labels=(2, 3)), full.shape)
    np.testing.assert_allclose(foreground, weights / weights.sum())


@pytest.mark.parametrize("law", ["uniform", "foreground", "centre"])
def test_drawn_positions_have_the_probability_that_is_said(law):
    shape, size = (7, 6, 8), (4, 3, 5)
    label = dotted(shape, (0, 0, 0), (3, 4, 5), (6, 5, 7), values=[1, 2, 3], dtype=torch.uint8)
    sampler = PatchSampler(sample_of(shape, label=label), size, law)
    probabilities = table(sampler, (4, 4, 4))
    assert probabilities.sum() == pytest.approx(1)
    assert_drawn_as_said(sampler, probabilities)
    assert sampler.probability((0, 0, 4)) == 0 and sampler.probability((-1, 0, 0)) == 0


@pytest.mark.parametrize("law", ["uniform", "foreground", "centre"])
def test_the_last_position_is_drawn_too(law):
    label = torch.ones(6, 6, 6, dtype=torch.uint8)
    starts = PatchSampler(sample_of((6, 6, 6), label=label), 3, law).starts(600, 1)
    assert starts.amin(0).tolist() == [0, 0, 0] and starts.amax(0).tolist() == [3, 3, 3]


def test_a_single_voxel_in_the_last_corner_is_found_at_once():
    """Rejection sampling would need about 10^7 draws for it."""
    shape = (200, 200, 200)
    mask = dotted(shape, (199, 199, 199))
    sampler = PatchSampler(sample_of(shape, image=torch.zeros(1, *shape), mask=mask), 16)
    starts = sampler.starts(50, 3)
    assert (starts >= 184 - 15).all()
    assert bool(sampler.draw(20, 1)["mask"].flatten(1).any(1).all())


EMPTY = {
    "image": (lambda: PatchSampler(sample_of(image=torch.zeros(1, 5, 5, 5)), 3), "holds any content"),
    "mask": (lambda: PatchSampler(sample_of(mask=torch.zeros(9, 10, 11, dtype=torch.bool)), 3), "holds any content"),
    "label": (
        lambda: PatchSampler(sample_of(label=torch.zeros(9, 10, 11, dtype=torch.uint8)), 3, "foreground"),
        "holds any labelled voxel, expected one at least",
    ),
    "this label": (
        lambda: PatchSampler(sample_of(label=torch.ones(9, 10, 11, dtype=torch.uint8)), 3, "foreground", labels=(2, 4)),
        "holds any labelled voxel",
    ),
    "enough": (
        lambda: PatchSampler(sample_of(mask=dotted((9, 10, 11), (4, 4, 4))), 3, least=0.5),
        r"A01: no patch of 3 x 3 x 3 voxels holds any content that is to be 0.5 of a patch",
    ),
}


@pytest.mark.parametrize("case", EMPTY)
def test_a_volume_with_nothing_in_it_ends_with_a_sentence(case):
    def too_long(*_):
        raise AssertionError("it goes on for ever")

    call, message = EMPTY[case]
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    try:
        with pytest.raises(ValueError, match=message) as caught:
            call()
    finally:
        signal.alarm(0)
    assert "A01" in str(caught.value) and "\n" not in str(caught.value)


def test_least_is_the_share_of_content():
    mask = torch.zeros(12, 6, 6, dtype=torch.bool)
    mask[:6] = True
    starts = PatchSampler(sample_of((12, 6, 6), mask=mask), (4, 6, 6), least=0.75).starts(300, 2)
    assert set(starts[:, 0].tolist()) == {0, 1, 2, 3}  # 4 x, or 3 of 4 rows of the patch
    label = torch.ones(12, 6, 6, dtype=torch.uint8)
    sampler = PatchSampler(
        sample_of((12, 6, 6), mask=mask, label=label), (4, 6, 6), "foreground", content=mask, least=1.0
    )
    assert set(sampler.starts(300, 2)[:, 0].tolist()) == {0, 1, 2}


def test_what_counts_as_content():
    shape, size = (6, 3, 3), (1, 3, 3)
    image = torch.zeros(1, *shape)
    image[0, 1, 0, 0] = -2.0
    label, mask = dotted(shape, (2, 0, 0), dtype=torch.uint8), dotted(shape, (3, 0, 0))
    of = [
        PatchSampler(sample_of(image=image), size),
        PatchSampler(sample_of(image=image, label=label), size),
        PatchSampler(sample_of(image=image, label=label, mask=mask), size),
        PatchSampler(sample_of(image=image, label=label, mask=mask), size, content=dotted(shape, (4, 0, 0))),
    ]
    assert [sampler.starts(5, 0)[:, 0].unique().tolist() for sampler in of] == [[1], [2], [3], [4]]


@pytest.mark.parametrize("offsets", [0, 1, 2, 3, 4, 7, 32, 128, 129])
def test_centre_law_is_the_sum_of_two_even_draws(offsets):
    short, long = offsets // 4, offsets - offsets // 4
    sums = np.add.outer(np.arange(short + 1), np.arange(long + 1)).ravel()
    expected = np.bincount(sums, minlength=offsets + 1) / len(sums)
    law = centre_law(offsets).numpy()
    np.testing.assert_allclose(law, expected, rtol=1e-12)
    assert len(law) == offsets + 1 and (law > 0).all() and law.sum() == pytest.approx(1)
    np.testing.assert_allclose(law, law[::-1])


def test_centre_law_of_patchddm():
    """256 voxels, patches of 128: 0..32 + 0..96, and nearly what the density of figure 6 says."""
    law = centre_law(128).numpy()
    assert law[0] == pytest.approx(1 / (33 * 97)) == law[128]
    assert law[64] == pytest.approx(33 / (33 * 97)) == law[32] == law[96]
    assert law[31] < law[32] and law[97] < law[96]


def test_centre_law_along_each_axis_by_itself():
    sampler = PatchSampler(sample_of((8, 13, 5)), (4, 5, 5), "centre")
    expected = np.einsum("a,b,c->abc", *(centre_law(n).numpy() for n in (4, 8, 0)))
    np.testing.assert_allclose(table(sampler, (5, 9, 1)), expected)
    starts = sampler.starts(2000, 3).double()
    assert abs(float(torch.corrcoef(starts[:, :2].T)[0, 1])) < 0.1


def test_a_patch_holds_what_lies_there():
    shape, size = (9, 10, 11), (4, 5, 6)
    label = (torch.arange(9 * 10 * 11) % 5).to(torch.uint8).view(shape)
    sample = sample_of(shape, 2, label, label > 2)
    sampler = PatchSampler(sample, size, coordinates=True)
    whole = normalised_coordinates(shape)
    batch = sampler.draw(30, 4)
    assert batch["image"].shape == (30, 2, *size) and batch["coordinates"].shape == (30, 3, *size)
    assert batch["label"].dtype == torch.uint8 and batch["mask"].dtype == torch.bool
    assert torch.equal(batch["start"], sampler.starts(30, 4))
    for index, start in enumerate(batch["start"].tolist()):
        box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
        assert torch.equal(batch["image"][index], sample.image.data[(slice(None), *box)])
        assert torch.equal(batch["label"][index], label[box]) and torch.equal(batch["mask"][index], sample.mask[box])
        torch.testing.assert_close(batch["coordinates"][index], whole[(slice(None), *box)], atol=1e-6, rtol=0)
    sampler.cut((0, 0, 0))["image"].zero_()
    assert sample.image.data.all(), "a patch shares the volume's memory"
    assert set(PatchSampler(sample_of(shape), size).draw(2, 0)) == {"image", "start"}


@pytest.mark.parametrize("law", ["uniform", "foreground", "centre"])
def test_same_seed_same_patches_and_no_global_state(law):
    label = torch.ones(9, 10, 11, dtype=torch.uint8)
    sampler = PatchSampler(sample_of(label=label), 4, law)
    state = torch.get_rng_state()
    first, second = sampler.starts(20, 1), sampler.starts(20, 2)
    torch.manual_seed(123)
    again = PatchSampler(sample_of(label=label), 4, law)
    assert torch.equal(again.starts(20, 2), second) and torch.equal(again.starts(20, 1), first)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    sampler.draw(5, 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [(4, 10, 11), (9, 10, 3), (9, 10, 11)])
@pytest.mark.parametrize("law", ["uniform", "centre"])
def test_axes_at_full_size(size, law):
    sample = sample_of()
    batch = PatchSampler(sample, size, law).draw(5, 0)
    assert batch["image"].shape == (5, 1, *size) and bool(batch["image"].all())
    if size == (9, 10, 11):
        assert torch.equal(batch["image"][3], sample.image.data) and not batch["start"].any()


@pytest.mark.parametrize("law", ["uniform", "foreground", "centre"])
def test_a_patch_larger_than_the_volume_is_padded(law):
    shape, size = (6, 7, 20), (9, 7, 8)
    label = torch.ones(shape, dtype=torch.uint8)
    sample = sample_of(shape, 2, label, label > 0)
    sampler = PatchSampler(sample, size, law, coordinates=True)
    patch = sampler.cut(sampler.starts(1, 5)[0])
    start = patch["start"].tolist()
    assert start[0] == -1 and start[1] == 0 and 0 <= start[2] <= 12
    inside = (slice(None), slice(1, 7))
    assert torch.equal(patch["image"][inside], sample.image.data[..., start[2] : start[2] + 8])
    low = sample.image.data.amin((1, 2, 3)).view(2, 1, 1)
    for row in (0, 7, 8):
        assert torch.equal(patch["image"][:, row], low.expand(2, 7, 8))
        assert not patch["label"][row].any() and not patch["mask"][row].any()
    coordinates = patch["coordinates"][0, :, 0, 0]
    torch.testing.assert_close(coordinates, torch.arange(-1, 8) * 0.4 - 1)
    assert (PatchSampler(sample, size, law, fill=-9.0).cut(start)["image"][:, 0] == -9).all()


def test_normalised_coordinates():
    corner = normalised_coordinates((5, 9, 1))
    assert corner.shape == (3, 5, 9, 1) and corner.dtype == torch.float32
    assert corner[0, :, 0, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert corner[1, 0, ::4, 0].tolist() == [-1, 0, 1] and not corner[2].any()
    assert normalised_coordinates((5, 9)).shape == (2, 5, 9)
    assert normalised_coordinates((5,), (-2,), (3,)).tolist() == [[-2, -1.5, -1]]


REFUSED = {
    "law": (lambda: PatchSampler(sample_of(), 3, "gaussian"), "law is 'gaussian', expected one of uniform, foreground"),
    "size": (lambda: PatchSampler(sample_of(), (3, 3)), r"size is \(3, 3\), expected a whole number or three"),
    "no size": (lambda: PatchSampler(sample_of(), 0), "size is 0"),
    "least": (lambda: PatchSampler(sample_of(), 3, least=1.5), "least is 1.5"),
    "no label": (lambda: PatchSampler(sample_of(), 3, "foreground"), "A01: there is no label, expected one"),
    "labels": (
        lambda: PatchSampler(sample_of(label=torch.ones(9, 10, 11, dtype=torch.uint8)), 3, "foreground", labels=(300,)),
        "labels is 300",
    ),
    "content": (
        lambda: PatchSampler(sample_of(), 3, content=torch.ones(9, 10, 10, dtype=torch.bool)),
        r"A01: content is bool of shape \(9, 10, 10\), expected bool of shape \(9, 10, 11\)",
    ),
    "count": (lambda: PatchSampler(sample_of(), 3).starts(0, 1), "count is 0"),
    "seed": (lambda: PatchSampler(sample_of(), 3).draw(2, -1), "seed is -1"),
    "outside": (
        lambda: PatchSampler(sample_of(), 3).cut((7, 0, 0)),
        r"A01: a patch of \(3, 3, 3\) at \(7, 0, 0\) leaves",
    ),
    "before": (lambda: PatchSampler(sample_of(), 3).cut((0, -1, 0)), "leaves the volume"),
    "offsets": (lambda: centre_law(-1), "offsets is -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
