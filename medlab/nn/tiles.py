"""A volume in tiles with halos, none of which takes more memory than it may."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import number

CELL = 4  # tiles begin at, and are filled up to, multiples of this


@dataclass(frozen=True)
class Tile:
    """A box of places of a volume: from `start` on `size` voxels along each axis."""

    start: tuple[int, int, int]
    size: tuple[int, int, int]

    def cut(self, volume: Tensor, halo: int, fill: float) -> Tensor:
        """What the patches of all places of the tile see, (B, C, n, n', n''); beyond the volume's border `fill`.

        n is the tile's size, filled up to a multiple of 4, and twice the halo more.
        """
        slices, widths = [], []
        for first, size, length in zip(self.start, self.size, volume.shape[2:], strict=True):
            low, high = first - halo, first + _filled(size) + halo
            slices.append(slice(max(low, 0), min(high, length)))
            widths.append((max(-low, 0), max(high - length, 0)))
        pads = [width for pair in reversed(widths) for width in pair]
        return F.pad(volume[(..., *slices)], pads, value=fill)

    def places(self, stride: int, computed: int) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
        """Which of the tile's values, known every `computed` voxels, are wanted, and where they belong in the answer.

        The answer has a value for every `stride`-th voxel of the volume; stride is a multiple of computed, and computed
        divides 4. None where no such voxel lies in the tile.
        """
        source, target = [], []
        for first, size in zip(self.start, self.size, strict=True):
            skipped = -first % stride
            count = max(0, ceil((size - skipped) / stride))
            if not count:
                return None
            begin, step = skipped // computed, stride // computed
            source.append(slice(begin, begin + (count - 1) * step + 1, step))
            target.append(slice((first + skipped) // stride, (first + skipped) // stride + count))
        return tuple(source), tuple(target)


def tiles_of(shape: Sequence[int], halo: int, bytes_per_voxel: float, memory_mb: float) -> Iterator[Tile]:
    """Tiles that cover a volume of this shape, all of about one size and as large as the memory lets them be.

    A tile takes bytes_per_voxel for each voxel of it and of its halo. Raises ValueError where not even a tile of 4 x 4
    x 4 voxels fits.
    """
    budget = number(memory_mb, "memory_mb", 0, above=True) * 1e6
    parts = [1, 1, 1]

    def edges() -> list[int]:
        return [_filled(ceil(length / count)) for length, count in zip(shape, parts, strict=True)]

    def needed() -> float:
        x, y, z = (edge + 2 * halo for edge in edges())
        return bytes_per_voxel * x * y * z

    while needed() > budget:
        longest = max(range(3), key=lambda axis: edges()[axis])
        if edges()[longest] == CELL:
            least = needed() / 1e6
            raise ValueError(f"memory_mb is {memory_mb:g}, expected {least:.0f} or more: a tile of 4 x 4 x 4 voxels")
        before = edges()[longest]
        while edges()[longest] == before:
            parts[longest] += 1
    lines = [range(0, length, edge) for length, edge in zip(shape, edges(), strict=True)]
    for start in product(*lines):
        size = tuple(min(edge, length - at) for edge, length, at in zip(edges(), shape, start, strict=True))
        yield Tile(start, size)


def _filled(size: int) -> int:
    return -(-size // CELL) * CELL
