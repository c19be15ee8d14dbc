"""The patch regressor: its counts, and that dense is patch by patch, for every size and patch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.nn.patch_regressor import PATCHES, PatchRegressor, sizes_up_to
from medlab.nn.scanning import folded, fragments_of, interleave, scan
from medlab.nn.tiles import tiles_of

COUNTS = {1: 436, 2: 1_553, 4: 5_839, 8: 22_619, 16: 89_011, 32: 353_123, 64: 1_406_659}


def made(size: int, patch: int, seed: int = 0, **options) -> PatchRegressor:
    torch.manual_seed(seed)
    network = PatchRegressor(size, patch, **options)
    network(torch.rand(2, 1, patch, patch, patch), torch.rand(2, options["context"]) if options else None)
    return network.eval()  # spectral norm has made a step, as after training


def one_by_one(network: PatchRegressor, volume: Tensor, places: list[tuple[int, ...]], fill: float = 0.0) -> Tensor:
    """The answer of `forward` to the patch around each place, (3, n)."""
    half, edge = network.halo, network.patch
    wide = F.pad(volume, (half,) * 6, value=fill)
    patches = [wide[0, :, i : i + edge, j : j + edge, k : k + edge] for i, j, k in places]
    with torch.no_grad():
        return network(torch.stack(patches)).T


@pytest.mark.parametrize("size", COUNTS)
def test_parameters_of_the_papers_patch(size):
    assert sum(one.numel() for one in PatchRegressor(size).parameters()) == COUNTS[size]


def test_parameters_by_hand():
    # m = 1, patch 31: 4^3 + 1; 27 * 2 + 2; twice (27 * 4 + 2) + (4 + 2); 8 * 2 * 4 + 4; 4 * 3 + 3.
    by_hand = [65, 56, 2 * (110 + 6), 68, 15]
    assert COUNTS[1] == sum(by_hand)


@pytest.mark.parametrize("size", sizes_up_to(64))
@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("tiled", [False, True])
def test_dense_equals_patch_by_patch(size, patch, tiled):
    network = made(size, patch)
    torch.manual_seed(1)
    shape = (9, 6, 11) if size < 32 else (5, 6, 7)
    volume = torch.randn(1, 1, *shape)
    places = [(0, 0, 0), tuple(n - 1 for n in shape), (4, 5, 6), (3, 2, 1), (2, 0, 5), (1, 4, 3)]
    memory = network._bytes_per_voxel() * (4 + 2 * network.halo) ** 3 / 1e6 * 1.01 if tiled else 4000.0
    if tiled:
        assert len(list(tiles_of(shape, network.halo, network._bytes_per_voxel(), memory))) > 1
    dense = network.dense(volume, memory_mb=memory)
    assert dense.shape == (1, 3, *shape)
    found = torch.stack([dense[0, :, i, j, k] for i, j, k in places], 1)
    assert float(found.std()) > 1e-4  # answers differ from place to place, so that agreement says something
    torch.testing.assert_close(found, one_by_one(network, volume, places), atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    patch=st.sampled_from(PATCHES[:3]),
    stride=st.integers(1, 9),
    fill=st.sampled_from([0.0, -1.5]),
    seed=st.integers(0, 100),
)
def test_any_shape_stride_and_border(shape, patch, stride, fill, seed):
    network = made(2, patch, seed)
    volume = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(seed))
    whole = network.dense(volume, fill=fill)
    memory = network._bytes_per_voxel() * (8 + 2 * network.halo) ** 3 / 1e6
    some = network.dense(volume, stride=stride, fill=fill, memory_mb=memory)
    torch.testing.assert_close(some, whole[..., ::stride, ::stride, ::stride], atol=1e-5, rtol=0)
    at = tuple(n // 2 for n in shape)
    alone = one_by_one(network, volume[1:], [at], fill)
    torch.testing.assert_close(whole[1, :, at[0], at[1], at[2]], alone[:, 0], atol=1e-5, rtol=0)


def test_lattice_is_every_fourth_patch_with_its_gradient():
    network = made(2, 19)
    volume = torch.randn(1, 1, 27, 25, 19, requires_grad=True)
    found = network.lattice(volume)
    assert found.shape == (1, 3, 3, 2, 1)
    corner = network(volume[..., 8:27, 4:23, 0:19])
    torch.testing.assert_close(found[..., 2, 1, 0], corner, atol=1e-6, rtol=0)
    (ours,) = torch.autograd.grad(found[..., 2, 1, 0].sum(), volume)
    (alone,) = torch.autograd.grad(corner.sum(), volume)
    torch.testing.assert_close(ours, alone)


def test_folding_is_the_convolution_and_its_pooling():
    convolution = nn.Conv3d(3, 5, 4)
    x = torch.randn(2, 3, 11, 9, 13)
    weight, bias = folded(convolution)
    assert weight.shape == (5, 3, 5, 5, 5)
    torch.testing.assert_close(F.conv3d(x, weight, bias, stride=2), F.avg_pool3d(convolution(x), 2))


def test_fragments_by_hand():
    # Along an axis of 5 the pools of 2 begin at 0 and 2, or at 1 and 3; back between one another: 0, 1, 2, 3.
    line = torch.tensor([0.0, 2.0, 4.0, 6.0, 8.0])
    x = line[:, None, None].expand(5, 5, 5)[None, None]
    parts = fragments_of(x)
    assert parts.shape == (8, 1, 2, 2, 2)
    assert parts[0, 0, :, 0, 0].tolist() == [1, 5] and parts[4, 0, :, 0, 0].tolist() == [3, 7]
    assert interleave(parts)[0, 0, :, 0, 0].tolist() == [1, 3, 5, 7]


def test_scan_equals_dilation():
    """The fragments of a pooling are the same sums as a convolution with holes: a peer that PyTorch has."""
    convolution = nn.Conv3d(1, 2, 3)
    x = torch.randn(1, 1, 12, 12, 13)[..., :12]
    x = torch.randn(1, 1, 13, 13, 13)
    pooled = F.avg_pool3d(x, 2, stride=1)  # at every voxel
    holes = F.conv3d(pooled, convolution.weight, convolution.bias, dilation=2)
    torch.testing.assert_close(scan([nn.AvgPool3d(2), convolution], x), holes[..., :8, :8, :8])


def test_training_mode_and_spectral_norm():
    network = PatchRegressor(4, 19).train()
    for _ in range(50):
        network(torch.rand(1, 1, 19, 19, 19))
    for layer in (network.first, network.second, network.residual[0].wide):
        gain = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        torch.testing.assert_close(gain, torch.ones(()), atol=2e-3, rtol=0)


def test_every_weight_gets_a_gradient():
    network = PatchRegressor(2, 39, context=3)
    network(torch.rand(3, 1, 39, 39, 39), torch.rand(3, 3)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and bool(weight.grad.abs().sum() > 0), name


def test_context_reaches_the_head_alike():
    network = made(2, 19, context=3)
    volume, context = torch.rand(1, 1, 6, 5, 7), torch.rand(1, 3, 6, 5, 7)
    dense = network.dense(volume, context=context)
    wide = F.pad(volume, (9,) * 6)
    alone = network(wide[..., 2:21, 3:22, 4:23], context[..., 2, 3, 4])
    torch.testing.assert_close(dense[..., 2, 3, 4], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(dense, network.dense(volume, context=1 - context))


def test_half_precision_training_on_a_cpu():
    network = PatchRegressor(8, 19)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(2, 1, 19, 19, 19)).float().sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in network.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: PatchRegressor(0), "size is 0"),
        (lambda: PatchRegressor(65), "size is 65"),
        (lambda: PatchRegressor(4, 21), "patch is 21, expected one of 11, 15, 19, 23, 27, 31, 35, 39"),
        (lambda: PatchRegressor(1)(torch.rand(2, 1, 31, 31, 30)), "patches have the shape"),
        (lambda: PatchRegressor(1, 19).lattice(torch.rand(1, 1, 19, 18, 19)), "expected no edge below 19"),
        (lambda: PatchRegressor(1).dense(torch.rand(1, 2, 9, 9, 9)), "volume has the shape"),
        (lambda: PatchRegressor(1).dense(torch.rand(1, 1, 9, 9, 9), memory_mb=0.1), "memory_mb is 0.1, expected"),
        (lambda: PatchRegressor(1).dense(torch.rand(1, 1, 9, 9, 9), stride=0), "stride is 0"),
        (lambda: PatchRegressor(1, 19, context=2)(torch.rand(1, 1, 19, 19, 19)), "context is missing"),
        (lambda: PatchRegressor(1, 19)(torch.rand(1, 1, 19, 19, 19), torch.rand(1, 2)), "context has the shape"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        change()
