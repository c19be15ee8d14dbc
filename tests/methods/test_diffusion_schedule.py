"""The noise schedule: exact tables, the forward marginal, and DDIM and guidance against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from medlab.methods.diffusion.guidance import guided_noise, log_probability_gradient
from medlab.methods.diffusion.schedule import NoiseSchedule

# Products of 1 - beta in exact arithmetic.
ALPHA_BAR = {0: 0.9999, 1: 0.99978009, 10: 0.99780657, 100: 0.89514159, 500: 0.0777966584, 999: 4.03582977e-5}
SCHEDULE = NoiseSchedule.linear()


@pytest.mark.parametrize(("k", "exact"), ALPHA_BAR.items())
def test_alpha_bar_is_exact(k, exact):
    assert float(SCHEDULE.alpha_bar[k]) == pytest.approx(exact, rel=1e-7 if k != 1 else 1e-8)


def test_one_step_after_the_other_gives_the_marginal():
    """x_k = sqrt(1 - beta_k) x_(k-1) + sqrt(beta_k) e, iterated for mean and variance."""
    mean, variance = 1.0, 0.0
    for k, beta in enumerate(SCHEDULE.betas.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        if k in ALPHA_BAR:
            assert mean == pytest.approx(float(SCHEDULE.alpha_bar[k].sqrt()), rel=1e-12)
            assert variance == pytest.approx(float(1 - SCHEDULE.alpha_bar[k]), rel=1e-9)


@pytest.mark.parametrize("shape", [(20_000,), (2, 10_000), (1, 1, 10, 20, 100), (4, 2, 50, 50)])
def test_noised_data_have_mean_and_variance_of_the_marginal_on_any_number_of_axes(shape):
    torch.manual_seed(0)
    found = SCHEDULE.noised(torch.full(shape, 3.0), 300, torch.randn(shape))
    level = float(SCHEDULE.alpha_bar[300])
    assert found.dtype == torch.float32
    assert float(found.mean()) == pytest.approx(3 * math.sqrt(level), abs=5 * math.sqrt((1 - level) / 2e4))
    assert float(found.var()) == pytest.approx(1 - level, rel=0.06)


def test_each_of_a_batch_has_its_own_state():
    x, noise = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    together = SCHEDULE.noised(x, torch.tensor([-1, 40, 999]), noise)
    for one, k in enumerate((-1, 40, 999)):
        assert torch.equal(together[one], SCHEDULE.noised(x[one : one + 1], k, noise[one : one + 1])[0])
    assert torch.equal(together[0], x[0])


@settings(max_examples=30, deadline=None)
@given(k=some.integers(0, 999), seed=some.integers(0, 100))
def test_data_and_noise_are_found_again(k, seed):
    x, noise = torch.randn(2, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    noisy = SCHEDULE.noised(x, k, noise)
    assert torch.allclose(SCHEDULE.clean(noisy, k, noise), x, atol=1e-9)
    assert torch.allclose(SCHEDULE.noise_of(noisy, k, x), noise, atol=1e-9)


def test_fewer_steps_have_the_same_noise():
    short = SCHEDULE.respaced(51)
    assert len(short) == 51 and short.times[0] == 0 and short.times[-1] == 999
    assert torch.allclose(short.alpha_bar, SCHEDULE.alpha_bar[short.times], rtol=1e-12)
    assert torch.equal(SCHEDULE.respaced(1000).betas, SCHEDULE.respaced(1000).respaced(1000).betas)
    assert short.state_at(1) == 0 and short.state_at(1000) == 50
    assert int(short.times[short.state_at(250)]) < 250 <= int(short.times[short.state_at(250) + 1])
    assert short.told(7, torch.zeros(3, 1)).tolist() == [int(short.times[7])] * 3
    assert short.told(-1, torch.zeros(1, 1)).tolist() == [0]


def test_the_posterior_is_that_of_two_gaussians():
    """Bayes: state k - 1 is N(sqrt(a') x, 1 - a'), state k given it N(sqrt(1 - b) ., b): precisions add up."""
    short = SCHEDULE.respaced(20)
    for k in (1, 7, 19):
        clean, state = torch.tensor([0.7], dtype=torch.float64), torch.tensor([-0.4], dtype=torch.float64)
        before, beta = float(short.alpha_bar[k - 1]), float(short.betas[k])
        precision = 1 / (1 - before) + (1 - beta) / beta
        mean = (math.sqrt(before) * 0.7 / (1 - before) + math.sqrt(1 - beta) * -0.4 / beta) / precision
        found, variance = short.posterior(state, k, clean)
        assert float(found) == pytest.approx(mean, rel=1e-10)
        assert float(variance) == pytest.approx(1 / precision, rel=1e-10)
    last, variance = short.posterior(state, 0, clean)
    assert float(last) == pytest.approx(0.7) and float(variance) == 0


def test_ddim_with_eta_one_is_ddpm():
    x, predicted, noise = torch.randn(3, 2, 3, 4, dtype=torch.float64)
    for k in (0, 1, 500, 999):
        ours = SCHEDULE.ddim_step(x, k, k - 1, predicted, eta=1.0, noise=noise)
        assert torch.allclose(ours, SCHEDULE.ddpm_step(x, k, predicted, noise), atol=1e-10)


# Data that are N(MEAN, SPREAD^2) in every pixel: the best guess of the noise is known.
MEAN, SPREAD = 0.4, 0.6


def perfect(schedule: NoiseSchedule, x: torch.Tensor, k: int) -> torch.Tensor:
    level = float(schedule.alpha_bar[k]) if k >= 0 else 1.0
    return math.sqrt(1 - level) * (x - math.sqrt(level) * MEAN) / (level * SPREAD**2 + 1 - level)


def there_and_back(steps: int) -> tuple[float, float]:
    """Data encoded to the end and decoded: how far they are off there, from the exact flow, and back."""
    schedule = NoiseSchedule.linear().respaced(steps)
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[None]
    state = x
    for k in range(-1, steps - 1):
        # Data have no noise to be found: the guess in state 0 stands for it, as in the methods.
        state = schedule.ddim_step(state, k, k + 1, perfect(schedule, state, max(k, 0)))
    level = float(schedule.alpha_bar[-1])
    # The flow keeps how many standard deviations a value lies from the mean.
    exact = math.sqrt(level) * MEAN + math.sqrt(level * SPREAD**2 + 1 - level) * (x - MEAN) / SPREAD
    off = float((state - exact).abs().max())
    for k in range(steps - 1, -1, -1):
        state = schedule.ddim_step(state, k, k - 1, perfect(schedule, state, k))
    return off, float((state - x).abs().max())


def test_ddim_there_and_back_with_the_perfect_network():
    there, back = there_and_back(1000)
    assert there < 0.02 and back < 0.01
    coarse_there, coarse_back = there_and_back(50)
    # One order of accuracy: twenty times as many steps, much smaller errors.
    assert coarse_there > 5 * there and coarse_back > 5 * back


def test_ddpm_with_the_perfect_network_draws_the_data():
    torch.manual_seed(0)
    schedule = NoiseSchedule.linear().respaced(200)
    state = torch.randn(1, 20_000)
    for k in range(199, -1, -1):
        state = schedule.ddpm_step(state, k, perfect(schedule, state, k), torch.randn_like(state))
    assert float(state.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(state.std()) == pytest.approx(SPREAD, abs=0.03)


def test_guidance_moves_one_step_by_the_analytic_amount():
    """log p = c x: the gradient is c; the step's coefficient of the noise is linear."""
    x, predicted, slope, scale, k, to = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5), 0.7, 3.0, 600, 550
    guided = guided_noise(predicted, torch.full_like(predicted, slope), SCHEDULE, k, scale)
    a, b = float(SCHEDULE.alpha_bar[k]), float(SCHEDULE.alpha_bar[to])
    per_noise = math.sqrt(1 - b) - math.sqrt(b / a) * math.sqrt(1 - a)
    moved = SCHEDULE.ddim_step(x, k, to, guided) - SCHEDULE.ddim_step(x, k, to, predicted)
    assert torch.allclose(moved, torch.full_like(x, -scale * math.sqrt(1 - a) * slope * per_noise), atol=1e-6)
    assert bool((moved > 0).all())  # towards more log p


