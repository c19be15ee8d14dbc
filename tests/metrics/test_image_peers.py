"""Measures of images beside scikit-image, MONAI, and numbers of pytorch-msssim and torchmetrics, each as it is set."""

import numpy as np
import pytest
import torch
from monai.metrics import MAEMetric, MSEMetric, MultiScaleSSIMMetric, PSNRMetric, SSIMMetric
from scipy import ndimage
from skimage import metrics as sk

from medlab.metrics import mae, mse, multi_scale_ssim, mutual_information, normalized_cross_correlation, psnr, ssim
from medlab.metrics.structural_similarity import ssim_maps


def pair(seed: int, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Smooth noise and a spoiled copy of it, float64, and their data range, which is another one each time."""
    draw = np.random.default_rng(seed)
    if shape is None:
        shape = tuple(draw.integers(15, 34, 2 + seed % 2).tolist())
    scale, offset = draw.uniform(0.5, 300), draw.uniform(-100, 100)
    reference = ndimage.gaussian_filter(draw.normal(size=shape), draw.uniform(0, 2))
    prediction = draw.uniform(0.8, 1.2) * reference + draw.uniform(0, 0.5) * reference.std() * draw.normal(size=shape)
    reference, prediction = (scale * one + offset for one in (reference, prediction))
    return prediction, reference, float(np.ptp(reference))


def in_monai(measure, x: np.ndarray, y: np.ndarray) -> float:
    return float(measure(*(torch.from_numpy(one)[None, None] for one in (x, y))))


@pytest.mark.parametrize("start", range(0, 200, 40))
def test_scikit_images(start):
    for seed in range(start, start + 40):
        x, y, span = pair(seed)
        given = torch.from_numpy(x), torch.from_numpy(y), span
        assert float(psnr(*given)) == pytest.approx(sk.peak_signal_noise_ratio(y, x, data_range=span), abs=1e-9), seed
        assert float(mse(*given[:2])) == pytest.approx(sk.mean_squared_error(x, y), rel=1e-12), seed
        expected = sk.structural_similarity(x, y, data_range=span)
        found = ssim(*given, window="uniform", covariance="sample")
        assert float(found) == pytest.approx(expected, abs=1e-9), seed
        gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected, their_map = sk.structural_similarity(x, y, data_range=span, full=True, **gaussian)
        assert float(ssim(*given)) == pytest.approx(expected, abs=1e-9), seed
        inner = (slice(5, -5),) * x.ndim
        np.testing.assert_allclose(ssim_maps(*given, border="crop").ssim, their_map[inner], atol=1e-8)


def test_scikit_images_mutual_information():
    # Theirs puts each value into one bin, ours shares it between two: equal where values lie on middles of bins.
    for seed in range(20):
        draw = np.random.default_rng(seed)
        x = draw.integers(0, 16, (20, 21))
        y = np.where(draw.random(x.shape) < 0.3, draw.integers(0, 16, x.shape), x)
        x.flat[:2], y.flat[:2] = (0, 15), (0, 15)
        expected = sk.normalized_mutual_information(x, y, bins=16)
        found = mutual_information(torch.from_numpy(x), torch.from_numpy(y), bins=16, normalized=True)
        assert float(found) == pytest.approx(expected, abs=1e-5), seed


@pytest.mark.parametrize("axes", [2, 3])
def test_monais(axes):
    for seed in range(100):
        x, y, span = pair(seed, tuple(np.random.default_rng(seed).integers(13, 26, axes).tolist()))
        x, y = (one - y.mean() for one in (x, y))  # beside a large mean MONAI's float32 loses the variance
        given = torch.from_numpy(x), torch.from_numpy(y), span
        assert float(psnr(*given)) == pytest.approx(in_monai(PSNRMetric(span), x, y), abs=1e-5), seed
        assert float(mae(*given[:2])) == pytest.approx(in_monai(MAEMetric(), x, y), rel=1e-5), seed
        assert float(mse(*given[:2])) == pytest.approx(in_monai(MSEMetric(), x, y), rel=1e-5), seed
        expected = in_monai(SSIMMetric(axes, data_range=span), x, y)
        assert float(ssim(*given)) == pytest.approx(expected, abs=1e-5), seed
        settings = {"window": "uniform", "size": 7}
        expected = in_monai(SSIMMetric(axes, data_range=span, kernel_type="uniform", win_size=7), x, y)
        assert float(ssim(*given, **settings)) == pytest.approx(expected, abs=1e-5), seed


def test_monais_over_scales():
    for seed in range(8):
        x, y, span = pair(seed, (190, 184))
        x, y = (one - y.mean() for one in (x, y))
        expected = in_monai(MultiScaleSSIMMetric(2, data_range=span, kernel_size=11), x, y)
        found = multi_scale_ssim(torch.from_numpy(x), torch.from_numpy(y), span)
        assert float(found) == pytest.approx(expected, abs=1e-4), seed


def test_correlation_is_numpys():
    for seed in range(50):
        x, y, _ = pair(seed)
        found = normalized_cross_correlation(torch.from_numpy(x), torch.from_numpy(y))
        assert float(found) == pytest.approx(np.corrcoef(x.ravel(), y.ravel())[0, 1], abs=1e-12), seed


def noisy_volume() -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers alone, so that every machine makes the same volume; the old generator's numbers never change."""
    draw = np.random.RandomState(7)
    i, j, k = np.indices((40, 36, 32))
    reference = 400 + 30 * (i % 13) + 11 * (j * k % 17)
    return (torch.from_numpy(one.astype(np.float64)) for one in (reference + draw.randint(-90, 91, i.shape), reference))


def test_peers_that_are_not_installed():
    """Each number with what gave it, on `noisy_volume()` in float64, data range 600."""
    x, y = noisy_volume()
    assert float(ssim(x, y, 600.0)) == pytest.approx(0.8417202326534107, abs=2e-6), "pytorch-msssim 1.0.0"
    mirrored = ssim(x, y, 600.0, border="mirror")
    assert float(mirrored) == pytest.approx(0.8392325343940096, abs=1e-12), "torchmetrics 1.9.0"
    by_slice = ssim(x.permute(2, 0, 1), y.permute(2, 0, 1), 600.0, batch_dims=1).mean()
    assert float(by_slice) == pytest.approx(0.8256935992072194, abs=1e-9), "scikit-image 0.26.0, slice by slice"
    values = [float(one) for one in (ssim(x, y, 600.0), mirrored, by_slice)]
    assert min(np.diff(sorted(values))) > 1e-3, "the settings can be told apart"
