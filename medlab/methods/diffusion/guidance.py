"""Guidance by a classifier: the noise that a network finds, changed so that a step leads towards a class."""

import torch
from torch import Tensor, nn

from medlab.methods.diffusion.schedule import Index, NoiseSchedule


def log_probability_gradient(classifier: nn.Module, x: Tensor, time: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """The gradient of log p(target | x) by x, like x, and log p itself, (B,). classifier: (x, time) to logits."""
    with torch.enable_grad():
        given = x.detach().requires_grad_(True)
        found = classifier(given, time).float().log_softmax(1)[:, target]
        # The images of a batch do not see one another, so that the sum has each one's own gradient.
        (gradient,) = torch.autograd.grad(found.sum(), given)
    return gradient, found.detach()


def guided_noise(predicted: Tensor, gradient: Tensor, schedule: NoiseSchedule, k: Index, scale: float = 1.0) -> Tensor:
    """The noise less scale * sqrt(1 - a_k) times the gradient of log p (Dhariwal and Nichol 2021, algorithm 2).

    For noise predicted exactly it is that of the distribution p(x) p(class | x)^scale in state k.
    """
    return predicted - scale * (1 - schedule.level(k, predicted)).sqrt() * gradient
