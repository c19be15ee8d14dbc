"""Each artefact against its formula."""

import math

import pytest
import torch

from medlab.physics.mri import artifacts as art
from medlab.physics.mri.encoding import Readout, centre_lines, encode, to_image, to_kspace
from medlab.physics.mri.spins import Spins


def noise(shape, seed=0, dtype=torch.complex128):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(shape=(48, 40), centre=(4.0, -3.0), width=3.0):
    """A smooth bump that the grid holds to rounding."""
    x, y = (torch.arange(size).double() - size // 2 - c for size, c in zip(shape, centre, strict=True))
    return torch.exp(-(x[:, None] ** 2 + y**2) / (2 * width**2))


REST = art.Motion(torch.zeros(16, 2), torch.zeros(16))
EACH = {
    "gibbs": lambda image, s: art.gibbs(image, 0.5 * s),
    "motion": lambda image, s: art.move_during_scan(image, art.draw_motion(16, s, seeded())),
    "susceptibility": lambda image, s: art.susceptibility(
        image, blob((20, 16)) * 30, s, echo_time_ms=10, bandwidth_hz=1e3, through_slice_hz=blob((20, 16)) * 50
    ),
    "bias": lambda image, s: art.add_bias(image, s, seeded()),
    "fold": lambda image, s: art.fold(image, s, every=4),
    "noise": lambda image, s: art.rician_noise(image, s, seeded()),
    "spike": lambda image, s: art.spike(image, s, generator=seeded()),
    "zipper": lambda image, s: art.zipper(image, s, seeded(), frequency_hz=130.0, bandwidth_hz=1e3),
}


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float64])
def test_strength_0_leaves_the_image_and_1_does_not(name, dtype):
    image = noise((2, 20, 16)).abs().to(dtype)
    before = image.clone()
    assert torch.equal(EACH[name](image, 0.0), image)
    spoiled = EACH[name](image, 1.0)
    assert spoiled.shape == image.shape and spoiled.dtype == image.dtype
    assert float((spoiled - image).abs().max()) > 0.01
    assert torch.equal(spoiled, EACH[name](image, 1.0))  # the same seed, the same image
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", EACH)
def test_weak_is_weaker_than_strong(name):
    image = noise((20, 16)).abs()
    weak, strong = (float((EACH[name](image, s) - image).abs().mean()) for s in (0.2, 0.8))
    assert 0 < weak < strong


@pytest.mark.parametrize("name", EACH)
def test_negative_strength_and_images_that_are_none_are_refused(name):
    image = noise((20, 16)).abs()
    with pytest.raises(ValueError, match="strength is"):
        EACH[name](image, -0.1)
    with pytest.raises(ValueError, match="image has values down to"):
        EACH[name](-image, 1.0)
    with pytest.raises(ValueError, match="image contains NaN"):
        EACH[name](image * math.nan, 1.0)


def test_gibbs_overshoots_by_9_per_cent_of_a_step():
    step = torch.zeros(2, 4096, dtype=torch.complex128)
    step[:, 1024:3072] = 1
    for kept in (129, 257):
        ringing = art.gibbs(step, 1 - kept / 4096)[0].real
        assert abs(float(ringing.max()) - 1 - art.GIBBS_OVERSHOOT) < 2e-3
        # The largest wave lies one cut-off voxel inside, half a wave of 2 / (1 - strength).
        assert abs(int(ringing[1024:1200].argmax()) + 0.5 - 4096 / kept) < 2


def test_step_response_is_the_sine_integral():
    special = pytest.importorskip("scipy.special")
    places = torch.linspace(-7.3, 9.1, 301).double()
    expected = 0.5 + torch.from_numpy(special.sici(math.pi * places.numpy())[0]) / math.pi
    torch.testing.assert_close(art.step_response(places), expected, rtol=0, atol=1e-13)
    peak = float(art.step_response(torch.tensor([1.0]))) - 1
    assert abs(peak - art.GIBBS_OVERSHOOT) < 1e-13


