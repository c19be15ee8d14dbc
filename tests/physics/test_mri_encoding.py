"""The Fourier pair, gradients played to spins, masks and conjugate symmetry."""

import math

import numpy as np
import pytest
import torch

from medlab.physics import phantoms
from medlab.physics.mri.encoding import (
    FourierTransform,
    Gradient,
    Readout,
    acceleration,
    centre_lines,
    encode,
    equispaced_lines,
    fill_from_symmetry,
    gradient_hz,
    mirrored,
    partial_fourier,
    random_lines,
    to_image,
    to_kspace,
)
from medlab.physics.mri.spins import Delay, Pulse, Spins, read_at
from medlab.physics.mri.spins import run as play
from tests.physics.battery import check_gradients, check_operator, check_refusals

SHAPES = [(8, 6), (7, 5), (9, 4), (1, 5), (6, 5, 4), (3, 4, 5)]


def noise(shape, seed=0, dtype=torch.complex128):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_pair_is_numpys_and_inverse(shape):
    image, axes = noise((2, *shape)), tuple(range(-len(shape), 0))
    expected = np.fft.fftn(np.fft.ifftshift(image.numpy(), axes), axes=axes, norm="ortho")
    kspace = to_kspace(image, len(shape))
    np.testing.assert_allclose(kspace.numpy(), np.fft.fftshift(expected, axes), atol=1e-13)
    torch.testing.assert_close(to_image(kspace, len(shape)), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_energy_stays(shape):
    image = noise(shape)
    assert math.isclose(to_kspace(image, len(shape)).norm(), image.norm(), rel_tol=1e-12)


def test_kspace_is_the_sum_that_the_docstring_says():
    image = noise((5, 4))
    x, y = torch.arange(5.0).double() - 2, torch.arange(4.0).double() - 2
    for u in range(5):
        for v in range(4):
            wave = torch.exp(-2j * math.pi * ((u - 2) * x[:, None] / 5 + (v - 2) * y / 4))
            assert abs((image * wave).sum() / math.sqrt(20) - to_kspace(image)[u, v]) < 1e-12


@pytest.mark.parametrize("shape", [(8, 6), (7, 5)])
def test_a_shift_is_a_linear_phase(shape):
    image = noise(shape)
    y = (torch.arange(shape[1]) - shape[1] // 2).double()
    turned = to_kspace(image) * torch.exp(-2j * math.pi * 2 * y / shape[1])
    torch.testing.assert_close(to_image(turned), image.roll(2, -1))


def test_kspace_of_an_ellipse_is_its_formula():
    ellipse = [phantoms.Ellipse(1.0, 0.5, 0.3, 0.1, -0.05, 20)]
    kspace = to_kspace(phantoms.draw(ellipse, 128, finer=8).double())
    u = (torch.arange(128) - 64.0).double() / 2  # cycles a unit: the field of view is 2 units wide
    # Index 64 of the image is the pixel whose centre lies half a pixel, 1/128, beyond 0.
    phase = torch.exp(2j * math.pi * (u[:, None] + u) / 128)
    exact = phantoms.fourier_transform(ellipse, u[:, None], u) * phase * 64**2 / 128
    near = slice(56, 73)
    assert (kspace - exact)[near, near].abs().max() < 2e-3 * exact.abs().max()


def test_single_precision_stays_single():
    assert to_kspace(torch.ones(4, 4)).dtype == torch.complex64
    assert to_kspace(torch.ones(4, 4, dtype=torch.float64)).dtype == torch.complex128


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "mask"), [((6, 5), None), ((6, 5), torch.arange(5) % 2 == 0), ((3, 4, 5), None)])
def test_operator_passes_the_battery(shape, mask, dtype):
    operator = FourierTransform(shape, mask)
    check_operator(operator, dtype, batch=(2, 3))
    check_gradients(operator)
    check_refusals(operator)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: to_kspace([1.0]), "image is a list, expected a tensor"),
        (lambda: to_kspace(torch.ones(4)), r"image has shape \(4,\), expected at least 2"),
        (lambda: to_kspace(torch.ones(4, 4, dtype=torch.int32)), "image has dtype torch.int32"),
        (lambda: to_image(torch.full((4, 4), math.nan)), "kspace contains NaN"),
        (lambda: to_kspace(torch.ones(4, 4), 4), "dims is 4, expected 2"),
        (lambda: FourierTransform((4, 4), torch.ones(4)), "mask has dtype torch.float32"),
        (lambda: FourierTransform((4, 4), torch.ones(3, dtype=torch.bool)), r"mask has shape \(3,\)"),
        (lambda: FourierTransform((4, 0)), "shape is 0, expected a whole number"),
        (lambda: fill_from_symmetry(torch.ones(4, 4), None), "mask is None"),
        (lambda: Readout((4, 0), (10, 10)), r"matrix\[1\] is 0"),
        (lambda: Readout((4, 4), (10, -1)), r"fov_mm\[1\] is -1, expected a number above 0"),
        (lambda: Readout((4, 4), (10, 10), dwell_ms=0), "dwell_ms is 0"),
        (lambda: Gradient(-1.0, torch.zeros(3)), "time_ms is -1.0, expected a number of at least 0"),
        (lambda: gradient_hz((1.0,), torch.zeros(3, 2)), "places_mm has shape"),
        (lambda: encode(Spins(1.0, 1.0), torch.zeros(3, 2), Readout((4, 4), (10, 10))), "places_mm has shape"),
        (lambda: acceleration(torch.zeros(4, dtype=torch.bool)), "has 0 lines"),
        (lambda: centre_lines(8, 9), "count is 9, expected a whole number from 0 to 8"),
        (lambda: partial_fourier(8, 0.4), "fraction is 0.4, expected a number above 0.5"),
        (lambda: partial_fourier(8, 0.51), "expected enough to reach the middle"),
        (lambda: partial_fourier(8, 0.8, keep="top"), "keep is 'top'"),
        (lambda: equispaced_lines(8, 9), "every is 9, expected a whole number from 1 to 8"),
        (lambda: equispaced_lines(8, 2, offset=2), "offset is 2"),
        (lambda: random_lines(8, 0.5, torch.Generator()), "factor is 0.5, expected a number of at least 1"),
        (lambda: random_lines(8, 4, torch.Generator(), calibration=3), "calibration is 3, expected at most the 2"),
    ],
)
def test_refusals(act, said):
    with pytest.raises(ValueError, match=said):
        act()


