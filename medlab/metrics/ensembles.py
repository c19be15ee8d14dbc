"""What several models say together, and where they differ. Members come one by one: memory does not grow with them."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from medlab.arguments import as_finite, whole


class EnsembleMaps(NamedTuple):
    """Mean and variance of the members in every place, of their shape, and how many members there were."""

    mean: Tensor
    variance: Tensor
    count: int


class Uncertainty(NamedTuple):
    """Entropies in nats, in every place: total = of the data (members' own doubt) + of the model (their dispute)."""

    total: Tensor
    data: Tensor
    model: Tensor


def ensemble_maps(members: Iterable[Tensor], *, correction: int = 1) -> EnsembleMaps:
    """Mean and variance over the members' predictions, by Welford's recurrence (Technometrics 4, 1962).

    members: tensors of one shape, in any iterable; a generator that predicts one after another needs the memory of a
    few of them. correction: 1 divides by one less than the count (unbiased), 0 by the count.
    Raises ValueError for fewer than two members, shapes that differ, and members that are not finite.
    """
    whole(correction, "correction", 0, 1)
    count, mean, squares = 0, None, None
    for one in _checked(members):
        count += 1
        if mean is None:
            mean, squares = one.clone(), torch.zeros_like(one)
            continue
        before = one - mean
        mean += before / count
        squares += before * (one - mean)
    _enough(count)
    return EnsembleMaps(mean, squares / (count - correction), count)


def ensemble_uncertainty(members: Iterable[Tensor], class_axis: int | None = None) -> Uncertainty:
    """How much of the doubt is in the data, and how much is dispute between models (Depeweg et al., ICML 2018).

    members: probabilities of one shape, 0 to 1. class_axis: the axis of the classes, over which they add up to 1; where
    not given they are of one class against the rest. total is the entropy of the mean, data the mean of the entropies,
    model their difference, the mutual information of prediction and model, at most log(classes). Results have no class
    axis.
    Raises ValueError as `ensemble_maps` does, and for numbers that are no probabilities.
    """
    count, mean, own = 0, None, None
    for one in _checked(members):
        if bool((one < 0).any()) or bool((one > 1).any()):
            raise ValueError(f"members hold {one.min():g} to {one.max():g}, expected probabilities from 0 to 1")
        if class_axis is None:
            one = torch.stack([one, 1 - one])
        elif bool(((one.sum(class_axis) - 1).abs() > 1e-3).any()):
            raise ValueError(f"members do not add up to 1 over axis {class_axis}, expected probabilities of classes")
        count += 1
        entropy = _entropy(one, 0 if class_axis is None else class_axis)
        if mean is None:
            mean, own = one.clone(), entropy
            continue
        mean += (one - mean) / count
        own = own + (entropy - own) / count
    _enough(count)
    total = _entropy(mean, 0 if class_axis is None else class_axis)
    return Uncertainty(total, own, (total - own).clamp(min=0))


def _entropy(probability: Tensor, axis: int) -> Tensor:
    return -torch.xlogy(probability, probability).sum(axis)


def _checked(members: Iterable[Tensor]) -> Iterable[Tensor]:
    """Each member as it comes, of the first one's shape; no gradient, for maps are for looking at."""
    shape = None
    for one in members:
        one = as_finite(one, "members").detach()
        one = one if one.element_size() >= 4 else one.float()
        if shape is not None and one.shape != shape:
            raise ValueError(f"members have the shapes {tuple(shape)} and {tuple(one.shape)}, expected one shape")
        shape = one.shape
        yield one


def _enough(count: int) -> None:
    if count < 2:
        raise ValueError(f"members are {count}, expected at least 2")
