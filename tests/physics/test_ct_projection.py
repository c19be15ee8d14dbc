"""Projections: adjoints of every geometry on random sizes, and sinograms against the formulas of ellipses and balls."""

import math

import pytest
import torch

from medlab.physics.ct.angles import evenly_spaced
from medlab.physics.ct.projection import ConeBeam, FanBeam, ParallelBeam
from medlab.physics.phantoms import Ellipse, draw, line_integrals, shepp_logan, soft_head
from tests.physics.battery import check_gradients, check_operator, check_refusals

HEAD = soft_head()


def random_angles(seed, views, span=360.0):
    return torch.rand(views, generator=torch.Generator().manual_seed(seed)) * span - 60


def scanners():
    yield "parallel 7", lambda: ParallelBeam(random_angles(0, 5), 7)
    yield "parallel 16", lambda: ParallelBeam(random_angles(1, 9), 16, detectors=11, detector_mm=2.3, pixel_mm=1.4)
    yield "parallel 33", lambda: ParallelBeam(evenly_spaced(12), 33, detector_shift_mm=0.25, detectors=70)
    yield "one view", lambda: ParallelBeam([90.0], 8)
    yield "fan", lambda: FanBeam(random_angles(2, 4), 9, source_mm=20.0, detectors=13)
    yield "flat fan", lambda: FanBeam(random_angles(3, 4), 12, source_mm=18.0, detectors=10, flat=True, pixel_mm=1.3)
    yield (
        "cone",
        lambda: ConeBeam(
            random_angles(4, 3), (6, 5, 4), source_mm=12.0, detector_shape=(7, 5), pitch_mm=1.2, voxel_mm=1.1
        ),
    )


SCANNERS = dict(scanners())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SCANNERS)
def test_the_adjoint_is_the_adjoint(name, dtype):
    check_operator(SCANNERS[name](), dtype, batch=(2, 2))


@pytest.mark.parametrize("name", ["parallel 7", "fan", "cone"])
def test_gradients(name):
    check_gradients(SCANNERS[name]())


@pytest.mark.parametrize("name", ["parallel 7", "flat fan", "cone"])
def test_bad_images_are_refused(name):
    check_refusals(SCANNERS[name]())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", SCANNERS)
def test_the_same_on_a_gpu(name):
    scanner = SCANNERS[name]()
    x = torch.randn(2, *scanner.domain_shape)
    torch.testing.assert_close(scanner.forward(x.cuda()).cpu(), scanner.forward(x), rtol=1e-4, atol=1e-4)