def test_guidance_draws_the_tilted_gaussian():
    """p(x) exp(c x) of a Gaussian is the Gaussian with its mean moved by c times its variance.

    Of state k the tilt is c k-dependent: E[c x | x_k] = c (mean + a^0.5 s^2 (x_k - a^0.5 mean) / v), so its gradient is
    c a^0.5 s^2 / v.
    """
    torch.manual_seed(0)
    slope, schedule = 0.9, NoiseSchedule.linear().respaced(200)
    state = torch.randn(1, 20_000)
    for k in range(199, -1, -1):
        level = float(schedule.alpha_bar[k])
        gradient = slope * math.sqrt(level) * SPREAD**2 / (level * SPREAD**2 + 1 - level)
        noise = guided_noise(perfect(schedule, state, k), torch.full_like(state, gradient), schedule, k)
        state = schedule.ddpm_step(state, k, noise, torch.randn_like(state))
    assert float(state.mean()) == pytest.approx(MEAN + slope * SPREAD**2, abs=0.03)
    assert float(state.std()) == pytest.approx(SPREAD, abs=0.03)


def test_the_gradient_of_log_probability_by_hand():
    classifier = torch.nn.Linear(3, 2, bias=False)
    x = torch.randn(4, 3)
    gradient, log = log_probability_gradient(lambda given, time: classifier(given), x, torch.zeros(4), 1)
    share = (x @ classifier.weight.T).softmax(1).detach()
    expected = share[:, :1] * (classifier.weight[1] - classifier.weight[0]).detach()
    assert torch.allclose(gradient, expected, atol=1e-6) and torch.allclose(log.exp(), share[:, 1])
    assert classifier.weight.grad is None


