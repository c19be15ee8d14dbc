"""The evidence lower bound of a variational autoencoder, in nats an image: sums over pixels, never means.

A mean over pixels would weigh the code by the number of pixels: the bound would then be that of no model.
"""

import math

from torch import Tensor

from medlab.arguments import number, one_of
from medlab.nn.vae2d import Encoded

LAWS = ("gaussian", "laplace")


def gaussian_kl(found: Encoded) -> Tensor:
    """The divergence of each code's posterior from the standard normal prior, (B,) nats, 0 or more.

    KL = 1/2 sum(mean² + variance - 1 - log variance), over the numbers of a code (Kingma and Welling 2014, appendix B).
    """
    variance = found.log_variance.exp()
    return 0.5 * (found.mean.square() + variance - 1 - found.log_variance).sum(1)


def negative_log_likelihood(x: Tensor, mean: Tensor, law: str = "gaussian", scale: float = 1.0) -> Tensor:
    """-log p(x | code) of each image, (B,) nats, constants included; as densities may exceed 1, it may be below 0.

    x, mean: (B, C, X, Y), pixels independent. law: "gaussian", where scale is the standard deviation of a pixel, or
    "laplace", where it is the mean absolute difference (the L1 loss).
    """
    one_of(law, LAWS, "law")
    scale = number(scale, "scale", 0, above=True)
    if x.shape != mean.shape:
        raise ValueError(f"mean has the shape {tuple(mean.shape)}, expected that of x, {tuple(x.shape)}")
    away = (x - mean).flatten(1) / scale
    if law == "gaussian":
        return (away.square() / 2 + math.log(scale * math.sqrt(2 * math.pi))).sum(1)
    return (away.abs() + math.log(2 * scale)).sum(1)


def negative_elbo(
    x: Tensor, mean: Tensor, found: Encoded, law: str = "gaussian", scale: float = 1.0, kl_weight: float = 1.0
) -> dict[str, Tensor]:
    """The named parts of the loss, each (B,) nats: "reconstruction", "kl" and "loss", reconstruction + kl_weight kl.

    With kl_weight 1 and mean decoded from a code of the posterior, -loss is an unbiased estimate of a lower bound of
    log p(x). x, mean: (B, C, X, Y). Other arguments: see `negative_log_likelihood`.
    """
    parts = {"reconstruction": negative_log_likelihood(x, mean, law, scale), "kl": gaussian_kl(found)}
    return {"loss": parts["reconstruction"] + kl_weight * parts["kl"], **parts}
