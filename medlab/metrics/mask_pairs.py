"""What comes in: masks and label maps, checked once for every measure."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import whole

Array = Tensor | np.ndarray


def as_tensor(value: Array, name: str) -> Tensor:
    """A tensor that shares memory with an array where it can; raises ValueError for what is neither."""
    if isinstance(value, Tensor):
        if value.is_complex():
            raise ValueError(f"{name} holds {value.dtype}, expected numbers or booleans")
        return value.detach()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {value.dtype}, expected numbers or booleans")
        if value.dtype == np.longdouble:
            value = value.astype(np.float64)
        value = value.astype(value.dtype.newbyteorder("="), copy=False)  # as a big-endian file gives it
        if value.dtype in (np.uint16, np.uint32, np.uint64):  # torch compares these hardly at all
            value = value.astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(value))
    raise ValueError(f"{name} is a {type(value).__name__}, expected a tensor or an array")


def as_mask(value: Array, name: str) -> Tensor:
    """A bool tensor of a mask, which may also be given as numbers that are all 0 or 1."""
    mask = as_tensor(value, name)
    if mask.dtype == torch.bool:
        return mask
    if mask.dtype == torch.uint8 and mask.numel():
        found = int(mask.max())
        if found > 1:
            raise ValueError(f"{name} holds {found}, expected a mask of 0 and 1 (name the labels to judge a label map)")
        return mask.view(torch.bool)
    result = mask == 1
    other = ~result & (mask != 0)
    if bool(other.any()):
        found = mask[other][0].item()
        raise ValueError(f"{name} holds {found:g}, expected a mask of 0 and 1 (name the labels to judge a label map)")
    return result


def as_labels(value: Array, name: str) -> Tensor:
    """A tensor of whole numbers of a label map, which may also be given as floating-point numbers without fractions."""
    labels = as_tensor(value, name)
    if not labels.is_floating_point():
        return labels
    labels = labels if labels.dtype in (torch.float32, torch.float64) else labels.float()  # NumPy has no bfloat16
    wrong = (labels != labels.round()) | labels.isinf()  # NaN is not equal to itself
    if bool(wrong.any()):
        raise ValueError(f"{name} holds {labels[wrong][0].item():g}, expected whole numbers as labels")
    return labels


def as_pair(
    prediction: Array, reference: Array, labels: Sequence[int] | None = None, batch_dims: int = 0
) -> tuple[Tensor, Tensor]:
    """Two masks, or with labels two label maps, of one shape and on one device; batch_dims leading axes are samples.

    Raises ValueError for different shapes, for values that are no mask or no label, and for labels that are none.
    """
    as_one = as_mask if labels is None else as_labels
    ours, truth = as_one(prediction, "prediction"), as_one(reference, "reference")
    if ours.shape != truth.shape:
        raise ValueError(
            f"prediction has the shape {tuple(ours.shape)}, expected that of reference, {tuple(truth.shape)}"
        )
    whole(batch_dims, "batch_dims", 0)
    if ours.ndim - batch_dims < 1:
        raise ValueError(f"prediction has {ours.ndim} axes, expected more than the {batch_dims} of the batch")
    if 0 in ours.shape:
        raise ValueError(f"prediction has the shape {tuple(ours.shape)}, expected at least one voxel")
    if labels is not None:
        if isinstance(labels, int | np.integer | str):
            raise ValueError(f"labels is {labels!r}, expected a list of one or more values")
        if len(labels) == 0 or len(set(labels)) != len(labels):
            raise ValueError(f"labels is {labels!r}, expected one or more values, each once")
        for label in labels:
            if isinstance(label, bool) or not isinstance(label, int | np.integer):
                raise ValueError(f"labels holds {label!r}, expected whole numbers")
    return ours, truth.to(ours.device)
