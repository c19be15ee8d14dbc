"""How healthy heads err at each place, and how unusual another head's error is there."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import whole

COARSE = 4  # voxels between the places at which healthy errors are remembered
FLOOR = 0.1  # added to each variance, as a share of their mean: thirty heads know little of a place alone
LEAST = 2  # heads, without which nothing varies; three coordinates want many more
UNIT = "standard deviations of healthy heads"


class Expected(nn.Module):
    """Mean and covariance of the error, a vector, over healthy heads, place by place; kept with a method's weights.

    volume: voxels along each edge of the heads, all laid over one reference. Ours, not the paper's, which takes the
    length of the error alone: some places are hard in every head, and heads of other sizes err along the head's axes.
    """

    def __init__(self, volume: int):
        super().__init__()
        self.volume = whole(volume, "volume", 8)
        places = -(-volume // COARSE)
        self.register_buffer("mean", torch.zeros(3, places, places, places))
        self.register_buffer("inverse", torch.zeros(3, 3, places, places, places))

    @property
    def known(self) -> bool:
        """Whether `learn` was called, here or before the weights were stored."""
        return bool(self.inverse.any())

    def learn(self, errors: Iterable[Tensor]) -> None:
        """Takes mean and covariance from the errors of healthy heads, each (3, n, n, n), at every 4th voxel.

        They should not be heads that were trained on, whose errors are smaller. Neighbouring places are alike, so the
        covariance is a mean over 3 x 3 x 3 of them. Raises ValueError for fewer than 2 heads and for another size.
        """
        stack = []
        for error in errors:
            if error.shape != self.mean.shape:
                found, expected = (" x ".join(map(str, one.shape[1:])) for one in (error, self.mean))
                raise ValueError(f"errors are known at {found} places, expected {expected}, for {self.volume} voxels")
            stack.append(error.float())
        if len(stack) < LEAST:
            raise ValueError(f"heads are {len(stack)}, expected {LEAST} or more")
        every = torch.stack(stack).to(self.mean)
        mean = every.mean(0)
        covariance = torch.einsum("naxyz,nbxyz->abxyz", every - mean, every - mean) / (len(every) - 1)
        covariance = F.avg_pool3d(covariance.flatten(0, 1), 3, 1, 1, count_include_pad=False).unflatten(0, (3, 3))
        variances = torch.stack([covariance[a, a] for a in range(3)])
        if not bool((variances > 0).any()):
            raise ValueError("errors are the same in all heads, expected heads that differ")
        floor = FLOOR * variances.mean()
        matrices = covariance.permute(2, 3, 4, 0, 1) + floor * torch.eye(3, device=covariance.device)
        self.mean.copy_(mean)
        self.inverse.copy_(torch.linalg.inv(matrices).permute(3, 4, 0, 1, 2))

    def compared(self, error: Tensor, stride: int) -> Tensor:
        """How unusual errors (3, n, n', n'') at every `stride`-th voxel are, (n, n', n''): their Mahalanobis distance
        to the healthy ones of the same place, in standard deviations. Raises ValueError before `learn`."""
        if not self.known:
            raise ValueError("the method is not calibrated, expected `calibrate` with healthy heads first")
        off, total = error - torch.stack([self._at(one, stride, beyond=True) for one in self.mean]).to(error), 0.0
        for a in range(3):
            for b in range(a, 3):
                twice = 1 if a == b else 2
                total = total + twice * off[a] * off[b] * self._at(self.inverse[a, b], stride).to(error)
        return total.clamp(min=0).sqrt()

    def _at(self, values: Tensor, stride: int, *, beyond: bool = False) -> Tensor:
        """What is remembered at every 4th voxel, at every `stride`-th."""
        step = math.gcd(stride, COARSE)  # of a lattice that holds both
        size = (-(-self.volume // step),) * 3
        there = tuple(slice(None, None, stride // step) for _ in range(3))
        return between(values, size, COARSE // step, beyond=beyond)[there]


def between(values: Tensor, shape: tuple[int, ...], stride: int, *, beyond: bool = False) -> Tensor:
    """A map known at every `stride`-th voxel, from the first on, at every voxel (X, Y, Z): linear between; after the
    last one its value, or going on in a straight line (beyond)."""
    if stride == 1:
        return values
    # Grown by one value at the far end, the known voxels are the corners of cells of `stride` voxels.
    grown = F.pad(values[None, None], (0, 1) * 3, mode="replicate")
    for axis in range(2, 5):
        if beyond and values.shape[axis - 2] > 1:
            line = grown.movedim(axis, 0)
            line[-1] = 2 * line[-2] - line[-3]
    full = [stride * (size - 1) + 1 for size in grown.shape[2:]]
    wide = F.interpolate(grown, size=full, mode="trilinear", align_corners=True)[0, 0]
    return wide[tuple(slice(0, size) for size in shape)]