def excited(values, off_resonance_hz=0.0, t2_ms=math.inf):
    """Spins whose transverse magnetisation is values (S,), as after a pulse."""
    vector = torch.stack((values.real, values.imag, torch.zeros_like(values.real)), -1)
    return Spins(math.inf, t2_ms, off_resonance_hz, proton_density=0.0, magnetisation=vector)


@pytest.mark.parametrize("matrix", [(16, 12), (15, 11)])
def test_gradients_write_the_fourier_transform(matrix):
    image = noise(matrix, dtype=torch.complex64)
    readout = Readout(matrix, (240.0, 180.0))
    kspace = encode(excited(image.flatten()), readout.places_mm().reshape(-1, 2), readout)
    torch.testing.assert_close(kspace, to_kspace(image.conj()), rtol=0, atol=1e-5)


def test_gradients_write_the_fourier_transform_in_double():
    image = noise((16, 12))
    readout = Readout((16, 12), (240.0, 180.0), dwell_ms=0.02, encode_ms=0.7)
    kspace = encode(excited(image.flatten()), readout.places_mm().reshape(-1, 2), readout)
    torch.testing.assert_close(kspace, to_kspace(image.conj()), rtol=0, atol=1e-11)


def test_off_resonance_moves_the_image_along_the_readout():
    readout = Readout((16, 12), (160.0, 120.0), dwell_ms=0.05)
    image = torch.zeros(16, 12, dtype=torch.complex128)
    image[5, 3], image[9, 8] = 1.0, 2.0
    off_hz = 3 * readout.bandwidth_hz / 16
    assert math.isclose(readout.shift_voxels(off_hz), 3)
    places = readout.places_mm().reshape(-1, 2)
    found = to_image(encode(excited(image.flatten(), torch.tensor(off_hz).double()), places, readout))
    torch.testing.assert_close(found.abs(), image.abs().roll(3, 0), rtol=0, atol=1e-10)


def test_decay_during_the_readout_weights_each_sample_by_its_time():
    readout = Readout((8, 6), (80.0, 60.0), dwell_ms=1.0)
    image = noise((8, 6)).real.to(torch.complex128)
    places = readout.places_mm().reshape(-1, 2)
    found = encode(excited(image.flatten(), t2_ms=7.0), places, readout)
    times = readout.encode_ms + torch.arange(8.0).double()[:, None]
    torch.testing.assert_close(found, to_kspace(image) * torch.exp(-times / 7.0), rtol=0, atol=1e-10)
    assert readout.echo_time_ms == 5.0


