"""What a loss is given: probabilities or logits, and a target; checked once, and summed over space per class.

A prediction has the shape (B, C, X, Y[, Z]). A target is a label map (B, X, Y[, Z]) of whole numbers from 0 to C - 1 (0
and 1 where C is 1), or holds the share of each class in each voxel, in the prediction's shape.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from medlab.metrics.mask_pairs import as_labels, as_tensor

TOLERANCE = 1e-2  # how far probabilities may leave 0 to 1, and their sum 1: resampling and 16 bits do that to them


class Sums(NamedTuple):
    """Sums over the voxels of each sample and class, (B, C), in float32 at least."""

    both: Tensor  # of prediction times target
    prediction: Tensor
    target: Tensor
    prediction_squared: Tensor
    target_squared: Tensor


def as_prediction(value: Tensor, name: str) -> Tensor:
    """A floating tensor (B, C, X, Y[, Z]) with at least one voxel."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        found = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} is {found}, expected a tensor of floating-point numbers")
    if value.ndim not in (4, 5) or value.numel() == 0:
        raise ValueError(f"{name} has the shape {tuple(value.shape)}, expected (B, C, X, Y) or (B, C, X, Y, Z)")
    return value


def as_logits(value: Tensor) -> Tensor:
    """A finite prediction."""
    logits = as_prediction(value, "logits")
    seen = logits.detach()
    # A sum is finite only where every term is (up to overflow, looked at again): one pass, no temporary.
    if not bool(seen.sum(dtype=wide(seen)).isfinite()) and not bool(seen.isfinite().all()):
        found = "NaN" if bool(seen.isnan().any()) else "infinity"
        raise ValueError(f"logits contain {found}, expected finite numbers")
    return logits


def as_probabilities(value: Tensor, exclusive: bool, name: str = "probabilities") -> Tensor:
    """A prediction in 0 to 1 that, where classes exclude one another, adds up to 1 over them."""
    probabilities = as_prediction(value, name)
    seen = probabilities.detach()
    low, high = seen.aminmax()
    good = (low >= -TOLERANCE) & (high <= 1 + TOLERANCE)  # false for NaN too
    adds_up = exclusive and seen.shape[1] > 1
    least, most = seen.sum(1, dtype=wide(seen)).aminmax() if adds_up else (good, good)
    if adds_up:
        good = good & (least >= 1 - TOLERANCE) & (most <= 1 + TOLERANCE)
    if bool(good):  # one question to the device where all is well
        return probabilities
    s = "" if name.endswith("s") else "s"
    if bool(low.isnan()):
        raise ValueError(f"{name} contain{s} NaN, expected numbers from 0 to 1")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        found = low if low < -TOLERANCE else high
        raise ValueError(f"{name} hold{s} {found.item():g}, expected 0 to 1 (softmax or sigmoid makes them of logits)")
    found = least if least < 1 - TOLERANCE else most
    raise ValueError(
        f"{name} add{s} up to {found.item():g} over the classes somewhere, expected 1 (exclusive=False allows it)"
    )


def as_target(value: Tensor, prediction: Tensor, exclusive: bool = True) -> Tensor:
    """A label map, or shares of the prediction's shape and in its dtype; on its device, without a gradient."""
    target = as_tensor(value, "target").to(prediction.device)
    classes = prediction.shape[1]
    labelled = prediction.shape[:1] + prediction.shape[2:]
    if target.shape == labelled and (exclusive or classes == 1):
        labels = as_labels(target, "target")
        labels = labels if not labels.is_floating_point() else labels.long()
        highest = max(classes - 1, 1)
        if labels.dtype == torch.bool:
            return labels.view(torch.uint8)
        low, high = labels.aminmax()
        if not bool((low >= 0) & (high <= highest)):
            found = low if low < 0 else high
            raise ValueError(f"target holds the label {int(found)}, expected 0 to {highest}")
        return labels
    if target.shape != prediction.shape:
        either = f"{tuple(labelled)} or " if exclusive or classes == 1 else ""
        raise ValueError(
            f"target has the shape {tuple(target.shape)}, expected {either}{tuple(prediction.shape)}, "
            f"as the prediction has {tuple(prediction.shape)}"
        )
    shares = target if target.is_floating_point() else target.float()
    return as_probabilities(shares, exclusive, "target").to(prediction.dtype)


