"""What every network must do: any channels, classes and sizes, gradients everywhere, the same numbers twice."""

import pytest
import torch

from medlab import nn

# Small designs of every network, so that a test costs a second; counts are asserted at full size elsewhere.
SMALL = {
    "unet3d": {"width": 4, "levels": 4},
    "vnet": {"width": 4, "depths": (1, 2), "up_depths": (2, 1)},
    "vnet_light": {"width": 4, "depths": (1,), "up_depths": (1,)},
    "densenet3d": {"growth": (4, 3, 5), "reduction": (8, 6)},
    "skip_densenet3d": {"width": 8, "growth": 4, "layers": (2, 1, 1)},
    "late_fusion": {"growth": (4, 3, 5), "reduction": (8, 6)},
    "early_fusion": {"growth": (4, 3, 5), "reduction": (8, 6)},
    "hyperdense": {"growth": (4, 3, 5), "reduction": (8, 6)},
    "unet2d": {"width": 4, "levels": 4},
}
SUPERVISED = ("unet3d", "vnet", "skip_densenet3d", "unet2d")


def small(name, channels=2, classes=3, seed=0, **options):
    torch.manual_seed(seed)
    return nn.build(name, channels, classes, **SMALL[name] | options)


def volume(network, *shape, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, network.in_channels, *shape[: network.axes], generator=generator)


def test_every_network_is_tried():
    assert set(SMALL) == set(nn.NETWORKS)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (2, 4), (3, 5), (4, 2)])
def test_any_channels_and_classes_at_odd_sizes(name, channels, classes):
    network = small(name, channels, classes).eval()
    x = volume(network, 17, 30, 23)
    with torch.no_grad():
        logits = network(x)
    assert logits.shape == (1, classes, *x.shape[2:])
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", ["vnet", "late_fusion", "early_fusion", "hyperdense"])
def test_what_stops_in_the_code_of_the_thesis_runs_at_full_size(name):
    """V-Net with 3 channels, late fusion, and streams for 3 modalities."""
    network = nn.build(name, 3, 4).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 5, 6, 7)).shape == (1, 4, 5, 6, 7)


@pytest.mark.parametrize("name", SMALL)
def test_the_gradient_reaches_every_parameter(name):
    network = small(name)
    network(volume(network, 16, 24, 16, batch=2)).square().mean().backward()
    for title, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), title
        cancelled = name.startswith("vnet") and title.endswith("0.bias")  # a bias in front of a normalisation
        assert cancelled or parameter.grad.abs().max() > 0, title


def test_a_normalisation_takes_away_the_bias_in_front_of_it():
    torch.manual_seed(0)
    network = nn.VNet(1, 2, width=4, depths=(1,), up_depths=(1,)).double()
    network(torch.randn(2, 1, 8, 8, 8).double()).square().mean().backward()
    bias, weight = network.first.convolution[0].bias.grad, network.first.convolution[0].weight.grad
    assert bias.abs().max() < 1e-12 < weight.abs().max()


@pytest.mark.parametrize("name", SMALL)
def test_checkpointing_gives_the_same_gradients_and_running_means(name):
    kept, again = small(name), small(name, checkpointing=True)
    x = volume(kept, 16, 8, 16, batch=2)
    for network in (kept, again):
        network(x).square().mean().backward()
    for (title, one), other in zip(kept.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=0, msg=title)
    for (title, one), other in zip(kept.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0, msg=title)


def test_checkpointing_drops_the_same_channels_again():
    gradients = []
    for checkpointing in (False, True):
        network = small("unet3d", dropout=0.5, checkpointing=checkpointing)
        torch.manual_seed(5)
        network(volume(network, 16, 16, 16)).square().mean().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_checkpointing_keeps_less_for_the_backward_pass():
    def kept(checkpointing):
        network, sizes = small("unet3d", checkpointing=checkpointing), {}
        own = {parameter.data_ptr() for parameter in network.parameters()}

        def pack(tensor):
            if tensor.data_ptr() not in own:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        x = volume(network, 32, 32, 32)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = network(x)
        del output
        return sum(sizes.values())

    assert kept(True) < kept(False) / 2


