"""Filtered back-projection: the right scale, a phantom from its exact integrals, and scikit-image beside it."""

import math

import pytest
import torch

from medlab.physics.ct.angles import evenly_spaced
from medlab.physics.ct.filters import WINDOWS, frequency_response, ramp_kernel
from medlab.physics.ct.projection import FanBeam, ParallelBeam
from medlab.physics.ct.reconstruction import angular_weights, fbp
from medlab.physics.phantoms import Ellipse, draw, line_integrals, shepp_logan


def rms(first, second, radius=0.95):
    """The RMS difference within this part of the half field."""
    place = (torch.arange(first.shape[-1]) - (first.shape[-1] - 1) / 2) / (first.shape[-1] / 2)
    inside = place[:, None].square() + place.square() < radius**2
    return float((first - second)[..., inside].square().mean().sqrt())


def exact_sinogram(phantom, scanner, half_mm):
    if isinstance(scanner, FanBeam):
        angle, offset = scanner.rays()
    else:
        angle, offset = scanner.angles_deg[:, None], scanner.offsets_mm
    return (line_integrals(phantom, torch.deg2rad(angle), offset / half_mm) * half_mm / 10).float()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("views", "span"), [(180, 180.0), (361, 360.0)])
def test_a_disc_has_its_attenuation(window, views, span):
    """Any window, any whole number of half turns, any units: 0.2 per cm stay 0.2 per cm."""
    scanner = ParallelBeam(evenly_spaced(views, span), 96, pixel_mm=2.5, detector_mm=2.0)
    sinogram = exact_sinogram([Ellipse(0.2, 0.6, 0.6)], scanner, 120.0)
    image = fbp(sinogram, scanner, window)
    assert float(image[38:58, 38:58].mean()) == pytest.approx(0.2, rel=3e-3)
    assert abs(float(image[:8, 40:56].mean())) < 4e-3


@pytest.mark.parametrize("flat", [False, True])
def test_fans_reconstruct_a_disc(flat):
    scanner = FanBeam(evenly_spaced(240, 360), 96, source_mm=300.0, flat=flat, pixel_mm=2.0)
    sinogram = exact_sinogram([Ellipse(0.2, 0.5, 0.5, x=0.1, y=-0.2)], scanner, 96.0)
    image = fbp(sinogram, scanner)
    assert rms(image, draw([Ellipse(0.2, 0.5, 0.5, x=0.1, y=-0.2)], 96)) < 0.012
    assert float(image[48:58, 35:45].mean()) == pytest.approx(0.2, rel=5e-3)


def test_a_point_comes_back_where_it_was():
    for scanner in (
        ParallelBeam(evenly_spaced(60), 41),
        FanBeam(evenly_spaced(120, 360), 41, source_mm=80.0),
        FanBeam(evenly_spaced(120, 360), 41, source_mm=80.0, flat=True),
    ):
        image = torch.zeros(41, 41)
        image[30, 13] = 1.0
        found = fbp(scanner(image), scanner)
        assert divmod(int(found.argmax()), 41) == (30, 13)
        assert float(found.max()) > 0.35  # the pixel's own width, twice


# What scikit-image 0.26 leaves of the same phantom from exact integrals; ASTRA's FBP leaves 0.0231 and 0.0163.
@pytest.mark.parametrize(("size", "views", "bound"), [(256, 360, 0.02149), (512, 720, 0.01570)])
def test_shepp_and_logan(size, views, bound):
    scanner = ParallelBeam(evenly_spaced(views), size, pixel_mm=200 / size)
    image = fbp(exact_sinogram(shepp_logan(), scanner, 100.0), scanner)
    assert rms(image, draw(shepp_logan(), size)) < bound


@pytest.mark.parametrize("window", ["ramp", "shepp-logan", "cosine", "hann"])
def test_not_worse_than_scikit_image(window):
    transform = pytest.importorskip("skimage.transform")
    size, views = 255, 360
    scanner = ParallelBeam(evenly_spaced(views), size, detectors=size, pixel_mm=200 / size)
    sinogram = exact_sinogram(shepp_logan(), scanner, 100.0)
    truth = draw(shepp_logan(), size)
    in_pixels = (sinogram / (20 / size)).double().numpy().T
    theirs = transform.iradon(in_pixels, theta=scanner.angles_deg.numpy(), filter_name=window, circle=True)
    # Their rows run downwards.
    theirs = torch.as_tensor(theirs.copy()).float().flip(0).T
    assert rms(fbp(sinogram, scanner, window), truth) < rms(theirs, truth)


def test_the_ramp_is_the_transform_of_its_kernel():
    kernel = ramp_kernel(16)
    assert kernel[:4].tolist() == pytest.approx([0.25, -1 / math.pi**2, 0.0, -1 / (9 * math.pi**2)])
    response = frequency_response("ramp", 4096)
    torch.testing.assert_close(response[1:], torch.linspace(0, 0.5, 2049).double()[1:], rtol=0, atol=2e-4)
    assert float(frequency_response("hann", 64)[-1]) == pytest.approx(0, abs=1e-12)


def test_weights_of_views():
    torch.testing.assert_close(angular_weights(evenly_spaced(7), 180.0), torch.full((7,), math.pi / 7).double())
    uneven = angular_weights(torch.tensor([10.0, 0.0, 100.0, 190.0]).double(), 180.0)
    assert float(uneven.sum()) == pytest.approx(math.pi)
    # 10 and 190 degrees are one direction and share 50 degrees; 0 has (80 + 10) / 2.
    assert torch.rad2deg(uneven).tolist() == pytest.approx([25.0, 45.0, 85.0, 25.0])


def test_uneven_views_count_by_their_angle():
    angles = torch.cat((torch.linspace(0, 90, 91)[:-1], torch.linspace(90, 180, 181)[:-1]))
    scanner = ParallelBeam(angles, 64)
    disc = [Ellipse(0.2, 0.5, 0.5)]
    image = fbp(exact_sinogram(disc, scanner, 32.0), scanner)
    assert float(image[24:40, 24:40].mean()) == pytest.approx(0.2, rel=3e-3)


def test_fbp_is_linear_batched_and_differentiable():
    scanner = ParallelBeam(evenly_spaced(20), 16)
    sinograms = torch.randn(3, 20, scanner.detectors, dtype=torch.float64, requires_grad=True)
    images = fbp(sinograms, scanner)
    torch.testing.assert_close(images[1], fbp(sinograms[1], scanner))
    assert torch.autograd.gradcheck(
        lambda s: fbp(s, scanner), (sinograms[:1].detach().requires_grad_(),), fast_mode=True
    )


def test_refusals():
    scanner = ParallelBeam([0.0, 90.0], 8)
    good = torch.zeros(2, scanner.detectors)
    with pytest.raises(ValueError, match="window is 'hat', expected one of ramp, shepp-logan, cosine, hann"):
        fbp(good, scanner, "hat")
    with pytest.raises(ValueError, match=r"sinograms has shape \(2, 5\)"):
        fbp(good[:, :5], scanner)
    with pytest.raises(ValueError, match="sinograms contains NaN"):
        fbp(good * math.nan, scanner)
