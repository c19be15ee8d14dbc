"""Cut with overlap, put together again: the same image, whatever the sizes and the batch."""

from itertools import pairwise

import pytest
import torch

from medlab.data.patches import sliding_window
from medlab.data.sliding import _kernel, _starts


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


CASES = [
    ((1, 20, 21, 22), (8, 8, 8)),
    ((2, 17, 9, 30), (8, 9, 7)),
    ((1, 5, 6, 40), (8, 8, 16)),  # smaller than the patch along two axes
    ((3, 6, 7, 8), 16),
    ((2, 33, 41), (16, 10)),
    ((1, 7, 50), 12),
    ((1, 1, 1, 1), 1),
]


@pytest.mark.parametrize("mode", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("shape", "patch"), CASES)
def test_identity_bit_by_bit(shape, patch, overlap, mode):
    image = noise(*shape)
    result = sliding_window(lambda patches: patches, image, patch, overlap, mode, batch=3)
    assert torch.equal(result, image)
    assert result.dtype == torch.float32 and result.device == image.device


@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_any_batch_gives_the_same_bytes(mode):
    image, seen = noise(1, 19, 18, 17), []

    def function(patches):
        seen.append(len(patches))
        # Each patch by itself, and with an answer that differs from patch to patch: the blend matters.
        return patches - patches.mean((1, 2, 3, 4), keepdim=True)

    results = [sliding_window(function, image, 8, 0.5, mode, batch=batch) for batch in (1, 2, 5, 1000)]
    assert all(torch.equal(results[0], other) for other in results[1:])
    assert max(seen) == 4 * 4 * 4 and 5 in seen and seen[0] == 1


def test_several_output_channels_and_half_precision():
    image = noise(2, 20, 15, 12)
    result = sliding_window(lambda x: torch.cat((x, 2 * x, x[:, :1] + x[:, 1:]), 1), image, 8, batch=4)
    torch.testing.assert_close(result, torch.cat((image, 2 * image, image[:1] + image[1:])), atol=2e-6, rtol=1e-6)
    half = sliding_window(lambda x: x.half(), image, 8)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, image.half().float(), atol=2e-3, rtol=2e-3)
    assert sliding_window(lambda x: x.double(), image, 8).dtype == torch.float64


@pytest.mark.parametrize("dims", [2, 3])
def test_the_weights_are_the_products_that_are_said(dims):
    """Against the same mean taken the long way: every patch, every weight, a second volume of weights."""
    shape, size = (13, 11, 9)[:dims], (6, 5, 4)[:dims]
    image = noise(1, *shape)
    calls = iter(range(1000))
    result = sliding_window(lambda x: torch.full_like(x, float(next(calls))), image, size, 0.4)
    weight = _kernel(size, "gaussian", image.device).double()
    assert float(weight.min()) > 0 and tuple(weight.shape) == size
    away = [(torch.arange(side) - (side - 1) / 2) / side for side in size]
    square = sum(one.square() for one in torch.meshgrid(*away, indexing="ij"))
    torch.testing.assert_close(weight, torch.exp(-32 * square.double()), rtol=1e-5, atol=0)
    total, weights = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    lines = [_starts(length, side, 0.4) for length, side in zip(shape, size, strict=True)]
    corners = torch.cartesian_prod(*map(torch.tensor, lines)).tolist()
    for value, first in enumerate(corners):
        box = tuple(slice(a, a + s) for a, s in zip(first, size, strict=True))
        total[box] += value * weight
        weights[box] += weight
    torch.testing.assert_close(result[0].double(), total / weights, atol=1e-4, rtol=1e-5)


def test_the_middle_of_a_patch_counts_more_than_its_border():
    """A network that errs at the borders of its patches: the Gaussian hides most of it, equal weights do not."""

    def errs(patches):
        wrong = patches.clone()
        wrong[..., 0] += 1
        wrong[..., -1] += 1
        return wrong

    image = noise(1, 8, 8, 64)
    inner = (slice(None), slice(None), slice(None), slice(4, -4))
    errors = {
        mode: (sliding_window(errs, image, 8, 0.5, mode) - image)[inner].abs().max()
        for mode in ("gaussian", "constant")
    }
    assert errors["gaussian"] < 0.01 and errors["constant"] > 0.4


