"""Corrupted parts of healthy heads: a stream in which each item follows from the seed and its number alone."""

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.data.chance import below, generator_for, seed_for, uniform
from medlab.data.samples import Sample, Samples
from medlab.methods.anomaly import seen
from medlab.methods.synthetic_corruption.config import Config
from medlab.methods.synthetic_corruption.corruptions import Corrupted, corrupt


class CorruptedPatches:
    """Parts of many heads with their corruptions; `draw(index)` is the same whenever and wherever it is asked for.

    heads: prepared ones (`medlab.methods.anomaly.Heads`), healthy all of them, two at least. A part lies around a voxel
    of a head, each voxel as likely as every other; the foreign patches come from the same place of another head, which
    means something because all heads lie over one reference. The config's share `clean` is left as it is; half are
    mirrored left to right. Kept in memory at half precision.
    """

    def __init__(self, heads: Samples, config: Config, seed: int = 0):
        self.config, self.seed = config, whole(seed, "seed", 0)
        self.images = [_padded(seen(head, "equalised").data[0], config.patch).half() for head in heads]
        if len(self.images) < 2:
            raise ValueError(f"heads are {len(self.images)}, expected two at least: one corrupts the other")
        self._places = [(image > 0).nonzero().to(torch.int16) for image in self.images]

    def draw(self, index: int) -> dict[str, Tensor]:
        """One part: "image" (1, *patch) float32, 0 to 1, and "label" (*patch) int64, 1 where it was corrupted."""
        seed, config = seed_for(self.seed, f"patch {whole(index, 'index', 0)}"), self.config
        chance = generator_for(seed, "place")
        which = below(chance, len(self.images))
        other = (which + 1 + below(chance, len(self.images) - 1)) % len(self.images)
        image, places = self.images[which], self._places[which]
        centre = places[below(chance, len(places))].tolist() if len(places) else [n // 2 for n in image.shape]
        box = tuple(
            slice(start, start + side)
            for start, side in (
                (min(max(c - side // 2, 0), n - side), side)
                for c, side, n in zip(centre, config.patch, image.shape, strict=True)
            )
        )
        part = image[box].float()
        label = torch.zeros(config.patch, dtype=torch.bool)
        if uniform(chance, 0, 1) >= config.clean:
            part, label = corrupt(
                part,
                self.images[other][box].float(),
                seed,
                kinds=config.kinds,
                radius=config.radius_voxels,
                most=config.most,
            )
        if below(chance, 2):
            part, label = part.flip(0), label.flip(0)
        return {"image": part[None], "label": label.long()}


def corrupted_head(head: Sample, config: Config) -> Corrupted:
    """A whole healthy head with corruptions that are the same each time: what is validated on.

    Foreign patches come from the other side of the same head, so that one is enough.
    """
    image = seen(head, "equalised").data[0].float()
    seed = seed_for(0, f"validation {head.subject}")
    # A whole head holds several parts.
    return corrupt(image, image.flip(0), seed, kinds=config.kinds, radius=config.radius_voxels, most=3 * config.most)


def _padded(image: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """At least as large as a part, filled up with 0 at the end."""
    sides = [max(side - length, 0) for side, length in zip(patch, image.shape, strict=True)]
    return torch.nn.functional.pad(image, [0, sides[2], 0, sides[1], 0, sides[0]])
