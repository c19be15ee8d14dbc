"""Corruptions of a healthy volume, each with the exact place of what it changed: the truth to learn from is free.

Foreign patches are those of Tan et al. ("Detecting outliers with foreign patch interpolation", 2020); blobs and warps
stand for the hyper- and hypointensities and the deformations that the medical out-of-distribution challenge names.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import number, one_of, whole
from medlab.data.chance import below, generator_for, uniform

KINDS = ("blob", "warp", "patch")
SHARE = (0.05, 0.95)  # how much of a foreign patch is taken (Tan et al. 2020)
SHIFT = (0.1, 0.6)  # of the intensity of a blob, up or down, for images of 0 to 1
VISIBLE = 0.02  # what changes a voxel by less cannot be seen, and is no corruption


class Corrupted(NamedTuple):
    """A volume (X, Y, Z) with corruptions, and where they are: (X, Y, Z) bool, true just where it was changed."""

    image: Tensor
    mask: Tensor


def corrupt(
    image: Tensor,
    other: Tensor,
    seed: int,
    *,
    kinds: Sequence[str] = KINDS,
    radius: tuple[float, float] = (2.0, 12.0),
    most: int = 3,
) -> Corrupted:
    """From 1 to `most` corruptions of the kinds named, of random size and place within what is not 0.

    image: (X, Y, Z), 0 to 1 and 0 outside the head. other: the same place of another head, for foreign patches. radius:
    the least and the largest half-width, in voxels. Nothing outside the mask is changed, and everything inside by more
    than 0.02; an image of 0 alone stays as it is. Kinds: "blob", an ellipsoid with a wavy surface whose intensity is
    shifted; "warp", one in which the tissue is pushed aside; "patch", a box in which both heads are mixed.

    Deviation from Tan et al.: the target is where something was changed, not by how much.
    Raises ValueError for shapes that differ, an unknown kind, and numbers out of range.
    """
    if image.ndim != 3 or image.shape != other.shape:
        raise ValueError(f"other has the shape {tuple(other.shape)}, expected that of image, {tuple(image.shape)}")
    for kind in kinds or ("",):
        one_of(kind, KINDS, "kinds")
    low = number(radius[0], "radius", 0, above=True)
    number(radius[1], "radius", low)
    inside = image > 0
    places = inside.nonzero()
    changed = image
    if len(places):
        chance = generator_for(whole(seed, "seed", 0), "corrupt")
        for _ in range(1 + below(chance, whole(most, "most"))):
            kind = kinds[below(chance, len(kinds))]
            centre = places[below(chance, len(places))]
            half = torch.tensor([uniform(chance, *radius) for _ in range(3)])
            box = tuple(
                slice(max(int(c - h) - 1, 0), int(c + h) + 2)
                for c, h in zip(centre.tolist(), half.tolist(), strict=True)
            )
            start = torch.tensor([one.start for one in box])
            part = FUNCTIONS[kind](changed[box], other[box], centre - start, half, chance)
            changed = changed.clone()
            changed[box] = part.clamp(0, 1)
    mask = inside & ((changed - image).abs() > VISIBLE)
    return Corrupted(torch.where(mask, changed, image), mask)


def shifted(image: Tensor, other: Tensor, centre: Tensor, half: Tensor, chance: torch.Generator) -> Tensor:
    """A blob, brighter or darker, with a hard edge or a soft one."""
    amount = uniform(chance, *SHIFT) * (1 if below(chance, 2) else -1)
    return image + amount * blob(image.shape, centre, half, chance)


def warped(image: Tensor, other: Tensor, centre: Tensor, half: Tensor, chance: torch.Generator) -> Tensor:
    """Tissue pushed in one direction, most in the middle and not at all at the border."""
    away = _away(image.shape, centre, half)
    bump = (1 - away.square().sum(0)).clamp(min=0).square()
    direction = torch.randn(3, generator=chance)
    push = direction / direction.norm() * half * uniform(chance, 0.3, 0.7)
    points = torch.stack(torch.meshgrid(*(torch.arange(n) for n in image.shape), indexing="ij")).float()
    source = points - push[:, None, None, None] * bump
    sizes = torch.tensor(image.shape).sub(1).clamp(min=1)[:, None, None, None]
    at = (2 * source / sizes - 1).movedim(0, -1).flip(-1)  # grid_sample names the last axis first
    return F.grid_sample(image[None, None], at[None], padding_mode="border", align_corners=True)[0, 0]


def mixed(image: Tensor, other: Tensor, centre: Tensor, half: Tensor, chance: torch.Generator) -> Tensor:
    """A box in which the other head is mixed in (foreign patch interpolation)."""
    share = uniform(chance, *SHARE)
    inside = (_away(image.shape, centre, half).abs() <= 1).all(0)
    return torch.where(inside, (1 - share) * image + share * other, image)


FUNCTIONS = {"blob": shifted, "warp": warped, "patch": mixed}


def blob(shape: Sequence[int], centre: Tensor, half: Tensor, chance: torch.Generator) -> Tensor:
    """The weights of a blob, (X, Y, Z), 0 to 1: an ellipsoid of these half-widths whose surface is dented by noise."""
    noise = F.interpolate(
        torch.rand(1, 1, 4, 4, 4, generator=chance), size=tuple(shape), mode="trilinear", align_corners=True
    )
    radius = _away(shape, centre, half).square().sum(0).sqrt() + 0.6 * noise[0, 0]
    return ((1 - radius) / uniform(chance, 0.02, 0.4)).clamp(0, 1)


def _away(shape: Sequence[int], centre: Tensor, half: Tensor) -> Tensor:
    """How far each voxel is from the centre along each axis, in half-widths: (3, X, Y, Z)."""
    lines = [(torch.arange(n) - c) / h for n, c, h in zip(shape, centre.tolist(), half.tolist(), strict=True)]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"))
