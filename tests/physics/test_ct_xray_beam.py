"""Beer and Lambert's law and its noise against formulas."""

import math

import pytest
import torch

from medlab.physics.ct.xray import (
    Spectrum,
    attenuation_per_cm,
    counted,
    effective_attenuation_per_cm,
    line_integral,
    line_integral_deviation,
    noise_excess,
    path_integral,
    transmission,
    tube_spectrum,
)

BEAM = tube_spectrum(120, 6.0)
MATERIALS = ["water", "skull"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_one_energy_follows_the_exponential():
    paths = torch.tensor([[0.0, 0.0], [100.0, 0.0], [150.0, 12.0]], dtype=torch.float64)
    depth = paths @ torch.stack([attenuation_per_cm(name, 70.0) for name in MATERIALS]) / 10
    torch.testing.assert_close(transmission(paths, MATERIALS, 70.0), torch.exp(-depth))
    torch.testing.assert_close(path_integral(paths, MATERIALS, 70.0), depth)
    torch.testing.assert_close(line_integral(transmission(paths, MATERIALS, 70.0)), depth)


@pytest.mark.parametrize("detector", ["integrating", "counting"])
def test_many_energies_are_a_sum_of_exponentials(detector):
    beam = Spectrum(torch.tensor([50.0, 90.0]), torch.tensor([2.0, 1.0]))
    low, high = attenuation_per_cm("water", torch.tensor([50.0, 90.0])).tolist()
    shares = (100 / 190, 90 / 190) if detector == "integrating" else (2 / 3, 1 / 3)
    expected = shares[0] * math.exp(-20 * low) + shares[1] * math.exp(-20 * high)
    found = transmission(torch.tensor([200.0], dtype=torch.float64), ["water"], beam, detector)
    assert found.shape == () and float(found) == pytest.approx(expected, rel=1e-12)


def test_order_of_layers_and_splitting_them_change_nothing():
    there = transmission(torch.tensor([[100.0, 8.0, 50.0]]), ["water", "skull", "water"], BEAM)
    back = transmission(torch.tensor([[8.0, 150.0]]), ["skull", "water"], BEAM)
    torch.testing.assert_close(there, back)
    # What one layer lets through meets the next: the filtered spectrum is the same beam.
    behind = BEAM.filtered(100.0, "water")
    both = transmission(torch.tensor([150.0]), ["water"], BEAM)
    first = transmission(torch.tensor([100.0]), ["water"], BEAM)
    torch.testing.assert_close(both, first * transmission(torch.tensor([50.0]), ["water"], behind))


def test_the_beam_hardens():
    lengths = torch.linspace(0, 300, 61, dtype=torch.float64)[:, None]
    p = line_integral(transmission(lengths, ["water"], BEAM))
    slope = p.diff()
    assert bool((slope.diff() < 0).all()), "each further millimetre must count less than the one before"
    start = effective_attenuation_per_cm("water", BEAM) / 10 * 5
    assert start * 0.98 < float(slope[0]) < start
    straight = line_integral(transmission(lengths, ["water"], 70.0))
    torch.testing.assert_close(straight.diff(), straight.diff()[:1].expand(60))


def test_gradients_flow_to_the_lengths():
    paths = torch.tensor([[30.0, 2.0], [5.0, 0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: transmission(p, MATERIALS, BEAM), (paths,))
    assert torch.autograd.gradcheck(lambda p: line_integral(transmission(p, MATERIALS, BEAM)), (paths,))


def test_precision_shape_and_blocks(monkeypatch):
    paths = 100 * torch.rand(5, 7, 2, generator=generator())
    found = transmission(paths, MATERIALS, BEAM)
    assert found.dtype == torch.float32 and found.shape == (5, 7)
    torch.testing.assert_close(found, transmission(paths.double(), MATERIALS, BEAM).float(), rtol=1e-5, atol=0)
    monkeypatch.setattr("medlab.physics.ct.xray.beam.BLOCK", 500)
    torch.testing.assert_close(transmission(paths, MATERIALS, BEAM), found)
    assert transmission(torch.zeros(0, 2), MATERIALS, BEAM).shape == (0,)


def test_starved_rays_get_the_floor():
    transmitted = torch.tensor([1.0, 1e-9, 0.0, -0.01])
    found = line_integral(transmitted, floor=1e-4)
    torch.testing.assert_close(found, torch.tensor([0.0] + 3 * [math.log(1e4)]))


@pytest.mark.parametrize(("depth_mm", "photons"), [(0.0, 2000.0), (100.0, 2e4), (200.0, 2e5)])
def test_noise_of_a_counted_line_integral_is_one_over_root_n(depth_mm, photons):
    draws = 40_000
    paths = torch.full((draws, 1), depth_mm, dtype=torch.float64)
    p = line_integral(counted(paths, ["water"], 70.0, photons, generator(1), "counting"))
    expected = line_integral_deviation(path_integral(paths[:1], ["water"], 70.0), photons)
    # The standard deviation of a sample of n has the relative error 1 / sqrt(2 n): 0.35 %; five of those.
    assert float(p.std() / expected) == pytest.approx(1, abs=0.018)
    assert float(expected) == pytest.approx(
        math.exp(float(path_integral(paths[:1], ["water"], 70.0)) / 2) / photons**0.5
    )


def test_four_times_the_dose_is_half_the_noise():
    assert float(line_integral_deviation(3.0, 4e5) / line_integral_deviation(3.0, 1e5)) == pytest.approx(0.5)
    assert float(line_integral_deviation(3.0 + math.log(4), 1e5) / line_integral_deviation(3.0, 1e5)) == pytest.approx(
        2
    )


def test_electronic_noise_takes_over_where_few_photons_arrive():
    paths = torch.full((40_000, 1), 250.0, dtype=torch.float64)
    depth = float(path_integral(paths[:1], ["water"], 70.0))
    found = counted(paths, ["water"], 70.0, 1e5, generator(2), electronic_noise=30.0) * 1e5
    arriving = 1e5 * math.exp(-depth)
    assert float(found.mean()) == pytest.approx(arriving, rel=0.002)
    assert float(found.std()) == pytest.approx(math.sqrt(arriving + 900), rel=0.018)
    assert float(line_integral_deviation(depth, 1e5, 30.0)) == pytest.approx(math.sqrt(arriving + 900) / arriving)


def test_an_integrating_detector_is_noisier_by_the_spread_of_energies():
    paths = torch.zeros(40_000, 1, dtype=torch.float64)
    variances = {
        detector: float(counted(paths, ["water"], BEAM, 1e4, generator(3), detector).var()) * 1e4
        for detector in ("integrating", "counting")
    }
    assert variances["counting"] == pytest.approx(1, abs=0.036)
    assert variances["integrating"] == pytest.approx(noise_excess(BEAM), rel=0.036)
    assert noise_excess(BEAM) > 1.05 and noise_excess(Spectrum(torch.tensor([60.0]), torch.ones(1))) == 1


def test_mean_of_noise_is_the_transmission_and_seeds_repeat():
    paths = torch.tensor([[80.0, 6.0]]).expand(20_000, 2)
    truth = float(transmission(paths[:1], MATERIALS, BEAM))
    found = counted(paths, MATERIALS, BEAM, 1e4, generator(4))
    assert found.dtype == torch.float32
    assert float(found.mean()) == pytest.approx(truth, rel=5 * float(found.std()) / truth / math.sqrt(20_000))
    assert torch.equal(found, counted(paths, MATERIALS, BEAM, 1e4, generator(4)))
    assert not torch.equal(found, counted(paths, MATERIALS, BEAM, 1e4, generator(5)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: transmission(torch.tensor([-1.0]), ["water"], BEAM), "path_mm is -1, expected 0 mm or more"),
        (lambda: transmission(torch.tensor([math.nan]), ["water"], BEAM), "path_mm contains NaN"),
        (lambda: transmission(torch.zeros(3), ["water"], BEAM), r"path_mm has shape \(3,\), expected \(..., 1\)"),
        (lambda: transmission(torch.zeros(()), ["water"], BEAM), "path_mm has shape"),
        (lambda: transmission(torch.zeros(0), [], BEAM), "path_mm has shape"),
        (lambda: transmission(torch.zeros(5), "water", BEAM), "materials is 'water', expected a list"),
        (lambda: transmission(torch.zeros(1), ["wood"], BEAM), "material is 'wood', expected a Material or one of"),
        (lambda: transmission(torch.zeros(1), ["water"], -60.0), "spectrum is -60.0, expected one number above 0 keV"),
        (lambda: transmission(torch.zeros(1), ["water"], BEAM, "film"), "detector is 'film'"),
        (lambda: line_integral(torch.tensor([math.nan])), "transmitted contains NaN"),
        (lambda: line_integral(torch.ones(1), floor=0.0), "floor is 0.0, expected one number above 0"),
        (lambda: line_integral(torch.ones(1), floor=2.0), "floor is 2, expected a share"),
        (lambda: counted(torch.zeros(1), ["water"], BEAM, 0, generator()), "photons is 0, expected one number above 0"),
        (
            lambda: counted(torch.zeros(1), ["water"], BEAM, 10, generator(), electronic_noise=-1),
            "electronic_noise is -1, expected 0 photons or more",
        ),
        (lambda: line_integral_deviation(math.inf, 10), "line_integrals contains infinity"),
    ],
)
def test_what_no_ray_can_be_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as refusal:
        call()
    assert "\n" not in str(refusal.value)
