"""Each artefact against the formula that makes it, and each at the strength at which nothing changes."""

import math

import pytest
import torch

from medlab.physics.ct.artifacts import (
    WaterCorrection,
    draw_gains,
    every_nth_view,
    hardened_sinogram,
    moved_sinogram,
    path_lengths_mm,
    truncated,
    with_gains,
    with_noise,
    with_scatter,
)
from medlab.physics.ct.projection import FanBeam, ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.ct.xray import (
    effective_attenuation_per_cm,
    line_integral,
    to_hu,
    transmission,
    tube_spectrum,
)
from medlab.physics.phantoms import Ellipse, draw, line_integrals

SIZE, PIXEL = 128, 2.0
BEAM = tube_spectrum(120, 6.0, 2.0)
SCANNER = ParallelBeam(torch.arange(120) * 1.5, SIZE, pixel_mm=PIXEL)
DISC = [Ellipse(1.0, 0.7, 0.7)]  # water, radius 0.7 * 128 mm = 89.6 mm
HALF_MM = SIZE * PIXEL / 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def analytic(ellipses):
    """Exact path lengths in mm, (views, detectors)."""
    angle = torch.deg2rad(SCANNER.angles_deg)[:, None]
    return HALF_MM * line_integrals(ellipses, angle, SCANNER.offsets_mm / HALF_MM)


def profile(image, radius_mm, width_mm=6.0):
    """The mean of an image in a ring around its centre."""
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    away = torch.hypot(place[:, None], place[None])
    return float(image[(away - radius_mm).abs() <= width_mm / 2].mean())


def in_hu(sinogram, water):
    return to_hu(fbp(sinogram, SCANNER), water)


def test_path_lengths_are_those_of_the_disc():
    paths = path_lengths_mm(draw(DISC, SIZE)[None].double(), SCANNER)
    assert paths.shape == (*SCANNER.range_shape, 1) and float(paths.min()) >= 0
    error = paths[..., 0] - analytic(DISC)
    assert float(error.norm() / analytic(DISC).norm()) < 0.01


def test_strength_zero_is_the_first_millimetre_and_one_is_the_beam():
    paths = torch.rand(9, 2, generator=generator(), dtype=torch.float64) * torch.tensor([200.0, 15.0])
    names = ["water", "skull"]
    straight = sum(paths[:, at] / 10 * effective_attenuation_per_cm(name, BEAM) for at, name in enumerate(names))
    whole = line_integral(transmission(paths, names, BEAM))
    torch.testing.assert_close(hardened_sinogram(paths, names, BEAM, 0.0), straight)
    torch.testing.assert_close(hardened_sinogram(paths, names, BEAM), whole)
    torch.testing.assert_close(hardened_sinogram(paths, names, BEAM, 0.25), 0.75 * straight + 0.25 * whole)
    assert bool((whole < straight).all())


def test_water_shows_cupping_and_the_correction_removes_it():
    correction = WaterCorrection(BEAM)
    hard = hardened_sinogram(analytic(DISC)[..., None], ["water"], BEAM)
    cupped, flat = in_hu(hard, correction.water_per_cm), in_hu(correction(hard), correction.water_per_cm)
    straight = in_hu(analytic(DISC) / 10 * correction.water_per_cm, correction.water_per_cm)
    radii = (0.0, 20.0, 40.0, 60.0, 78.0)
    before = [profile(cupped, radius) for radius in radii]
    assert before == sorted(before), "the centre must be darkest and the rim brightest"
    assert before[-1] - before[0] > 20  # measured: 27 HU
    after = [profile(flat, radius) for radius in radii]
    truth = [profile(straight, radius) for radius in radii]
    assert max(abs(a - t) for a, t in zip(after, truth, strict=True)) < 0.5  # HU, against a beam that never hardens
    assert abs(after[0]) < 3 and abs(after[-1] - after[0]) < 3


def test_centre_of_a_cupped_disc_is_what_the_formula_of_backprojection_says():
    # At the centre of a disc all views are alike: f(0) is -1/pi times the integral of p'(s) / s over s > 0.
    radius = 89.6
    s = torch.linspace(0, radius, 200_001, dtype=torch.float64)
    chord = 2 * torch.sqrt(radius**2 - s.square())
    p = hardened_sinogram(chord[:, None], ["water"], BEAM)
    middle = (s[1:] + s[:-1]) / 2
    centre = float(-(p.diff() / middle).sum() / math.pi) * 10  # 1/cm
    found = profile(fbp(hardened_sinogram(analytic(DISC)[..., None], ["water"], BEAM), SCANNER), 0.0, 20.0)
    assert found == pytest.approx(centre, rel=3e-3)


