"""Plaques of multiple sclerosis: small ovoids in the white matter, many of them beside the ventricles."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import sample
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.places import Blocks, model_points
from medlab.cohorts.lesions.region import covered, spacing_of
from medlab.cohorts.texture import smooth_noise
from medlab.data.chance import generator_for

PLAQUE_LABELS = {1: ("plaque",)}
PLAQUE_NAMES = {1: "plaque"}
# Where plaques lie, after the regions of the McDonald criteria (Thompson et al., Lancet Neurol. 17, 2018); how many lie
# in each is a round number. Juxtacortical ones touch the cortex, periventricular ones the wall of a ventricle.
PLACES = {"periventricular": 0.5, "juxtacortical": 0.17, "deep white": 0.25, "infratentorial": 0.08}
FEWEST, MOST = 5, 60
SHORTEST_MM, LONGEST_MM = 2.0, 12.0
MODEL_MM, NOISE_MM = 2, 2.0
UNEVEN = 0.15  # standard deviation of a border's distance from the centre, as a share of it
EDGE_MM = 1.0  # of a border where voxels are finer than this


@dataclass(frozen=True)
class Plaque:
    """An ellipsoid of revolution: centre_mm in the template, half length along axis (a unit vector), half width across.

    place: one of `PLACES`. strength: the share of white matter that it replaces where it is densest.
    Raises ValueError for other values.
    """

    centre_mm: tuple[float, float, float]
    axis: tuple[float, float, float]
    half_length_mm: float
    half_width_mm: float
    place: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        for name in ("centre_mm", "axis"):
            if len(getattr(self, name)) != 3 or not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected three finite numbers")
        if abs(math.hypot(*self.axis) - 1) > 1e-3:
            raise ValueError(f"axis is {self.axis}, expected a vector of length 1")
        number(self.half_length_mm, "half_length_mm", 0, 20, above=True)
        number(self.half_width_mm, "half_width_mm", 0, 20, above=True)
        number(self.strength, "strength", 0, 1, above=True)
        if self.place not in PLACES:
            raise ValueError(f"place is {self.place!r}, expected one of {', '.join(PLACES)}")

    @property
    def volume_ml(self) -> float:
        """Of the whole ellipsoid, whatever tissue it lies in."""
        return 4 / 3 * math.pi * self.half_length_mm * self.half_width_mm**2 / 1000

    def amount(self, points: Tensor, noise: Tensor, edge_mm: float) -> Tensor:
        """How much of voxels at points (..., 3) it covers, 0 to 1; noise (...) moves its border, edge_mm wide.

        A wide border reaches farther out than in; the share that this adds is taken off again, so that coarse voxels
        hold as much plaque as fine ones.
        """
        away = points - torch.tensor(self.centre_mm)
        along = away @ torch.tensor(self.axis)
        across = (away.square().sum(-1) - along.square()).clamp(min=0)
        radius = ((along / self.half_length_mm).square() + across / self.half_width_mm**2).sqrt()
        # Scaled by its half axes it is a ball, of which the excess is known.
        least = min(self.half_length_mm, self.half_width_mm)
        inside = (1 - radius / (1 + UNEVEN * noise.clamp(-2.5, 2.5))) * least
        if least > edge_mm / 2:
            excess = 1 + (edge_mm / least / 2) ** 2
        else:
            excess = (least + edge_mm / 2) ** 4 / (4 * edge_mm * least**3)
        return self.strength * covered(inside, edge_mm) / excess


@dataclass(frozen=True)
class Plaques(Lesion):
    """All plaques of a person. seed: of the random field that makes their borders uneven."""

    seed: int
    plaques: tuple[Plaque, ...]

    def __post_init__(self) -> None:
        whole(self.seed, "seed", 0)
        if not isinstance(self.plaques, tuple) or not all(isinstance(one, Plaque) for one in self.plaques):
            raise ValueError(f"plaques is {self.plaques!r}, expected a tuple of Plaque")

    @cached_property
    def _noise(self) -> Tensor:
        chance = generator_for(self.seed, "plaques")
        return smooth_noise(head_model(MODEL_MM).shares.shape[1:], NOISE_MM / MODEL_MM, chance)[None]

    def apply(self, shares: dict[str, Tensor], points: Tensor) -> None:
        """White matter becomes plaque, one ellipsoid after the other; other tissues stay as they are."""
        if "white matter" not in shares or not self.plaques:
            return
        blocks, affine = Blocks(points), head_model(MODEL_MM).affine
        edge = max(EDGE_MM, spacing_of(points))
        if "plaque" not in shares:
            shares["plaque"] = torch.zeros_like(shares["white matter"])
        for one in self.plaques:
            # As far as the border can be: moved out by noise, and half its width.
            reach = max(one.half_length_mm, one.half_width_mm) * (1 + 2.5 * UNEVEN)
            reach = reach + edge / 2 * reach / min(one.half_length_mm, one.half_width_mm)
            box = blocks.box([c - reach for c in one.centre_mm], [c + reach for c in one.centre_mm])
            if box is None:
                continue
            near = {name: shares[name][box] for name in ("white matter", "plaque")}
            noise = sample(self._noise, affine, points[box])[0]
            replace_by(near, "plaque", one.amount(points[box], noise, edge), ("white matter",))
            for name, share in near.items():
                shares[name][box] = share

    def finding(self) -> dict[str, object]:
        """Kind, how many there are and in which places, the volume of their ellipsoids, and the longest."""
        places = {place: sum(one.place == place for one in self.plaques) for place in PLACES}
        return {
            "kind": "multiple sclerosis",
            "count": len(self.plaques),
            "places": places,
            "volume_ml": round(sum(one.volume_ml for one in self.plaques), 2),
            "longest_mm": round(2 * max((one.half_length_mm for one in self.plaques), default=0.0), 1),
        }


def draw_plaques(seed: int, count: int | None = None) -> Plaques:
    """The plaques of one person at random; without a count a log-normal number around 20, from 5 to 60.

    They are 2 to 12 mm long. Those beside the ventricles stand on their wall, their long axis across it, as the veins
    run that they follow (Dawson's fingers). Plaques keep apart where there is room.
    Raises ValueError for a count that is not a whole number from 1 to 200.
    """
    chance = generator_for(whole(seed, "seed", 0), "draw plaques")
    drawn = float(torch.randn(1, generator=chance))
    if count is None:
        count = round(min(max(20 * math.exp(0.6 * drawn), FEWEST), MOST))
    whole(count, "count", 1, 200)
    # Evenly spread shares, so that each place gets close to its part of few plaques too.
    shares = (torch.arange(count) + torch.rand(count, generator=chance)) / count
    ends = torch.tensor(list(PLACES.values())).cumsum(0)[:-1]
    found: list[Plaque] = []
    for place in torch.bucketize(shares, ends, right=True).tolist():
        for _ in range(20):
            one = _draw_one(tuple(PLACES)[place], chance)
            if not any(_overlap(one, other) for other in found):
                break
        found.append(one)
    return Plaques(seed, tuple(found))


def _draw_one(place: str, chance: torch.Generator) -> Plaque:
    pick, slim, strength = torch.rand(3, generator=chance).tolist()
    size, *direction = torch.randn(4, generator=chance).tolist()
    beside = place == "periventricular"
    length = min(max((8.5 if beside else 6.0) * math.exp(0.4 * size), SHORTEST_MM), LONGEST_MM)
    half = length / 2
    centres, normals, distances = _candidates()[place]
    if beside:
        # A place at about the right distance, moved so that the ovoid just reaches the wall.
        fitting = ((distances - max(half, 2.5)).abs() < 1.5).nonzero().flatten()
        chosen = int(fitting[int(pick * len(fitting))])
        axis = normals[chosen]
        centre = centres[chosen] - axis * (distances[chosen] - half + 0.5)
    else:
        chosen = int(pick * len(centres))
        axis = torch.tensor(direction) / torch.tensor(direction).norm().clamp(min=1e-6)
        centre = centres[chosen] + 2 * torch.rand(3, generator=chance) - 1
    width = half * ((0.45 + 0.3 * slim) if beside else (0.65 + 0.35 * slim))
    return Plaque(tuple(centre.tolist()), tuple(axis.tolist()), half, max(width, 0.8), place, 0.8 + 0.2 * strength)


def _overlap(one: Plaque, other: Plaque) -> bool:
    return math.dist(one.centre_mm, other.centre_mm) < 0.8 * (one.half_length_mm + other.half_length_mm)


@lru_cache(maxsize=1)
def _candidates() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each place its voxels of the head model at 2 mm: centres (N, 3), and, of the lateral ventricles, the
    direction away from them (N, 3) and the distance in mm (N,)."""
    model, points = head_model(MODEL_MM), model_points(MODEL_MM)
    x, y, z = points.unbind(-1)
    white, grey = model.share("white matter"), model.share("grey matter")
    # Not the third ventricle, nor the cistern behind the midbrain, which the head model takes for one.
    lateral = (model.share("ventricular csf") > 0.5) & (x.abs() > 2) & (z > -2)
    lateral &= ~((x.abs() < 14) & (y < -36) & (z < 8))
    beside, below = (MODEL_MM * ndimage.distance_transform_edt(~there.numpy()) for there in (lateral, grey > 0.5))
    beside, below = torch.from_numpy(beside).float(), torch.from_numpy(below).float()
    uphill = torch.stack(torch.gradient(torch.from_numpy(ndimage.gaussian_filter(beside.numpy(), 1.0))), -1)
    uphill = uphill / uphill.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    upper, solid = (z > -8) & (model.away_mm < -4), white > 0.8
    posterior_fossa = (z < -16) & (y < -14) & ((x.abs() < 20) | (y < -46))
    masks = {
        "periventricular": solid & upper & (beside < 8),
        "juxtacortical": (white > 0.6) & upper & (below < 3.5) & (beside > 14) & (model.away_mm > -28),
        "deep white": (white > 0.95) & upper & (below > 4.5) & (beside > 10),
        "infratentorial": solid & posterior_fossa & (model.away_mm < -6),
    }
    return {place: (points[mask], uphill[mask], beside[mask]) for place, mask in masks.items()}