def test_gibbs_follows_the_step_response():
    step = torch.zeros(2, 4096, dtype=torch.complex128)
    step[:, 1024:3072] = 1
    found = art.gibbs(step, 1 - 129 / 4096)[0, 1024 - 150 : 1024 + 150].real
    places = (torch.arange(-150, 150) + 0.5) * 129 / 4096
    # The other edge of the box adds its own, much weaker waves here.
    assert float((found - art.step_response(places)).abs().max()) < 0.01


def test_gibbs_along_both_axes_keeps_the_middle_of_kspace():
    image = noise((20, 16))
    middle = centre_lines(20, 10)[:, None] & centre_lines(16, 8)
    torch.testing.assert_close(to_kspace(art.gibbs(image, 0.5, axes=(-1, -2))), to_kspace(image) * middle)


def test_a_steady_shift_moves_the_image():
    image = noise((20, 16))
    steady = art.Motion(torch.tensor([[4.0, -3.0]]).expand(16, 2), torch.zeros(16))
    torch.testing.assert_close(art.move_during_scan(image, steady, spacing_mm=(2.0, 1.0)), image.roll((2, -3), (0, 1)))


def test_each_line_has_the_phase_of_its_own_shift():
    image, shift = noise((20, 16)), noise((16, 2), seed=4).real
    order = torch.randperm(16, generator=seeded(1))
    moved = art.move_during_scan(image, art.Motion(shift, torch.zeros(16)), spacing_mm=(0.8, 1.3), order=order)
    ratio = to_kspace(moved) / to_kspace(image)
    u, v = torch.arange(20).double()[:, None] - 10, torch.arange(16).double() - 8
    when = torch.argsort(order)
    at = shift[when]
    expected = torch.exp(-2j * math.pi * (u / 20 * at[:, 0] / 0.8 + v / 16 * at[:, 1] / 1.3))
    torch.testing.assert_close(ratio, expected)


def test_alternate_shifts_make_a_ghost_half_a_field_of_view_away():
    # Every second line from an object moved by d: (m + m_d) / 2 in place and (m - m_d) / 2 at half the field of view.
    image = blob().to(torch.complex128)
    shift = torch.zeros(40, 2)
    shift[1::2, 1] = 2.0
    found = art.move_during_scan(image, art.Motion(shift, torch.zeros(40)))
    moved = image.roll(2, 1)
    torch.testing.assert_close(found, (image + moved) / 2 + ((image - moved) / 2).roll(20, 1))


def test_turning_is_exact_keeps_energy_and_can_be_undone():
    image = blob((64, 64)).to(torch.complex128)
    turned = art.rotate(image, 30.0)
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    expected = blob((64, 64), (4 * cos + 3 * sin, 4 * sin - 3 * cos))
    torch.testing.assert_close(turned.real, expected, rtol=0, atol=1e-9)
    assert math.isclose(turned.norm(), image.norm(), rel_tol=1e-12)
    torch.testing.assert_close(art.rotate(turned, -30.0), image, rtol=0, atol=1e-9)
    still = art.Motion(torch.zeros(64, 2), torch.full((64,), 30.0))
    torch.testing.assert_close(art.move_during_scan(image, still), turned, rtol=0, atol=1e-12)


def test_turning_knows_the_spacing():
    x = (torch.arange(64).double() - 32) * 0.5
    y = (torch.arange(48).double() - 24) * 0.8
    ring = lambda cx, cy: torch.exp(-((x[:, None] - cx) ** 2 + (y - cy) ** 2) / 8)  # noqa: E731
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    found = art.rotate(ring(3.0, 2.0).to(torch.complex128), 20.0, spacing_mm=(0.5, 0.8)).real
    torch.testing.assert_close(found, ring(3 * cos - 2 * sin, 3 * sin + 2 * cos), rtol=0, atol=1e-6)


