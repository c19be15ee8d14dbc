"""Losses of single voxels: each is judged by itself, and the mean taken.

All functions of this file take logits, (B, C, X, Y[, Z]), any finite numbers: their probabilities are a softmax over
the C classes, or a sigmoid where C is 1. Logarithms of probabilities are formed from logits and never from
probabilities, so that a certain mistake has a finite loss and a gradient. target: labels (B, X, Y[, Z]), or shares of
each class in the logits' shape; no gradient reaches it. class_weights: C numbers of 0 or more; where C is 1, two, of
background and foreground. reduction: "mean", or "none" for the weighted loss of every voxel (B, X, Y[, Z]). Results in
nats, 0 or more, float32 at least. Raises ValueError for logits that are not finite, for shapes that do not fit, for
labels without a class, and for options out of range.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import number, one_of
from medlab.metrics.losses.region import REDUCTIONS
from medlab.metrics.losses.soft_pairs import as_logits, as_target, as_weights, wide


def cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-log of the probability of the true class (thesis eq. 4.11), the mean over voxels.

    With weights the mean is a weighted one, divided by the sum of the weights of all voxels: doubling every weight
    changes nothing. (PyTorch does so for labels, but divides by the number of voxels for shares.) Arguments: see the
    file.
    """
    one_of(reduction, REDUCTIONS, "reduction")
    log, target = _log_probabilities(logits), as_target(target, logits)
    weights = _weights(class_weights, logits, log)
    if target.ndim < logits.ndim and reduction == "mean":
        return F.nll_loss(log, target.long(), weights)
    loss, weight = _of_true_class(log, -log, target, weights)
    return loss.sum() / weight.sum() if reduction == "mean" else loss


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    class_weights: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(1 - p)^gamma log p of the probability p of the true class (Lin et al. 2017), the mean over voxels.

    What is already right counts less. gamma: 0 or more; 0 is the cross entropy. class_weights: their alpha (of two
    classes, 1 - alpha and alpha). The mean is over the number of voxels, whatever the weights; the authors divide by
    the number of objects. Other arguments: see the file.
    """
    gamma = number(gamma, "gamma", 0)
    one_of(reduction, REDUCTIONS, "reduction")
    log, target = _log_probabilities(logits), as_target(target, logits)
    weights = _weights(class_weights, logits, log)
    if target.ndim < logits.ndim:  # only the true class is looked at: a C-th of the work
        log = log.gather(1, target.long()[:, None])
    # 1 - p, kept off 0, where a power below 1 has no slope.
    left = (-torch.expm1(log)).clamp(min=torch.finfo(log.dtype).tiny)
    loss, _ = _of_true_class(log, -left.pow(gamma) * log, target, weights)
    return loss.mean() if reduction == "mean" else loss


def _log_probabilities(logits: Tensor) -> Tensor:
    """(B, C, ...), of two classes where there is one channel; 16-bit logits become float32."""
    logits = as_logits(logits)
    if logits.shape[1] == 1:
        logits = logits.to(wide(logits))
        return torch.cat([F.logsigmoid(-logits), F.logsigmoid(logits)], 1)
    return F.log_softmax(logits, 1, dtype=wide(logits))


def _weights(class_weights: Sequence[float] | Tensor | None, logits: Tensor, log: Tensor) -> Tensor | None:
    return None if class_weights is None else as_weights(class_weights, log.shape[1], logits)


def _of_true_class(log: Tensor, loss: Tensor, target: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weighted loss and the weight of each voxel, (B, X, Y[, Z])."""
    if target.ndim < log.ndim:
        labels = target.long()
        loss = loss[:, 0] if loss.shape[1] == 1 else loss.gather(1, labels[:, None])[:, 0]
        weight = torch.ones_like(loss) if weights is None else weights[labels]
        return weight * loss, weight
    shares = torch.cat([1 - target, target], 1) if target.shape[1] < loss.shape[1] else target
    if weights is not None:
        shares = shares * weights.reshape(-1, *[1] * (loss.ndim - 2))
    return (shares * loss).sum(1), shares.sum(1)
