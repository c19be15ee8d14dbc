"""The synthetic head slice: shares, layers and refusals."""

import pytest
import torch

from medlab.physics.head import LAYERS_MM, TISSUES, head_slice


def brain(radius=40, size=121):
    place = torch.arange(size) - size // 2
    away = torch.hypot(place[:, None].float(), place[None].float())
    mask = (away <= radius).float()
    white = (away <= radius / 2).float()
    return white, mask - white, mask


def test_layers_have_their_thickness_and_shares_add_up():
    shares = head_slice(*brain(), size=160)
    assert shares.shape == (5, 160, 160) and shares.dtype == torch.float32
    assert bool((shares >= 0).all()) and float(shares.sum(0).max()) <= 1 + 1e-5
    line = shares[:, :80, 79].sum(1)
    for name in ("skin", "skull", "cerebrospinal fluid"):
        # Along a radius; the disc's own edge lies between two pixels.
        assert float(line[TISSUES.index(name)]) == pytest.approx(LAYERS_MM[name], abs=0.75)
    middle = shares[:, 79, 79]
    assert float(middle[TISSUES.index("white matter")]) == 1


def test_a_slice_need_not_be_square():
    maps = brain()
    wide, square = head_slice(*maps, size=(160, 200)), head_slice(*maps, size=160)
    assert wide.shape == (5, 160, 200)
    torch.testing.assert_close(wide[:, :, 20:180], square)


def test_pixels_scale_the_layers():
    white, grey, mask = brain()
    fine, coarse = head_slice(white, grey, mask, 200, 0.5), head_slice(white, grey, mask, 200, 1.0)
    area = [float(shares[TISSUES.index("skull")].sum()) for shares in (fine, coarse)]
    # In pixels: the ring of 7 mm at 0.5 mm is twice as thick.
    assert area[0] > 1.8 * area[1]


def test_a_narrow_furrow_does_not_dent_the_skull():
    white, grey, mask = brain()
    cut = mask.clone()
    cut[58:63, 60:] = 0
    whole, furrowed = (head_slice(white * m, grey * m, m, 160) for m in (mask, cut))
    skull, fluid = TISSUES.index("skull"), TISSUES.index("cerebrospinal fluid")
    assert float((whole[skull] - furrowed[skull]).abs().sum()) < 0.02 * float(whole[skull].sum())
    assert float(furrowed[fluid].sum()) > float(whole[fluid].sum()) + 100


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda w, g, m: head_slice(w[1:], g, m), "white, grey and mask have shapes"),
        (lambda w, g, m: head_slice(w, g, 0 * m), "mask is empty"),
        (lambda w, g, m: head_slice(w, g, m, 100), "size is 100, expected at least the 121 pixels"),
        (lambda w, g, m: head_slice(w, g, m, 121, 0.2), "size is 121, expected one in which"),
        (lambda w, g, m: head_slice(w, g, m, 160, 0.0), "pixel_mm is 0.0, expected a length above 0 mm"),
        (lambda w, g, m: head_slice(w, g, m, (160, 100)), "size is 100, expected at least the 121"),
        (lambda w, g, m: head_slice(w, g, m, 0), "size is 0, expected a whole number"),
    ],
)
def test_what_is_no_head_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(*brain())
