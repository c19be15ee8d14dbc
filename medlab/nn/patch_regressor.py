"""The network of position regression: from a patch to three numbers, and at every voxel of a volume at once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from medlab.arguments import whole
from medlab.nn.convolutions import Convolution3d
from medlab.nn.network import initialise
from medlab.nn.scanning import folded, scan
from medlab.nn.tiles import tiles_of

PATCHES = (11, 15, 19, 23, 27, 31, 35, 39)  # the paper's, and two more for larger voxels
SLOPE = 0.1  # of the leaky ReLU below 0
CELL = 4  # voxels from one place of the coarsest map to the next
OUTPUTS = 3


class Residual(nn.Module):
    """A valid 3x3x3 convolution and a 1x1x1 one beside the map itself, cut by a voxel at each side."""

    def __init__(self, channels: int):
        super().__init__()
        self.wide = spectral_norm(Convolution3d(channels, channels, 3))
        self.narrow = spectral_norm(Convolution3d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        change = self.narrow(F.leaky_relu_(self.wide(x), SLOPE))
        return F.leaky_relu_(change + x[:, :, 1:-1, 1:-1, 1:-1], SLOPE)


class PatchRegressor(nn.Module):
    """Where does a patch belong? A classifier's body of valid convolutions with a linear head (thesis, section 6.2.1).

    size: m, 1 to 64; the channels of all layers are multiples of it. patch: edge s of a patch in voxels, 11, 15, ...,
    39. outputs: 3, the coordinates. context: how many numbers besides the patch the head is given, 0 or more, such as a
    coarser network's answer.

    For s = 31, in the paper's blocks: Downsample(m) = convolution 4³, average pooling 2, leaky ReLU: 31 -> 28 -> 14;
    Downsample(2m) = convolution 3³, pooling 2: 12 -> 6; Residual(2m) twice: 4 -> 2; affine layer of 4m on what is left
    (2³), leaky ReLU, affine layer of 3. Smaller patches have one Residual or none, larger ones three, until 1 or 2
    voxels are left. All convolutions have spectral norm. The paper gives its block list in a figure only; this one is
    ours: made of valid convolutions and poolings that divide, so that `dense` is exact. The activation follows the
    pooling, so that a convolution and its pooling can be one (`scanning.folded`): that keeps training small.

    Weights are drawn from torch's global generator.
    Raises ValueError for another size or patch.
    """

    def __init__(self, size: int = 16, patch: int = 31, *, outputs: int = OUTPUTS, context: int = 0):
        super().__init__()
        self.size, self.patch = whole(size, "size", 1, 64), whole(patch, "patch")
        if patch not in PATCHES:
            raise ValueError(f"patch is {patch}, expected one of {', '.join(map(str, PATCHES))}")
        self.outputs, self.context = whole(outputs, "outputs"), whole(context, "context", 0)
        left = (patch - 3) // CELL - 1
        blocks = []
        while left > 2:
            blocks.append(Residual(2 * size))
            left -= 2
        self.first = spectral_norm(Convolution3d(1, size, 4))
        self.second = spectral_norm(Convolution3d(size, 2 * size, 3))
        self.residual = nn.Sequential(*blocks)
        self.affine = Convolution3d(2 * size, 4 * size, left)
        self.given = nn.Linear(context, 4 * size, bias=False) if context else None
        self.head = Convolution3d(4 * size, outputs, 1)
        initialise(self, SLOPE, heads=(self.head,))
        # Spectral norm makes each layer's gain at most 1, whatever its weights: what is left of the signal after the
        # layers is small, and the two affine layers, which have none, start as they would without it.
        nn.init.constant_(self.head.bias, 0.5)  # the middle of the volume

    def forward(self, patches: Tensor, context: Tensor | None = None) -> Tensor:
        """The place of each patch, (B, 3); patches (B, 1, s, s, s), context (B, n) where the network asks for it.

        Raises ValueError for other shapes.
        """
        expected = (1, self.patch, self.patch, self.patch)
        if patches.ndim != 5 or tuple(patches.shape[1:]) != expected:
            size = " x ".join(map(str, expected[1:]))
            raise ValueError(f"patches have the shape {tuple(patches.shape)}, expected (B, 1, {size})")
        if context is not None:
            if context.ndim != 2 or context.shape != (len(patches), self.context):
                found = tuple(context.shape)
                raise ValueError(f"context has the shape {found}, expected {(len(patches), self.context)}")
            context = context[..., None, None, None]
        return self.lattice(patches, context).flatten(1)

    def lattice(self, volume: Tensor, context: Tensor | None = None) -> Tensor:
        """The places of the patches that begin at every 4th voxel of a volume, (B, 3, n, n', n''), with their gradient.

        volume: (B, 1, X, Y, Z), no edge below s; n = (X - s) // 4 + 1, and patch (i, j, k) is centred at voxel
        4 (i, j, k) + (s - 1) / 2. A patch costs here a hundredth of what it costs alone, for neighbours share the work.
        context: (B, n_context, n, n', n'').
        """
        self._check(volume)
        if min(volume.shape[2:]) < self.patch:
            raise ValueError(f"volume has the shape {tuple(volume.shape)}, expected no edge below {self.patch}")
        # What is over would make poolings of one voxel more; a patch does not see it.
        cut = [size - (size - self.patch) % CELL for size in volume.shape[2:]]
        x = volume[:, :, : cut[0], : cut[1], : cut[2]]
        for convolution in (self.first, self.second):
            weight, bias = folded(convolution)
            x = F.leaky_relu_(F.conv3d(x, weight, bias, stride=2), SLOPE)
        return self._answer(self.affine(self.residual(x)), context)

    @torch.no_grad()
    def dense(
        self,
        volume: Tensor,
        *,
        stride: int = 1,
        context: Tensor | None = None,
        fill: float = 0.0,
        memory_mb: float = 512.0,
    ) -> Tensor:
        """The place of the patch around every voxel, (B, 3, ceil(X / stride), ...), as `forward` would give it.

        volume: (B, 1, X, Y, Z) of any size; beyond its border patches see `fill`. stride: the answer at every so many
        voxels, from the first on; 2 and 4 also save the work. context: (B, n_context, ...) at the same places as the
        answer. memory_mb: what one tile may take besides volume and answer; smaller tiles compute more at their
        borders. Volume and answer stay on the volume's device; each tile is computed on the network's.
        Equal to `forward` of each patch up to rounding; in evaluation mode. In training mode spectral norm changes its
        estimate with each call, so there it is not.
        Raises ValueError for a volume of another shape and for a budget below one cell of 4 x 4 x 4 voxels.
        """
        self._check(volume)
        stride = whole(stride, "stride")
        computed = 4 if stride % 4 == 0 else 2 if stride % 2 == 0 else 1
        sizes = [-(-size // stride) for size in volume.shape[2:]]
        answer = volume.new_empty(len(volume), self.outputs, *sizes)
        if context is not None and tuple(context.shape) != (len(volume), self.context, *sizes):
            expected = (len(volume), self.context, *sizes)
            raise ValueError(f"context has the shape {tuple(context.shape)}, expected {expected}")
        for tile in tiles_of(volume.shape[2:], self.halo, self._bytes_per_voxel(), memory_mb):
            places = tile.places(stride, computed)
            if places is None:
                continue
            source, target = places
            for one in range(len(volume)):
                seen = tile.cut(volume[one : one + 1], self.halo, fill).to(self._device)
                found = self._scanned(seen, computed)[..., *source]
                extra = None if context is None else context[one : one + 1, :, *target].to(self._device)
                answer[one : one + 1, :, *target] = self._answer(found, extra).to(answer)
        return answer

    @property
    def halo(self) -> int:
        """Voxels that a patch reaches from its centre to each side."""
        return (self.patch - 1) // 2

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The layers before the head, one after the other, as `scanning.scan` takes them."""
        return tuple(self._stages())

    def _stages(self) -> Iterator[nn.Module]:
        for convolution in (self.first, self.second):
            yield convolution
            yield nn.AvgPool3d(2)
            yield nn.LeakyReLU(SLOPE, inplace=True)
        yield from self.residual
        yield self.affine

    def _scanned(self, x: Tensor, stride: int) -> Tensor:
        """The affine layer's values, every `stride` voxels."""
        if self.size >= 8 and x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last_3d)
        return scan(self.stages, x, stride)

    def _answer(self, x: Tensor, context: Tensor | None) -> Tensor:
        if (context is None) != (self.given is None):
            found = "missing" if context is None else "given"
            raise ValueError(f"context is {found}, expected {self.context} numbers for each patch")
        if self.given is not None:
            x = x + F.conv3d(context, self.given.weight[..., None, None, None])
        return self.head(F.leaky_relu(x, SLOPE))

    def _bytes_per_voxel(self) -> float:
        """The most that is kept at once for a voxel of a tile and its halo, when every voxel is asked for."""
        # Within a Residual: the map, what is added to it, their sum and a layout's copy, of 2 m channels each.
        return 4.0 * 8 * self.size + 16

    @property
    def _device(self) -> torch.device:
        return self.head.weight.device

    def _check(self, volume: Tensor) -> None:
        if volume.ndim != 5 or volume.shape[1] != 1 or not volume.numel():
            raise ValueError(f"volume has the shape {tuple(volume.shape)}, expected (B, 1, X, Y, Z), none of them 0")


def sizes_up_to(largest: int) -> Sequence[int]:
    """The sizes m of the paper's figure 3, 1, 2, 4, ..., up to the largest."""
    return tuple(2**power for power in range(7) if 2**power <= largest)
