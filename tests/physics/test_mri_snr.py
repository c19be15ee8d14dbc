"""The laws of noise against simulations of noise."""

import dataclasses
import math

import pytest
import torch
from scipy import stats

from medlab.physics.mri.snr import (
    Acquisition,
    complex_noise,
    magnitude_with_noise,
    relative_snr,
    rician_mean,
    rician_std,
)

DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []
BASE = Acquisition()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"averages": 4}, 2.0),
        ({"bandwidth_hz": 25_000.0}, math.sqrt(2)),
        ({"voxel_mm": (2.0, 1.0, 1.0)}, 2.0),
        ({"voxel_mm": (0.5, 0.5, 0.5)}, 1 / 8),
        ({"phase_encodes": 128}, math.sqrt(0.5)),
        ({"readout_samples": 512}, math.sqrt(2)),
        ({"partitions": 64}, 8.0),
        ({"field_t": 1.5}, 0.5),
        # The same field of view at half the resolution in the plane: voxels of four times the volume, a quarter of
        # the samples.
        ({"voxel_mm": (2.0, 2.0, 1.0), "phase_encodes": 128, "readout_samples": 128}, 2.0),
    ],
)
def test_each_law_by_hand(change, factor):
    changed = dataclasses.replace(BASE, **change)
    assert relative_snr(changed, BASE) == pytest.approx(factor, rel=1e-12)
    assert relative_snr(BASE, changed) == pytest.approx(1 / factor, rel=1e-12)


def test_listening_time_and_the_exponent_of_the_field():
    assert BASE.listening_time_ms == pytest.approx(256 * 256 / 50)
    weak = dataclasses.replace(BASE, field_t=1.5)
    assert relative_snr(BASE, weak, field_exponent=1.75) == pytest.approx(2**1.75)


def test_the_same_law_from_a_simulated_scan():
    # k-space samples of an even object, each with the same noise; the image of n x n voxels over one field of view.
    def simulated(voxels, averages, seed):
        signal = torch.zeros(averages, voxels, voxels, dtype=torch.complex128)
        signal[:, 0, 0] = 256.0**2  # all of the object is in the sample at frequency 0
        noisy = signal + complex_noise(signal.shape, 40.0, generator(seed), dtype=torch.float64)
        image = torch.fft.ifft2(noisy).mean(0)
        return float(image.real.mean() / image.real.std())

    def law(voxels, averages):
        side = 256.0 / voxels
        acquisition = Acquisition((side, side, 1.0), averages, 5e4, voxels, voxels)
        return relative_snr(acquisition, BASE)

    base = simulated(256, 1, 1)
    for voxels, averages in ((128, 1), (256, 4), (64, 2)):
        assert simulated(voxels, averages, voxels + averages) / base == pytest.approx(law(voxels, averages), rel=0.04)


def test_averaging_complex_images_follows_the_square_root_and_magnitudes_do_not():
    counts, width, signal = (1, 4, 16, 64), 1.0, 0.5
    noise = complex_noise((64, 20_000), width, generator(3), dtype=torch.float64)
    images = signal + noise
    spreads = [float(images[:count].mean(0).real.std()) for count in counts]
    for count, spread in zip(counts, spreads, strict=True):
        assert spread * math.sqrt(count) == pytest.approx(width, rel=0.03)
    # A weak signal: the mean of magnitudes keeps the floor, the magnitude of the mean finds the signal.
    floor = float(images.abs().mean(0).mean())
    assert floor == pytest.approx(float(rician_mean(signal, width)), rel=0.01)
    assert floor > 2.5 * signal
    assert float(images.mean(0).abs().mean()) == pytest.approx(signal, rel=0.05)


def test_rayleigh_moments():
    noise = magnitude_with_noise(torch.zeros(400_000, dtype=torch.float64), 2.0, generator())
    assert float(noise.mean()) == pytest.approx(2 * math.sqrt(math.pi / 2), rel=0.005)
    assert float(noise.std()) == pytest.approx(2 * math.sqrt(2 - math.pi / 2), rel=0.005)
    assert float(rician_mean(0.0, 2.0)) == pytest.approx(2 * math.sqrt(math.pi / 2), rel=1e-14)
    assert float(rician_std(0.0, 2.0)) == pytest.approx(2 * math.sqrt(2 - math.pi / 2), rel=1e-14)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0, 20.0])
