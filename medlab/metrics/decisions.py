"""What comes in: scores and the truth that they are judged by, checked once for every measure of detection."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from medlab.metrics.mask_pairs import Array, as_mask, as_tensor


class Decisions(NamedTuple):
    """Scores of those that have what is looked for and of those that have not, each a flat array of real numbers."""

    positive: np.ndarray
    negative: np.ndarray


def as_scores(scores: Array, truth: Array, mask: Array | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) and truth (n,) of bool, flat, where the mask is true.

    Raises ValueError for shapes that differ, for scores that are NaN, and for a truth that is no mask.
    """
    values, positive = as_tensor(_listed(scores), "scores"), as_mask(_listed(truth), "truth")
    if values.shape != positive.shape:
        raise ValueError(f"scores have the shape {tuple(values.shape)}, expected truth's, {tuple(positive.shape)}")
    values, positive = values.cpu(), positive.cpu()
    if mask is not None:
        inside = as_mask(mask, "mask").cpu()
        if inside.shape != values.shape:
            raise ValueError(f"mask has the shape {tuple(inside.shape)}, expected scores', {tuple(values.shape)}")
        values, positive = values[inside], positive[inside]
    values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
    found = values.reshape(-1).numpy()
    if found.dtype.kind == "f" and np.isnan(found).any():
        raise ValueError("scores hold NaN, expected numbers")
    return found, positive.reshape(-1).numpy()


def as_decisions(scores: Array, truth: Array, mask: Array | None = None) -> Decisions:
    """As `as_scores`, parted by the truth; raises ValueError where one of both kinds is missing, too."""
    return parted(*as_scores(scores, truth, mask))


def parted(scores: np.ndarray, positive: np.ndarray) -> Decisions:
    """The scores of both kinds; raises ValueError where one is missing."""
    for kind, found in (("positive", positive.any()), ("negative", not positive.all())):
        if not found:
            raise ValueError(f"truth holds no {kind} among {positive.size}, expected at least one of each kind")
    return Decisions(scores[positive], scores[~positive])


def _listed(values: object) -> object:
    """Lists become arrays, for decisions about a few patients are often lists."""
    return np.asarray(values) if isinstance(values, list | tuple) and not isinstance(values, Tensor) else values