def test_as_monai_steps():
    schedulers = pytest.importorskip("monai.networks.schedulers")
    x, predicted = torch.randn(2, 1, 6, 6), torch.randn(2, 1, 6, 6)
    options = {"num_train_timesteps": 1000, "schedule": "linear_beta", "beta_start": 1e-4, "beta_end": 0.02}
    ddim = schedulers.DDIMScheduler(**options, clip_sample=False, set_alpha_to_one=True)
    ddim.set_timesteps(100)
    for time in (990, 500, 10):
        ours = SCHEDULE.ddim_step(x, time, time - 10, predicted)
        assert torch.allclose(ours, ddim.step(predicted, time, x)[0], atol=1e-5)
    ddpm = schedulers.DDPMScheduler(**options, clip_sample=False, variance_type="fixed_small")
    # Not early: in MONAI's float32 tables 1 - alpha bar of step 1 is off by 3 parts in 10,000.
    for time in (999, 400, 100):
        given = torch.Generator().manual_seed(3)
        theirs = ddpm.step(predicted, time, x, generator=given)[0]
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        assert torch.allclose(SCHEDULE.ddpm_step(x, time, predicted, noise), theirs, atol=5e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: NoiseSchedule.linear(0), "steps is 0"),
        (lambda: NoiseSchedule.linear(10, 0.0), "first is 0.0"),
        (lambda: NoiseSchedule(torch.tensor([0.1, 1.0]), torch.arange(2)), "betas leave the range"),
        (lambda: NoiseSchedule(torch.tensor([0.1, 0.2]), torch.arange(3)), "one number a step each"),
        (lambda: SCHEDULE.respaced(1001), "count is 1001"),
        (lambda: SCHEDULE.state_at(0), "time is 0"),
        (lambda: SCHEDULE.level(1000, torch.zeros(1)), "states from -1 to 999"),
        (lambda: SCHEDULE.level(torch.tensor([1, 2]), torch.zeros(3, 1)), "each of 3 data"),
        (lambda: SCHEDULE.ddim_step(torch.zeros(1, 2), 5, 4, torch.zeros(1, 2), eta=1.0), "expected noise"),
        (lambda: SCHEDULE.ddim_step(*2 * [torch.zeros(1, 2)], 4, 5, eta=1.0), "."),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()


def test_numpy_counts_the_same():
    betas = np.linspace(1e-4, 0.02, 1000)
    assert np.allclose(SCHEDULE.alpha_bar.numpy(), np.cumprod(1 - betas), rtol=1e-12)
