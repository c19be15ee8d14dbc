"""Fractures of the vault of the skull as CQ500 has them, linear and depressed: formulas in template coordinates."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.lesions.breaks import (
    FILLING,
    MIDDLE_OF_BONE_MM,
    NEAR_BONE_MM,
    SWOLLEN_MM,
    Fracture,
    level,
    lift_scalp,
    near_bone,
    put_in,
    share_of_gap,
    template_shares,
    unit,
)
from medlab.cohorts.lesions.lesion import replace_by
from medlab.cohorts.lesions.region import Bounds, Shares, around, change_within, covered, spacing_of
from medlab.cohorts.lesions.vault import SIDES, away_mm, inward, sign_of
from medlab.cohorts.tissues import SKULL
from medlab.data.chance import generator_for

KINDS = ("linear", "depressed")
PIECE = (*SKULL, "dura mater")  # what is pushed in together
STEP_MM = 0.5  # from point to point of a line
TAPER = 0.12  # by this share of its length a line narrows to nothing at each end
LOWEST_MM, MIDDLE_MM = -20.0, 4.0  # below this z, and nearer to the middle, there is no vault of that side


@dataclass(frozen=True)
class LinearFracture(Fracture):
    """A gap through all layers of the vault along a smooth line, filled with blood.

    length_mm: 30 to 100. width_mm: 0.7 to 2 in its middle; it narrows at the ends. bend_deg: by how much the line
    turns from end to end, -60 to 60. seed: of its small turns.
    `apply` raises ValueError for a line that leaves the vault of its side.
    """

    length_mm: float = 60.0
    width_mm: float = 1.2
    bend_deg: float = 0.0
    swelling_mm: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self.length_mm, "length_mm", 30, 100)
        number(self.width_mm, "width_mm", 0.7, 2)
        number(self.bend_deg, "bend_deg", -60, 60)
        number(self.swelling_mm, "swelling_mm", 0, 10)
        whole(self.seed, "seed", 0)

    @cached_property
    def line(self) -> Tensor:
        """The middle of the gap in the middle of the bone, (N, 3) in mm, from its back or lower end."""
        chance = generator_for(self.seed, "linear fracture")
        phases = (2 * math.pi * torch.rand(3, generator=chance)).tolist()
        half = round(self.length_mm / 2 / STEP_MM)

        def turn_per_mm(at_mm: float) -> float:
            waves = sum(math.cos(at_mm / scale + phase) for scale, phase in zip((3.0, 1.5, 0.8), phases, strict=True))
            return math.radians(self.bend_deg) / self.length_mm + 0.05 * waves

        along, _, _ = self.frame
        back = self._march(-along, half, lambda mm: -turn_per_mm(-mm))
        return torch.stack([*reversed(back), self.middle, *self._march(along, half, turn_per_mm)])

    @property
    def on_vault(self) -> bool:
        """Whether its line stays on the vault of its side."""
        beside, height = self.line[:, 0] * sign_of(self.side), self.line[:, 2]
        return float(beside.min()) > MIDDLE_MM and float(height.min()) > LOWEST_MM

    def _march(self, direction: Tensor, steps: int, turn_per_mm: Callable[[float], float]) -> list[Tensor]:
        """Points of the line on from its middle, on the surface of constant `away_mm`."""
        at, points = self.middle, []
        for n in range(steps):
            into = inward(at)
            direction = unit(level(direction, into))
            angle = turn_per_mm(n * STEP_MM) * STEP_MM
            side = torch.linalg.cross(into, direction)
            direction = math.cos(angle) * direction + math.sin(angle) * side
            at = at + STEP_MM * direction
            at = at + (away_mm(at) - MIDDLE_OF_BONE_MM) * inward(at)
            points.append(at)
        return points

    def gap_mm(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The distance of points (N, 3) to the middle of the gap, across it, and its width there, in mm, (N,) each.

        Beyond its ends the width is 0, as it is at the ends.
        """
        line = self.line
        along, into = unit(torch.gradient(line, dim=0)[0]), inward(line)
        nearest = torch.cdist(points, line).argmin(1)
        beside = points - line[nearest]
        across = torch.linalg.cross(into[nearest], along[nearest])
        share = nearest / (len(line) - 1)
        width = self.width_mm * (torch.minimum(share, 1 - share) / TAPER).clamp(max=1).sqrt()
        return (beside * across).sum(-1).abs(), width

    def bounds(self) -> Bounds:
        """See `Fracture`."""
        low, high = self.line.amin(0) - 14, self.line.amax(0) + 14
        if self.swelling_mm > 0:
            low, high = torch.minimum(low, self.middle - SWOLLEN_MM), torch.maximum(high, self.middle + SWOLLEN_MM)
        return tuple(low.tolist()), tuple(high.tolist())

    def touched(self, points: Tensor, spacing_mm: float) -> Tensor:
        """See `Fracture`."""
        found = torch.zeros(points.shape[:-1], dtype=torch.bool)
        near = near_bone(points)
        distance, width = self.gap_mm(points[near])
        found[near] = (distance < (width + spacing_mm) / 2) & (width > 0)
        return found

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`."""
        if not self.on_vault:
            raise ValueError(
                f"the line of {self.length_mm:g} mm at azimuth {self.azimuth_deg:g}, elevation {self.elevation_deg:g} "
                f"and heading {self.heading_deg:g} degrees leaves the vault of the {self.side} side, expected one on it"
            )
        change_within(
            shares, points, self.bounds(), lambda near, places: self._change(near, places, spacing_of(points))
        )

    def _change(self, shares: Shares, points: Tensor, edge_mm: float) -> None:
        lift_scalp(shares, points, self.middle, self.swelling_mm, edge_mm)
        gap = torch.zeros(points.shape[:-1])
        near = near_bone(points)
        gap[near] = share_of_gap(*self.gap_mm(points[near]), edge_mm)
        replace_by(shares, FILLING, gap, SKULL)

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "linear",
            "side": self.side,
            "bone": self.bone,
            "length_mm": self.length_mm,
            "width_mm": self.width_mm,
        }


@dataclass(frozen=True)
class DepressedFracture(Fracture):
    """A piece of the vault that is pushed in, with a gap around it and one across it; blood fills what it leaves.

    What the piece displaces within the skull is painted over and not pushed aside: a few ml.

    diameter_mm: 15 to 40, of a circle as large as the piece. elongation: of its longer axis to the other, 1 to 1.8.
    depth_mm: 3 to 10, how far its deeper end is pushed in; the other end by (1 - tilt) of that, tilt 0 to 0.7.
    width_mm: of the gaps, 0.7 to 2. seed: of its outline.
    """

    diameter_mm: float = 28.0
    elongation: float = 1.2
    depth_mm: float = 6.0
    tilt: float = 0.3
    width_mm: float = 1.2
    swelling_mm: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self.diameter_mm, "diameter_mm", 15, 40)
        number(self.elongation, "elongation", 1, 1.8)
        number(self.depth_mm, "depth_mm", 3, 10)
        number(self.tilt, "tilt", 0, 0.7)
        number(self.width_mm, "width_mm", 0.7, 2)
        number(self.swelling_mm, "swelling_mm", 0, 10)
        whole(self.seed, "seed", 0)

    def place_in_piece(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of points (..., 3): how far inside the piece's outline and beside the gap across it they are, in mm, and by
        how much the piece is pushed in there, in mm; (...) each."""
        waves = torch.rand(6, generator=generator_for(self.seed, "depressed fracture")).tolist()
        along, across, _ = self.frame
        half = self.diameter_mm / 2 * math.sqrt(self.elongation)
        a, b = ((points - self.middle) @ axis for axis in (along, across))
        angle = torch.atan2(b * self.elongation, a)
        rim = 1 + sum(0.07 * torch.cos(k * angle + 2 * math.pi * waves[k - 2]) / k**0.5 for k in range(2, 7))
        inside = (rim - torch.hypot(a, b * self.elongation) / half) * self.diameter_mm / 2
        split = b + 1.5 * torch.sin(a / 4 + 2 * math.pi * waves[5])
        pushed = self.depth_mm * (1 - self.tilt * ((1 - a / half) / 2).clamp(0, 1))
        return inside, split, pushed

    def bounds(self) -> Bounds:
        """See `Fracture`."""
        reach = 0.5 * self.diameter_mm * self.elongation**0.5 * 1.3 + 16
        return around(self.middle, max(reach, SWOLLEN_MM) if self.swelling_mm > 0 else reach)

    def touched(self, points: Tensor, spacing_mm: float) -> Tensor:
        """See `Fracture`."""
        inside, _, pushed = self.place_in_piece(points)
        away = away_mm(points)
        deep = (away > NEAR_BONE_MM[0] - pushed) & (away < NEAR_BONE_MM[1])
        bone = template_shares(points, SKULL, spacing_mm)
        moved = template_shares(points - pushed[..., None] * self.frame[2], SKULL, spacing_mm)
        solid = torch.maximum(sum(bone.values()), sum(moved.values())) > 0.5
        return deep & solid & (inside > -(self.width_mm + spacing_mm) / 2)

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`."""
        change_within(
            shares, points, self.bounds(), lambda near, places: self._change(near, places, spacing_of(points))
        )

    def _change(self, shares: Shares, points: Tensor, edge_mm: float) -> None:
        lift_scalp(shares, points, self.middle, self.swelling_mm, edge_mm)
        inside, split, pushed = self.place_in_piece(points)
        away = away_mm(points)
        column = (away > NEAR_BONE_MM[0] - pushed - 1) & (away < NEAR_BONE_MM[1])
        piece = covered(inside, edge_mm) * column
        put_in(shares, template_shares(points - pushed[..., None] * self.frame[2], PIECE, edge_mm), piece)
        around_it = share_of_gap(inside.abs(), torch.full_like(inside, self.width_mm), edge_mm)
        across_it = share_of_gap(split.abs(), self.width_mm * (inside > 0), edge_mm)
        replace_by(shares, FILLING, torch.maximum(around_it, across_it) * column, SKULL)

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "depressed",
            "side": self.side,
            "bone": self.bone,
            "diameter_mm": self.diameter_mm,
            "depth_mm": self.depth_mm,
        }


def draw_fracture(seed: int, kind: str | None = None, side: str | None = None) -> Fracture:
    """A fracture at random; kind ("linear" or "depressed") and side ("left" or "right") where they are given.

    Raises ValueError for another kind, side or seed. Three of four are linear (round).
    """
    chance = generator_for(whole(seed, "seed", 0), "fracture")
    which, where = torch.rand(2, generator=chance).tolist()
    if kind is None:
        kind = "linear" if which < 0.75 else "depressed"
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    side = SIDES[int(where < 0.5)] if side is None else side
    sign_of(side)
    while True:  # until the line lies on the vault: one of two does at once
        place, height, heading, size, width, depth, own, other, swollen = torch.rand(9, generator=chance).tolist()
        common = {
            "side": side,
            "azimuth_deg": round(-70 + 135 * place, 2),
            "elevation_deg": round(-12 + 60 * height, 2),
            "heading_deg": round(180 * heading - 90, 2),
            "width_mm": round(0.7 + 1.3 * width, 2),
            "swelling_mm": round(max(9 * swollen - 2, 0.0), 2),
            "seed": seed,
        }
        if kind == "depressed":
            return DepressedFracture(
                **common,
                diameter_mm=round(15 + 25 * size, 2),
                elongation=round(1 + 0.5 * own, 2),
                depth_mm=round(3 + 7 * depth, 2),
                tilt=round(0.6 * other, 2),
            )
        drawn = LinearFracture(**common, length_mm=round(30 + 70 * size, 2), bend_deg=round(60 * own - 30, 2))
        if drawn.on_vault:
            return drawn