def test_a_wide_voxel_of_spins_is_an_image_of_their_mean():
    # Many spins a voxel, all alike: k-space is that of the object times the transform of a voxel, a sinc.
    readout = Readout((8, 6), (80.0, 60.0))
    image = noise((8, 6)).real
    fine = image.repeat_interleave(20, 0).repeat_interleave(20, 1).to(torch.complex128)
    found = encode(excited(fine.flatten()), readout.places_mm(20).reshape(-1, 2), readout)
    kx, ky = readout.k_per_mm(0)[:, None] * 10, readout.k_per_mm(1) * 10
    torch.testing.assert_close(found, to_kspace(image) * torch.sinc(kx) * torch.sinc(ky), rtol=0, atol=2e-3)


def test_a_gradient_is_an_event_that_can_be_cut():
    hz = gradient_hz((2.0, 1.0), torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    torch.testing.assert_close(hz, torch.tensor([2.0, 3.0]).double() * 42.577478461)
    spins = Spins(1000.0, 80.0, torch.tensor([3.0, -4.0]))
    whole = play(spins, [Pulse(90, 90), Gradient(4.0, hz), Delay(1.0)], dim=()).spins
    cut = play(spins, read_at([Pulse(90, 90), Gradient(4.0, hz), Delay(1.0)], [1.5, 2.5]), dim=()).spins
    torch.testing.assert_close(cut.transverse, whole.transverse)
    moved = Spins(1000.0, 80.0, torch.tensor([3.0, -4.0]) + hz.float()).pulse(90, 90).evolve(4.0)
    plain = Gradient(4.0, hz).apply(spins.pulse(90, 90))
    torch.testing.assert_close(plain.transverse, moved.transverse, rtol=0, atol=1e-5)


def test_opposite_gradients_refocus():
    hz = gradient_hz((10.0, 5.0), torch.randn(50, 2, generator=torch.Generator().manual_seed(1)) * 100)
    spins = Spins(math.inf, math.inf, torch.zeros(50)).pulse(90, 90)
    torch.testing.assert_close(
        Gradient(2.0, -hz).apply(Gradient(2.0, hz).apply(spins)).transverse, spins.transverse, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("lines", [64, 65])
def test_masks_have_exact_counts_and_hold_the_middle(lines):
    generator = torch.Generator().manual_seed(0)
    cases = {
        partial_fourier(lines, 0.75): round(0.75 * lines),
        partial_fourier(lines, 5 / 8, keep="high"): round(5 / 8 * lines),
        random_lines(lines, 4, generator, calibration=8, decay=2.0): round(lines / 4),
        random_lines(lines, 3, generator, calibration=1): round(lines / 3),
        centre_lines(lines, 10): 10,
        equispaced_lines(lines, 1): lines,
    }
    for mask, count in cases.items():
        assert int(mask.sum()) == count and mask.dtype == torch.bool and mask[lines // 2]
        assert acceleration(mask) == lines / count


def test_equispaced_lines_are_a_comb_with_a_full_middle():
    mask = equispaced_lines(64, 4, calibration=8)
    assert set(mask.nonzero().flatten().tolist()) == set(range(0, 64, 4)) | set(range(28, 36))
    assert acceleration(equispaced_lines(64, 4)) == 4
    assert equispaced_lines(64, 4, offset=1)[33]


def test_random_lines_are_reproducible_and_dense_in_the_middle():
    first, again, other = (random_lines(256, 4, torch.Generator().manual_seed(s), decay=3.0) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    away = (torch.arange(256) - 128).abs()
    means = {}
    for decay in (0.0, 3.0):
        masks = [random_lines(256, 4, torch.Generator().manual_seed(s), decay=decay) for s in range(20)]
        means[decay] = float(torch.cat([away[mask].double() for mask in masks]).mean())
    assert abs(means[0.0] - 64) < 5 and means[3.0] < 40


@pytest.mark.parametrize("shape", [(8, 6), (7, 5), (8, 5)])
def test_real_images_are_their_own_mirror(shape):
    kspace = to_kspace(noise(shape).real)
    torch.testing.assert_close(mirrored(kspace), kspace)
    assert (mirrored(to_kspace(noise(shape))) - to_kspace(noise(shape))).abs().max() > 0.1
    torch.testing.assert_close(mirrored(mirrored(kspace)), kspace)


@pytest.mark.parametrize(("lines", "keep"), [(16, "low"), (17, "low"), (17, "high")])
def test_half_a_kspace_and_a_line_give_a_real_image_exactly(lines, keep):
    image = noise((12, lines)).real
    mask = partial_fourier(lines, 0.6, keep=keep)
    kspace = to_kspace(image)
    filled = fill_from_symmetry(kspace * mask, mask)
    torch.testing.assert_close(to_image(filled).real, image)
    # Where nothing was measured on either side there is nothing to take.
    holes = mask & ~centre_lines(lines, 3) | (torch.arange(lines) == lines // 2)
    assert int((fill_from_symmetry(kspace * holes, holes) == 0).all(0).sum()) == 2