def relative_error(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def exact(phantom, scanner, unit_mm):
    """Integrals in units of half the field, times that half field in cm."""
    if isinstance(scanner, FanBeam):
        angle, offset = scanner.rays()
    else:
        angle, offset = scanner.angles_deg[:, None], scanner.offsets_mm
    return line_integrals(phantom, torch.deg2rad(angle), offset / unit_mm) * unit_mm / 10


# For Shepp and Logan's phantom the bounds are the errors of ASTRA's linear projector on the same drawings.
@pytest.mark.parametrize(
    ("phantom", "size", "bound"),
    [(HEAD, 256, 0.0068), (HEAD, 512, 0.0034), (shepp_logan(), 256, 0.0134), (shepp_logan(), 512, 0.0067)],
)
def test_sinograms_of_ellipses(phantom, size, bound):
    scanner = ParallelBeam(evenly_spaced(180), size, pixel_mm=200 / size)
    assert relative_error(scanner(draw(phantom, size)), exact(phantom, scanner, 100.0)) < bound


@pytest.mark.parametrize("flat", [False, True])
def test_fan_sinograms_of_ellipses(flat):
    scanner = FanBeam(evenly_spaced(90, 360), 256, source_mm=400, pixel_mm=200 / 256, flat=flat)
    assert relative_error(scanner(draw(HEAD, 256)), exact(HEAD, scanner, 100.0)) < 0.0068


def test_a_detector_off_the_axis_and_of_another_pitch():
    place = {"detectors": 60, "detector_mm": 3.0, "detector_shift_mm": 7}
    scanner = ParallelBeam([10.0, 55.0, 130.0], 128, pixel_mm=200 / 128, **place)
    assert relative_error(scanner(draw(HEAD, 128)), exact(HEAD, scanner, 100.0)) < 0.015


def test_cone_sinogram_of_a_ball():
    size, radius = 48, 14.0
    at = torch.arange(size) - (size - 1) / 2
    finer = torch.stack([at + shift for shift in torch.linspace(-0.375, 0.375, 4)], 1).reshape(-1)
    square = finer.square()
    inside = (square[:, None, None] + square[:, None] + square <= radius**2).float()
    ball = inside.reshape(size, 4, size, 4, size, 4).mean((1, 3, 5))
    scanner = ConeBeam([0.0, 30.0, 200.0], (size,) * 3, source_mm=90, detector_shape=(40, 32), pitch_mm=1.1)
    across = (torch.arange(40) - 19.5) * 1.1
    up = (torch.arange(32) - 15.5) * 1.1
    # The distance of a ray from the centre: its point on the axis, across the direction from the source.
    point = across[:, None].square() + up.square()
    distance = point * 90**2 / (point + 90**2)
    chord = 2 * (radius**2 - distance).clamp(min=0).sqrt() / 10
    for view in scanner(ball):
        assert relative_error(view, chord.double()) < 0.03  # a radius of 14 voxels; half of that at twice the size


def test_every_view_holds_the_whole_mass():
    image = torch.rand(40, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    image = image * (draw([Ellipse(1.0, 0.9, 0.9)], 40) > 0.5)
    mass = ParallelBeam(random_angles(5, 30), 40, detectors=81, detector_mm=0.7)(image).sum(1) * 0.07
    torch.testing.assert_close(mass, (image.sum() / 100).expand(30), rtol=2e-3, atol=0)


def test_half_a_turn_mirrors_the_detector():
    image = torch.rand(20, 20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    here, there = ParallelBeam([35.0, 215.0], 20)(image)
    torch.testing.assert_close(here, there.flip(0), rtol=0, atol=1e-12)


def test_a_quarter_turn_is_a_turn_of_the_image():
    image = torch.rand(21, 21, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    scanner = ParallelBeam([20.0, 110.0], 21)
    # The point (x, y) goes to (-y, x) when the image turns by 90 degrees.
    turned = torch.rot90(image, -1, (0, 1))
    assert not torch.allclose(scanner(image)[0], scanner(turned)[0], atol=1e-2)
    both = [scanner(torch.rot90(image, k, (0, 1)))[1] for k in (1, -1)]
    matches = [torch.allclose(found, scanner(image)[0], atol=1e-10) for found in both]
    assert sum(matches) == 1


def test_the_axis_of_x_is_the_first():
    image = torch.zeros(31, 31)
    image[25, 15] = 1.0
    sinogram = ParallelBeam([0.0, 90.0], 31, detectors=31)(image)
    assert sinogram.argmax(1).tolist() == [25, 15]


def test_scikit_image_agrees():
    transform = pytest.importorskip("skimage.transform")
    image = draw(HEAD, 129)  # odd, where its centre and ours coincide
    angles = torch.arange(0, 180, 7.0)
    ours = ParallelBeam(angles, 129, detectors=129)(image) * 10
    # Their rows run downwards, and their angles turn the other way.
    theirs = transform.radon(image.flip(1).T.numpy(), theta=angles.numpy(), circle=True)
    assert relative_error(ours, torch.as_tensor(theirs.T.copy()).double()) < 0.02


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ParallelBeam([], 8), "angles_deg is empty"),
        (lambda: ParallelBeam([math.nan], 8), "angles_deg contains NaN"),
        (lambda: ParallelBeam(["a"], 8), "angles_deg is"),
        (lambda: ParallelBeam([0.0], 0), "image_size is 0"),
        (lambda: ParallelBeam([0.0], 8, pixel_mm=-1.0), "pixel_mm is -1.0"),
        (lambda: ParallelBeam([0.0], 8, detectors=0), "detectors is 0"),
        (lambda: ParallelBeam([0.0], 8, detector_shift_mm=math.inf), "detector_shift_mm is inf"),
        (lambda: FanBeam([0.0], 8, source_mm=5.0), "source_mm is 5.0, expected more than 5.7 mm"),
        (lambda: FanBeam([0.0], 8, source_mm=20.0, fan_deg=180.0), "fan_deg is 180.0"),
        (lambda: ConeBeam([0.0], (4, 4), source_mm=9.0, detector_shape=(2, 2), pitch_mm=1.0), "volume_shape"),
        (lambda: ConeBeam([0.0], (4, 4, 4), source_mm=2.0, detector_shape=(2, 2), pitch_mm=1.0), "source_mm is 2.0"),
        (lambda: evenly_spaced(0), "views is 0"),
    ],
)
def test_what_is_no_scan_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