@pytest.mark.parametrize("name", SUPERVISED)
@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 30, 23)])
def test_deep_supervision_gives_each_scale_its_own_resolution_in_training_only(name, shape):
    network = small(name, deep_supervision=True)
    x = volume(network, *shape)
    maps = network(x)
    assert len(maps) == {"unet3d": 3, "vnet": 2, "skip_densenet3d": 4, "unet2d": 3}[name]
    for index, logits in enumerate(maps):
        assert logits.shape == (1, 3, *(-(-length // 2**index) for length in x.shape[2:]))
    sum(one.square().mean() for one in maps).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    with torch.no_grad():
        assert isinstance(network.eval()(x), torch.Tensor)


def test_the_finest_logits_of_deep_supervision_are_those_without_it():
    plain, deep = small("unet3d"), small("unet3d", deep_supervision=True)
    x = volume(plain, 16, 16, 16)
    torch.testing.assert_close(deep(x)[0], plain(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["unet3d", "unet2d"])
def test_attention_gates_learn_and_cost_what_they_are_counted_for(name):
    network, plain = small(name, attention=True), small(name)
    more = sum(one.numel() for one in network.parameters()) - sum(one.numel() for one in plain.parameters())
    assert more == sum(one.numel() for one in network.gates.parameters()) > 0
    network(volume(network, 17, 30, 23)).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.gates.parameters())


@pytest.mark.parametrize("name", ["densenet3d", "late_fusion", "early_fusion", "hyperdense"])
def test_deep_supervision_of_a_single_scale_is_refused(name):
    with pytest.raises(ValueError, match="deep_supervision is True, expected False"):
        small(name, deep_supervision=True)


@pytest.mark.parametrize("name", SMALL)
def test_one_voxel_at_the_bottom_and_a_batch_of_one_can_be_trained(name):
    network = small(name)
    side = network.multiple
    logits = network(volume(network, side, side, side))
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_gives_the_same_answer(name):
    layout = torch.channels_last if name == "unet2d" else torch.channels_last_3d
    first, last = small(name).double(), small(name).double().to(memory_format=layout)
    x = volume(first, 8, 16, 8, batch=2).double()
    for network, given in ((first, x), (last, x.to(memory_format=layout))):
        network(given).square().mean().backward()
    torch.testing.assert_close(last(x), first(x), rtol=1e-9, atol=1e-9)
    for one, other in zip(first.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_decides_all_weights(name):
    one, same, other = small(name, seed=1), small(name, seed=1), small(name, seed=2)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(same.state_dict()[key], value, rtol=0, atol=0)
    assert any(not torch.equal(other.state_dict()[key], value) for key, value in one.state_dict().items())


@pytest.mark.parametrize("name", SMALL)
def test_a_shift_by_the_coarsest_step_shifts_the_answer(name):
    """Away from the borders, where zeros are seen, and without statistics of the whole volume."""
    network = small(name, norm=None).eval().double()
    step, side = network.multiple, 256 if network.multiple > 1 else 32
    x = volume(network, side + step, 8, 8).double()
    with torch.no_grad():
        here, there = network(x[:, :, :-step]), network(x[:, :, step:])
    middle = slice(side // 2 - 4, side // 2 + 4)
    moved = slice(middle.start - step, middle.stop - step)
    torch.testing.assert_close(there[:, :, moved], here[:, :, middle], rtol=1e-9, atol=1e-9)
    if step > 1:  # a shift by less meets another grid
        there = network(x[:, :, 1 : 1 + side])
        assert not torch.allclose(there[:, :, middle.start - 1 : middle.stop - 1], here[:, :, middle], rtol=1e-9)


def test_wrong_volumes_are_refused_in_one_sentence():
    network = small("unet3d")
    for shape in ((1, 3, 8, 8, 8), (1, 2, 8, 8), (2, 8, 8, 8), (1, 2, 8, 0, 8)):
        with pytest.raises(ValueError, match=r"x has the shape .*, expected \(B, 2, X, Y, Z\), none of them 0"):
            network(torch.zeros(shape))
    with pytest.raises(ValueError, match="x has 17 x 16 x 16 voxels, expected multiples of 8 along every axis"):
        small("unet3d", odd="refuse")(torch.zeros(1, 2, 17, 16, 16))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet4d", {}, "name is 'unet4d', expected one of unet3d, vnet"),
        ("unet3d", {"widht": 8}, "options of unet3d are widht"),
        ("unet3d", {"odd": "crop"}, "odd is 'crop', expected one of pad, refuse"),
        ("unet3d", {"norm": "layer"}, "norm is 'layer', expected one of instance, batch, group"),
        ("unet3d", {"levels": 1}, "levels is 1, expected a whole number of at least 2"),
        ("unet3d", {"width": 0}, "width is 0, expected a whole number of at least 1"),
        ("unet3d", {"dropout": 1.5}, "dropout is 1.5, expected a number of at least 0 and at most 1"),
        ("vnet", {"depths": (1, 2)}, "depths is .* expected as many"),
        ("unet2d", {"skips": "sum"}, "skips is 'sum', expected one of join, add, none"),
        ("unet2d", {"skips": "none", "attention": True}, "attention is True and skips none"),
    ],
)
def test_wrong_designs_are_refused_in_one_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        nn.build(name, 1, 2, **options)


@pytest.mark.parametrize("channels", [0, 1.5, True, "1"])
def test_wrong_channels_are_refused(channels):
    with pytest.raises(ValueError, match="in_channels is"):
        nn.UNet3d(channels, 2)
    with pytest.raises(ValueError, match="classes is"):
        nn.UNet3d(1, channels)


def test_compiled_it_gives_the_same_answer():
    network = small("unet3d", width=2, levels=2)
    x = volume(network, 8, 8, 8)
    compiled = torch.compile(network, backend="aot_eager")
    for run in (network, compiled):
        network.zero_grad()
        y = run(x)
        y.square().mean().backward()
        found = [y.detach(), *(parameter.grad.clone() for parameter in network.parameters())]
        if run is network:
            expected = found
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", nn.NETWORKS)
def test_shapes_are_known_without_memory(name):
    with torch.device("meta"):
        network = nn.build(name, 2, 4)
        logits = network(torch.zeros(1, 2, *(32, 32, 32)[: network.axes]))
    assert logits.shape == (1, 4, *(32, 32, 32)[: network.axes]) and logits.device.type == "meta"
