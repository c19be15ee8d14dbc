"""Parameter counts: those of the thesis's code, those of papers, and every difference counted."""

import pytest

from medlab import nn


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "channels", "options", "expected"),
    [
        ("vnet", 1, {}, 45_611_956),
        ("vnet_light", 1, {}, 12_247_988),
        ("unet3d", 1, {}, 1_781_528),
        ("unet3d", 2, {}, 1_781_744),
        ("unet3d", 2, {"width": 16}, 7_125_216),
        ("skip_densenet3d", 2, {}, 1_552_256),
        ("densenet3d", 2, {}, 2_697_811),
        ("early_fusion", 2, {}, 2_995_086),
    ],
)
def test_counts_of_the_thesis_code_at_four_classes(name, channels, options, expected):
    assert count(nn.build(name, channels, 4, **options)) == expected


def test_another_channel_costs_the_first_convolution_alone():
    assert count(nn.UNet3d(3, 4)) - count(nn.UNet3d(1, 4)) == 2 * 27 * 8
    assert count(nn.VNet(3, 4)) - count(nn.VNet(1, 4)) == 2 * 125 * 16


def test_untied_levels_have_a_second_convolution_each():
    more = count(nn.UNet3d(1, 4, tied=False)) - count(nn.UNet3d(1, 4))
    assert more == 27 * (16**2 + 32**2 + 64**2 + 128**2)


def test_the_bias_in_front_of_a_normalisation_counted():
    biases = 16 + (32 + 64 + 128 + 256) + (32 + 2 * 64 + 3 * 128 + 2 * 256)
    biases += (128 + 64 + 32 + 16) + (2 * 256 + 2 * 128 + 64 + 32) + 4
    assert count(nn.VNet(1, 4)) - count(nn.VNet(1, 4, bias=False)) == biases


def test_hyper_dense_lacks_the_maps_that_the_code_of_the_thesis_counts_twice():
    assert count(nn.HyperDenseNet3d(2, 4)) == 10_361_922 - 900 * 400


def test_late_fusion_differs_from_the_code_of_the_thesis_by_what_is_named():
    eight_layers = count(nn.LateFusionDenseNet3d(2, 4, growth=(25, 25, 50, 50, 50, 75, 75, 75)))
    maps_that_are_not_there, unused_classifier = (503 - 426) * 400, 150 * 4
    assert eight_layers + 2 * (maps_that_are_not_there + unused_classifier) == 4_837_382
    assert count(nn.LateFusionDenseNet3d(2, 4)) == 5_370_486  # "about 5.2 million"


def test_three_streams():
    assert count(nn.EarlyFusionDenseNet3d(3, 4)) == 3_304_929  # "about 3.4 million"


def test_the_unet_of_ronneberger_counted_by_hand():
    def convolution(inputs, outputs, taps=9):
        return outputs * (inputs * taps + 1)

    widths = [64, 128, 256, 512, 1024]
    down = sum(convolution(a, b) + convolution(b, b) for a, b in zip([1, *widths], widths, strict=False))
    up = sum(
        convolution(2 * w, w, 4) + convolution(2 * w, w) + convolution(w, w) for w in widths[:-1]
    )  # up-convolution 2x2, then the joined maps
    assert count(nn.UNet2d(1, 2, norm=None)) == down + up + convolution(64, 2, 1) == 31_030_658


def test_heads_of_deep_supervision_are_free_in_the_unet_and_counted_in_the_vnet():
    assert count(nn.UNet3d(1, 4, deep_supervision=True)) == count(nn.UNet3d(1, 4))
    assert count(nn.VNet(1, 4, deep_supervision=True)) - count(nn.VNet(1, 4)) == 4 * (256 + 128 + 64) + 3 * 4
