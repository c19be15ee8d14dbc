"""Restoration: the image that a model of healthy ones finds likely, and that is still close to the one seen."""

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.methods.vae_restoration.elbo import negative_elbo
from medlab.nn.vae2d import Vae2d


def total_variation(x: Tensor) -> Tensor:
    """The sum of absolute differences between neighbours along both axes, (B,), of images (B, C, X, Y).

    Of a difference of images it is small where that is flat, as a lesion's is: few edges, whatever its strength.
    """
    steps = [x.diff(dim=axis).abs().flatten(1).sum(1) for axis in (2, 3)]
    return steps[0] + steps[1]


def restoration_energy(
    network: Vae2d, restored: Tensor, seen: Tensor, *, law: str, scale: float, weight: float
) -> Tensor:
    """-ELBO(restored) + weight * TV(restored - seen), (B,) nats: what restoration lowers (You et al. 2019).

    A deviation: the bound is taken at the mean of the code, not at draws of it, so that the energy is the same each
    time. (In the public code of Baur et al. the variation is that of image - decoded; here that of image -
    restored, what is taken away.)
    """
    decoded, found = network(restored)
    bound = negative_elbo(restored, decoded, found, law, scale)["loss"]
    return bound + weight * total_variation(restored - seen)


def restore(
    network: Vae2d,
    seen: Tensor,
    *,
    law: str = "gaussian",
    scale: float = 0.1,
    weight: float = 1.0,
    rate: float = 1e-3,
    steps: int = 20,
) -> Tensor:
    """The restored images, (B, C, S, S): plain gradient descent on `restoration_energy`, beginning at the images seen.

    rate: what gradients, in nats, are multiplied by; for a Gaussian law rate / scale² is the share of the difference to
    the decoded image that a step takes away, and should stay below 1. The network's weights get no gradient; it should
    be in evaluation mode. Raises ValueError for a rate, weight or number of steps out of range.
    """
    number(rate, "rate", 0, above=True)
    number(weight, "weight", 0)
    restored = seen.detach().clone()
    for _ in range(whole(steps, "steps", 0)):
        restored.requires_grad_(True)
        with torch.enable_grad():
            energy = restoration_energy(network, restored, seen, law=law, scale=scale, weight=weight).sum()
        gradient = torch.autograd.grad(energy, restored)[0]
        restored = restored.detach() - rate * gradient
    return restored