def as_weights(value: object, count: int, like: Tensor, name: str = "class_weights") -> Tensor:
    """Weights of 0 or more, one a class, of which one at least is above 0."""
    try:
        weights = torch.as_tensor(value, dtype=wide(like), device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}, expected {count} numbers") from None
    if weights.shape != (count,):
        raise ValueError(f"{name} has the shape {tuple(weights.shape)}, expected one for each of {count} classes")
    if not bool((weights >= 0).all() & weights.isfinite().all() & (weights > 0).any()):
        raise ValueError(f"{name} is {weights.tolist()}, expected finite numbers of 0 or more, not all 0")
    return weights


def wide(values: Tensor) -> torch.dtype:
    """In what values are summed: 16-bit numbers lose count after a few thousand voxels."""
    return torch.promote_types(values.dtype, torch.float32)


def class_sums(prediction: Tensor, target: Tensor, squared: bool) -> Sums:
    """The sums from which every measure of overlap follows; squares are the plain sums where not asked for."""
    kind = wide(prediction)
    flat = prediction.flatten(2)
    if target.ndim < prediction.ndim:
        labels = target.flatten(1).long()
        both, ours, ours_squared = _LabelledSums.apply(flat, labels, squared)
        truth = _by_class(labels, flat.shape[1], None).to(kind)
        truth_squared = truth
    else:
        shares = target.flatten(2)
        both = (flat * shares).sum(-1, dtype=kind)
        ours, truth = flat.sum(-1, dtype=kind), shares.sum(-1, dtype=kind)
        ours_squared = flat.to(kind).square().sum(-1) if squared else ours
        truth_squared = shares.to(kind).square().sum(-1) if squared else truth
    return Sums(both, ours, truth, ours_squared, truth_squared)


class _LabelledSums(torch.autograd.Function):
    """Sums of a prediction over all voxels and over those of each class, without a one-hot copy of the labels.

    The gradients of all three follow from the prediction and the labels, so nothing else is kept.
    """

    @staticmethod
    def forward(ctx, flat, labels, squared):
        ctx.save_for_backward(flat, labels)
        ctx.squared = squared
        kind, classes = wide(flat), flat.shape[1]
        of_true = flat[:, 0] if classes == 1 else flat.gather(1, labels[:, None])[:, 0]
        ours = flat.sum(-1, dtype=kind)
        squares = torch.linalg.vector_norm(flat, dim=-1, dtype=kind).square() if squared else ours.clone()
        return _by_class(labels, classes, of_true).to(kind), ours, squares

    @staticmethod
    def backward(ctx, of_both, of_ours, of_squares):
        flat, labels = ctx.saved_tensors
        of_both, of_ours, of_squares = (one.to(flat.dtype) for one in (of_both, of_ours, of_squares))
        if ctx.squared:
            slope = torch.addcmul(of_ours[..., None], 2 * of_squares[..., None], flat)
        else:
            slope = (of_ours + of_squares)[..., None].expand(flat.shape)
        if flat.shape[1] == 1:
            return slope + (of_both * labels)[:, None], None, None
        more = slope.gather(1, labels[:, None]) + of_both.gather(1, labels)[:, None]
        return slope.scatter(1, labels[:, None], more), None, None


def _by_class(labels: Tensor, classes: int, values: Tensor | None) -> Tensor:
    """For each class how many voxels have its label, or the sum of their values, (B, C); of label 1 for one channel.

    labels, values: (B, N). A histogram is one pass, but on a GPU its sums differ from run to run.
    """
    first, count = int(classes == 1), max(classes, 2)
    if labels.device.type == "cpu":
        values = [None] * len(labels) if values is None else values.double()
        rows = [torch.bincount(row, some, minlength=count) for row, some in zip(labels, values, strict=True)]
        return torch.stack(rows)[:, first:]
    masks = (labels == value for value in range(first, count))
    if values is None:
        return torch.stack([torch.count_nonzero(mask, 1) for mask in masks], 1)
    return torch.stack([torch.where(mask, values, 0).sum(1, dtype=wide(values)) for mask in masks], 1)
