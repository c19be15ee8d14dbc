"""The vault of the skull as lesions need it: places on it, the directions there, and the names of its bones."""

import math
from functools import lru_cache
from itertools import pairwise

import torch
from scipy import ndimage
from torch import Tensor

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM
from medlab.cohorts.grid import HEAD_CENTRE_MM, sample
from medlab.cohorts.texture import smooth_noise
from medlab.data.chance import generator_for

SIDES = ("left", "right")
SMOOTHED_MM = 8.0  # over what length the direction of the vault is a mean


def sign_of(side: object) -> float:
    """1 for "right" (x > 0), -1 for "left". Raises ValueError for anything else."""
    if side not in SIDES:
        raise ValueError(f"side is {side!r}, expected left or right")
    return 1.0 if side == "right" else -1.0


def away_mm(points: Tensor) -> Tensor:
    """The distance of points (..., 3) to the inner surface of the dura in mm, negative inside; (...) float32."""
    model = head_model(CONTROL_MM)
    return sample(model.away_mm[None], model.affine, points)[0]


def inward(points: Tensor) -> Tensor:
    """The unit vectors that point straight into the head at points (..., 3) near the vault, (..., 3)."""
    found = sample(_inward_field(), head_model(CONTROL_MM).affine, points).movedim(0, -1)
    return found / found.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def place_on_vault(side: str, azimuth_deg: float, elevation_deg: float, distance_mm: float = 0.0) -> Tensor:
    """The point in this direction from the middle of the head at which `away_mm` is distance_mm, (3,) in mm.

    azimuth_deg: 0 straight to the side, 90 forward, -90 backward. elevation_deg: 0 level, 90 straight up.
    """
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    level = math.cos(elevation)
    direction = torch.tensor(
        [sign_of(side) * level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)]
    )
    ray = torch.tensor(HEAD_CENTRE_MM) + torch.arange(20, 150, 0.25)[:, None] * direction
    away = away_mm(ray) - distance_mm
    first = int((away > 0).nonzero()[0])
    before, after = float(away[first - 1]), float(away[first])
    return ray[first - 1] + (ray[first] - ray[first - 1]) * (-before / (after - before))


def bearing_deg(points: Tensor, side: str) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation of points (..., 3) as `place_on_vault` takes them, (...) each."""
    x, y, z = (points - torch.tensor(HEAD_CENTRE_MM)).unbind(-1)
    x = x * sign_of(side)
    return torch.rad2deg(torch.atan2(y, x)), torch.rad2deg(torch.atan2(z, (x * x + y * y).sqrt()))


def bone_at(point: Tensor) -> str:
    """The bone of the vault at a point (3,): frontal, parietal, temporal or occipital.

    The sutures are planes at round numbers in template coordinates: the coronal one runs from (0, 16, 80) down and
    forward, the lambdoid one from (0, -88, 38) down and forward, and the temporal squama ends 14 mm above the origin.
    """
    _, y, z = point.tolist()
    if y > 16 + 0.12 * (80 - z):
        return "frontal"
    if y < -88 + 0.32 * (38 - z):
        return "occipital"
    return "temporal" if z < 14 else "parietal"


def distance_to_line(points: Tensor, line: Tensor) -> Tensor:
    """The distance of points (..., 3) to a line of straight pieces through line (N, 3), in mm, (...)."""
    nearest = (points - line[0]).norm(dim=-1)
    for start, stop in pairwise(line):
        step = stop - start
        along = ((points - start) @ step / step.square().sum()).clamp(0, 1)
        nearest = torch.minimum(nearest, (points - start - along[..., None] * step).norm(dim=-1))
    return nearest


def control_noise(points: Tensor, length_mm: float, seed: int, purpose: str) -> Tensor:
    """Smooth noise of mean 0 and standard deviation 1 at points (..., 3); it belongs to the place in the template."""
    noise = _control_noise(length_mm, seed, purpose)
    return sample(noise, head_model(CONTROL_MM).affine, points)[0]


@lru_cache(maxsize=8)
def _control_noise(length_mm: float, seed: int, purpose: str) -> Tensor:
    shape = head_model(CONTROL_MM).shares.shape[1:]
    return smooth_noise(shape, length_mm / CONTROL_MM, generator_for(seed, purpose))[None]


@lru_cache(maxsize=1)
def _inward_field() -> Tensor:
    away = head_model(CONTROL_MM).away_mm.numpy()
    smooth = torch.from_numpy(ndimage.gaussian_filter(away, SMOOTHED_MM / CONTROL_MM))
    return -torch.stack(torch.gradient(smooth, spacing=float(CONTROL_MM)))
