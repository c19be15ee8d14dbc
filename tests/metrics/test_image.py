"""Similarity of images: by formulas evaluated directly, by hand, by gradients, and by property."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from sklearn.metrics import mutual_info_score

from medlab.metrics.image import mae, mse, mutual_information, normalized_cross_correlation, psnr
from medlab.metrics.structural_similarity import SCALE_WEIGHTS, multi_scale_ssim, ssim, ssim_maps


def pair(shape, seed=0, noise=0.1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    reference = torch.rand(shape, generator=generator, dtype=dtype)
    return reference + noise * torch.randn(shape, generator=generator, dtype=dtype), reference


def plain_ssim(x, y, span, filtered, scale, margin):
    """Wang's formula with a filter of SciPy, whole windows only."""
    mx, my = filtered(x), filtered(y)
    vx, vy = (scale * (filtered(one * one) - m * m) for one, m in ((x, mx), (y, my)))
    cov = scale * (filtered(x * y) - mx * my)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return value[(slice(margin, -margin),) * x.ndim].mean()


@pytest.mark.parametrize("shape", [(31, 40), (20, 17, 22)])
def test_ssim_is_its_formula(shape):
    x, y = pair(shape)
    found = float(ssim(x, y, 1.0))
    expected = plain_ssim(
        x.numpy(), y.numpy(), 1.0, lambda a: ndimage.gaussian_filter(a, 1.5, truncate=3.5, mode="reflect"), 1.0, 5
    )
    assert found == pytest.approx(expected, abs=1e-12)
    found = float(ssim(x, y, 1.0, window="uniform", covariance="sample"))
    voxels = 7 ** len(shape)
    expected = plain_ssim(x.numpy(), y.numpy(), 1.0, lambda a: ndimage.uniform_filter(a, 7), voxels / (voxels - 1), 3)
    assert found == pytest.approx(expected, abs=1e-12)
    assert float(ssim(x.float(), y.float(), 1.0)) == pytest.approx(float(ssim(x, y, 1.0)), abs=1e-5)


def test_float32_keeps_a_small_variance_beside_a_large_mean():
    x, y = pair((24, 24, 24))
    x, y = (80 * one + 10_000 for one in (x, y))
    exact = float(ssim(x.float().double(), y.float().double(), 80.0))
    assert float(ssim(x.float(), y.float(), 80.0)) == pytest.approx(exact, abs=2e-4)


def test_float32_keeps_it_beside_a_void_too():
    x, y = pair((40, 30, 31))
    x, y = (80 * one + 10_000 * (torch.arange(40) < 20)[:, None, None] for one in (x, y))
    exact = ssim_maps(x.float().double(), y.float().double(), 80.0)
    for mine, theirs in zip(ssim_maps(x.float(), y.float(), 80.0), exact, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), theirs, atol=2e-3, rtol=0)
    expected = float(ssim(x.float().double(), y.float().double(), 80.0))
    assert float(ssim(x.float(), y.float(), 80.0)) == pytest.approx(expected, abs=2e-4)


