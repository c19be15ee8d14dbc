"""A subject: a person drawn from a population, and the head that this person has on a grid of voxels."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.anatomy import FURROWED, head_model
from medlab.cohorts.deformation import (
    CONTROL_MM,
    Deformation,
    affine_about,
    asymmetry_velocity,
    atrophy_velocity,
    random_velocity,
    ventricle_velocity,
)
from medlab.cohorts.grid import HEAD_CENTRE_MM, Grid, sample
from medlab.cohorts.lesions.lesion import Lesion
from medlab.cohorts.texture import smooth_noise
from medlab.cohorts.tissues import HEALTHY, TISSUES
from medlab.data.chance import generator_for

FOLD_MM = 5.0  # over which length a person's folds differ
# The template's brain holds 1,680 ml, for averaging over aligned heads made it large; people's hold about 1,400.
SIZE = 0.94
TOGETHER = 5  # tissues that are sampled at once


@dataclass(frozen=True)
class Person:
    """How one head differs from the head model; all of it is drawn by `draw_person` and can be set by hand.

    seed: from which shape and folds follow. scale: along x, y, z. angles_deg, shift_mm: pose in the scanner.
    shape_mm: standard deviation of the smooth deformation, with half of it on a shorter scale. ventricles_mm,
    atrophy_mm, asymmetry_mm: see `deformation`. folds: how strongly the cortex's borders differ, 0 for not at all.
    furrows: how far they are on the way from a young to the oldest brain, 0 to 1.
    """

    seed: int
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shape_mm: float = 2.5
    ventricles_mm: float = 0.0
    atrophy_mm: float = 0.0
    asymmetry_mm: float = 0.0
    folds: float = 1.0
    furrows: float = 0.0

    def __post_init__(self) -> None:
        whole(self.seed, "seed", 0)
        for name in ("shape_mm", "folds"):
            number(getattr(self, name), name, 0)
        number(self.furrows, "furrows", 0, 1)
        for name in ("scale", "angles_deg", "shift_mm"):
            if len(getattr(self, name)) != 3 or not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected three finite numbers")
        if min(self.scale) <= 0:
            raise ValueError(f"scale is {self.scale}, expected three numbers above 0")

    def deformation(self, lesions: Sequence[Lesion] = ()) -> Deformation:
        """From template coordinates to this person's, with what lesions displace."""
        generator = generator_for(self.seed, "shape")
        velocity = random_velocity(generator, self.shape_mm, 30.0) + random_velocity(generator, self.shape_mm / 2, 13.0)
        velocity = velocity + ventricle_velocity(self.ventricles_mm) + atrophy_velocity(self.atrophy_mm)
        velocity = velocity + asymmetry_velocity(self.asymmetry_mm)
        for lesion in lesions:
            pushed = lesion.velocity_mm()
            velocity = velocity if pushed is None else velocity + pushed
        affine = affine_about(HEAD_CENTRE_MM, self.scale, self.angles_deg)
        affine[:3, 3] += self.shift_mm
        return Deformation(velocity, affine)


@dataclass(frozen=True, eq=False)
class Subject:
    """The head of a person on a grid: the exact truth that a scanner only sees images of.

    shares: for each tissue that occurs, its share of every voxel, (X, Y, Z) float32, 0 to 1; they add up to 1.
    deformation: between the template and this head. lesions: what was put into it.
    """

    shares: dict[str, Tensor]
    grid: Grid
    person: Person
    deformation: Deformation
    lesions: tuple[Lesion, ...] = field(default=())

    def share(self, *names: str) -> Tensor:
        """The share of these tissues together, (X, Y, Z); zeros where none of them occurs."""
        found = [self.shares[name] for name in names if name in self.shares]
        return sum(found) if found else torch.zeros(self.grid.shape)

    def labels(self, groups: dict[int, tuple[str, ...]]) -> Tensor:
        """The label of the group with the largest share in each voxel, (X, Y, Z) uint8; 0 where it is none of them."""
        named = {name for names in groups.values() for name in names}
        best = self.share(*(name for name in self.shares if name not in named))
        label = torch.zeros(self.grid.shape, dtype=torch.uint8)
        for value, names in groups.items():
            share = self.share(*names)
            label[share > best] = value
            best = torch.maximum(best, share)
        return label

    def volume_ml(self, *names: str) -> float:
        """The volume of these tissues together in ml, partial voxels counted as such."""
        return float(self.share(*names).double().sum()) * float(np.prod(self.grid.spacing_mm)) / 1000


