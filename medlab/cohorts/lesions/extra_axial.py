"""Bleeds outside the brain: epidural and subdural haematomas, which push it aside, and blood in the fluid around it."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.region import Bounds, Shares, around, change_within, covered, smooth_step, spacing_of
from medlab.cohorts.lesions.room import Mass, efface
from medlab.cohorts.lesions.vault import (
    away_mm,
    bearing_deg,
    bone_at,
    control_noise,
    distance_to_line,
    inward,
    place_on_vault,
    sign_of,
)
from medlab.cohorts.tissues import BRAIN

WALL_MM = 1.0  # the inner table begins at this `away_mm`: below it lies the dura
FALX_MM = 4.0  # nearer to the middle no blood outside the brain comes: there the dura turns into the falx
EFFACED, EFFACED_MM = 0.8, 10.0  # how far furrows beside a haematoma close, and how far from it
BESIDE_MM = 25.0  # so far around a haematoma it changes anything
VAULT_RADIUS_MM = 75.0  # of the vault's curvature, round
LOG_EXPANSION = 0.65  # above 0.7 a layer doubles its thickness, and `Deformation.to_template` may not find the way back
REGIONS = ("sylvian fissure", "basal cisterns", "sulci")
# The subarachnoid spaces that arteries bleed into, for the right side in template mm.
_SYLVIAN_MM = ((12.0, 6.0, -18.0), (30.0, 8.0, -16.0), (44.0, 8.0, -8.0), (46.0, -8.0, 6.0), (48.0, -24.0, 14.0))
_BASAL_MM = ((0.0, 10.0, -20.0), (2.0, -8.0, -20.0), (16.0, -16.0, -18.0), (18.0, -32.0, -12.0), (4.0, -40.0, -8.0))


@dataclass(frozen=True)
class EpiduralHaematoma(Mass):
    """Blood between bone and dura: a biconvex lens, for the dura is stretched over it like a ball (Tenny, StatPearls).

    azimuth_deg, elevation_deg: its place (`place_on_vault`). thickness_mm: 5 to 25. inner_radius_mm: of the ball that
    bounds it, 35 to 120; its extent follows from both, and it ends where ball and bone meet.
    """

    side: str
    azimuth_deg: float
    elevation_deg: float
    thickness_mm: float
    inner_radius_mm: float = 60.0
    log_expansion: float = LOG_EXPANSION
    wall_mm = WALL_MM

    def __post_init__(self) -> None:
        sign_of(self.side)
        number(self.azimuth_deg, "azimuth_deg", -80, 80)
        number(self.elevation_deg, "elevation_deg", -20, 60)
        number(self.thickness_mm, "thickness_mm", 5, 25)
        number(self.inner_radius_mm, "inner_radius_mm", 35, 120)

    @property
    def half_extent_mm(self) -> float:
        """From its middle to its rim along the bone: where two caps of spheres meet whose heights are its thickness."""
        return (2 * self.thickness_mm / (1 / VAULT_RADIUS_MM + 1 / self.inner_radius_mm)) ** 0.5

    @cached_property
    def wall(self) -> Tensor:
        """The point of the inner table above its middle, (3,) in mm."""
        return place_on_vault(self.side, self.azimuth_deg, self.elevation_deg, WALL_MM)

    @cached_property
    def _centre(self) -> Tensor:
        return self.wall - inward(self.wall) * (self.inner_radius_mm - self.thickness_mm)

    def inside_mm(self, pushed: Tensor) -> Tensor:
        """See `Mass`; bone bounds it too, but that is left to `apply`, which replaces no bone."""
        ball = self.inner_radius_mm - (pushed - self._centre).norm(dim=-1)
        return torch.minimum(ball, pushed[..., 0] * sign_of(self.side) - FALX_MM)

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`: blood at the place of dura, fluid and brain, and the dura on its inner side."""
        reach = self.half_extent_mm + self.thickness_mm + BESIDE_MM
        change_within(shares, points, around(self.wall, reach), self._change)

    def bounds(self) -> Bounds:
        """See `Mass`."""
        return around(self.wall, 1.3 * self.half_extent_mm + 10)

    def _change(self, shares: Shares, points: Tensor) -> None:
        pushed = self.pushed(points)
        inside, edge = self.inside_mm(pushed), spacing_of(points)
        efface(shares, inside, EFFACED, EFFACED_MM)
        clot = covered(inside, edge)
        dura = (covered(inside + WALL_MM, edge) - clot) * covered(-away_mm(pushed), edge)
        replace_by(shares, "dura mater", dura / (1 - clot).clamp(min=1e-3), ("outer csf", *BRAIN))
        replace_by(shares, "clot", clot, ("dura mater", "outer csf", "blood", *BRAIN))

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "epidural",
            "side": self.side,
            "bone": bone_at(self.wall),
            "thickness_mm": self.thickness_mm,
            "volume_ml": self.mass_ml,
            "midline_shift_mm": self.midline_shift_mm,
        }


