"""A network of patches, evaluated at every voxel at once (Giusti et al. 2013, "Fast image scanning").

Neighbouring patches share nearly all of their voxels, and so nearly all products of a patch-by-patch evaluation are
computed thousands of times. A valid convolution of stride 1 gives all patches their values at once. Pooling with
stride 2 does not: which voxels fall into one pool depends on where the patch begins. So the map is pooled once for each
of the 8 beginnings, which gives 8 smaller maps ("fragments"), and what follows runs over each of them; the next pooling
splits each into 8 again. At the end the fragments are put back between one another. These are the same sums as
patch by patch, none left out and none done twice; a convolution with holes ("à trous") does them in another order.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CORNERS = tuple(product(range(2), repeat=3))


def scan(stages: Sequence[nn.Module], x: Tensor, stride: int = 1) -> Tensor:
    """What the stages give for each patch of x, (B, K, X', Y', Z'), every `stride` voxels from the first patch on.

    stages: modules in their order, each valid (no padding) and of stride 1, or an `nn.AvgPool3d(2)`; a pooling may
    stand at most in two of them. x: (B, C, X, Y, Z), in float32 or lower. stride: 1, 2 or 4; a pooling whose stride
    divides it is done once, as in a patch. X' is the number of such places, a multiple of 4 / stride; x is expected to
    be cut so (`PatchRegressor.dense` cuts it).
    """
    fragments, step, batch = 0, 1, len(x)
    for stage in stages:
        if not isinstance(stage, nn.AvgPool3d):
            x = stage(x)
        elif stride % (2 * step) == 0:
            x, step = stage(x), 2 * step
        else:
            x, fragments = fragments_of(x), fragments + 1
    for _ in range(fragments):
        x = interleave(x)
    if len(x) != batch:
        raise RuntimeError(f"fragments of {batch} volumes became {len(x)}, expected them back as they were")
    return x


def fragments_of(x: Tensor) -> Tensor:
    """The map pooled by 2 from each of 8 beginnings, (8 B, C, n, n', n''), the beginnings slowest."""
    sizes = [(size - 1) // 2 for size in x.shape[2:]]
    parts = []
    for corner in CORNERS:
        cut = tuple(slice(first, first + 2 * size) for first, size in zip(corner, sizes, strict=True))
        parts.append(F.avg_pool3d(x[(..., *cut)], 2))
    return torch.cat(parts)


def interleave(x: Tensor) -> Tensor:
    """The inverse order: fragments (8 B, K, n, n', n'') back as one map (B, K, 2 n, 2 n', 2 n'')."""
    _, kinds, *sizes = x.shape
    x = x.unflatten(0, (2, 2, 2, -1)).permute(3, 4, 5, 0, 6, 1, 7, 2)
    return x.reshape(-1, kinds, *(2 * size for size in sizes))


def folded(convolution: nn.Conv3d) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the one convolution of stride 2 that equals this convolution and `AvgPool3d(2)` after it.

    Its kernel, one tap longer along each axis, is the kernel averaged with itself shifted by one tap: an average of
    sums is a sum with averaged weights. The map at full resolution, the largest of the network, is never made.
    """
    return F.avg_pool3d(F.pad(convolution.weight, (1,) * 6), 2, stride=1), convolution.bias
