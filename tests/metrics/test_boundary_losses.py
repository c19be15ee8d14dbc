"""Losses of outlines: counted by hand, against MONAI and SciPy, by gradients and by property."""

import math

import monai.losses
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from medlab.metrics.losses import boundary_loss, hausdorff_loss, signed_distance_map, signed_distance_maps


def square(size=8, low=2, high=5):
    mask = torch.zeros(size, size, dtype=torch.long)
    mask[low:high, low:high] = 1
    return mask


def test_signed_distance_by_hand():
    row = torch.tensor([[0, 0, 1, 1, 1, 0, 0]])
    found = signed_distance_map(row, (1.0, 0.5))
    assert found.tolist() == [[1.0, 0.5, -0.5, -1.0, -0.5, 0.5, 1.0]]
    found = signed_distance_map(square(), (2.0, 3.0))
    assert found.dtype == torch.float32
    assert float(found[0, 3]) == 4 and float(found[3, 0]) == 6 and float(found[3, 3]) == -4
    assert float(found[0, 0]) == pytest.approx(math.hypot(4, 6))
    for flat in (torch.zeros(4, 4), torch.ones(4, 4)):
        assert not signed_distance_map(flat).any(), "no boundary"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.3, 4), min_size=3, max_size=3))
def test_signed_distance_properties(seed, spacing):
    mask = torch.rand(6, 5, 7, generator=torch.Generator().manual_seed(seed)) < 0.4
    found = signed_distance_map(mask, spacing)
    torch.testing.assert_close(signed_distance_map(~mask, spacing), -found, msg="the other side sees it reversed")
    assert torch.equal(found < 0, mask)
    turned = signed_distance_map(mask.permute(1, 2, 0).flip(1), [spacing[k] for k in (1, 2, 0)])
    torch.testing.assert_close(turned, found.permute(1, 2, 0).flip(1))
    torch.testing.assert_close(signed_distance_map(mask, [2 * mm for mm in spacing]), 2 * found)


def test_maps_of_all_classes():
    labels = torch.stack([square(), 2 * square(low=1)])
    maps = signed_distance_maps(labels, 3)
    assert maps.shape == (2, 3, 8, 8)
    torch.testing.assert_close(maps[0, 1], signed_distance_map(labels[0] == 1))
    torch.testing.assert_close(maps[0, 0], -maps[0, 1])
    assert not maps[0, 2].any() and not maps[1, 1].any()
    torch.testing.assert_close(signed_distance_maps(labels[:1], 1)[:, 0], maps[:1, 1])


def test_boundary_loss_by_hand():
    labels = torch.tensor([[[0, 0, 1, 1, 1, 0, 0]]])
    maps = signed_distance_maps(labels, 1, 1.0)  # 2 1 -1 -2 -1 1 2
    prediction = torch.tensor([0, 0.5, 1, 1, 0.5, 0, 1], dtype=torch.float64).reshape(1, 1, 1, 7)
    assert float(boundary_loss(prediction, maps)) == pytest.approx((0.5 - 1 - 2 - 0.5 + 2) / 7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_target_itself_is_the_best_answer(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = square()[None]
    maps = signed_distance_maps(labels, 2)
    other = torch.rand(1, 2, 8, 8, generator=generator).softmax(1)
    best = torch.stack([1 - labels, labels], 1).float()
    for background in (True, False):
        assert float(boundary_loss(best, maps, background=background)) < float(
            boundary_loss(other, maps, background=background)
        )
    assert float(hausdorff_loss(best, labels)) == 0 < float(hausdorff_loss(other, labels))


def test_a_far_mistake_costs_more_than_a_near_one():
    labels = square(12)[None]
    maps = signed_distance_maps(labels, 1)
    values = []
    for column in (6, 8, 11):
        prediction = labels[:, None].double()
        prediction[0, 0, 3, column] = 1
        values.append((float(boundary_loss(prediction, maps)), float(hausdorff_loss(prediction, labels))))
    assert values == sorted(values) and len(set(values)) == 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(2, 3, 9, 7), (2, 2, 6, 7, 5), (2, 1, 9, 9)])
def test_hausdorff_loss_is_monais(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, max(2, shape[1]), (shape[0], *shape[2:]), generator=generator)
    if shape[1] == 1:
        probabilities, target = logits.sigmoid(), labels[:, None].double()
    else:
        probabilities = logits.softmax(1)
        target = torch.nn.functional.one_hot(labels, shape[1]).movedim(-1, 1).double()
    theirs = monai.losses.HausdorffDTLoss(alpha=2.0, include_background=True)(probabilities, target)
    for given_target in (labels, target):
        found = hausdorff_loss(probabilities, given_target, background=True)
        torch.testing.assert_close(found, theirs, rtol=1e-6, atol=1e-7)
    theirs = monai.losses.HausdorffDTLoss(alpha=1.5, include_background=shape[1] == 1)(probabilities, target)
    torch.testing.assert_close(hausdorff_loss(probabilities, labels, alpha=1.5), theirs, rtol=1e-6, atol=1e-7)


def test_hausdorff_loss_scales_with_spacing():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    values = [float(hausdorff_loss(probabilities, square()[None], mm)) for mm in (1.0, 3.0)]
    assert values[1] == pytest.approx(9 * values[0])


@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (1, 2, 4, 5, 3), (2, 1, 6, 6)])
def test_gradients(shape):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, max(2, shape[1]), (shape[0], *shape[2:]), generator=generator)
    maps = signed_distance_maps(labels, shape[1], 1.5).double()

    def probable(x):
        return x.sigmoid() if shape[1] == 1 else x.softmax(1)

    assert gradcheck(lambda x: boundary_loss(probable(x), maps), logits)
    assert gradcheck(lambda x: hausdorff_loss(probable(x), labels, 1.5), logits)


def test_refusals():
    good, labels = torch.full((1, 2, 4, 4), 0.5), torch.zeros(1, 4, 4, dtype=torch.long)
    maps = signed_distance_maps(labels, 2)
    for call, said in (
        (lambda: signed_distance_map(torch.full((3, 3), 2)), "mask holds 2, expected a mask of 0 and 1"),
        (lambda: signed_distance_map(torch.zeros(3, 3), (1.0,)), "spacing holds 1 numbers, expected one for each of 2"),
        (lambda: signed_distance_map(torch.zeros(3, 3), -1.0), "spacing is -1.0, expected a length above 0 mm"),
        (lambda: signed_distance_map(torch.zeros(3)), "the mask has 1 axes of space, expected 2 or 3"),
        (lambda: signed_distance_maps(labels, 0), "classes is 0, expected a whole number"),
        (lambda: boundary_loss(good, labels), r"distance_maps has the shape \(1, 4, 4\), expected that of prob"),
        (lambda: boundary_loss(good, maps * math.nan), "distance_maps contain NaN or infinity"),
        (lambda: boundary_loss(good * 3, maps), r"probabilities hold 1\.5, expected 0 to 1"),
        (lambda: hausdorff_loss(good, labels, alpha=0), "alpha is 0, expected a number above 0"),
        (lambda: hausdorff_loss(good, labels, 0.0), "spacing is 0.0, expected a length above 0 mm"),
        (lambda: hausdorff_loss(good, labels[:, 1:]), r"target has the shape \(1, 3, 4\)"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    for name in ("mean", "none"):
        assert boundary_loss(good, maps, reduction=name).ndim == (0 if name == "mean" else 2)