def test_water_correction_straightens_water_and_goes_on_beyond():
    correction = WaterCorrection(BEAM, longest_mm=300.0)
    length = torch.linspace(0, 300, 61, dtype=torch.float64)
    p = hardened_sinogram(length[:, None], ["water"], BEAM)
    torch.testing.assert_close(correction(p), length / 10 * correction.water_per_cm, rtol=0, atol=2e-4)
    beyond = correction(torch.tensor([correction.longest, correction.longest + 1, correction.longest + 2]).double())
    assert float(beyond.diff()[0]) == pytest.approx(float(beyond.diff()[1])) and float(beyond.diff()[0]) > 1
    around = correction(torch.tensor([-0.02, -0.01, 0.0, 1e-6], dtype=torch.float64))
    assert float(around[2]) == 0 and float(around[0]) == pytest.approx(2 * float(around[1]))
    assert torch.autograd.gradcheck(correction, (torch.tensor([0.5, 3.0, 9.0]).double().requires_grad_(),))
    assert WaterCorrection(tube_spectrum(120, 6.0), degree=1)(torch.tensor([1.0])).dtype == torch.float32


def test_two_bones_darken_what_lies_between_them():
    ellipses = [[Ellipse(1.0, 0.7, 0.7), Ellipse(-1.0, 0.1, 0.1, -0.4), Ellipse(-1.0, 0.1, 0.1, 0.4)]]
    ellipses.append([Ellipse(1.0, 0.1, 0.1, -0.4), Ellipse(1.0, 0.1, 0.1, 0.4)])
    paths = torch.stack([analytic(one) for one in ellipses], -1)
    correction = WaterCorrection(BEAM)
    image = in_hu(correction(hardened_sinogram(paths, ["water", "cortical bone"], BEAM)), correction.water_per_cm)
    middle = SIZE // 2
    between = float(image[middle - 4 : middle + 4, middle - 2 : middle + 2].mean())
    above = float(image[middle - 4 : middle + 4, middle + 22 : middle + 26].mean())
    assert between < above - 15, "a dark band must join the bones"


def test_a_wrong_gain_is_a_ring_of_its_own_radius():
    sinogram = analytic(DISC) / 10 * 0.2
    gains = torch.ones(SCANNER.detectors, dtype=torch.float64)
    wrong = SCANNER.detectors // 2 + 20
    gains[wrong] = 1.02
    spoiled = with_gains(sinogram, gains)
    difference = spoiled - sinogram
    torch.testing.assert_close(difference[:, wrong], torch.full((120,), -math.log(1.02), dtype=torch.float64))
    assert float(difference.abs().sum(1).max()) == pytest.approx(math.log(1.02))
    ring = fbp(spoiled, SCANNER) - fbp(sinogram, SCANNER)
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    away = torch.hypot(place[:, None], place[None])
    means = [float(ring[(away - r).abs() < PIXEL / 2].mean()) for r in range(10, 100)]
    strongest = 10 + min(range(90), key=means.__getitem__)
    assert abs(strongest - abs(float(SCANNER.offsets_mm[wrong]))) <= PIXEL
    torch.testing.assert_close(with_gains(sinogram, torch.ones_like(gains)), sinogram)


def test_drawn_gains_have_their_spread_and_seed():
    gains = draw_gains(20_000, 0.01, generator(1))
    assert float(torch.log(gains).std()) == pytest.approx(0.01, rel=0.03)
    assert torch.equal(gains, draw_gains(20_000, 0.01, generator(1)))
    assert bool((draw_gains(5, 0.0, generator()) == 1).all())


