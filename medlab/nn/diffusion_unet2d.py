"""The U-Net of denoising diffusion: told the time step, it finds the noise in an image; and its half, a classifier.

The design is that of Dhariwal and Nichol 2021 (residual blocks with group normalisation and SiLU, skips from every
block, attention at coarse levels, up by repetition) in its plain form: the time is added, not used as a scale.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import whole


def time_embedding(time: Tensor, size: int, longest: float = 10_000.0) -> Tensor:
    """Cosines, then sines, of the time at wavelengths from 2 pi to 2 pi longest: (B,) to (B, size), float32.

    Source: Vaswani et al. 2017, section 3.5, as used by Ho et al. 2020, appendix B.
    """
    half = size // 2
    rates = torch.exp(-math.log(longest) * torch.arange(half, dtype=torch.float32, device=time.device) / half)
    angles = time.float()[:, None] * rates
    return F.pad(torch.cat([angles.cos(), angles.sin()], 1), (0, size - 2 * half))


class TimeResidualBlock2d(nn.Module):
    """Norm, SiLU, convolution, twice, beside a shortcut; between the two the embedded time is added to every pixel.

    x: (B, inputs, X, Y), embedding: (B, embedded) to (B, outputs, X, Y). The last convolution starts at zero, so that
    an untrained block is its shortcut.
    """

    def __init__(self, inputs: int, outputs: int, embedded: int, groups: int = 32, dropout: float = 0.0):
        super().__init__()
        self.first = nn.Sequential(_norm(inputs, groups), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Linear(embedded, outputs)
        self.second = nn.Sequential(
            _norm(outputs, groups), nn.SiLU(), nn.Dropout(dropout), _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        inside = self.first(x) + self.time(F.silu(embedding))[:, :, None, None]
        return self.shortcut(x) + self.second(inside)


class SelfAttention2d(nn.Module):
    """Every pixel looks at every other of the same level, and adds what it finds: (B, C, X, Y) to the same."""

    def __init__(self, channels: int, heads: int = 1, groups: int = 32):
        super().__init__()
        if channels % whole(heads, "heads"):
            raise ValueError(f"heads is {heads}, expected a divisor of the {channels} channels of the level")
        self.heads = heads
        self.norm = _norm(channels, groups)
        self.ask = nn.Linear(channels, 3 * channels)
        self.give = _zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        parts = self.ask(tokens).reshape(batch, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(batch, -1, channels)
        return x + self.give(found).transpose(1, 2).reshape(x.shape)


class _Step(nn.Module):
    """A residual block, and attention where the level has it."""

    def __init__(self, inputs: int, outputs: int, embedded: int, groups: int, dropout: float, heads: int):
        super().__init__()
        self.block = TimeResidualBlock2d(inputs, outputs, embedded, groups, dropout)
        self.attention = SelfAttention2d(outputs, heads, groups) if heads else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class DiffusionEncoder2d(nn.Module):
    """The way down: what it saw at every block, the coarsest map, and the embedded time.

    in_channels: of the image. width: channels of the finest level; multipliers: of `width`, one a level, each level
    half as fine as the one before. blocks: residual blocks a level. attention: levels that have it, 0 the finest.
    heads: of attention. groups: of group normalisation, as many of them as divide the channels. dropout: 0 to 1.
    """

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        blocks: int = 2,
        attention: Sequence[int] = (4,),
        heads: int = 1,
        groups: int = 32,
        dropout: float = 0.0,
    ):
        super().__init__()
        whole(in_channels, "in_channels"), whole(width, "width"), whole(blocks, "blocks"), whole(groups, "groups")
        if not multipliers:
            raise ValueError("multipliers are none, expected one for each level")
        self.widths = tuple(width * whole(one, "multipliers") for one in multipliers)
        self.attention = tuple(whole(level, "attention", 0, len(self.widths) - 1) for level in attention)
        self.in_channels, self.width, self.blocks = in_channels, width, blocks
        self.embedded = 4 * width
        self.options = (self.embedded, groups, dropout)
        self.time = nn.Sequential(nn.Linear(width, self.embedded), nn.SiLU(), nn.Linear(self.embedded, self.embedded))
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.levels, self.halvings = nn.ModuleList(), nn.ModuleList()
        self.kept = [width]  # channels of every skip, in the order in which they come
        channels = width
        for level, wide in enumerate(self.widths):
            steps = nn.ModuleList()
            for _ in range(blocks):
                steps.append(_Step(channels, wide, *self.options, heads if level in self.attention else 0))
                channels = wide
                self.kept.append(channels)
            self.levels.append(steps)
            if level < len(self.widths) - 1:
                self.halvings.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                self.kept.append(channels)
        self.middle = nn.ModuleList(
            [
                _Step(channels, channels, *self.options, heads if self.attention else 0),
                _Step(channels, channels, *self.options, 0),
            ]
        )

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        self._check(x, time)
        embedding = self.time(time_embedding(time, self.width))
        x = self.first(x)
        seen = [x]
        for level, steps in enumerate(self.levels):
            for step in steps:
                x = step(x, embedding)
                seen.append(x)
            if level < len(self.halvings):
                x = self.halvings[level](x)
                seen.append(x)
        for step in self.middle:
            x = step(x, embedding)
        return x, seen, embedding

    def _check(self, x: Tensor, time: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"x has the shape {tuple(x.shape)}, expected (B, {self.in_channels}, X, Y)")
        divisor = 2 ** len(self.halvings)
        if any(side % divisor for side in x.shape[2:]):
            raise ValueError(f"x measures {tuple(x.shape[2:])} pixels, expected multiples of {divisor}")
        if time.shape != x.shape[:1]:
            raise ValueError(f"time has the shape {tuple(time.shape)}, expected one number for each of {len(x)} images")


class DiffusionUNet2d(nn.Module):
    """The noise in an image, as the network sees it: (B, C, X, Y) and time (B,) to (B, out_channels, X, Y).

    Arguments: see `DiffusionEncoder2d`; without them it has the widths of the public 256 x 256 models. time: the
    step of the noise schedule, 0 the least noise. Raises ValueError for sides that the halvings do not divide.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, **options):
        super().__init__()
        self.down = DiffusionEncoder2d(in_channels, **options)
        heads, groups = options.get("heads", 1), options.get("groups", 32)
        widths, kept = self.down.widths, list(self.down.kept)
        self.levels, self.doublings = nn.ModuleList(), nn.ModuleList()
        channels = widths[-1]
        for level in reversed(range(len(widths))):
            steps = nn.ModuleList()
            for _ in range(self.down.blocks + 1):
                sees = channels + kept.pop()
                steps.append(
                    _Step(sees, widths[level], *self.down.options, heads if level in self.down.attention else 0)
                )
                channels = widths[level]
            self.levels.append(steps)
            if level:
                self.doublings.append(nn.Conv2d(channels, channels, 3, padding=1))
        self.last = nn.Sequential(
            _norm(channels, groups), nn.SiLU(), _zeroed(nn.Conv2d(channels, out_channels, 3, padding=1))
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x, seen, embedding = self.down(x, time)
        for level, steps in enumerate(self.levels):
            for step in steps:
                x = step(torch.cat([x, seen.pop()], 1), embedding)
            if level < len(self.doublings):
                x = self.doublings[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.last(x)


class NoisyImageClassifier2d(nn.Module):
    """The way down alone, averaged over the image: logits (B, classes) of a noisy image (B, C, X, Y) and its time (B,).

    Arguments: see `DiffusionEncoder2d`. Dhariwal and Nichol pool by attention; the mean is theirs with one weight.
    """

    def __init__(self, in_channels: int = 1, classes: int = 2, **options):
        super().__init__()
        self.down = DiffusionEncoder2d(in_channels, **options)
        channels = self.down.widths[-1]
        self.norm = nn.Sequential(_norm(channels, options.get("groups", 32)), nn.SiLU())
        self.head = nn.Linear(channels, whole(classes, "classes", 2))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        coarse, _, _ = self.down(x, time)
        return self.head(self.norm(coarse).mean((2, 3)))


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, groups), channels)


def _zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