def draw_person(seed: int, age_years: float = 40.0, **changes: object) -> Person:
    """A healthy adult of this age, at random; named fields of `Person` in changes replace what was drawn.

    With age fluid takes the room of brain. Its loss grows with the square of the years since 18, to about a fifth at
    80: 0.2 % a year at 35 and 0.4 % at 60, near the rates of Hedman et al., Hum. Brain Mapp. 33, 2012. Most of it
    widens furrows; the ventricles' walls move outwards by up to 6 mm and the surface inwards by 1 mm (round numbers).
    """
    age = number(age_years, "age_years", 0, 120)
    generator = generator_for(seed, "person")
    drawn = torch.randn(12, generator=generator).tolist()
    size, x, y, z, tilt, nod, turn, right, ventricles, atrophy, side, furrows = drawn
    late, worn = max(age - 20, 0) / 60, (max(age - 18, 0) / 62) ** 2
    drawn = Person(
        seed,
        scale=tuple(round(SIZE * float(np.exp(0.03 * size + 0.02 * own)), 5) for own in (x, y, z)),
        angles_deg=(3.0 * nod, 2.0 * tilt, 3.0 * turn),
        shift_mm=(1.5 * right, 0.0, 0.0),
        ventricles_mm=6.0 * late + 0.8 * ventricles,
        atrophy_mm=max(worn + 0.2 * atrophy, -0.3),
        asymmetry_mm=1.5 * side,
        furrows=min(max(worn + 0.04 * furrows, 0.0), 1.0),
    )
    return replace(drawn, **changes) if changes else drawn


def draw_subject(person: Person, grid: Grid, lesions: Sequence[Lesion] = ()) -> Subject:
    """The head of a person on a grid, with lesions.

    Where voxels are more than twice as long in one direction as in another (thick slices), shares are means over the
    length of the voxel. Same person, grid and lesions: same numbers.
    """
    deformation = person.deformation(lesions)
    shape, spacing = np.array(grid.shape), np.array(grid.spacing_mm)
    finer = np.maximum(np.floor(spacing / spacing.min() + 1e-6), 1).astype(int)
    fine = Grid(tuple((shape * finer).tolist()), tuple((spacing / finer).tolist()), grid.centre_mm)
    points = deformation.to_template(fine.points())
    shares = _template_shares(points, int(np.clip(np.floor(min(fine.spacing_mm) + 0.01), 1, 8)), person.furrows)
    _fold(shares, points, person)
    for lesion in lesions:
        lesion.apply(shares, points)
    if finer.max() > 1:
        blocks = [k for n, f in zip(grid.shape, finer.tolist(), strict=True) for k in (n, f)]
        shares = {name: share.reshape(blocks).mean((1, 3, 5)) for name, share in shares.items()}
    ordered = {name: shares[name] for name in TISSUES if name in shares and bool(shares[name].any())}
    return Subject(ordered, grid, person, deformation, tuple(lesions))


def _template_shares(points: Tensor, spacing_mm: int, furrows: float) -> dict[str, Tensor]:
    """The healthy tissues of the head model at points (X, Y, Z, 3) of the template; their sum stays 1 up to rounding.

    A few tissues at a time: each sampling finds its neighbours anew, and all at once would need much memory.
    """
    model = head_model(spacing_mm)
    furrowed = model.with_furrows(furrows)
    shares: dict[str, Tensor] = {}
    for first in range(0, len(HEALTHY), TOGETHER):
        names = HEALTHY[first : first + TOGETHER]
        found = sample(furrowed[first : first + TOGETHER], model.affine, points).div_(255)
        shares |= {name: share.clone() for name, share in zip(names, found, strict=True) if bool(share.any())}
    return shares


def _fold(shares: dict[str, Tensor], points: Tensor, person: Person) -> None:
    """Moves the borders between white matter, grey matter and outer fluid: no two cortices are folded alike."""
    if person.folds == 0:
        return
    generator = generator_for(person.seed, "folds")
    model = head_model(CONTROL_MM)
    folded = [name for name in FURROWED if name in shares]
    total = sum(shares[name] for name in folded)
    weighted = []
    for name in folded:
        noise = smooth_noise(model.shares.shape[1:], FOLD_MM / CONTROL_MM, generator)
        weighted.append(shares[name] * torch.exp(person.folds * sample(noise[None], model.affine, points)[0]))
    whole_ = sum(weighted).clamp(min=1e-12)
    for name, weight in zip(folded, weighted, strict=True):
        shares[name] = total * weight / whole_