def test_noise_has_its_variance_and_starved_rays_their_ceiling():
    p = torch.full((400, 100), 3.0, dtype=torch.float64)
    noisy = with_noise(p, 1e5, generator(2))
    assert float(noisy.std()) == pytest.approx(math.exp(1.5) / 1e5**0.5, rel=0.02)
    assert torch.equal(with_noise(p, math.inf, generator()), p)
    assert torch.equal(with_noise(p, 1e5, generator(3)), with_noise(p, 1e5, generator(3)))
    starved = with_noise(torch.full((1000,), 20.0), 1e4, generator(4), electronic_noise=5.0)
    assert float(starved.max()) == pytest.approx(math.log(2e4)) and bool(starved.isfinite().all())


def test_starvation_streaks_along_the_long_axis():
    wide = [Ellipse(1.0, 0.9, 0.3)]  # shoulders: long along x
    noise = with_noise(analytic(wide) / 10 * 0.6, 2e4, generator(5)) - analytic(wide) / 10 * 0.6
    # View 0 looks along y (short), view 90 degrees along x (long).
    assert float(noise[60].std()) > 5 * float(noise[0].std())


def test_scatter_adds_its_convolution_and_darkens_the_middle():
    p = analytic(DISC) / 10 * 0.2
    strength, width = 0.1, 10.0
    spoiled = with_scatter(p, strength, width)
    place = torch.arange(SCANNER.detectors, dtype=torch.float64)
    kernel = torch.exp(-(((place[:, None] - place[None]) / width) ** 2) / 2)
    kernel = kernel / torch.exp(-((torch.arange(-40, 41).double() / width) ** 2) / 2).sum()
    kernel = torch.where((place[:, None] - place[None]).abs() <= 40, kernel, 0.0)
    expected = torch.exp(-p) + strength * (p * torch.exp(-p)) @ kernel
    torch.testing.assert_close(torch.exp(-spoiled), expected)
    assert torch.equal(with_scatter(p, 0.0), p)
    image = in_hu(spoiled, 0.2)
    assert profile(image, 0.0) < profile(image, 78.0) - 20
    stronger = in_hu(with_scatter(p, 2 * strength, width), 0.2)
    assert profile(stronger, 0.0) < profile(image, 0.0) - 20


def test_a_moved_object_is_the_object_elsewhere():
    resting = [Ellipse(1.0, 0.35, 0.2, 0.2, -0.1, 20.0)]
    moved = [Ellipse(1.0, 0.35, 0.2, 0.2 * math.cos(0.5) + 0.1 * math.sin(0.5) + 0.05,
                     0.2 * math.sin(0.5) - 0.1 * math.cos(0.5) - 0.08, 20.0 + math.degrees(0.5))]  # fmt: skip
    image = draw(resting, SIZE).double()
    late = torch.arange(120) >= 60
    shift = torch.tensor([0.05, -0.08]).double() * HALF_MM * late[:, None]
    found = moved_sinogram(image, SCANNER, shift, math.degrees(0.5) * late.double())
    expected = torch.where(late[:, None], analytic(moved), analytic(resting)) / 10
    still = (SCANNER.forward(image) - analytic(resting) / 10).norm() / (analytic(resting) / 10).norm()
    assert float((found - expected).norm() / expected.norm()) < 1.3 * float(still) < 0.05
    rest = moved_sinogram(image, SCANNER, torch.zeros(120, 2), torch.zeros(120))
    torch.testing.assert_close(rest, SCANNER.forward(image), rtol=0, atol=1e-12)
    # A shift of the whole scan is a shift of the picture.
    whole = moved_sinogram(image, SCANNER, torch.tensor([[2 * PIXEL, 0.0]]).expand(120, 2), torch.zeros(120))
    there, here = fbp(whole, SCANNER)[2:], fbp(SCANNER.forward(image), SCANNER)[:-2]
    assert float((there - here).norm() / here.norm()) < 0.02  # measured: 0.012, the interpolations of the two


def test_fewer_views_are_the_same_views():
    image = draw(DISC, SIZE) * 0.2
    sinogram = SCANNER.forward(image)
    few, scanner = every_nth_view(sinogram, SCANNER, 6)
    torch.testing.assert_close(few, scanner.forward(image))
    same, whole = every_nth_view(sinogram, SCANNER, 1)
    assert torch.equal(same, sinogram) and torch.equal(whole.angles_deg, SCANNER.angles_deg)
    outside = (torch.arange(SIZE) < 10)[:, None] & torch.ones(SIZE, dtype=torch.bool)
    streaks = [float(fbp(*every_nth_view(sinogram, SCANNER, step))[outside].std()) for step in (1, 4, 12)]
    assert streaks[0] < streaks[1] / 2 < streaks[2] / 4


