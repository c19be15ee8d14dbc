"""Losses: counted by hand, against MONAI and PyTorch, by gradients and by property."""

import math

import monai.losses
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional as F

from medlab.metrics import overlap
from medlab.metrics.losses import (
    cross_entropy_loss,
    dice_cross_entropy_loss,
    focal_loss,
    generalised_dice_loss,
    soft_dice,
    soft_dice_loss,
    soft_iou,
    tversky_loss,
)

SHAPES = [(2, 3, 9, 7), (2, 4, 6, 5, 4), (3, 1, 8, 8)]
REGIONS = (soft_dice_loss, tversky_loss, generalised_dice_loss)
VOXELS = (cross_entropy_loss, focal_loss)
seeds = st.integers(0, 2**32 - 1)


def pair(shape, seed=0, dtype=torch.float64):
    """Logits and labels in which every class is found in every sample."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator, dtype=dtype)
    classes = max(shape[1], 2)
    labels = torch.randint(0, classes, (shape[0], *shape[2:]), generator=generator)
    labels.view(shape[0], -1)[:, :classes] = torch.arange(classes)
    return logits, labels


def probable(logits):
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def one_hot(labels, classes):
    """Shares (B, C, ...) in float64; of label 1 alone where there is one channel."""
    if classes == 1:
        return labels[:, None].double()
    return F.one_hot(labels, classes).movedim(-1, 1).double()


# --- By hand -------------------------------------------------------------------------------------------------------


def test_dice_by_hand():
    probabilities = torch.tensor([[[[0.5, 1.0], [0.25, 0.0]]]], dtype=torch.float64)
    labels = torch.tensor([[[1, 1], [0, 0]]])
    # Common 1.5; sums 1.75 and 2; squares 0.25 + 1 + 0.0625 and 2.
    assert float(soft_dice(probabilities, labels)) == pytest.approx(3 / 3.75)
    assert float(soft_dice(probabilities, labels, squared=True)) == pytest.approx(3 / 3.3125)
    assert float(soft_iou(probabilities, labels)) == pytest.approx(1.5 / 2.25)
    expected = 1 - (3 + 0.1) / (3.3125 + 0.1)  # thesis eq. 5.21
    assert float(soft_dice_loss(probabilities, labels, epsilon=0.1)) == pytest.approx(expected)
    # Right 1.5, false 0.25, missed 0.5.
    expected = 1 - 1.5 / (1.5 + 0.3 * 0.25 + 0.7 * 0.5)
    assert float(tversky_loss(probabilities, labels, epsilon=0)) == pytest.approx(expected)


def test_entropy_by_hand():
    logits = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64).logit().reshape(1, 1, 3, 1)
    labels = torch.tensor([1, 1, 0]).reshape(1, 3, 1)
    right = [0.9, 0.2, 0.5]
    plain = -sum(math.log(p) for p in right) / 3
    assert float(cross_entropy_loss(logits, labels)) == pytest.approx(plain)
    weighed = -(4 * math.log(0.9) + 4 * math.log(0.2) + math.log(0.5)) / 9
    assert float(cross_entropy_loss(logits, labels, class_weights=[1, 4])) == pytest.approx(weighed)
    focal = -sum((1 - p) ** 2 * math.log(p) for p in right) / 3
    assert float(focal_loss(logits, labels)) == pytest.approx(focal)
    alpha = -sum(a * (1 - p) ** 2 * math.log(p) for a, p in zip((0.25, 0.25, 0.75), right, strict=True)) / 3
    assert float(focal_loss(logits, labels, class_weights=[0.75, 0.25])) == pytest.approx(alpha)


def test_generalised_dice_by_hand():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, 0, :2], labels[0, 5:] = 1, 2
    missed = labels.clone()
    missed[0, 0, :2] = 0
    prediction = one_hot(missed, 3)
    # Volumes 48, 2, 50; weights over the largest: (2/48)², 1, (2/50)².
    w = (2 / 48) ** 2, 1, (2 / 50) ** 2
    expected = 1 - 2 * (48 * w[0] + 50 * w[2]) / (98 * w[0] + 2 * w[1] + 100 * w[2])
    assert float(generalised_dice_loss(prediction, labels, epsilon=0)) == pytest.approx(expected)


def test_a_perfect_prediction_of_background_alone_has_no_loss():
    """A code of the literature scores absent classes 0, so that this one loses 0.75."""
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    perfect = one_hot(labels, 4)
    assert 1 - float(soft_dice(perfect, labels, undefined=0.0).mean()) == 0.75
    for options in ({}, {"absent": "ignore"}, {"squared": False}, {"pooled": True}):
        assert float(soft_dice_loss(perfect, labels, **options)) == pytest.approx(0, abs=1e-7), options
    assert float(tversky_loss(perfect, labels)) == pytest.approx(0, abs=1e-7)
    assert float(generalised_dice_loss(perfect, labels)) == pytest.approx(0, abs=1e-7)


def test_an_absent_class_is_what_one_chooses():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, :2] = 1
    prediction = one_hot(labels, 3)
    prediction[0, :, 7, 7] = torch.tensor([0.0, 0.0, 1.0])  # one false voxel of class 2, which is not there
    each = soft_dice_loss(prediction, labels, reduction="none")
    assert each.shape == (1, 3)
    assert float(each[0, 2]) == pytest.approx(1, abs=1e-4), "the formula: one voxel costs all"
    ignored = soft_dice_loss(prediction, labels, reduction="none", absent="ignore")
    assert math.isnan(ignored[0, 2]) and torch.equal(ignored[0, :2], each[0, :2])
    assert float(soft_dice_loss(prediction, labels, absent="ignore")) == pytest.approx(float(each[0, :2].mean()))
    generous = soft_dice_loss(prediction, labels, reduction="none", epsilon=1.0)
    assert float(generous[0, 2]) == pytest.approx(1 - 1 / 2), "epsilon in voxels"
    everywhere = soft_dice_loss(prediction[:, 1:2], torch.zeros_like(labels), absent="ignore")
    assert float(everywhere) == 0, "nothing to judge"
    empty = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    assert float(soft_dice_loss(empty, torch.zeros_like(labels), epsilon=0)) == 1, "0 / 0 without epsilon"


def test_pooled_sums_need_a_class_only_somewhere():
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[0, :2] = 1
    prediction = labels[:, None].double()
    prediction[1, 0, 7, 7] = 1.0
    apart = soft_dice_loss(prediction, labels, reduction="none")
    assert apart.flatten().tolist() == pytest.approx([0, 1], abs=1e-4)
    together = soft_dice_loss(prediction, labels, pooled=True, reduction="none")
    assert together.shape == (1, 1)
    assert float(together) == pytest.approx(1 - 32 / 33, abs=1e-6)


def test_weights_and_background():
    logits, labels = pair((2, 3, 9, 7))
    each = soft_dice_loss(probable(logits), labels, reduction="none")
    weighed = soft_dice_loss(probable(logits), labels, class_weights=[1, 2, 5])
    assert float(weighed) == pytest.approx(float((each * torch.tensor([1, 2, 5])).sum(1).mean() / 8))
    assert float(soft_dice_loss(probable(logits), labels, background=False)) == pytest.approx(float(each[:, 1:].mean()))
    front = soft_dice_loss(probable(logits), labels, class_weights=[1, 2, 5], background=False)
    assert float(front) == pytest.approx(float((each[:, 1:] * torch.tensor([2, 5])).sum(1).mean() / 7))
    for loss in VOXELS:
        assert loss(logits, labels, reduction="none").shape == labels.shape
    plain = cross_entropy_loss(logits, labels, class_weights=[1, 2, 5])
    assert float(plain) == pytest.approx(float(cross_entropy_loss(logits, labels, class_weights=[2, 4, 10])))


# --- Against others ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", SHAPES)
def test_regions_are_monais(shape, seed):
    logits, labels = pair(shape, seed)
    probabilities, target = probable(logits), one_hot(labels, shape[1])
    for squared in (True, False):
        for pooled in (True, False):
            theirs = monai.losses.DiceLoss(squared_pred=squared, batch=pooled)(probabilities, target)
            found = soft_dice_loss(probabilities, labels, squared=squared, pooled=pooled)
            torch.testing.assert_close(found, theirs)
    for alpha, beta in ((0.5, 0.5), (0.3, 0.7)):
        theirs = monai.losses.TverskyLoss(alpha=alpha, beta=beta)(probabilities, target)
        torch.testing.assert_close(tversky_loss(probabilities, labels, alpha=alpha, beta=beta), theirs)
    if shape[1] > 1:
        theirs = monai.losses.DiceLoss(squared_pred=True, include_background=False)(probabilities, target)
        torch.testing.assert_close(soft_dice_loss(probabilities, labels, background=False), theirs)
        theirs = monai.losses.GeneralizedDiceLoss(smooth_nr=0, smooth_dr=0)(probabilities, target)
        found = generalised_dice_loss(probabilities, labels, epsilon=0)
        torch.testing.assert_close(found, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", SHAPES)
def test_voxels_are_pytorchs_and_monais(shape, seed):
    logits, labels = pair(shape, seed, torch.float32)
    target = one_hot(labels, shape[1]).float()
    if shape[1] == 1:
        torch.testing.assert_close(
            cross_entropy_loss(logits, labels), F.binary_cross_entropy_with_logits(logits, target)
        )
        theirs = monai.losses.FocalLoss(gamma=2, alpha=0.25)(logits, target)
        torch.testing.assert_close(focal_loss(logits, labels, class_weights=[0.75, 0.25]), theirs)
        return
    weights = torch.arange(1.0, shape[1] + 1)
    theirs = F.cross_entropy(logits, labels, weights)
    torch.testing.assert_close(cross_entropy_loss(logits, labels, class_weights=weights), theirs)
    theirs = monai.losses.FocalLoss(gamma=3, use_softmax=True)(logits, target)  # averaged over classes as well
    torch.testing.assert_close(focal_loss(logits, labels, gamma=3) / shape[1], theirs)
    for options in ({}, {"background": False, "squared": False}):
        theirs = monai.losses.DiceCELoss(
            softmax=True,
            to_onehot_y=True,
            squared_pred=options.get("squared", True),
            include_background=options.get("background", True),
            lambda_dice=0.5,
            lambda_ce=2.0,
        )(logits, labels[:, None])
        found = dice_cross_entropy_loss(logits, labels, dice_weight=0.5, cross_entropy_weight=2.0, **options)
        torch.testing.assert_close(found, theirs)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_at_zero_and_one_they_are_the_measures_of_masks(seed):
    ours, labels = (pair((2, 3, 6, 5), seed + n)[1] for n in (0, 1))
    hard = one_hot(ours, 3)
    for soft, measure in ((soft_dice, overlap.dice), (soft_iou, overlap.iou)):
        expected = measure(ours, labels, [0, 1, 2], batch_dims=1)
        for squared in (True, False):
            torch.testing.assert_close(soft(hard, labels, squared=squared), expected, equal_nan=True)
    expected = 1 - overlap.generalised_dice(ours, labels, [0, 1, 2], batch_dims=1)
    torch.testing.assert_close(generalised_dice_loss(hard, labels, epsilon=0, reduction="none"), expected)
    iou = overlap.iou(ours, labels, [0, 1, 2], batch_dims=1)
    torch.testing.assert_close(
        tversky_loss(hard, labels, alpha=1, beta=1, epsilon=1e-12, reduction="none"), 1 - iou, atol=1e-9, rtol=0
    )


# --- Gradients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 3, 2), (1, 3, 3, 2, 2), (2, 1, 3, 3)])
@pytest.mark.parametrize("soft_target", [False, True])
def test_gradients(shape, soft_target):
    logits, labels = pair(shape)
    target = probable(pair(shape, 5)[0]) if soft_target else labels
    logits = logits.requires_grad_()
    options = [
        (soft_dice_loss, {}),
        (soft_dice_loss, {"squared": False, "pooled": True, "absent": "ignore"}),
        (generalised_dice_loss, {}),
        (tversky_loss, {"alpha": 0.2, "beta": 0.9}),
    ]
    for loss, some in options:
        assert gradcheck(lambda x, loss=loss, some=some: loss(probable(x), target, **some), logits), loss.__name__
    for measure in (soft_dice, soft_iou):
        assert gradcheck(lambda x, measure=measure: measure(probable(x), target, squared=True), logits)
    for some in ({}, {"gamma": 0.5}, {"class_weights": [1.0, 3.0, 0.5, 2.0][: max(shape[1], 2)]}):
        assert gradcheck(lambda x, some=some: focal_loss(x, target, **some), logits)
    assert gradcheck(lambda x: cross_entropy_loss(x, target), logits)
    assert gradcheck(lambda x: dice_cross_entropy_loss(x, target), logits)


@pytest.mark.parametrize("squared", [True, False])
def test_second_gradients(squared):
    logits, labels = pair((1, 2, 3, 4))
    assert torch.autograd.gradgradcheck(
        lambda x: soft_dice_loss(x.softmax(1), labels, squared=squared), logits.requires_grad_()
    )


def test_labels_and_their_shares_give_one_loss_and_one_gradient():
    for shape in SHAPES:
        logits, labels = pair(shape)
        for loss in (*REGIONS, *VOXELS, dice_cross_entropy_loss):
            slopes = []
            for target in (labels, one_hot(labels, shape[1]), labels.to(torch.uint8), labels.double()):
                x = logits.clone().requires_grad_()
                value = loss(probable(x) if loss in REGIONS else x, target)
                value.backward()
                slopes.append((value.detach(), x.grad))
            for other in slopes[1:]:
                torch.testing.assert_close(other, slopes[0])


def test_nothing_undefined_reaches_a_gradient():
    probabilities = torch.zeros(1, 1, 4, 4, requires_grad=True)
    found = soft_dice(probabilities, torch.zeros(1, 4, 4, dtype=torch.long), undefined=1.0)
    (found.sum() + soft_dice_loss(probabilities, torch.zeros(1, 4, 4, dtype=torch.long), epsilon=0)).backward()
    assert bool(probabilities.grad.isfinite().all())


def test_certain_mistakes_are_finite_and_pull():
    labels = torch.ones(1, 2, 2, dtype=torch.long)
    for shape in ((1, 1, 2, 2), (1, 2, 2, 2)):
        for loss in VOXELS:
            for value in (-200.0, 200.0):
                logits = torch.zeros(shape)
                logits[:, -1] = value
                found = loss(logits.requires_grad_(), labels)
                found.backward()
                assert float(found.detach()) == pytest.approx(200 if value < 0 else 0, abs=1e-4)
                assert bool(logits.grad.isfinite().all())
                assert (float(logits.grad[:, -1].abs().sum()) > 0.9) == (value < 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_summed_in_thirty_two(dtype):
    logits, labels = pair((1, 2, 64, 64, 32), dtype=torch.float32)  # 131,072 voxels: more than float16 can say
    logits = logits.to(dtype)
    probabilities = logits.float().softmax(1).to(dtype)
    for loss in (*REGIONS, *VOXELS, dice_cross_entropy_loss):
        given = probabilities if loss in REGIONS else logits
        x = given.clone().requires_grad_()
        found = loss(x, labels)
        assert found.dtype == torch.float32
        found.backward()
        assert x.grad.dtype == dtype and bool(x.grad.isfinite().all())
        assert float(found.detach()) == pytest.approx(float(loss(given.double(), labels)), rel=2e-5), loss.__name__


# --- Properties ----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_properties(seed):
    logits, labels = pair((2, 3, 5, 6, 4), seed)
    turned, turned_labels = logits.permute(0, 1, 4, 2, 3).flip(2), labels.permute(0, 3, 1, 2).flip(1)
    swapped = torch.tensor([2, 0, 1])
    for loss in (*REGIONS, *VOXELS, dice_cross_entropy_loss):
        given = probable if loss in REGIONS else lambda x: x
        value = loss(given(logits), labels)
        assert float(value) >= 0
        if loss in REGIONS:
            assert float(value) <= 1
        torch.testing.assert_close(loss(given(turned), turned_labels), value, msg="axes have no names")
        torch.testing.assert_close(loss(given(logits[:, swapped.argsort()]), swapped[labels]), value)
        torch.testing.assert_close(loss(given(logits.flip(0)), labels.flip(0)), value)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0, 4))
def test_focal_loss_is_below_the_cross_entropy(seed, gamma):
    logits, labels = pair((1, 3, 6, 6), seed)
    plain, focal = cross_entropy_loss(logits, labels), focal_loss(logits, labels, gamma=gamma)
    assert float(focal) <= float(plain) + 1e-12
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0), plain)


def test_only_squares_have_their_best_value_at_a_target_of_shares():
    shares = torch.tensor([0.3, 0.9, 0.5, 0.1], dtype=torch.float64).reshape(1, 1, 2, 2)
    rounded = (shares >= 0.5).double()
    assert float(soft_dice_loss(shares, shares)) == pytest.approx(0, abs=1e-12)
    assert float(soft_dice_loss(rounded, shares)) > 0.05
    plain = [float(soft_dice_loss(given, shares, squared=False)) for given in (shares, rounded)]
    assert plain[1] < plain[0], "plain sums would rather have it hard"


def test_generalised_dice_of_large_regions_is_not_hidden_by_epsilon():
    """With weights of 1 / volume², as others have them, an epsilon of 1e-5 is more than a million voxels."""
    labels = torch.zeros(1, 1024, 1024, dtype=torch.long)
    labels[:, 512:] = 1
    wrong = one_hot(1 - labels, 2)
    assert float(generalised_dice_loss(wrong, labels)) == pytest.approx(1, abs=1e-6)


# --- Refusals ------------------------------------------------------------------------------------------------------

GOOD = torch.full((1, 2, 4, 4), 0.5)
LABELS = torch.zeros(1, 4, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((GOOD * math.nan, LABELS), {}, "probabilities contain NaN, expected numbers from 0 to 1"),
        ((GOOD * 6, LABELS), {}, r"probabilities hold 3, expected 0 to 1 \(softmax or sigmoid makes them of logits\)"),
        ((GOOD - 1, LABELS), {}, r"probabilities hold -0\.5, expected 0 to 1"),
        ((GOOD * 0.5, LABELS), {}, r"probabilities add up to 0\.5 over the classes somewhere, expected 1"),
        ((GOOD[0], LABELS), {}, r"probabilities has the shape \(2, 4, 4\), expected \(B, C, X, Y\)"),
        ((LABELS[None], LABELS), {}, r"probabilities is torch\.int64, expected a tensor of floating-point numbers"),
        (([1], LABELS), {}, "probabilities is list, expected a tensor"),
        ((GOOD, LABELS[:, 1:]), {}, r"target has the shape \(1, 3, 4\), expected \(1, 4, 4\) or \(1, 2, 4, 4\)"),
        ((GOOD, LABELS[:, None]), {}, r"target has the shape \(1, 1, 4, 4\), expected \(1, 4, 4\) or"),
        ((GOOD, LABELS + 2), {}, "target holds the label 2, expected 0 to 1"),
        ((GOOD[:, :1], LABELS - 1), {}, "target holds the label -1, expected 0 to 1"),
        ((GOOD, LABELS + 0.5), {}, r"target holds 0\.5, expected whole numbers as labels"),
        ((GOOD, GOOD * math.nan), {}, "target contains NaN"),
        ((GOOD, GOOD * 0.2), {}, r"target adds up to 0\.2"),
        ((GOOD * 0.5, LABELS), {"exclusive": False}, r"target has the shape \(1, 4, 4\), expected \(1, 2, 4, 4\)"),
        ((GOOD, LABELS), {"epsilon": -1}, "epsilon is -1, expected a number of at least 0"),
        ((GOOD, LABELS), {"absent": "zero"}, "absent is 'zero', expected one of epsilon, ignore"),
        ((GOOD, LABELS), {"reduction": "sum"}, "reduction is 'sum', expected one of mean, none"),
        ((GOOD, LABELS), {"class_weights": [1.0]}, r"class_weights has the shape \(1,\), expected one for each of 2"),
        ((GOOD, LABELS), {"class_weights": [0.0, 0.0]}, "expected finite numbers of 0 or more, not all 0"),
        ((GOOD, LABELS), {"class_weights": "abc"}, "class_weights is 'abc', expected 2 numbers"),
    ],
)
def test_refusals(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        soft_dice_loss(*arguments, **options)


def test_more_refusals():
    for loss in (*VOXELS, dice_cross_entropy_loss):
        with pytest.raises(ValueError, match="logits contain NaN, expected finite numbers"):
            loss(GOOD * math.nan, LABELS)
        with pytest.raises(ValueError, match="logits contain infinity, expected finite numbers"):
            loss(GOOD * math.inf, LABELS)
    with pytest.raises(ValueError, match="gamma is -1"):
        focal_loss(GOOD, LABELS, gamma=-1)
    with pytest.raises(ValueError, match="alpha is -1"):
        tversky_loss(GOOD, LABELS, alpha=-1)
    with pytest.raises(ValueError, match="dice_weight is -1"):
        dice_cross_entropy_loss(GOOD, LABELS, dice_weight=-1)
    with pytest.raises(ValueError, match="reduction is given, expected none"):
        dice_cross_entropy_loss(GOOD, LABELS, reduction="none")
    assert float(soft_dice_loss(GOOD * 0.5, GOOD, exclusive=False)) > 0, "regions may overlap"
