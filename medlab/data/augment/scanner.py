"""Artefacts of MR scanners as augmentation, by the physics of `medlab.physics.mri.artifacts`.

Each channel is taken for a magnitude image in which its lowest value is air, without signal: it is subtracted before,
and added again after. So z-scored channels can be augmented as well as magnitudes. Labels and masks stay as they are.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.data.augment.base import Transform, drawn_range, with_channels
from medlab.data.chance import below, generator_for, uniform
from medlab.data.samples import Sample
from medlab.physics.mri.artifacts import Motion, bias_field, move_during_scan

SLICES_AT_ONCE = 16  # few enough for complex copies of them to be small beside the volume


@dataclass(frozen=True)
class BiasField(Transform):
    """A coil that hears one side better than the other: `bias_field`, the same for all channels.

    strength: from and to, the largest change either way as a natural logarithm, 0.3 for 0.74 to 1.35. order: as there.
    """

    strength: tuple[float, float] = (0.0, 0.4)
    order: int = 3
    fields = ("strength", "order", "seed")

    def __post_init__(self) -> None:
        drawn_range(self.strength, "strength", 0)
        whole(self.order, "order")

    def _draw(self, generator: torch.Generator) -> dict:
        return {"strength": uniform(generator, *self.strength), "order": self.order, "seed": below(generator, 2**31)}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        chance = generator_for(whole(parameters["seed"], "seed", 0), "coil")
        shape = tuple(sample.image.shape[1:])
        field = bias_field(shape, parameters["strength"], chance, order=parameters["order"]).to(sample.image.data)
        return with_channels(sample, lambda channel: (channel - channel.amin()) * field + channel.amin())


@dataclass(frozen=True)
class Ghosting(Transform):
    """Ghosts of a signal that swings during the scan, as that of pulsing blood does.

    Line k of phase encoding has the amplitude 1 + strength cos(2 pi k d / n + phase), d being the ghosts' distance in
    voxels and n the number of lines: by the shift theorem two ghosts, d voxels away on either side, each with half the
    strength and the phase's sign, that come back on the other side of the field of view. strength: from and to.
    distance: from and to, as a share of the field of view. The axis of phase encoding, one of the grid's, is drawn.
    """

    strength: tuple[float, float] = (0.0, 0.3)
    distance: tuple[float, float] = (0.1, 0.5)
    fields = ("axis", "strength", "distance", "phase_deg")

    def __post_init__(self) -> None:
        drawn_range(self.strength, "strength", 0)
        drawn_range(self.distance, "distance", 0, 1)

    def _draw(self, generator: torch.Generator) -> dict:
        return {
            "axis": below(generator, 3),
            "strength": uniform(generator, *self.strength),
            "distance": uniform(generator, *self.distance),
            "phase_deg": uniform(generator, 0, 360),
        }

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        axis, strength = whole(parameters["axis"], "axis", 0, 2), number(parameters["strength"], "strength", 0)
        away = round(number(parameters["distance"], "distance", 0, 1) * sample.image.shape[1 + axis])
        phase = math.radians(number(parameters["phase_deg"], "phase_deg", 0, 360))

        def haunted(channel: Tensor) -> Tensor:
            low = channel.amin()
            ahead, behind = (channel - low).roll(away, axis), (channel - low).roll(-away, axis)
            real = channel - low + strength / 2 * math.cos(phase) * (ahead + behind)
            return torch.hypot(real, strength / 2 * math.sin(phase) * (ahead - behind)) + low

        return with_channels(sample, haunted)


@dataclass(frozen=True)
class HeadMotion(Transform):
    """A head that takes another pose a few times during the scan, in one plane of the grid: `move_during_scan`.

    Every slice of the plane is spoiled by the same motion, as in a 3D scan whose slow direction is `phase`. Poses are
    given relative to that while the middle of k-space is measured, so that image and label stay in place.
    shift_mm, angle_deg: largest shift along either axis, and largest turn. jumps: how often the pose changes.
    """

    shift_mm: float = 3.0
    angle_deg: float = 3.0
    jumps: int = 3
    fields = ("readout", "phase", "moments", "poses")

    def __post_init__(self) -> None:
        number(self.shift_mm, "shift_mm", 0)
        number(self.angle_deg, "angle_deg", 0, 22)  # two poses may differ by twice as much, and 45 is the limit
        whole(self.jumps, "jumps", 0, 1000)

    def _draw(self, generator: torch.Generator) -> dict:
        phase = below(generator, 3)
        readout = (phase + 1 + below(generator, 2)) % 3
        moments = sorted(uniform(generator, 0, 1) for _ in range(self.jumps))
        largest = (self.shift_mm, self.shift_mm, self.angle_deg)
        poses = [[uniform(generator, -one, one) for one in largest] for _ in range(self.jumps + 1)]
        return {"readout": readout, "phase": phase, "moments": moments, "poses": poses}

    def _apply(self, sample: Sample, parameters: dict) -> Sample:
        readout, phase = (whole(parameters[name], name, 0, 2) for name in ("readout", "phase"))
        moments, poses = parameters["moments"], parameters["poses"]
        if readout == phase or len(poses) != len(moments) + 1 or any(len(pose) != 3 for pose in poses):
            found = f"axes {readout} and {phase}, {len(moments)} moments and {len(poses)} poses"
            raise ValueError(f"HeadMotion has {found}, expected two axes and one pose more than moments")
        lines = sample.image.shape[1 + phase]
        times = torch.arange(lines, dtype=torch.float64) / lines
        at = torch.bucketize(times, torch.tensor(sorted(moments), dtype=torch.float64), right=True)
        path = torch.tensor(poses, dtype=torch.float64)[at]
        path = path - path[lines // 2]
        motion = Motion(path[:, :2], path[:, 2])
        if motion.at_rest:
            return sample
        spacing = (sample.image.spacing[readout], sample.image.spacing[phase])

        def shaken(channel: Tensor) -> Tensor:
            low = channel.amin()
            planes = (channel - low).permute(3 - readout - phase, readout, phase)
            parts = [move_during_scan(some, motion, spacing_mm=spacing) for some in planes.split(SLICES_AT_ONCE)]
            order = torch.argsort(torch.tensor([3 - readout - phase, readout, phase])).tolist()
            return torch.cat(parts).permute(order).contiguous() + low

        return with_channels(sample, shaken)
