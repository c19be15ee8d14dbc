"""A convolution in bfloat16 on a CPU, also where the volume is shorter than the kernel."""

import pytest
import torch

from medlab.nn.blocks import convolution


def step(layer, x):
    """Output and gradients of one step, in float32."""
    layer.zero_grad()
    x = x.detach().requires_grad_()
    y = layer(x)
    y.float().square().sum().backward()
    return y.detach().float(), x.grad.float(), layer.weight.grad.float()


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
def test_bfloat16_is_near_float32_at_any_length(kernel, length):
    torch.manual_seed(length)
    layer = convolution(16, 16, kernel)
    x = torch.randn(1, 16, length, 4, 3)
    exact = step(layer, x)
    for _ in range(3):
        # What lay in memory before: large numbers, which a kernel that reads beyond its memory would find.
        del_me = [torch.full((size,), 3e30) for size in (10_000, 100_000, 1_000_000)]
        del del_me
        with torch.autocast("cpu", torch.bfloat16):
            found = step(layer, x)
        for ours, truth in zip(found, exact, strict=True):
            assert torch.isfinite(ours).all()
            assert (ours - truth).abs().max() < 0.03 * truth.abs().max()


def test_a_module_of_bfloat16_works_too():
    layer = convolution(8, 8).to(torch.bfloat16)
    y, _, gradient = step(layer, torch.randn(1, 8, 2, 4, 4, dtype=torch.bfloat16))
    assert torch.isfinite(y).all() and torch.isfinite(gradient).all()
    assert layer(torch.randn(1, 8, 2, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
