"""A head that moves during the scan: each line of k-space belongs to another pose of it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.mri.artifacts.arguments import on_image
from medlab.physics.mri.encoding import to_image, to_kspace


@dataclass(frozen=True)
class Motion:
    """The pose of the head while each line is measured, in the order of time.

    shift_mm: (lines, 2), along X and Y; angle_deg: (lines,), anticlockwise from X to Y about the middle voxel, at most
    45 degrees either way. The turn comes first, then the shift.
    """

    shift_mm: Tensor
    angle_deg: Tensor

    def __post_init__(self) -> None:
        for name, shape in (("shift_mm", (len(self.angle_deg), 2)), ("angle_deg", (len(self.angle_deg),))):
            tensor = getattr(self, name)
            if tuple(tensor.shape) != shape or not bool(tensor.isfinite().all()):
                found = f"{name} has shape {tuple(tensor.shape)} or is not finite"
                raise ValueError(f"{found}, expected shift_mm (lines, 2) and angle_deg (lines,), finite")
        if len(self.angle_deg) and float(self.angle_deg.abs().max()) > 45:
            raise ValueError(f"angle_deg reaches {float(self.angle_deg.abs().max())}, expected at most 45 either way")

    @property
    def at_rest(self) -> bool:
        return not bool(self.shift_mm.any()) and not bool(self.angle_deg.any())


def draw_motion(lines: int, strength: float, generator: torch.Generator, *, jumps: int = 3) -> Motion:
    """A head that rests in the pose 0 and takes a new pose at so many random moments of the scan.

    strength: the standard deviation of a pose: of its shift along X and along Y in mm, and of its angle in degrees.
    Poses are not added up. generator: on the CPU; the same seed gives the same moments, and poses in proportion to
    the strength.
    """
    whole(lines, "lines", 2)
    number(strength, "strength", 0)
    whole(jumps, "jumps", 0, lines - 1)
    moments = 1 + torch.randperm(lines - 1, generator=generator)[:jumps].sort().values
    poses = strength * torch.randn(jumps + 1, 3, generator=generator, dtype=torch.float64)
    poses[0] = 0
    at = poses[(torch.arange(lines)[:, None] >= moments).sum(1)]
    return Motion(at[:, :2], at[:, 2].clamp(-45, 45))


def move_during_scan(
    image: Tensor, motion: Motion, *, spacing_mm: tuple[float, float] = (1.0, 1.0), order: Tensor | None = None
) -> Tensor:
    """The image (..., X, Y) of a moving head: each line of phase encoding from the pose of its time, exactly.

    A shift is the linear phase that the shift theorem says; a turn is `rotate`. spacing_mm: of the voxels. order:
    order[t] is the line that is measured as number t; from the first to the last where absent. Without any motion the
    image is unchanged. Raises ValueError where motion has not one pose for each line or order is no permutation.
    """
    lines = image.shape[-1] if isinstance(image, Tensor) and image.ndim else 0
    if len(motion.angle_deg) != lines:
        raise ValueError(f"motion has {len(motion.angle_deg)} poses, expected one for each of {lines} lines")
    spacing = [number(spacing_mm[axis], f"spacing_mm[{axis}]", 0, above=True) for axis in range(2)]
    order = torch.arange(lines) if order is None else order
    if not torch.equal(order.cpu().sort().values, torch.arange(lines)):
        raise ValueError(f"order has shape {tuple(order.shape)}, expected each of the {lines} lines once")
    return on_image(image, lambda values: to_image(_measure(values, motion, spacing, order)), float(not motion.at_rest))


def _measure(values: Tensor, motion: Motion, spacing: list[float], order: Tensor) -> Tensor:
    kspace = torch.empty_like(values)
    order = order.to(values.device)
    k_x, k_y = (_frequencies(size) for size in values.shape[-2:])
    poses = torch.cat((motion.angle_deg[:, None].double(), motion.shift_mm.double()), 1).cpu()
    for angle in poses[:, 0].unique().tolist():
        turned = to_kspace(rotate(values, angle, spacing_mm=tuple(spacing)))
        when = (poses[:, 0] == angle).nonzero().flatten()
        for pose in poses[when, 1:].unique(dim=0):
            lines = order[when[(poses[when, 1:] == pose).all(1)].to(order.device)]
            shift_x, shift_y = (pose / torch.tensor(spacing)).tolist()
            phase = _turn(-(k_x[:, None] * shift_x + k_y[lines.cpu()] * shift_y), values)
            kspace[..., lines] = turned[..., lines] * phase
    return kspace


def rotate(image: Tensor, angle_deg: float, *, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """A complex image (..., X, Y) turned anticlockwise from X to Y about its middle voxel, at most 45 degrees.

    Three shears, each of them shifts of whole rows by a phase in Fourier space: no blur, no loss of energy, exact for
    what the grid can hold (Unser, Thevenaz and Yaroslavsky, IEEE Trans. Image Process. 4, 1371, 1995). What leaves on
    one side comes back on the other: keep a border free.
    """
    if not abs(angle_deg) <= 45:
        raise ValueError(f"angle_deg is {angle_deg}, expected at most 45 either way")
    if angle_deg == 0:
        return image
    ratio = spacing_mm[1] / spacing_mm[0]
    angle = math.radians(angle_deg)
    along_x, along_y = -math.tan(angle / 2) * ratio, math.sin(angle) / ratio
    return _shear(_shear(_shear(image, -2, along_x), -1, along_y), -2, along_x)


def _shear(image: Tensor, axis: int, slope: float) -> Tensor:
    """Moves each row along an axis by slope times its distance from the middle along the other, in voxels."""
    other = -3 - axis
    shift = (torch.arange(image.shape[other], dtype=torch.float64) - image.shape[other] // 2) * slope
    along = torch.fft.fftfreq(image.shape[axis], dtype=torch.float64)
    turns = -along[:, None] * shift if axis == -2 else -shift[:, None] * along
    return torch.fft.ifft(torch.fft.fft(image, dim=axis) * _turn(turns, image), dim=axis)


def _frequencies(size: int) -> Tensor:
    return (torch.arange(size, dtype=torch.float64) - size // 2) / size


def _turn(turns: Tensor, like: Tensor) -> Tensor:
    """exp(2 pi i turns), computed in float64 on the CPU, in the precision and on the device of like."""
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns).to(like.dtype).to(like.device)
