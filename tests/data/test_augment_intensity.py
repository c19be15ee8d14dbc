"""Contrast, noise, sharpness and scanner artefacts against their formulas."""

import numpy as np
import pytest
import torch

from medlab.data import Volume
from medlab.data.augment import BiasField, Blur, Gamma, Ghosting, HeadMotion, LowResolution, Noise
from medlab.data.samples import Sample
from medlab.data.transforms import z_score
from medlab.physics.mri.artifacts import Motion, move_during_scan
from medlab.physics.mri.snr import rician_mean

SPACING = np.diag([1.0, 1.5, 3.0, 1.0])


def noise(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def sample_of(image, affine=SPACING) -> Sample:
    return Sample("A01", Volume(image, affine), ("T1",) * len(image))


def blob(shape, spacing, sigma_mm):
    axes = [(torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    grid = torch.meshgrid(*axes, indexing="ij")
    return torch.exp(-sum(axis.square() for axis in grid) / (2 * sigma_mm**2)).float(), grid


@pytest.mark.parametrize("gamma", [0.5, 0.8, 1.0, 2.0])
def test_gamma_of_z_scores_stays_in_their_range_and_order(gamma):
    image = torch.stack([z_score(noise(6, 7, 8) ** 3), 1000 * noise(6, 7, 8, seed=2) - 500])
    out = Gamma().replay(sample_of(image), {"gamma": gamma}).image.data
    for before, after in zip(image, out, strict=True):
        assert after.min() == before.min() and after.max() == before.max()
        assert (after.flatten()[before.flatten().argsort()].diff() >= 0).all()
        unit = (before - before.min()) / (before.max() - before.min())
        expected = unit.double() ** gamma * float(before.max() - before.min()) + float(before.min())
        np.testing.assert_allclose(after.numpy(), expected.numpy(), atol=1e-6 * float(before.abs().max()) + 1e-6)
    back = Gamma().replay(sample_of(out), {"gamma": 1 / gamma}).image.data
    torch.testing.assert_close(back, image, atol=1e-3, rtol=1e-3)


def test_gamma_of_an_image_without_contrast():
    flat = torch.full((1, 4, 4, 4), -2.5)
    assert torch.equal(Gamma()(sample_of(flat), 1).image.data, flat)


def test_gaussian_noise_has_the_standard_deviation_it_says():
    image = torch.stack([noise(30, 30, 30), 100 * noise(30, 30, 30, seed=2)])
    out = Noise().replay(sample_of(image), {"sigma": 0.5, "rician": False, "seed": 4}).image.data
    added = [(after - before) / before.std() for after, before in zip(out, image, strict=True)]
    for one in added:
        assert float(one.mean()) == pytest.approx(0, abs=0.02) and float(one.std()) == pytest.approx(0.5, rel=0.02)
    assert abs(float((added[0] * added[1]).mean())) < 0.01, "the channels' noise is the same"
    quiet = Noise().replay(sample_of(image), {"sigma": 0.0, "rician": False, "seed": 4}).image.data
    assert torch.equal(quiet, image)


def test_rician_noise_lifts_what_has_no_signal():
    image = torch.zeros(1, 40, 40, 40)
    image[:, 20:] = 10
    for offset in (0.0, -4.0):
        out = Noise().replay(sample_of(image + offset), {"sigma": 0.2, "rician": True, "seed": 1}).image.data - offset
        sigma = 0.2 * 5.0  # the standard deviation of half 0 and half 10 is 5
        assert float(out[:, :20].mean()) == pytest.approx(float(rician_mean(0.0, sigma)), rel=0.02)
        assert float(out[:, 20:].mean()) == pytest.approx(float(rician_mean(10.0, sigma)), rel=0.01)


def test_blur_is_isotropic_in_mm():
    """The variances of two Gaussians add up, along each axis and whatever its voxels measure."""
    shape, spacing = (48, 32, 20), (1.0, 1.5, 3.0)
    image, grid = blob(shape, spacing, 4.0)
    out = Blur().replay(sample_of(image[None]), {"sigma_mm": 3.0}).image.data[0].double()
    assert float(out.sum()) == pytest.approx(float(image.double().sum()), rel=1e-3)
    for axis in grid:
        assert float((out * axis.square()).sum() / out.sum()) == pytest.approx(4.0**2 + 3.0**2, rel=0.03)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_low_resolution_spoils_one_axis_only(axis):
    shape = [24, 24, 24]
    sample = sample_of(noise(1, *shape), np.eye(4))
    parameters = {"axis": axis, "factor": 4.0}
    profile = noise(1, *[1 if other == axis else 24 for other in range(3)]).expand(1, *shape).contiguous()
    kept = LowResolution().replay(sample_of(profile, np.eye(4)), parameters).image.data
    torch.testing.assert_close(kept, profile, atol=1e-5, rtol=0)
    out = LowResolution().replay(sample, parameters).image.data[0]
    rough = [float(out.diff(dim=other).square().mean()) for other in range(3)]
    before = [float(sample.image.data[0].diff(dim=other).square().mean()) for other in range(3)]
    assert rough[axis] < 0.05 * before[axis]
    assert min(value for other, value in enumerate(rough) if other != axis) > 4 * rough[axis]
    same = LowResolution().replay(sample, {"axis": axis, "factor": 1.0}).image.data
    torch.testing.assert_close(same, sample.image.data)


SCANNER = {
    "bias": (BiasField(), {"strength": 0.3, "order": 3, "seed": 2}),
    "ghosting": (Ghosting(), {"axis": 1, "strength": 0.4, "distance": 0.3, "phase_deg": 50.0}),
    "motion": (
        HeadMotion(),
        {
            "readout": 2,
            "phase": 0,
            "moments": [0.2, 0.6],
            "poses": [[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 2.0, -3.0]],
        },
    ),
}


@pytest.mark.parametrize("name", SCANNER)
def test_scanner_artefacts_take_the_lowest_value_for_air(name):
    """z-scores, with values below 0, are spoiled just as the magnitudes they came from."""
    transform, parameters = SCANNER[name]
    magnitude = noise(2, 16, 15, 14) * (noise(2, 16, 15, 14, seed=3) > 0.3)
    expected = transform.replay(sample_of(magnitude), parameters).image.data
    shifted = transform.replay(sample_of(magnitude - 5), parameters).image.data
    torch.testing.assert_close(shifted + 5, expected, atol=2e-5, rtol=0)
    assert float((expected - magnitude).abs().max()) > 0.1
    assert float(expected.min()) >= 0


def test_bias_field_is_one_smooth_factor_for_all_channels():
    image = noise(2, 20, 21, 22) + 0.5
    image[:, 0] = 0
    out = BiasField().replay(sample_of(image), {"strength": 0.3, "order": 3, "seed": 2}).image.data
    assert not out[:, 0].any(), "air is not air any more"
    field = out[:, 1:] / image[:, 1:]
    torch.testing.assert_close(field[0], field[1], atol=1e-5, rtol=0)
    assert float(field.log().abs().max()) <= 0.3 + 1e-5
    assert float(field.log().abs().max()) > 0.2
    assert max(float(field[0].log().diff(dim=axis).abs().max()) for axis in range(3)) < 0.08


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ghosts_are_those_of_a_swinging_signal(axis):
    image = noise(1, 20, 24, 18)
    image[0, 0, 0, 0] = 0
    strength, share, phase = 0.4, 0.25, 50.0
    parameters = {"axis": axis, "strength": strength, "distance": share, "phase_deg": phase}
    out = Ghosting().replay(sample_of(image), parameters).image.data[0]
    length = image.shape[1 + axis]
    away = round(share * length)
    lines = torch.arange(length, dtype=torch.float64)
    swing = 1 + strength * torch.cos(2 * torch.pi * lines * away / length + np.radians(phase))
    kspace = torch.fft.fft(image[0].double(), dim=axis) * swing.view([-1 if a == axis else 1 for a in range(3)])
    low = float(image.min())
    assert low == 0
    torch.testing.assert_close(out.double(), torch.fft.ifft(kspace, dim=axis).abs(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("readout", "phase"), [(0, 1), (1, 0), (2, 1), (1, 2)])
def test_motion_is_that_of_the_physics(readout, phase):
    image = noise(1, 12, 14, 16)
    image[0, 0, 0, 0] = 0
    poses = [[1.0, 0.5, 2.0], [0.0, 0.0, 0.0], [-1.0, 2.0, -3.0]]
    parameters = {"readout": readout, "phase": phase, "moments": [0.3, 0.7], "poses": poses}
    out = HeadMotion().replay(sample_of(image), parameters).image.data[0]
    lines = image.shape[1 + phase]
    at = [sum(line / lines >= moment for moment in (0.3, 0.7)) for line in range(lines)]
    path = torch.tensor(poses, dtype=torch.float64)[at]
    motion = Motion(path[:, :2], path[:, 2])
    spacing = (float(SPACING[readout, readout]), float(SPACING[phase, phase]))
    slow = 3 - readout - phase
    for index in range(image.shape[1 + slow]):
        plane = image[0].select(slow, index)
        plane = plane if readout < phase else plane.T
        expected = move_during_scan(plane.contiguous(), motion, spacing_mm=spacing)
        found = out.select(slow, index)
        torch.testing.assert_close(found if readout < phase else found.T, expected, atol=1e-5, rtol=0)


def test_motion_leaves_the_head_where_its_label_is():
    """The middle of k-space decides where things appear, and its pose counts as none."""
    image, _ = blob((40, 40, 12), (1.0, 1.0, 1.0), 5.0)
    poses = [[9.0, -9.0, 0.0], [6.0, -8.0, 0.0], [-9.0, 9.0, 0.0]]
    parameters = {"readout": 0, "phase": 1, "moments": [0.2, 0.8], "poses": poses}
    out = HeadMotion().replay(sample_of(image[None], np.eye(4)), parameters).image.data[0]
    assert np.unravel_index(int(out[:, :, 6].argmax()), (40, 40)) in {(19, 19), (19, 20), (20, 19), (20, 20)}
    still = {"readout": 0, "phase": 1, "moments": [0.5], "poses": [[6.0, -8.0, 4.0]] * 2}
    assert torch.equal(HeadMotion().replay(sample_of(image[None], np.eye(4)), still).image.data[0], image)
    assert len(HeadMotion(jumps=0).draw(2)["poses"]) == 1
