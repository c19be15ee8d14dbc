"""Bleeds within the brain: into its tissue, where they push it aside, and into its ventricles, where blood sinks."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.places import model_points
from medlab.cohorts.lesions.region import Bounds, Shares, around, change_within, covered, smooth_step, spacing_of
from medlab.cohorts.lesions.room import Mass, efface
from medlab.cohorts.lesions.vault import SIDES, away_mm, control_noise, sign_of
from medlab.cohorts.tissues import BRAIN

# Where brain bleeds: the middle, for the right side in template mm, and the length of three half axes to each other.
SITES = {
    "putamen": ((27.0, -2.0, 4.0), (0.75, 1.35, 1.0)),
    "thalamus": ((14.0, -19.0, 7.0), (0.9, 1.15, 0.95)),
    "frontal lobe": ((31.0, 36.0, 18.0), (1.0, 1.15, 0.9)),
    "parietal lobe": ((36.0, -44.0, 34.0), (0.9, 1.15, 1.0)),
    "temporal lobe": ((46.0, -20.0, -12.0), (0.8, 1.3, 0.85)),
    "occipital lobe": ((25.0, -74.0, 8.0), (0.85, 1.2, 0.95)),
}
# By which share of its radius a bleed's border wanders, and over what length in mm.
UNEVEN = ((0.15, 10.0), (0.09, 5.0))
MIDDLE_MM, SURFACE_MM = 2.0, 3.0  # nearer to the middle and to the skull no bleed into tissue comes
WATER = 0.85  # of the brain just outside the clot becomes oedema, in grey matter half of it
EFFACED, EFFACED_MM = 0.6, 8.0
STAYS = 0.95  # the share of blood in a ventricle below its level; the rest is fluid
ROUGHEST = 1.9  # no border is farther from the middle than so many times the radius: 1.4 of noise, 1.35 of the axes
BESIDE_MM = 15.0  # so far around a clot and its oedema furrows close
LOG_EXPANSION = 1.3  # the same in all directions, so that lengths grow by half; see `extra_axial.LOG_EXPANSION`
_SEARCH_MM = 3.0  # the spacing on which a radius is looked for that gives a volume


@dataclass(frozen=True)
class IntraparenchymalHaemorrhage(Mass):
    """Blood in the tissue of the brain: an uneven clot with a rim of oedema.

    site: one of `SITES`. volume_ml: of the clot, 3 to 60, in a head of the template's size. oedema_mm: width of the
    rim, 0 to 15. shift_mm: its middle beside the site's, of the right side. seed: of its border.
    """

    side: str
    site: str
    volume_ml: float
    oedema_mm: float = 5.0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0
    log_expansion: float = LOG_EXPANSION

    def __post_init__(self) -> None:
        sign_of(self.side)
        if self.site not in SITES:
            raise ValueError(f"site is {self.site!r}, expected one of {', '.join(SITES)}")
        number(self.volume_ml, "volume_ml", 3, 60)
        number(self.oedema_mm, "oedema_mm", 0, 15)
        whole(self.seed, "seed", 0)
        if not isinstance(self.shift_mm, tuple) or len(self.shift_mm) != 3:
            raise ValueError(f"shift_mm is {self.shift_mm!r}, expected three numbers, as a tuple")
        for length in self.shift_mm:
            number(length, "shift_mm", -15, 15)

    @cached_property
    def centre(self) -> Tensor:
        """The middle of the clot, (3,) in template mm."""
        right = torch.tensor(SITES[self.site][0]) + torch.tensor(self.shift_mm)
        return right * torch.tensor([sign_of(self.side), 1.0, 1.0])

    @cached_property
    def radius_mm(self) -> float:
        """Of the ball that it would be if it were even and nothing held it back; found by halving."""
        axis = torch.arange(-16, 17) * _SEARCH_MM
        points = self.centre + torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
        size, bounds = self._size(points)
        low, high = 3.0, 60.0
        for _ in range(24):
            radius = (low + high) / 2
            volume = float(covered(torch.minimum(radius - size, bounds), _SEARCH_MM).double().sum()) * _SEARCH_MM**3
            low, high = (radius, high) if volume < 1000 * self.volume_ml else (low, radius)
        return low

    def inside_mm(self, pushed: Tensor) -> Tensor:
        """See `Mass`."""
        size, bounds = self._size(pushed)
        return torch.minimum(self.radius_mm - size, bounds)

    def _size(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The radius of the clot on whose border points (..., 3) lie, and how far they are within its bounds, (...)."""
        half = torch.tensor(SITES[self.site][1])
        half = half / half.prod() ** (1 / 3)
        size = ((points - self.centre) / half).norm(dim=-1)
        noise = sum(share * control_noise(points, mm, self.seed, "parenchyma") for share, mm in UNEVEN).clamp(-0.4, 0.4)
        middle = points[..., 0] * sign_of(self.side) - MIDDLE_MM
        return size / (1 + noise), torch.minimum(middle, -away_mm(points) - SURFACE_MM)

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`: clot at the place of brain and of its furrows, oedema in the brain around."""
        reach = ROUGHEST * self.radius_mm + 1.5 * self.oedema_mm + BESIDE_MM
        change_within(shares, points, around(self.centre, reach), self._change)

    def bounds(self) -> Bounds:
        """See `Mass`."""
        return around(self.centre, ROUGHEST * self.radius_mm + 4)

    def _change(self, shares: Shares, points: Tensor) -> None:
        inside, edge = self.inside_mm(self.pushed(points)), spacing_of(points)
        efface(shares, inside, EFFACED, EFFACED_MM)
        clot = covered(inside, edge)
        if self.oedema_mm > 0:
            water = WATER * smooth_step(inside, -1.5 * self.oedema_mm, -0.3 * self.oedema_mm)
            replace_by(shares, "oedema", water, ("white matter",))
            replace_by(shares, "oedema", water / 2, ("grey matter", "deep grey matter"))
        replace_by(shares, "clot", clot, ("outer csf", "oedema", *BRAIN))

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {
            "kind": "intraparenchymal",
            "side": self.side,
            "site": self.site,
            "volume_ml": self.volume_ml,
            "oedema_mm": self.oedema_mm,
            "midline_shift_mm": self.midline_shift_mm,
        }


@dataclass(frozen=True)
class IntraventricularHaemorrhage(Lesion):
    """Blood in the lateral ventricles. It is heavier than fluid and lies behind, up to a level, for the patient lies on
    the back. The level is a plane of constant y in template coordinates, so the shape of a head bends it a little.

    side: "left", "right" or "both". filled: the share of these ventricles' volume that it fills, 0.03 to 0.9.
    """

    side: str
    filled: float = 0.25

    def __post_init__(self) -> None:
        if self.side != "both":
            sign_of(self.side)
        number(self.filled, "filled", 0.03, 0.9)

    @cached_property
    def level_mm(self) -> float:
        """The y in template coordinates up to which blood stands."""
        edges, volumes = _filling(self.side)
        wanted = self.filled * float(volumes[-1])
        above = int(torch.searchsorted(volumes, wanted))
        low, high = float(volumes[above - 1]), float(volumes[above])
        return float(edges[above - 1]) + (wanted - low) / max(high - low, 1e-9) * CONTROL_MM

    def apply(self, shares: Shares, points: Tensor) -> None:
        """See `Lesion`: blood at the place of the ventricles' fluid below the level."""
        change_within(shares, points, ((-45.0, -95.0, -32.0), (45.0, self.level_mm + 3, 40.0)), self._change)

    def _change(self, shares: Shares, points: Tensor) -> None:
        below = covered(self.level_mm - points[..., 1], spacing_of(points))
        replace_by(shares, "clot", STAYS * below * lateral_ventricles(points, self.side), ("ventricular csf",))

    def finding(self) -> dict[str, object]:
        """See `Lesion`."""
        return {"kind": "intraventricular", "side": self.side, "filled": self.filled}


def lateral_ventricles(points: Tensor, side: str) -> Tensor:
    """1 where fluid of ventricles belongs to the lateral one of a side, or of "both", 0 elsewhere; (...).

    Boxes in template coordinates: the third and fourth ventricles and the fluid behind the third one are left out.
    """
    x, y, z = points.unbind(-1)
    x = x.abs() if side == "both" else x * sign_of(side)
    body = (z > 14) & (x > 0.5)
    front = (z > -6) & (y > -2) & (x > 1.5)
    trigone = (z > -8) & (y < -20) & (x > 11)
    temporal = (x > 19) & (z > -30)
    return (body | front | trigone | temporal).float()


@lru_cache(maxsize=len(SIDES) + 1)
def _filling(side: str) -> tuple[Tensor, Tensor]:
    """Where voxels of the control grid end along y, and the volume in ml of lateral ventricles up to it, (Y + 1,)."""
    model = head_model(CONTROL_MM)
    fluid = model.share("ventricular csf") * lateral_ventricles(model_points(CONTROL_MM), side)
    volumes = torch.cat([torch.zeros(1), fluid.sum((0, 2)).cumsum(0)]) * CONTROL_MM**3 / 1000
    return float(model.affine[1, 3]) + (torch.arange(len(volumes)) - 0.5) * CONTROL_MM, volumes
