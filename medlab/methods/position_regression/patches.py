"""What position regression learns from: patches of healthy heads and the places that they were cut from."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import whole
from medlab.data.chance import below, generator_for, seed_for
from medlab.data.head_ct import head_landmarks
from medlab.data.samples import Sample, Samples
from medlab.methods.anomaly import seen
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.frame import Frame
from medlab.nn.patch_regressor import CELL


class HeadPatches:
    """Patches of many heads; `draw(index)` is the same whenever and wherever it is asked for.

    samples: prepared heads (`medlab.methods.anomaly.Heads`), all healthy, of the config's volume. Each is as likely as
    every other, and so is every place that counts: whose patch is not all background (thesis, section 6.3.1), or, by
    the config, whose centre is foreground. Beyond the volume there is background. Heads are kept in memory in half
    precision. Raises ValueError where there is none, or one of another size.
    """

    def __init__(self, samples: Samples, config: Config, seed: int = 0):
        self.config, self.seed = config, whole(seed, "seed", 0)
        self._images, self._counted, self._frames = [], [], []
        for head in samples:
            image = seen(head, "equalised").data
            if image.shape[1:] != (config.volume,) * 3:
                found = " x ".join(map(str, image.shape[1:]))
                raise ValueError(
                    f"subject {head.subject}: it measures {found}, expected {config.volume} along each axis"
                )
            self._images.append(image.half())
            self._counted.append(counted_places(head.mask, config.patch, config.counts))
            self._frames.append(frame_of(head, config))
        if not self._images:
            raise ValueError("samples are none, expected one at least")

    def __len__(self) -> int:
        return len(self._images)

    def draw(self, index: int) -> dict[str, Tensor]:
        """What one head gives to a step: see `patches_of` and `lattice_of`."""
        which, chance = self._chosen(index, "places")
        parts = self._images[which].float(), self._counted[which], self._frames[which]
        if self.config.sampling == "lattice":
            return lattice_of(*parts, self.config.patch, chance)
        return patches_of(*parts, self.config.patch, self.config.patches, chance)

    def _chosen(self, index: int, purpose: str) -> tuple[int, torch.Generator]:
        """Which head a draw is of, and what else is drawn for it."""
        seed = seed_for(self.seed, f"patches {whole(index, 'index', 0)}")
        return below(generator_for(seed, "subject"), len(self._images)), generator_for(seed, purpose)


def patches_of(
    image: Tensor, counted: Tensor, frame: Frame, patch: int, count: int, chance: torch.Generator
) -> dict[str, Tensor]:
    """Patches at independent uniform places: "image" (count, 1, s, s, s), "place" (count, 3), "counts" (count,).

    image: (1, X, Y, Z); counted: (X, Y, Z) bool, the places that count. Drawn among all voxels; those whose patch is
    all background are marked as not counting, as in the paper.
    """
    half = (patch - 1) // 2
    wide = F.pad(image, (half,) * 6)
    at = torch.stack([torch.randint(0, size, (count,), generator=chance) for size in image.shape[1:]], 1)
    cuts = [wide[:, i : i + patch, j : j + patch, k : k + patch] for i, j, k in at.tolist()]
    return {"image": torch.stack(cuts), "place": frame.at(at.double()).float(), "counts": counted[tuple(at.T)]}


def lattice_of(image: Tensor, counted: Tensor, frame: Frame, patch: int, chance: torch.Generator) -> dict[str, Tensor]:
    """All patches from a random voxel on, every 4th: "image" (1, X', Y', Z'), "place" (3, n, n', n'') and "counts".

    A deviation from the paper, which draws places independently. Each place is as likely as every other in both, so the
    expected loss is the same; here the patches of a step share a head and their work.
    """
    half = (patch - 1) // 2
    start = [below(chance, CELL) for _ in range(3)]
    sizes = [-(-(size - first) // CELL) for size, first in zip(image.shape[1:], start, strict=True)]
    most = [-(-size // CELL) for size in image.shape[1:]]
    # Filled up to as many places as the first voxel would give, so that volumes can be stacked.
    widths = [
        (half - first, first + CELL * (count - 1) + half + 1 - size)
        for first, count, size in zip(start, most, image.shape[1:], strict=True)
    ]
    wide = F.pad(image, [width for pair in reversed(widths) for width in pair])
    counts = torch.zeros(most, dtype=torch.bool)
    inside = tuple(slice(0, size) for size in sizes)
    counts[inside] = counted[tuple(slice(first, None, CELL) for first in start)]
    return {"image": wide, "place": frame.coordinates(most, start, CELL), "counts": counts}


def counted_places(foreground: Tensor, patch: int, counts: str = "any") -> Tensor:
    """Which places count, (X, Y, Z) bool: those whose patch holds any foreground, as in the paper, or whose centre is
    foreground ("centre")."""
    if counts == "centre":
        return foreground
    grown = foreground[None].float()
    half = (patch - 1) // 2
    for axis in range(3):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = patch, half
        grown = F.max_pool3d(grown, tuple(kernel), 1, tuple(padding))
    return grown[0] > 0


def frame_of(head: Sample, config: Config) -> Frame:
    """The frame of a head: that of its volume, or on the landmarks of its skull."""
    if config.frame == "cartesian":
        return Frame.cartesian(head.image.shape[1:])
    return Frame.barycentric(head.image.to_voxels(head_landmarks(seen(head, "HU"))))