@dataclass(frozen=True)
class SubduralHaematoma(Mass):
    """Blood between dura and brain: a crescent over one hemisphere, held back by the falx but by no suture.

    thickness_mm: 3 to 15, at its middle, which azimuth_deg and elevation_deg place (`place_on_vault`).
    half_azimuth_deg, half_elevation_deg: how far it reaches from there. seed: of the unevenness of its inner side.
    """

    side: str
    thickness_mm: float
    azimuth_deg: float = 0.0
    elevation_deg: float = 15.0
    half_azimuth_deg: float = 75.0
    half_elevation_deg: float = 48.0
    seed: int = 0
    log_expansion: float = LOG_EXPANSION

    def __post_init__(self) -> None:
        sign_of(self.side)
        number(self.thickness_mm, "thickness_mm", 3, 15)
        number(self.azimuth_deg, "azimuth_deg", -60, 60)
        number(self.elevation_deg, "elevation_deg", -10, 50)
        number(self.half_azimuth_deg, "half_azimuth_deg", 30, 100)
        number(self.half_elevation_deg, "half_elevation_deg", 20, 70)
        whole(self.seed, "seed", 0)

    def thickness_at(self, pushed: Tensor) -> Tensor:
        """How thick it is at the vault beside points (..., 3), in mm, (...)."""
        azimuth, elevation = bearing_deg(pushed, self.side)
        along = (azimuth - self.azimuth_deg) / self.half_azimuth_deg
        across = (elevation - self.elevation_deg) / self.half_elevation_deg
        thick = self.thickness_mm * (1 - along.square() - across.square()).clamp(min=0).pow(0.6)
        uneven = 1 + 0.08 * control_noise(pushed, 16.0, self.seed, "subdural").clamp(-2, 2)
        return thick * uneven * smooth_step(pushed[..., 0] * sign_of(self.side), FALX_MM, 16.0)

    def inside_mm(self, pushed: Tensor) -> Tensor:
        """See `Mass`; where it has no thickness the border is 4 mm away, so that no film is left on the dura."""
        thick = self.thickness_at(pushed)
        return thick + away_mm(pushed).clamp(max=0) - 4 * (1 - thick).clamp(min=0)

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`: blood at the place of fluid and brain; the dura stays at the bone."""
        change_within(shares, points, self.bounds(), self._change)

    def bounds(self) -> Bounds:
        """See `Mass`: all of one side."""
        low, high = sorted((0.0, sign_of(self.side) * 95.0))
        return (low, -130.0, -72.0), (high, 100.0, 115.0)

    def _change(self, shares: Shares, points: Tensor) -> None:
        inside = self.inside_mm(self.pushed(points))
        efface(shares, inside, EFFACED, EFFACED_MM)
        replace_by(shares, "clot", covered(inside, spacing_of(points)), ("outer csf", *BRAIN))

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "subdural",
            "side": self.side,
            "thickness_mm": self.thickness_mm,
            "volume_ml": self.mass_ml,
            "midline_shift_mm": self.midline_shift_mm,
        }


@dataclass(frozen=True)
class SubarachnoidHaemorrhage(Lesion):
    """Blood mixed into the fluid around the brain, where a vessel burst; it takes no room of its own.

    region: one of `REGIONS`. density: the share of blood in the fluid at its densest, 0.2 to 0.95. reach_mm: how far
    from the fissure, cistern or place it has spread, 5 to 40. azimuth_deg, elevation_deg: the place, for "sulci"
    (`place_on_vault`). seed: of its patches.
    """

    side: str
    region: str
    density: float = 0.75
    reach_mm: float = 14.0
    azimuth_deg: float = 0.0
    elevation_deg: float = 35.0
    seed: int = 0

    def __post_init__(self) -> None:
        sign_of(self.side)
        if self.region not in REGIONS:
            raise ValueError(f"region is {self.region!r}, expected one of {', '.join(REGIONS)}")
        number(self.density, "density", 0.2, 0.95)
        number(self.reach_mm, "reach_mm", 5, 40)
        number(self.azimuth_deg, "azimuth_deg", -80, 80)
        number(self.elevation_deg, "elevation_deg", -20, 75)
        whole(self.seed, "seed", 0)

    @cached_property
    def _line(self) -> Tensor:
        if self.region == "sulci":
            return place_on_vault(self.side, self.azimuth_deg, self.elevation_deg, -6.0)[None]
        line = torch.tensor(_SYLVIAN_MM if self.region == "sylvian fissure" else _BASAL_MM)
        return line * torch.tensor([sign_of(self.side), 1.0, 1.0])

    def share_of_fluid(self, points: Tensor) -> Tensor:
        """The share of blood in the fluid around the brain at points (..., 3) of the template, (...), 0 to density."""
        near = 1 - smooth_step(distance_to_line(points, self._line), 0.6 * self.reach_mm, 1.4 * self.reach_mm)
        # The basal cisterns of both sides are one room; elsewhere the midline holds blood back.
        beyond = (-8.0, 4.0) if self.region == "basal cisterns" else (-2.0, 6.0)
        sided = smooth_step(points[..., 0] * sign_of(self.side), *beyond)
        patches = (0.85 + 0.2 * control_noise(points, 9.0, self.seed, "subarachnoid")).clamp(0.3, 1)
        return self.density * near * sided * patches

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`."""
        reach = 1.4 * self.reach_mm
        bounds: Bounds = tuple(
            tuple(corner.tolist()) for corner in (self._line.amin(0) - reach, self._line.amax(0) + reach)
        )
        change_within(shares, points, bounds, self._change)

    def _change(self, shares: Shares, points: Tensor) -> None:
        replace_by(shares, "clot", self.share_of_fluid(points), ("outer csf",))

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "subarachnoid",
            "side": self.side,
            "region": self.region,
            "density": self.density,
            "reach_mm": self.reach_mm,
        }