def test_a_bin_of_millions_takes_up_fractions():
    draw = torch.Generator().manual_seed(0)
    values = torch.rand(2, 2300, 2300, generator=draw)
    values[1] = 0.5 * values[0] + 0.5 * values[1]
    values = values**6  # most voxels in few bins
    exact = float(mutual_information(*values.double(), bins=8))
    assert float(mutual_information(*values, bins=8)) == pytest.approx(exact, rel=2e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    x, y = ((one * 200).to(dtype) for one in pair((40, 41)))
    for measure in (mae, mse, normalized_cross_correlation, mutual_information, lambda a, b: ssim(a, b, 200.0)):
        assert float(measure(x, y)) == pytest.approx(float(measure(x.float(), y.float())), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_correlation_at_the_ends_of_float32(scale):
    x, y = pair((20, 21))
    found = normalized_cross_correlation((x * scale).float(), (y * scale).float())
    assert float(found) == pytest.approx(float(normalized_cross_correlation(x, y)), abs=1e-5)


def test_maps_are_the_factors():
    x, y = pair((26, 33))
    maps = ssim_maps(x, y, 1.0)
    assert all(one.shape == x.shape for one in maps)
    torch.testing.assert_close(maps.luminance * maps.contrast * maps.structure, maps.ssim)
    cropped = ssim_maps(x, y, 1.0, border="crop")
    torch.testing.assert_close(maps.ssim[5:-5, 5:-5], cropped.ssim)
    assert float(cropped.ssim.mean()) == pytest.approx(float(ssim(x, y, 1.0)), abs=1e-12)
    assert float(maps.ssim.mean()) == pytest.approx(float(ssim(x, y, 1.0, border="mirror")), abs=1e-12)
    shifted = ssim_maps(y + 0.3, y, 1.0)
    assert float((shifted.contrast - 1).abs().max()) < 1e-9 > float((shifted.structure - 1).abs().max())
    assert float(shifted.luminance.max()) < 1


def test_samples_masks_and_equality():
    x, y = pair((3, 2, 20, 21))
    found = ssim(x, y, 1.0, batch_dims=2)
    assert found.shape == (3, 2)
    assert float(found[2, 1]) == pytest.approx(float(ssim(x[2, 1], y[2, 1], 1.0)), abs=1e-12)
    assert float(ssim(y[0, 0], y[0, 0], 1.0)) == pytest.approx(1)
    mask = torch.zeros(20, 21, dtype=torch.bool)
    mask[8, 9] = True
    expected = ssim_maps(x[0, 0], y[0, 0], 1.0).ssim[8, 9]
    assert float(ssim(x[0, 0], y[0, 0], 1.0, mask=mask)) == pytest.approx(float(expected), abs=1e-12)
    assert float(mae(x[0, 0], y[0, 0], mask=mask)) == pytest.approx(abs(float(x[0, 0, 8, 9] - y[0, 0, 8, 9])))


def test_multi_scale_of_one_scale_is_ssim_and_of_five_a_product():
    x, y = pair((180, 176), noise=0.05)
    assert float(multi_scale_ssim(x, y, 1.0, weights=(1.0,))) == pytest.approx(float(ssim(x, y, 1.0)))
    value = float(multi_scale_ssim(x, y, 1.0))
    assert float(ssim(x, y, 1.0)) < value < 1, "noise is weaker at coarse scales"
    assert float(multi_scale_ssim(y, y, 1.0)) == pytest.approx(1) and sum(SCALE_WEIGHTS) == pytest.approx(1, abs=1e-3)


def test_errors_by_hand():
    x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [3.0, 8.0]])
    assert float(mae(x, y)) == 1.5 and float(mse(x, y)) == 5
    assert float(psnr(x, y, 10.0)) == pytest.approx(10 * math.log10(100 / 5))
    assert float(psnr(x, x, 10.0)) == math.inf
    # As much background again, without error, halves the MSE: 3 dB more for the same picture.
    wide = [torch.cat([one, torch.zeros(2, 2)]) for one in (x, y)]
    assert float(psnr(*wide, 10.0)) == pytest.approx(float(psnr(x, y, 10.0)) + 10 * math.log10(2))


def test_correlation_is_pearsons():
    x, y = pair((9, 10, 11), noise=0.5)
    mask = torch.rand(9, 10, 11, generator=torch.Generator().manual_seed(1)) < 0.5
    expected = stats.pearsonr(x[mask].numpy(), y[mask].numpy()).statistic
    far = torch.where(mask, y, 1e6)
    assert float(normalized_cross_correlation(x, far, mask=mask)) == pytest.approx(expected, abs=1e-12)
    expected = stats.pearsonr(x.flatten().numpy(), y.flatten().numpy()).statistic
    assert float(normalized_cross_correlation(x, y)) == pytest.approx(expected, abs=1e-12)
    assert float(normalized_cross_correlation(3 * x + 5, -2 * y)) == pytest.approx(-expected, abs=1e-12)


def test_mutual_information_of_values_on_bins_is_scikit_learns():
    draw = np.random.default_rng(0)
    x = draw.integers(0, 8, (30, 31))
    y = (x + draw.integers(0, 3, x.shape)) % 8
    found = mutual_information(torch.from_numpy(x), torch.from_numpy(y), bins=8)
    assert float(found) == pytest.approx(mutual_info_score(x.ravel(), y.ravel()), abs=1e-5)
    same = torch.from_numpy(x).double()
    shares = np.bincount(x.ravel()) / x.size
    assert float(mutual_information(same, same, bins=8)) == pytest.approx(-(shares * np.log(shares)).sum())
    assert float(mutual_information(same, same, bins=8, normalized=True)) == pytest.approx(2)
    turned = torch.tensor([5, 2, 7, 0, 3, 1, 6, 4]).double()[torch.from_numpy(x)]
    assert float(mutual_information(turned, same, bins=8)) == pytest.approx(
        float(mutual_information(same, same, bins=8))
    )