@pytest.mark.parametrize("length", range(1, 40))
def test_patches_cover_all_and_overlap_enough(length):
    for size in range(1, length + 1):
        for overlap in (0.0, 0.3, 0.5, 0.75):
            starts = _starts(length, size, overlap)
            assert starts[0] == 0 and starts[-1] == length - size
            gaps = [b - a for a, b in pairwise(starts)]
            assert all(0 < gap <= max(size * (1 - overlap), 1) for gap in gaps)
            assert not gaps or max(gaps) - min(gaps) <= 1


def test_no_gradients_are_kept_and_the_image_stays():
    image = noise(1, 12, 12, 12).requires_grad_()
    before = image.detach().clone()
    layer = torch.nn.Conv3d(1, 2, 3, padding=1)
    result = sliding_window(layer, image, 8)
    assert result.shape == (2, 12, 12, 12) and not result.requires_grad
    assert torch.equal(image, before) and torch.is_grad_enabled()
    scaled = sliding_window(lambda x: x.mul_(2), before, 12)  # in place, on what must be a copy
    assert torch.equal(before, image) and torch.allclose(scaled, 2 * before)


def test_a_local_function_is_exact_away_from_the_edges():
    """A convolution sees one voxel to each side: with weights that vanish at borders the whole is what it would be."""
    image = noise(1, 24, 24, 24)
    kernel = torch.ones(1, 1, 3, 3, 3) / 27

    def smooth(patches):
        return torch.nn.functional.conv3d(patches, kernel, padding=1)

    difference = (sliding_window(smooth, image, 12, 0.5) - smooth(image[None])[0]).abs()
    assert float(difference[:, 6:-6, 6:-6, 6:-6].max()) < 0.02


def test_memory_is_one_result_and_one_weight_a_voxel():
    """Counted where tensors are allocated, with four output channels."""
    from torch.profiler import ProfilerActivity, profile

    image = noise(1, 64, 64, 64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        sliding_window(lambda patches: patches.repeat(1, 4, 1, 1, 1), image, 16, batch=2)
    memory, peak = 0, 0
    for event in sorted(record.profiler.kineto_results.events(), key=lambda one: one.start_ns()):
        if event.name() == "[memory]":
            memory += event.nbytes()
            peak = max(peak, memory)
    assert 5 <= peak / (4 * image.numel()) < 5.6


REFUSED = {
    "image": (lambda: sliding_window(lambda x: x, noise(4, 4), 2), r"image is \(4, 4\), expected a tensor \(C, X, Y\)"),
    "no image": (lambda: sliding_window(lambda x: x, [1.0], 2), "image is list"),
    "patch": (lambda: sliding_window(lambda x: x, noise(1, 4, 4, 4), (2, 2)), r"patch is \(2, 2\), expected 3 sizes"),
    "empty patch": (lambda: sliding_window(lambda x: x, noise(1, 4, 4), 0), "patch is 0"),
    "overlap": (lambda: sliding_window(lambda x: x, noise(1, 4, 4), 2, 1.0), "overlap is 1.0"),
    "negative overlap": (lambda: sliding_window(lambda x: x, noise(1, 4, 4), 2, -0.5), "overlap is -0.5"),
    "mode": (
        lambda: sliding_window(lambda x: x, noise(1, 4, 4), 2, mode="hann"),
        "mode is 'hann', expected .*gaussian",
    ),
    "batch": (lambda: sliding_window(lambda x: x, noise(1, 4, 4), 2, batch=0), "batch is 0"),
    "smaller": (
        lambda: sliding_window(lambda x: x[..., 1:], noise(1, 4, 4), 2),
        r"the function gave \(1, 1, 2, 1\), expected a tensor \(1, K, 2, 2\)",
    ),
    "no channels": (lambda: sliding_window(lambda x: x[:, 0], noise(1, 4, 4), 2), r"gave \(1, 2, 2\)"),
    "no tensor": (lambda: sliding_window(lambda x: None, noise(1, 4, 4), 2), "gave NoneType"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
