"""What all fractures of the vault share: a place and directions there, blood that fills gaps, and a swollen scalp."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medlab.arguments import number
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import sample
from medlab.cohorts.lesions.lesion import Lesion
from medlab.cohorts.lesions.places import Blocks
from medlab.cohorts.lesions.region import Bounds, Shares, spacing_of
from medlab.cohorts.lesions.vault import away_mm, bone_at, inward, place_on_vault, sign_of
from medlab.cohorts.tissues import HEALTHY

FILLING = "blood"  # what runs into a gap in bone, and what lifts the scalp
SCALP = ("fat", "skin", "muscle", "air")
MIDDLE_OF_BONE_MM = 4.5  # the `away_mm` of the diploe, about
NEAR_BONE_MM = (-2.0, 13.0)  # between these `away_mm` lies the bone of the vault, with a margin
SWELLING_RADIUS_MM, SWOLLEN_MM = 30.0, 32.0  # of the scalp above a fracture; the second with a margin


@dataclass(frozen=True)
class Fracture(Lesion):
    """What fractures share. swelling_mm of a kind of fracture: by how much blood lifts the scalp above it, 0 to 10.

    azimuth_deg, elevation_deg: its middle (`vault.place_on_vault`), -15 to 70 upwards. heading_deg: the direction of
    its line or longer axis on the vault, 0 forward and 90 upward.
    """

    side: str
    azimuth_deg: float
    elevation_deg: float
    heading_deg: float

    def __post_init__(self) -> None:
        sign_of(self.side)
        number(self.azimuth_deg, "azimuth_deg", -90, 90)
        number(self.elevation_deg, "elevation_deg", -15, 70)
        number(self.heading_deg, "heading_deg", -360, 360)

    @cached_property
    def middle(self) -> Tensor:
        """The point of the bone in its middle, (3,) in mm."""
        return place_on_vault(self.side, self.azimuth_deg, self.elevation_deg, MIDDLE_OF_BONE_MM)

    @property
    def bone(self) -> str:
        """The bone that its middle lies in."""
        return bone_at(self.middle)

    @cached_property
    def frame(self) -> tuple[Tensor, Tensor, Tensor]:
        """At its middle: along the heading, across it, and into the head; unit vectors (3,)."""
        into = inward(self.middle)
        forward = unit(level(torch.tensor([0.0, 1.0, 0.0]), into))
        up = unit(torch.linalg.cross(forward, into) * sign_of(self.side))
        angle = math.radians(self.heading_deg)
        along = math.cos(angle) * forward + math.sin(angle) * up
        return along, torch.linalg.cross(into, along), into

    @abstractmethod
    def bounds(self) -> Bounds:
        """The corners of a box in the template that holds all that it changes."""

    @abstractmethod
    def touched(self, points: Tensor, spacing_mm: float) -> Tensor:
        """Whether points (..., 3) of the template lie in a gap or in a piece of bone that moved, (...) bool."""

    def mask(self, points: Tensor) -> Tensor:
        """The voxels that it touches, (X, Y, Z) bool; points: (X, Y, Z, 3) where they lie in the template."""
        found = torch.zeros(points.shape[:-1], dtype=torch.bool)
        box = Blocks(points).box(*self.bounds())
        if box is not None:
            found[box] = self.touched(points[box], spacing_of(points))
        return found


def lift_scalp(shares: Shares, points: Tensor, middle: Tensor, height_mm: float, spacing_mm: float) -> None:
    """Blood between bone and scalp, height_mm above middle (3,) and less around it; the scalp is pushed outwards."""
    if height_mm == 0:
        return
    radius = (points - middle).norm(dim=-1) / SWELLING_RADIUS_MM
    height = height_mm * (1 - radius.square()).clamp(min=0).square()
    lifted = (height > 0) & (away_mm(points) > MIDDLE_OF_BONE_MM)
    drawn = template_shares(points + height[..., None] * inward(points), SCALP, spacing_mm)
    # Bone stays where it is: scalp gets the room beside it only.
    room = 1 - sum(share for name, share in shares.items() if name not in SCALP)
    total = sum(drawn.values()).clamp(min=1e-6)
    fits = torch.minimum(total, room.clamp(min=0)) / total
    put_in(shares, {name: share * fits for name, share in drawn.items()}, lifted.float())


def put_in(shares: Shares, drawn: Shares, amount: Tensor) -> None:
    """Puts drawn shares at the place of those of the same tissues, in so large a part of each voxel; in place.

    What else is there keeps as much of its room as is left, and blood fills the rest.
    """
    taken = sum(drawn.values())
    held = sum(share for name, share in shares.items() if name not in drawn)
    kept = torch.minimum(held, (1 - taken).clamp(min=0))
    fits = kept / held.clamp(min=1e-6)
    for name in {**shares, **drawn}:
        old = shares.get(name, torch.zeros_like(taken))
        shares[name] = old + amount * ((drawn[name] if name in drawn else old * fits) - old)
    blood = amount * (1 - taken - kept).clamp(min=0)
    shares[FILLING] = shares[FILLING] + blood if FILLING in shares else blood


def template_shares(points: Tensor, names: tuple[str, ...], spacing_mm: float) -> Shares:
    """What the healthy head has of these tissues at points (..., 3), from the model that suits voxels of this size."""
    model = head_model(min(max(math.floor(spacing_mm + 0.01), 1), 8))
    # Only the part of the head around the points is sampled: all of it would become floats.
    places = points.reshape(-1, 3).double().numpy()
    affine, sizes = model.affine.copy(), model.shares.shape[1:]
    box = []
    for axis, size in enumerate(sizes):
        low, high = (
            (end - affine[axis, 3]) / model.spacing_mm for end in (places[:, axis].min(), places[:, axis].max())
        )
        first, last = (min(max(math.floor(place), 0), size - 1) for place in (low - 1, high + 2))
        affine[axis, 3] += first * model.spacing_mm
        box.append(slice(first, last + 1))
    chosen = model.shares[(slice(None), *box)][[HEALTHY.index(name) for name in names]]
    return dict(zip(names, sample(chosen, affine, points) / 255, strict=True))


def share_of_gap(distance: Tensor, width: Tensor, edge_mm: float) -> Tensor:
    """The share of a voxel of this edge that a gap takes, at this distance from its middle."""
    outer = torch.minimum(distance + edge_mm / 2, width / 2)
    inner = torch.maximum(distance - edge_mm / 2, -width / 2)
    return ((outer - inner) / edge_mm).clamp(0, 1)


def near_bone(points: Tensor) -> Tensor:
    """Whether points (..., 3) lie where the bone of the vault can be, (...) bool."""
    away = away_mm(points)
    return (away > NEAR_BONE_MM[0]) & (away < NEAR_BONE_MM[1])


def level(direction: Tensor, into: Tensor) -> Tensor:
    """The part of a direction that runs along the vault."""
    return direction - (direction @ into) * into


def unit(vectors: Tensor) -> Tensor:
    """Vectors (..., 3) of the same directions and of length 1."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-9)
