"""Transforms of space: mirrored, turned, scaled, moved and bent heads. Image, label and mask go the same way."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_length, number, whole
from medlab.data.augment.base import Augmentation, Joinable, Transform
from medlab.data.chance import below, generator_for, uniform
from medlab.data.samples import Sample
from medlab.data.volume import Volume

# Displacements of control points below this share of their spacing fold nothing, whatever their directions: the
# condition for uniform cubic B-splines in 3D (Choi and Lee, Graphical Models 62, 411, 2000; 1 / 2.4795 = 0.403).
INJECTIVE = 0.40
LARGEST = float(torch.finfo(torch.float32).max)
POINTS_AT_ONCE = 2**19  # 12 bytes each and as much again for every map: a slab of the volume, not all of it
SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Flip(Transform):
    """The patient's left and right exchanged, with this probability.

    Voxels are mirrored along the axis of the grid that is nearest to left-right, exactly; the affine stays. What has a
    side changes it: labels named after one (left hippocampus) take the value of their counterpart, and `facts` whose
    name or value has one (bleeding_left, side: left) the other. Raises ValueError where a label has no counterpart.
    """

    probability: float = 0.5
    fields = ("mirrored",)

    def __post_init__(self) -> None:
        number(self.probability, "probability", 0, 1)

    def _draw(self, generator: torch.Generator) -> dict:
        return {"mirrored": uniform(generator, 0, 1) < self.probability}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        # Looked up before anything is decided: a label that cannot be mirrored is refused with every seed.
        counterparts = _counterparts(sample)
        if not parameters["mirrored"]:
            return sample
        axis = next(index for index, letter in enumerate(sample.image.orientation) if letter in "LR")
        label, mask = sample.label, sample.mask
        if label is not None:
            label = label.flip(axis)
            if counterparts is not None:
                label = counterparts.to(label.device)[label.int()]
        return replace(
            sample,
            image=sample.image.with_data(sample.image.data.flip(axis + 1)),
            label=label,
            mask=None if mask is None else mask.flip(axis),
            facts=_mirrored_facts(sample.facts),
        )


@dataclass(frozen=True)
class Affine(Joinable):
    """Scaled along x, y, z, then turned about them in this order, about the middle of the field of view, then moved.

    scale: the largest change of length as a natural logarithm, 0.1 for 0.905 to 1.105; each axis draws its own.
    angle_deg: largest turn about each axis, anticlockwise for a positive one. shift_mm: largest shift along each. Axes
    are those of the patient (right, anterior, superior), not of the grid. fill: the value outside the old field of
    view; the channel's lowest where None; label 0 and mask False go there. Linear interpolation for the image.
    """

    scale: float = 0.1
    angle_deg: float = 10.0
    shift_mm: float = 5.0
    fill: float | None = None
    fields = ("scale", "angles_deg", "shift_mm")

    def __post_init__(self) -> None:
        number(self.scale, "scale", 0, 2)
        number(self.angle_deg, "angle_deg", 0, 180)
        number(self.shift_mm, "shift_mm", 0)
        _known_fill(self.fill)

    def _draw(self, generator: torch.Generator) -> dict:
        def three(largest: float) -> list[float]:
            return [uniform(generator, -largest, largest) for _ in range(3)]

        scale = [math.exp(one) for one in three(self.scale)]
        return {"scale": scale, "angles_deg": three(self.angle_deg), "shift_mm": three(self.shift_mm)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        return self.replay_joined(sample, [(self, parameters)])

    def joins(self, following: Augmentation) -> bool:
        return isinstance(following, Affine | Elastic) and following.fill == self.fill

    def replay_joined(self, sample: Sample, steps: list[tuple[Transform, dict]]) -> Sample:
        # What comes last in time is nearest to the new grid: its points pass through the last map first.
        sources = [step.source(sample.image, values) for step, values in reversed(steps)]

        def source(points: Tensor) -> Tensor:
            for one in sources:
                points = one(points)
            return points

        return _warped(sample, source, self.fill)

    def source(self, volume: Volume, parameters: dict) -> Callable[[Tensor], Tensor]:
        """From voxels of the new image to voxels of the old one, both (..., 3)."""
        scale, angles, shift = (_three(parameters, name) for name in self.fields)
        if min(scale) <= 0:
            raise ValueError(f"scale is {scale}, expected three numbers above 0")
        turn = np.eye(3)
        for axis, angle in enumerate(np.radians(angles)):
            one, a, b = np.eye(3), (axis + 1) % 3, (axis + 2) % 3
            one[a, a] = one[b, b] = math.cos(angle)
            one[b, a], one[a, b] = math.sin(angle), -math.sin(angle)
            turn = one @ turn
        back = np.linalg.inv(turn @ np.diag(scale))
        middle = volume.to_world((np.array(volume.shape[1:]) - 1) / 2)
        # In the world: x -> middle + back (x - shift - middle); then between the voxels of the same grid.
        directions = volume.affine[:3, :3]
        matrix = np.linalg.solve(directions, back @ directions)
        offset = np.linalg.solve(directions, back @ (volume.affine[:3, 3] - np.array(shift) - middle))
        offset += np.linalg.solve(directions, middle - volume.affine[:3, 3])
        return lambda points: points @ points.new_tensor(matrix).T + points.new_tensor(offset)


@dataclass(frozen=True)
class Elastic(Joinable):
    """A smooth random bend: a uniform cubic B-spline with a control point every spacing_mm along each axis of the grid.

    largest_mm: up to this far a control point moves along each axis; what is drawn is the largest move of this time,
    and the tissue moves by about half of it, since neighbours share. At most 0.4 spacing_mm, so that nothing folds.
    The bend is the same on a finer or coarser grid over the same field of view. fill: as in `Affine`.
    """

    largest_mm: float = 8.0
    spacing_mm: float = 40.0
    fill: float | None = None
    fields = ("displacement_mm", "spacing_mm", "seed")

    def __post_init__(self) -> None:
        as_length(self.spacing_mm, "spacing_mm")
        number(self.largest_mm, "largest_mm", 0, INJECTIVE * self.spacing_mm)
        _known_fill(self.fill)

    def _draw(self, generator: torch.Generator) -> dict:
        displacement = uniform(generator, 0, self.largest_mm)
        return {"displacement_mm": displacement, "spacing_mm": self.spacing_mm, "seed": below(generator, 2**31)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        return _warped(sample, self.source(sample.image, parameters), self.fill)

    def joins(self, following: Augmentation) -> bool:
        return False  # its spline is summed axis by axis, which needs the points of a grid: it is the last of a row

    def replay_joined(self, sample: Sample, steps: list[tuple[Transform, dict]]) -> Sample:
        raise ValueError("an Elastic is the last of joined steps, expected it to stand alone here")

    def source(self, volume: Volume, parameters: dict) -> Callable[[Tensor], Tensor]:
        """From voxels of the new image, (X, Y, Z, 3) of a part of the grid, to voxels of the old one."""
        spacing = as_length(parameters["spacing_mm"], "spacing_mm")
        displacement = number(parameters["displacement_mm"], "displacement_mm", 0, INJECTIVE * spacing)
        knots = [
            math.ceil(size * step / spacing - 1e-6) + 3
            for size, step in zip(volume.shape[1:], volume.spacing, strict=True)
        ]
        chance = generator_for(whole(parameters["seed"], "seed", 0), "control points")
        control = (2 * torch.rand((3, *knots), generator=chance, dtype=torch.float64) - 1) * displacement
        control /= torch.tensor(volume.spacing, dtype=torch.float64)[:, None, None, None]  # in voxels

        def moved(points: Tensor) -> Tensor:
            bend = control.to(points)
            lines = (points[:, 0, 0, 0], points[0, :, 0, 1], points[0, 0, :, 2])
            for line, step, count in zip(lines, volume.spacing, knots, strict=True):
                # The axis in front is summed over and comes back at the end: after three, all are in order again.
                weights = _spline_weights((line + 0.5) * (step / spacing), count)
                bend = torch.tensordot(bend, weights, dims=([1], [1]))
            return points + bend.movedim(0, -1)

        return moved


def _warped(sample: Sample, source: Callable[[Tensor], Tensor], fill: float | None) -> Sample:
    """The sample whose voxel at a point is the old one at source(point); slab by slab, image, label and mask alike.

    A voxel is a box: the field of view ends half a voxel beyond the outermost centres, where their value holds.
    """
    data, label, mask = sample.image.data, sample.label, sample.mask
    shape = data.shape[1:]
    new = torch.empty_like(data)
    # Values up to 255 are exact in float32.
    marks = [(part, part.to(torch.float32)[None], torch.empty_like(part)) for part in (label, mask) if part is not None]
    outer = data.amin((1, 2, 3)) if fill is None else data.new_full((len(data),), fill)
    sizes = torch.tensor(shape, device=data.device)
    axes = [torch.arange(size, dtype=torch.float32, device=data.device) for size in shape]
    for slab in torch.arange(shape[0]).split(max(1, POINTS_AT_ONCE // (shape[1] * shape[2]))):
        rows = slice(int(slab[0]), int(slab[-1]) + 1)
        points = source(torch.stack(torch.meshgrid(axes[0][rows], *axes[1:], indexing="ij"), -1))
        outside = ((points < -0.5) | (points > sizes - 0.5)).any(-1)
        # grid_sample wants (z, y, x), from -1 to 1 between the outer edges of the outermost voxels.
        at = ((2 * points + 1) / sizes - 1).flip(-1)[None]
        new[:, rows] = torch.where(outside, outer[:, None, None, None], _sampled(data, at, "bilinear"))
        for part, values, moved in marks:
            moved[rows] = _sampled(values, at, "nearest")[0].masked_fill_(outside, 0).to(part.dtype)
    kept = iter([moved for *_, moved in marks])
    return replace(
        sample,
        image=sample.image.with_data(new),
        label=None if label is None else next(kept),
        mask=None if mask is None else next(kept),
    )


def _sampled(values: Tensor, at: Tensor, mode: str) -> Tensor:
    grid_sample = torch.nn.functional.grid_sample
    return grid_sample(values[None], at, mode=mode, padding_mode="border", align_corners=False)[0]


def _spline_weights(places: Tensor, count: int) -> Tensor:
    """The weights (n, count) of the control points -1, 0, 1, ... at places (n,) in units of their spacing."""
    cell = places.floor().clamp(0, count - 4)
    t = places - cell
    four = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = places.new_zeros(len(places), count)
    return weights.scatter_(1, cell.long()[:, None] + torch.arange(4, device=places.device), torch.stack(four, 1) / 6)


def _three(parameters: dict, name: str) -> list[float]:
    values = parameters[name]
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError(f"{name} is {values!r}, expected three numbers")
    return [number(value, name, -math.inf) for value in values]


def _known_fill(fill: float | None) -> None:
    if fill is not None:
        number(fill, "fill", -LARGEST, LARGEST)


def _other_side(name: str) -> str:
    """The name with left for right and right for left, in the same case."""

    def other(match: re.Match) -> str:
        word = "right" if match[0].lower() == "left" else "left"
        return word.upper() if match[0].isupper() else word.capitalize() if match[0][0].isupper() else word

    return SIDE.sub(other, name)


def _counterparts(sample: Sample) -> Tensor | None:
    """For each value of the label that of its mirror image, (256,) uint8; None where no label has a side."""
    table = torch.arange(256, dtype=torch.uint8)
    values = {name: value for value, name in sample.label_names.items()}
    for value, name in sample.label_names.items():
        other = _other_side(name)
        if other != name:
            if other not in values:
                expected = f"{other!r} among the names too"
                raise ValueError(f"subject {sample.subject}: label {name!r} cannot change sides, expected {expected}")
            table[value] = values[other]
    return table if bool((table != torch.arange(256)).any()) else None


def _mirrored_facts(facts: Mapping[str, object]) -> dict[str, object]:
    def turned(value: object) -> object:
        return _other_side(value) if isinstance(value, str) and value.lower() in ("left", "right") else value

    return {_other_side(name): turned(value) for name, value in facts.items()}
