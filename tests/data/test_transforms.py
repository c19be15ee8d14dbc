"""Intensity transforms: known answers, NumPy's answers, gradients, and images without any contrast."""

import numpy as np
import pytest
import torch

from medlab.data.transforms import percentile_scale, window, z_score


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_window_known_values():
    hounsfield = torch.tensor([-1000.0, 0, 40, 80, 3000])
    torch.testing.assert_close(window(hounsfield, centre=40, width=80), torch.tensor([0, 0, 0.5, 1, 1]))


def test_window_takes_integers_and_passes_gradients():
    assert window(torch.tensor([0, 5, 10]), 5, 10).tolist() == [0, 0.5, 1]
    data = torch.tensor([0.0, 5.0, 20.0], requires_grad=True)
    window(data, 5, 10).sum().backward()
    assert data.grad.tolist()[1:] == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_z_score_agrees_with_float64(scale, offset):
    data = (noise(1, 30, 31, 32) + offset) * scale
    exact = data.double().numpy()
    expected = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(z_score(data).numpy(), expected, atol=2e-4 if offset else 2e-6)


def test_z_score_of_a_mask_transforms_everything():
    data = noise(2, 6, 6, 6) + 3
    mask = torch.zeros(1, 6, 6, 6)
    mask[:, 2:5] = 1  # broadcast over the channels
    out = z_score(data, mask)
    inside = out[mask.expand_as(data) != 0]
    assert float(inside.mean()) == pytest.approx(0, abs=1e-6)
    assert float(inside.std(unbiased=False)) == pytest.approx(1, abs=1e-6)
    exact = data[mask.expand_as(data) != 0]
    torch.testing.assert_close(out, (data - exact.mean()) / exact.std(unbiased=False))
    torch.testing.assert_close(z_score(data, mask.bool()), out)


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 1e30])
def test_constant_images_become_zeros(value):
    data = torch.full((1, 40, 41, 42), value, requires_grad=True)
    for out in (z_score(data), percentile_scale(data)):
        assert torch.equal(out, torch.zeros_like(data))
    z_score(data).sum().backward()
    assert torch.isfinite(data.grad).all()


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1001])
@pytest.mark.parametrize(("low", "high"), [(0, 100), (1, 99), (2.5, 60)])
def test_percentiles_agree_with_numpy(count, low, high):
    data = noise(count, seed=count)
    bottom, top = np.percentile(data.numpy().astype(np.float64), [low, high])
    out = percentile_scale(data, low, high)
    if count == 1:
        assert out.tolist() == [0]
    else:
        np.testing.assert_allclose(out.numpy(), np.clip((data.numpy() - bottom) / (top - bottom), 0, 1), atol=1e-6)


def test_more_elements_than_torch_quantile_takes():
    data = torch.arange(2**24 + 5, dtype=torch.float64)
    out = percentile_scale(data, 25, 75)
    assert float(out[2**23]) == pytest.approx(0.5, abs=1e-6)
    assert float(out[0]) == 0 and float(out[-1]) == 1


def test_percentiles_of_a_mask():
    data = torch.cat([torch.zeros(1000), torch.linspace(10, 20, 101)])
    out = percentile_scale(data, 0, 100, mask=data > 0)
    torch.testing.assert_close(out[1000:], torch.linspace(0, 1, 101))
    assert not out[:1000].any()


def test_equal_percentiles_of_an_image_that_is_not_constant():
    data = torch.zeros(1000)
    data[:3] = torch.tensor([-2.0, 5, 7])
    assert percentile_scale(data).nonzero().flatten().tolist() == [1, 2]


def test_gradients_are_those_of_finite_differences():
    data = noise(40, seed=4).double().requires_grad_()
    mask = torch.arange(40) % 3 != 0
    assert torch.autograd.gradcheck(lambda values: z_score(values, mask), data)
    assert torch.autograd.gradcheck(lambda values: percentile_scale(values, 10, 90, mask), data)
    assert torch.autograd.gradcheck(lambda values: window(values, 0.1, 2), data)


def test_half_precision_and_integers_stay_sensible():
    assert percentile_scale(noise(100).half()).dtype == torch.float16
    assert z_score(torch.arange(10)).dtype == torch.float32


BAD = {
    "no width": (lambda: window(noise(3), 0, 0), "width is 0, expected"),
    "negative width": (lambda: window(noise(3), 0, -5), "width is -5"),
    "NaN width": (lambda: window(noise(3), 0, float("nan")), "width is nan"),
    "infinite centre": (lambda: window(noise(3), float("inf"), 1), "centre is inf"),
    "a list": (lambda: z_score([1.0, 2.0]), "list, expected a torch.Tensor"),
    "complex": (lambda: z_score(torch.zeros(3, dtype=torch.complex64)), "complex"),
    "nothing": (lambda: z_score(torch.zeros(0)), "data hold no element"),
    "empty mask": (lambda: z_score(noise(3), torch.zeros(3)), "mask chooses no element"),
    "wrong mask": (lambda: z_score(noise(3), torch.ones(4)), r"mask has shape \(4,\)"),
    "NaN": (lambda: z_score(torch.tensor([1.0, float("nan")])), "NaN or infinity"),
    "infinity": (lambda: percentile_scale(torch.tensor([1.0, float("inf")])), "NaN or infinity"),
    "swapped": (lambda: percentile_scale(noise(3), 99, 1), "percentiles are 99 and 1"),
    "equal": (lambda: percentile_scale(noise(3), 50, 50), "low < high"),
    "beyond": (lambda: percentile_scale(noise(3), 1, 101), "high <= 100"),
    "NaN percent": (lambda: percentile_scale(noise(3), float("nan"), 50), "percentiles are nan"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
