"""A variational autoencoder of images: an encoder to a normal distribution over a code, a decoder back."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlab.arguments import whole
from medlab.nn.blocks import ConvNormAct, NormAct, convolution
from medlab.nn.network import initialise


class Encoded(NamedTuple):
    """The approximate posterior of a code, a normal distribution without correlations: both (B, latent) float32."""

    mean: Tensor
    log_variance: Tensor


class Vae2d(nn.Module):
    """A variational autoencoder (Kingma and Welling 2014) of square images, (B, C, S, S), with a dense code.

    size: S, which `levels` strided 3x3 convolutions halve as often; channels double from `width` on. Two dense layers
    give the mean and the log variance of `latent` numbers. The decoder is the mirror image, of transposed convolutions
    with kernel 4 and stride 2, and a 3x3 convolution. bounded: a sigmoid keeps what is decoded in 0 to 1; without it
    any real number comes out. norm: "batch", "instance", "group" or None; "instance" would take the brightness of an
    image away from the code.

    The layout (strided encoder, dense bottleneck, mirrored decoder) is the common one of Baur et al. (Med. Image Anal.
    69, 2021), whose kernels are 5x5. 1,875,921 parameters for the defaults. Weights are drawn from torch's global
    generator. Raises ValueError where the size cannot be halved so often, and for anything else out of range.
    """

    def __init__(
        self,
        size: int = 64,
        latent: int = 64,
        *,
        channels: int = 1,
        width: int = 32,
        levels: int = 4,
        norm: str | None = "batch",
        bounded: bool = True,
    ):
        super().__init__()
        self.size, self.latent = whole(size, "size"), whole(latent, "latent")
        self.channels, self.bounded = whole(channels, "channels"), bool(bounded)
        factor = 2 ** whole(levels, "levels")
        if size % factor:
            raise ValueError(f"size is {size}, expected a multiple of {factor} for {levels} levels")
        widths = [whole(width, "width", 2) * 2**level for level in range(levels)]
        self.deepest = (widths[-1], size // factor, size // factor)
        options = {"norm": norm, "bias": norm is None, "axes": 2}
        self.encoder = nn.Sequential(
            *(ConvNormAct(above, here, stride=2, **options) for above, here in pairwise([channels, *widths]))
        )
        count = widths[-1] * (size // factor) ** 2
        self.mean, self.log_variance = nn.Linear(count, latent), nn.Linear(count, latent)
        self.spread = nn.Linear(latent, count)
        up = [*reversed(widths), max(width // 2, 1)]
        self.decoder = nn.Sequential(*(_Doubled(coarse, fine, norm) for coarse, fine in pairwise(up)))
        self.head = convolution(up[-1], channels, bias=True, axes=2)
        initialise(self, heads=(self.head,))

    def encode(self, x: Tensor) -> Encoded:
        """The posterior of the codes of images (B, C, S, S). Raises ValueError for another shape."""
        if x.ndim != 4 or tuple(x.shape[1:]) != (self.channels, self.size, self.size) or not len(x):
            expected = f"(B, {self.channels}, {self.size}, {self.size})"
            raise ValueError(f"x has the shape {tuple(x.shape)}, expected {expected}")
        features = self.encoder(x).flatten(1)
        return Encoded(self.mean(features).float(), self.log_variance(features).float())

    def decode(self, code: Tensor) -> Tensor:
        """The mean image of each code (B, latent): (B, C, S, S) float32."""
        if code.ndim != 2 or code.shape[1] != self.latent:
            raise ValueError(f"code has the shape {tuple(code.shape)}, expected (B, {self.latent})")
        found = self.head(self.decoder(self.spread(code).unflatten(1, self.deepest))).float()
        return found.sigmoid() if self.bounded else found

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Encoded]:
        """The decoded mean of one code for each image, and the posterior that the code was drawn from.

        noise: (B, latent) standard normal numbers, the code being mean + deviation * noise; None takes the mean itself.
        """
        found = self.encode(x)
        return self.decode(drawn(found, noise)), found


def drawn(found: Encoded, noise: Tensor | None) -> Tensor:
    """Codes (B, latent) of a posterior and standard normal numbers: the reparameterisation, through which gradients
    reach both mean and variance. Without noise the mean."""
    return found.mean if noise is None else found.mean + (found.log_variance / 2).exp() * noise


def standard_normal(batch: Tensor, latent: int, generator: torch.Generator | None = None) -> Tensor:
    """Noise for a batch, (B, latent); of a generator it is drawn on the CPU, so that every device sees the same."""
    if generator is None:
        return torch.randn(len(batch), latent, device=batch.device)
    return torch.randn(len(batch), latent, generator=generator).to(batch.device)


class _Doubled(nn.Sequential):
    """A map of twice the size. Kernel 4 and stride 2: every output is met by as many taps as every other."""

    def __init__(self, inputs: int, outputs: int, norm: str | None):
        up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=norm is None)
        super().__init__(up, NormAct(outputs, norm, spare=True))
