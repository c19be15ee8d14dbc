"""Axial slices of heads: from a volume to images of one size and back, and the stream that a training takes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import whole
from medlab.data.chance import below, generator_for, seed_for
from medlab.data.samples import Samples
from medlab.methods.anomaly import seen

LEAST = 0.02  # share of a slice that has to be head: of air alone there is nothing to learn


def as_slices(values: Tensor, size: int) -> Tensor:
    """The axial slices of a volume, (X, Y, Z) to (Z, 1, size, size): averaged where it is finer, else interpolated.

    Slices that are not square are first filled up with 0 on both sides. Spacing between slices does not matter.
    """
    if values.ndim != 3 or not values.numel():
        raise ValueError(f"values have the shape {tuple(values.shape)}, expected (X, Y, Z), none of them 0")
    images = F.pad(values.movedim(2, 0)[:, None], _square(values.shape))
    if images.shape[-1] > whole(size, "size"):
        return F.adaptive_avg_pool2d(images, size)
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def as_volume(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Back: (Z, 1, size, size) to a volume of this shape, linear between the centres of pixels."""
    left, right, low, high = (near for near in _square(shape))
    side = max(shape[:2])
    wide = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)[:, 0]
    return wide[:, low : side - high, left : side - right].movedim(0, 2)


def _square(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """What is missing to a square, before and after: of the second axis first, as `torch.nn.functional.pad` has it."""
    side = max(shape[:2])
    sides = []
    for length in (shape[1], shape[0]):
        sides += [(side - length) // 2, side - length - (side - length) // 2]
    return tuple(sides)


class Slices:
    """Slices of many heads; `draw(index)` is the same whenever and wherever it is asked for.

    heads: prepared ones (`medlab.methods.anomaly.Heads`), healthy all of them. Every slice that holds something of a
    head is as likely as every other, and half of them are mirrored left to right. Kept in memory at half precision.
    """

    def __init__(self, heads: Samples, size: int, seed: int = 0):
        self.seed = whole(seed, "seed", 0)
        kept = []
        for head in heads:
            images = as_slices(seen(head, "equalised").data[0], size)
            kept.append(images[(images > 0).float().mean((1, 2, 3)) >= LEAST].half())
        if not kept or not sum(map(len, kept)):
            raise ValueError("heads hold no slice with anything in it, expected at least one")
        self.images = torch.cat(kept)

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index: int) -> dict[str, Tensor]:
        """One slice: "image" (1, size, size) float32, 0 to 1. index: 0 or more."""
        generator = generator_for(seed_for(self.seed, f"slice {whole(index, 'index', 0)}"), "draw")
        image = self.images[below(generator, len(self.images))].float()
        return {"image": image.flip(1) if below(generator, 2) else image}