@pytest.mark.parametrize(
    "measure",
    [
        mae,
        mse,
        normalized_cross_correlation,
        lambda x, y: psnr(x, y, 1.0),
        lambda x, y: ssim(x, y, 1.0, size=5),
        lambda x, y: ssim(x, y, 1.0, window="uniform", size=3, covariance="sample", border="mirror"),
        lambda x, y: multi_scale_ssim(x, y, 1.0, weights=(0.4, 0.6), size=3),
        lambda x, y: ssim_maps(x, y, 1.0, size=3).structure,
    ],
)
def test_gradients(measure):
    x, y = pair((7, 8), seed=3)
    assert torch.autograd.gradcheck(measure, (x.requires_grad_(), y.requires_grad_()))


def test_the_gradient_of_mutual_information():
    # A bin's middle is a kink, and the ends of the range set the scale; all other values have a derivative.
    x, y = pair((6, 7), seed=4)
    x.requires_grad_()
    found = torch.autograd.grad(mutual_information(x, y, bins=5), x)[0]
    inner = (x > x.min()) & (x < x.max())
    for at in inner.nonzero()[::5].tolist():
        step = torch.zeros_like(x)
        step[tuple(at)] = 1e-7
        slope = (mutual_information(x + step, y, bins=5) - mutual_information(x - step, y, bins=5)) / 2e-7
        assert float(found[tuple(at)]) == pytest.approx(float(slope.detach()), rel=1e-4, abs=1e-6)


def test_arrays_as_they_come():
    x, y = (one.numpy() for one in pair((12, 13)))
    expected = float(mse(torch.from_numpy(x), torch.from_numpy(y)))
    assert float(mse(x, y)) == expected
    assert float(mse(x[::-1], y[::-1])) == pytest.approx(expected, rel=1e-12), "views with negative steps"
    assert float(mse(x.astype(">f8"), y)) == expected, "a big-endian file"
    with pytest.raises(ValueError, match="prediction is a list, expected a tensor or an array"):
        mse(x.tolist(), y)


GOOD = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mse(GOOD, GOOD[:5]), r"prediction has the shape \(12, 12\), expected reference's, \(5, 12\)"),
        (lambda: mse(GOOD * math.nan, GOOD), "prediction holds nan, expected finite numbers"),
        (lambda: mse(GOOD, GOOD + 1j), "reference holds torch.complex64, expected real numbers"),
        (lambda: mse(GOOD[0], GOOD[0]), "prediction has 1 axes of space, expected 2 or 3"),
        (lambda: mse(GOOD, GOOD, mask=GOOD < 0), "mask is empty, expected at least one voxel"),
        (lambda: mse(GOOD, GOOD, mask=GOOD[:3] < 1), r"mask has the shape \(3, 12\), expected \(12, 12\)"),
        (lambda: psnr(GOOD, GOOD, 0), "data_range is 0, expected a number above 0"),
        (lambda: ssim(GOOD, GOOD, 1.0, size=4), "size is 4, expected an odd number"),
        (
            lambda: ssim(GOOD[:6], GOOD[:6], 1.0),
            r"prediction has the shape \(6, 12\), expected at least the window, 11",
        ),
        (lambda: ssim(GOOD, GOOD, 1.0, window="box"), "window is 'box', expected one of gaussian, uniform"),
        (lambda: ssim(GOOD, GOOD, 1.0, mask=torch.eye(12) * (GOOD > 2)), "mask is empty"),
        (lambda: multi_scale_ssim(GOOD, GOOD, 1.0), "expected at least 176 along each axis for 5 scales"),
        (lambda: normalized_cross_correlation(GOOD, GOOD * 0), "reference is constant, expected an image that varies"),
        (lambda: normalized_cross_correlation(torch.full((9, 9), 0.1), GOOD[:9, :9]), "prediction is constant"),
        (lambda: mutual_information(GOOD * 0, GOOD), "prediction is constant, expected an image that varies"),
        (lambda: mutual_information(GOOD, GOOD, bins=1), "bins is 1, expected a whole number"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