def test_rician_moments_against_scipy_and_draws(ratio):
    truth = stats.rice(ratio, scale=0.7)
    assert float(rician_mean(0.7 * ratio, 0.7)) == pytest.approx(truth.mean(), rel=1e-10)
    assert float(rician_std(0.7 * ratio, 0.7)) == pytest.approx(truth.std(), rel=1e-8)
    drawn = magnitude_with_noise(torch.full((200_000,), 0.7 * ratio), 0.7, generator(5))
    assert float(drawn.mean()) == pytest.approx(truth.mean(), rel=0.01)
    assert float(drawn.std()) == pytest.approx(truth.std(), rel=0.01)
    assert stats.kstest(drawn[:5000].numpy(), truth.cdf).pvalue > 1e-3


def test_strong_signals():
    strong = torch.tensor([100.0, 1e4, 1e6])
    torch.testing.assert_close(rician_mean(strong, 1.0), strong.double() + 0.5 / strong.double(), rtol=1e-7, atol=0)
    torch.testing.assert_close(rician_std(strong, 1.0), torch.ones(3).double(), rtol=1e-4, atol=0)


def test_the_same_seed_gives_the_same_noise_and_types_are_kept():
    image = torch.rand(3, 4, generator=generator())
    assert torch.equal(magnitude_with_noise(image, 0.1, generator(1)), magnitude_with_noise(image, 0.1, generator(1)))
    assert torch.equal(magnitude_with_noise(image, 0.0, generator()), image)
    assert magnitude_with_noise(image.double(), 0.1, generator()).dtype == torch.float64
    assert magnitude_with_noise(image + 0j, 0.1, generator()).dtype == torch.float32
    noise = complex_noise(100_000, 0.5, generator(2))
    assert noise.dtype == torch.complex64
    assert float(noise.real.std()) == pytest.approx(0.5, rel=0.01)
    assert float(noise.imag.std()) == pytest.approx(0.5, rel=0.01)
    assert abs(float((noise.real * noise.imag).mean())) < 0.005


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_has_the_same_noise(device):
    image = torch.rand(5, 6, generator=generator())
    here, there = (magnitude_with_noise(image.to(place), 0.2, generator(1)) for place in ("cpu", device))
    assert there.device.type == device
    torch.testing.assert_close(there.cpu(), here, atol=1e-6, rtol=0)
    torch.testing.assert_close(rician_mean(image.to(device), 0.2).cpu(), rician_mean(image, 0.2), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Acquisition(voxel_mm=(1.0, 1.0)), "voxel_mm is"),
        (lambda: Acquisition(voxel_mm=(1.0, 1.0, 0.0)), "expected three lengths above 0"),
        (lambda: Acquisition(averages=0), "averages is 0"),
        (lambda: Acquisition(phase_encodes=12.5), "phase_encodes is 12.5"),
        (lambda: Acquisition(bandwidth_hz=0.0), "bandwidth_hz is 0.0"),
        (lambda: Acquisition(field_t=math.nan), "field_t is nan"),
        (lambda: relative_snr(BASE, BASE, field_exponent=math.nan), "field_exponent contains NaN"),
        (lambda: complex_noise(3, -1.0, generator()), "sigma is -1.0"),
        (lambda: complex_noise(3, 1.0, generator(), dtype=torch.float16), "dtype is torch.float16"),
        (lambda: magnitude_with_noise([1.0], 1.0, generator()), "image is list"),
        (lambda: magnitude_with_noise(torch.tensor([math.nan]), 1.0, generator()), "image contains NaN"),
        (lambda: magnitude_with_noise(torch.tensor([math.inf + 0j]), 1.0, generator()), "image contains infinity"),
        (lambda: magnitude_with_noise(torch.ones(2), math.nan, generator()), "sigma is nan"),
        (lambda: rician_mean(-1.0, 1.0), "signal is -1.0"),
        (lambda: rician_std(1.0, 0.0), "sigma is 0.0"),
        (lambda: rician_mean(torch.ones(2), torch.ones(3)), "expected shapes that broadcast"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