def test_drawn_motion_scales_with_strength_and_begins_at_rest():
    motion, double = (art.draw_motion(200, s, seeded(3), jumps=5) for s in (1.5, 3.0))
    torch.testing.assert_close(double.shift_mm, 2 * motion.shift_mm)
    assert not motion.at_rest and art.draw_motion(200, 0.0, seeded(3)).at_rest
    assert float(motion.shift_mm[0].abs().max()) == 0
    assert len(motion.angle_deg.unique()) == 6
    drawn = torch.cat([art.draw_motion(20, 2.0, seeded(s)).shift_mm[-1] for s in range(300)])
    assert abs(float(drawn.std()) - 2) < 0.2


def test_a_shifted_field_moves_the_image_by_whole_voxels():
    image = blob((48, 40)).to(torch.complex128)
    off = torch.full((48, 40), 3 * 1000.0 / 48)  # 3 voxels: Hz x voxels / bandwidth
    found = art.susceptibility(image, off, echo_time_ms=7.0, bandwidth_hz=1000.0)
    phase = torch.exp(torch.tensor(-2j * math.pi * 3000 / 48 * 0.007))
    torch.testing.assert_close(found, image.roll(3, 0) * phase)


def test_a_bent_field_is_what_spins_under_gradients_do():
    shape = (16, 12)
    readout = Readout(shape, (160.0, 120.0), dwell_ms=0.1, encode_ms=2.0)
    image, off = noise(shape).real, 60 * noise(shape, seed=2).real
    vector = torch.stack((image, torch.zeros(shape), torch.zeros(shape)), -1).reshape(-1, 3)
    spins = Spins(math.inf, math.inf, off.flatten(), proton_density=0.0, magnetisation=vector)
    expected = to_image(encode(spins, readout.places_mm().reshape(-1, 2), readout))
    # One spin a voxel does not dephase inside it: its loss is divided out.
    kept = torch.sinc(torch.gradient(off)[0] * readout.echo_time_ms / 1000)
    kept = kept * torch.sinc(torch.gradient(off)[1] * readout.echo_time_ms / 1000)
    found = art.susceptibility(
        (image / kept).to(torch.complex128),
        off,
        echo_time_ms=readout.echo_time_ms,
        bandwidth_hz=readout.bandwidth_hz,
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_signal_is_lost_as_a_sinc_of_the_slope():
    image = torch.ones(16, 12, dtype=torch.complex128)
    slope = 20 * torch.arange(12).double().expand(16, 12)  # 20 Hz a voxel along Y
    found = art.susceptibility(image, slope, echo_time_ms=20.0, bandwidth_hz=1e9, through_slice_hz=slope * 0 + 10)
    expected = math.sin(0.4 * math.pi) / (0.4 * math.pi) * math.sin(0.2 * math.pi) / (0.2 * math.pi)
    torch.testing.assert_close(found.abs(), torch.full((16, 12), expected).double(), rtol=0, atol=1e-6)
    # The sinc is the mean over spins that lie evenly in the voxel.
    inside = (torch.arange(10000).double() + 0.5) / 10000 - 0.5
    assert (
        abs(float(torch.cos(2 * math.pi * inside * 20 * 0.02).mean()) - math.sin(0.4 * math.pi) / 0.4 / math.pi) < 1e-6
    )


def test_field_of_a_sphere():
    places = torch.tensor([[0.0, 0, 20], [20, 0, 0], [0, 0, 5], [0, 0, 40]])
    found = art.sphere_field_hz(places, (0.0, 0.0, 0.0), 10.0, field_t=3.0, difference_ppm=9.4)
    scale = 9.4 / 3 * 42.577478461 * 3
    torch.testing.assert_close(found, scale * torch.tensor([2 / 8, -1 / 8, 0, 2 / 64]).double())
    # A field without sources in the place obeys Laplace's equation.
    h = 0.01
    middle = torch.tensor([11.0, 6.0, 9.0]).double()
    around = torch.cat((torch.eye(3), -torch.eye(3))).double() * h + middle
    values = art.sphere_field_hz(torch.cat((around, middle[None])), (0.0, 0.0, 0.0), 10.0)
    curvatures = (values[:3] + values[3:6] - 2 * values[6]) / h**2
    assert abs(float(curvatures.sum())) < 1e-4 * float(curvatures.abs().max())


@pytest.mark.parametrize("every", [2, 4])
def test_fold_over_lies_where_the_formula_says(every):
    image, strength = noise((20, 16)), 0.7
    ghosts = sum(image.roll(j * 16 // every, -1) for j in range(every))
    expected = (1 - strength) * image + strength / every * ghosts
    torch.testing.assert_close(art.fold(image, strength, every=every), expected)


def test_a_small_field_of_view_folds_onto_itself():
    image = noise((20, 16))
    found = art.shrink_field_of_view(image, 2)
    # Measuring every second line is the same.
    torch.testing.assert_close(to_kspace(found), to_kspace(image)[:, ::2] * math.sqrt(2))
    inside = torch.zeros(20, 16, dtype=torch.complex128)
    inside[:, 4:12] = noise((20, 8))
    torch.testing.assert_close(art.shrink_field_of_view(inside, 2), inside[:, 4:12])


def test_noise_is_rician():
    image = torch.zeros(400, 400)
    image[0, 0] = 1.0
    found = art.rician_noise(image, 0.1, seeded())[1:]
    assert abs(float(found.mean()) / (0.1 * math.sqrt(math.pi / 2)) - 1) < 0.01
    assert abs(float(found.square().mean()) / (2 * 0.01) - 1) < 0.01
    strong = art.rician_noise(torch.ones(400, 400), 0.02, seeded())
    assert abs(float(strong.mean()) - math.sqrt(1 + 0.02**2)) < 2e-4 and abs(float(strong.std()) / 0.02 - 1) < 0.01


def test_a_spike_is_a_plane_wave_of_its_amplitude():
    image = noise((20, 16))
    wave = art.spike(image, 0.3, place=(3, -5)) - image
    x, y = torch.arange(20).double() - 10, torch.arange(16).double() - 8
    expected = 0.3 * image.abs().max() * torch.exp(2j * math.pi * (3 * x[:, None] / 20 - 5 * y / 16))
    torch.testing.assert_close(wave, expected)
    drawn = art.spike(image, 0.3, generator=seeded(2)) - image
    torch.testing.assert_close(drawn.abs(), torch.full((20, 16), 0.3).double() * image.abs().max())


def test_a_zipper_is_a_line_where_its_frequency_is_read():
    image = noise((20, 160))
    line = art.zipper(image, 0.5, seeded(), frequency_hz=150.0, bandwidth_hz=1000.0) - image
    assert float(line[torch.arange(20) != 13].abs().max()) < 1e-12  # 10 + 150 x 20 / 1000
    size = 0.5 * float(image.abs().max())
    assert math.isclose(line[13].abs().square().mean().sqrt(), size, rel_tol=1e-12)
    assert float(line[13].abs().min()) < 0.4 * size < 1.6 * size < float(line[13].abs().max())


def test_bias_is_smooth_and_reaches_its_strength():
    for shape in ((40, 30), (20, 24, 16)):
        field = art.bias_field(shape, 0.3, seeded(1))
        assert field.shape == shape and field.dtype == torch.float32
        logarithm = field.double().log()
        assert abs(float(logarithm.abs().max()) - 0.3) < 1e-6
        # It turns at most order / 2 times over the field of view: a cosine of order 3 has the slope 3 pi / n.
        assert float(max(part.abs().max() for part in torch.gradient(logarithm))) < 0.3 * 2 * 3 * math.pi / min(shape)
        torch.testing.assert_close(art.bias_field(shape, 0.6, seeded(1)).log(), 2 * logarithm.float())
    volume = torch.ones(1, 20, 24, 16)
    torch.testing.assert_close(
        art.add_bias(volume, 0.3, seeded(1), dims=3)[0], art.bias_field((20, 24, 16), 0.3, seeded(1))
    )


def test_n4_takes_a_known_field_away():
    pytest.importorskip("SimpleITK")
    size = 64
    x = (torch.arange(size) - 31.5) / 32
    radius = torch.hypot(x[:, None], x)
    white = radius < 0.45
    image = 0.9 * white + 0.6 * ((radius >= 0.45) & (radius < 0.8))
    image = image + 0.01 * torch.randn(size, size, generator=seeded(5)) * (radius < 0.8)
    shaded = art.add_bias(image.clamp(min=0).float(), 0.4, seeded(1))
    corrected, field = art.n4_correction(shaded, radius < 0.8)
    spread = lambda values: float(values[white].std() / values[white].mean())  # noqa: E731
    assert spread(shaded) > 0.05
    assert spread(corrected) < 0.4 * spread(shaded) and spread(corrected) < 0.03
    assert abs(float(field[radius < 0.8].mean()) - 1) < 1e-5
    torch.testing.assert_close(corrected * field, shaded)


IMAGE = torch.ones(8, 8)
FIELD = torch.zeros(8, 8)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: art.gibbs(IMAGE, 1.0), "strength is 1.0"),
        (lambda: art.gibbs(IMAGE, 0.5, axes=(0,)), r"axes are \(0,\)"),
        (lambda: art.Motion(torch.zeros(3, 2), torch.zeros(4)), "shift_mm has shape"),
        (lambda: art.Motion(torch.zeros(3, 2), torch.full((3,), 50.0)), "angle_deg reaches 50.0"),
        (lambda: art.move_during_scan(IMAGE, REST), "motion has 16 poses, expected one for each of 8 lines"),
        (
            lambda: art.move_during_scan(torch.ones(8, 16), REST, order=torch.zeros(16, dtype=torch.long)),
            "order has shape",
        ),
        (lambda: art.move_during_scan(torch.ones(8, 16), REST, spacing_mm=(0, 1)), r"spacing_mm\[0\] is 0"),
        (lambda: art.rotate(IMAGE.to(torch.complex64), 60.0), "angle_deg is 60.0"),
        (lambda: art.draw_motion(8, 1.0, seeded(), jumps=8), "jumps is 8"),
        (lambda: art.susceptibility(IMAGE, FIELD[:4], echo_time_ms=1, bandwidth_hz=1), "field_hz is of shape"),
        (lambda: art.susceptibility(IMAGE, FIELD, echo_time_ms=1, bandwidth_hz=0), "bandwidth_hz is 0"),
        (lambda: art.susceptibility(IMAGE, FIELD, echo_time_ms=-1, bandwidth_hz=1), "echo_time_ms is -1"),
        (lambda: art.sphere_field_hz(torch.zeros(3, 2), (0, 0, 0), 1.0), "places_mm is"),
        (lambda: art.fold(IMAGE, 0.5, every=3), "every is 3, expected a divisor of the 8 lines"),
        (lambda: art.shrink_field_of_view(IMAGE, 3), "every is 3"),
        (lambda: art.fold(IMAGE, 1.5), "strength is 1.5, expected a number of at least 0 and at most 1"),
        (lambda: art.spike(IMAGE, 0.5), "place and generator are both None"),
        (lambda: art.spike(IMAGE, 0.5, place=(4, 0)), r"place is \(4, 0\)"),
        (lambda: art.zipper(IMAGE, 1.0, seeded(), frequency_hz=600, bandwidth_hz=1000), "frequency_hz is 600"),
        (lambda: art.bias_field((8,), 0.1, seeded()), r"shape is \(8,\)"),
        (lambda: art.n4_correction(IMAGE, torch.zeros(8, 8)), "mask has shape"),
        (lambda: art.n4_correction(-IMAGE), "image has values down to -1.0"),
        (lambda: art.n4_correction(IMAGE, control_points=3), "control_points is 3"),
        (lambda: art.n4_correction(torch.ones(8)), r"image is \(8,\)"),
    ],
)
def test_refusals(act, said):
    with pytest.raises(ValueError, match=said):
        act()
