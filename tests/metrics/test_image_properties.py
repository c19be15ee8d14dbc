"""What holds for every pair of images, whatever they show."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlab.metrics import mae, mse, multi_scale_ssim, mutual_information, normalized_cross_correlation, psnr, ssim
from medlab.metrics.structural_similarity import SLAB, ssim_maps

SSIM = (
    lambda x, y, span: ssim(x, y, span),
    lambda x, y, span: ssim(x, y, span, window="uniform", covariance="sample", border="mirror"),
    lambda x, y, span: multi_scale_ssim(x, y, span, size=5, weights=(0.4, 0.6)),
)
FREE = (mae, mse, normalized_cross_correlation, mutual_information)


@st.composite
def pairs(draw):
    axes = draw(st.sampled_from((2, 3)))
    # Even lengths: a scale of half the size leaves out an odd end, and a flip would choose another one.
    shape = draw(st.tuples(*[st.sampled_from((12, 14, 16))] * axes))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    reference = torch.rand(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return draw(st.floats(0.3, 2)) * reference + draw(st.floats(0.01, 2)) * noise, reference


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_order_and_axes_do_not_matter(pair):
    x, y = pair
    turned = [one.flip(0).transpose(0, -1).contiguous() for one in pair]
    for measure in FREE:
        value = float(measure(x, y))
        assert float(measure(y, x)) == pytest.approx(value, rel=1e-9, abs=1e-12)
        assert float(measure(*turned)) == pytest.approx(value, rel=1e-9, abs=1e-12)
    for measure in (*SSIM, psnr):
        value = float(measure(x, y, 1.0))
        assert float(measure(y, x, 1.0)) == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert float(measure(*turned, 1.0)) == pytest.approx(value, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.01, 1000), st.floats(-10, 10))
def test_units_do_not_matter_where_the_range_has_them_too(pair, factor, shift):
    x, y = pair
    scaled = factor * x, factor * y
    assert float(mae(*scaled)) == pytest.approx(factor * float(mae(x, y)), rel=1e-9)
    assert float(mse(*scaled)) == pytest.approx(factor**2 * float(mse(x, y)), rel=1e-9)
    for measure in (*SSIM, psnr):
        assert float(measure(*scaled, factor)) == pytest.approx(float(measure(x, y, 1.0)), rel=1e-8, abs=1e-9)
    linear = factor * x + shift
    value = float(normalized_cross_correlation(x, y))
    assert float(normalized_cross_correlation(linear, y)) == pytest.approx(value, abs=1e-8)
    assert float(mutual_information(linear, y)) == pytest.approx(float(mutual_information(x, y)), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_ranges(pair):
    x, y = pair
    for measure in SSIM:
        assert -1 <= float(measure(x, y, 1.0)) <= 1 + 1e-12
        assert float(measure(y, y, 1.0)) == pytest.approx(1, abs=1e-9)
    assert -1 <= float(normalized_cross_correlation(x, y)) <= 1
    shared, own = float(mutual_information(x, y)), float(mutual_information(y, y))
    assert -1e-9 <= shared <= math.log(32), "no more than 32 bins can say"
    assert shared <= own + 0.5, "hardly more than the image says of itself: shares of bins blur its own"
    assert 1 - 1e-9 <= float(mutual_information(x, y, normalized=True)) <= 2
    assert float(mae(x, y)) ** 2 <= float(mse(x, y)) + 1e-12, "Jensen"


@settings(max_examples=20, deadline=None)
@given(st.integers(SLAB + 11, 3 * SLAB), st.integers(0, 1000))
def test_slabs_are_the_whole(length, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(2, length, 13, 12, generator=generator, dtype=torch.float64) for _ in range(2))
    maps = ssim_maps(x, y, 1.0, border="crop", batch_dims=1).ssim
    torch.testing.assert_close(ssim(x, y, 1.0, batch_dims=1), maps.mean((1, 2, 3)))
    mask = torch.rand(length, 13, 12, generator=generator) < 0.4
    mask[length // 2, 6, 6] = True
    inside = mask[5:-5, 5:-5, 5:-5]
    torch.testing.assert_close(ssim(x, y, 1.0, mask=mask, batch_dims=1), maps[:, inside].mean(1))