def test_a_short_detector_makes_a_bright_rim_and_extension_helps():
    sinogram = analytic(DISC) / 10 * 0.2
    assert torch.equal(truncated(sinogram, SCANNER, math.inf), sinogram)
    cut = truncated(sinogram, SCANNER, 60.0)
    inside = SCANNER.offsets_mm.abs() <= 60.0
    assert torch.equal(cut[:, inside], sinogram[:, inside]) and float(cut[:, ~inside].abs().max()) == 0
    extended = truncated(sinogram, SCANNER, 60.0, extended=True)
    assert torch.equal(extended[:, inside], sinogram[:, inside])
    assert float(extended[:, SCANNER.offsets_mm.abs() > 92.0].abs().max()) < 1e-12
    rim, mended = (profile(in_hu(one, 0.2), 55.0) for one in (cut, extended))
    assert rim > 300 and abs(mended) < rim / 3


@pytest.mark.parametrize("scanner", [SCANNER, FanBeam(torch.arange(40) * 9.0, SIZE, source_mm=500.0, pixel_mm=PIXEL)])
def test_hardening_is_differentiable_in_the_shares_for_every_scanner(scanner):
    shares = torch.stack([draw(DISC, SIZE), draw([Ellipse(1.0, 0.1, 0.1)], SIZE)]).requires_grad_()
    p = hardened_sinogram(path_lengths_mm(shares, scanner), ["water", "iron"], BEAM)
    assert p.shape == scanner.range_shape and p.dtype == torch.float32
    (gradient,) = torch.autograd.grad(p.sum(), shares)
    assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0


P = torch.ones(120, SCANNER.detectors)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: hardened_sinogram(torch.ones(3, 1), ["water"], BEAM, 1.5),
            "strength is 1.5, expected a number from 0",
        ),
        (lambda: WaterCorrection(BEAM, degree=0), "degree is 0, expected a whole number from 1 to 9"),
        (lambda: WaterCorrection(BEAM, longest_mm=-1.0), "longest_mm is -1.0, expected one number above 0 mm"),
        (lambda: WaterCorrection(BEAM)(torch.tensor([math.nan])), "line_integrals contains NaN"),
        (lambda: with_noise(P, 0.0, generator()), "photons is 0.0, expected one number above 0"),
        (lambda: with_noise(P, 10.0, generator(), -1.0), "electronic_noise is -1, expected 0 photons or more"),
        (lambda: with_noise(P / 0, 10.0, generator()), "line_integrals contains infinity"),
        (lambda: with_scatter(P, -0.1), "strength is -0.1, expected a number from 0 to 1"),
        (lambda: with_scatter(P, 0.1, 0.0), "width is 0.0, expected one number above 0 elements"),
        (lambda: with_gains(P, torch.ones(3)), r"gains has shape \(3,\), expected \(183,\)"),
        (lambda: with_gains(P, torch.zeros(183)), "gains contains 0, expected numbers above 0"),
        (lambda: draw_gains(3, -0.1, generator()), "strength is -0.1, expected 0"),
        (lambda: every_nth_view(P, SCANNER, 0), "step is 0, expected a whole number"),
        (lambda: truncated(P, SCANNER, 0.0), "radius_mm is 0.0, expected one number above 0 mm"),
        (lambda: truncated(P[:, 1:], SCANNER, 50.0), "sinograms has shape"),
        (
            lambda: moved_sinogram(torch.ones(SIZE, SIZE), SCANNER, torch.zeros(3, 2), torch.zeros(120)),
            r"shift_mm has shape \(3, 2\), expected \(120, 2\)",
        ),
        (
            lambda: moved_sinogram(torch.ones(SIZE, SIZE), SCANNER, torch.zeros(120, 2), torch.zeros(3)),
            r"turn_deg has shape \(3,\), expected \(120,\)",
        ),
        (
            lambda: moved_sinogram(torch.ones(SIZE, SIZE), object(), torch.zeros(120, 2), torch.zeros(120)),
            "scanner is a object, expected a ParallelBeam",
        ),
    ],
)
def test_what_is_no_artefact_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as refusal:
        call()
    assert "\n" not in str(refusal.value)
