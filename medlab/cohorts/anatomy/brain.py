"""The brain of the head model: from the template's maps to crisp shares of white, grey and deep grey matter and fluid.

The template is the mean of 152 people, so its maps are blurred and exactly symmetric. Here the shares are sharpened to
what one person's look like, the two hemispheres are given the torque that most people have, and fluid, ventricles and
deep grey matter, which the template does not name, are derived.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from medlab.data import Template

CLOSED_MM = 12  # furrows narrower than twice this belong to the inside of the skull
TORQUE_MM = 2.5  # by so much the right hemisphere lies forward and the left one backward (Yakovlev's torque)
DEEPEST_SULCUS_MM = 12.0  # fluid farther than this from the skull, and of one piece, is a ventricle
# Centre and half axes in mm (x, y, z; template coordinates) of what holds thalamus, caudate, putamen and pallidum.
DEEP_GREY = ((0.0, -3.0, 5.0), (32.0, 34.0, 17.0))
SHARPNESS = 3.0


@dataclass(frozen=True)
class BrainMaps:
    """On the template's grid: shares (X, Y, Z) float32, and the distance to the inside of the skull in mm.

    shares: white matter, grey matter, deep grey matter, ventricular and outer fluid; they add up to 1 where away is
    below -0.5 mm and to 0 outside. away: negative inside.
    """

    shares: dict[str, np.ndarray]
    away: np.ndarray
    coordinates: tuple[np.ndarray, np.ndarray, np.ndarray]


def brain_maps(template: Template) -> BrainMaps:
    """Shares of the tissues inside the skull on the template's grid of 1 mm."""
    affine = template.mask.affine
    x, y, z = (np.float32(affine[a, 3]) + np.arange(n, dtype=np.float32) for a, n in enumerate(template.mask.shape[1:]))
    white, grey, mask = (
        _turned(volume.data[0].numpy(), x) for volume in (template.white, template.grey, template.mask)
    )
    away = hull_distance(mask > 0.5)
    inside = np.clip(0.5 - away, 0, 1)
    total = np.maximum(white + grey, 1.0)
    fluid = np.clip(1 - (white + grey) / total, 0, 1)
    crisp = [share**SHARPNESS for share in (white / total, grey / total, fluid)]
    whole = np.maximum(sum(crisp), 1e-12)
    white, grey, fluid = (inside * share / whole for share in crisp)
    ventricle = fluid * _ventricles(fluid, away, (x, y, z))
    deep = grey * _ellipsoid((x, y, z), *DEEP_GREY)
    shares = {
        "white matter": white,
        "grey matter": grey - deep,
        "deep grey matter": deep,
        "ventricular csf": ventricle,
        "outer csf": fluid - ventricle,
    }
    return BrainMaps({name: share.astype(np.float32) for name, share in shares.items()}, away, (x, y, z))


def hull_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in mm to the mask with its furrows closed, negative inside, (X, Y, Z) float32; voxels of 1 mm.

    Computed at 2 mm and smoothed by 2 mm: bone and skin take their shape from it, and shall not have steps.
    """
    # The grid is continued at its ends, else the closing would be eaten away where the brain stem leaves it.
    margin = 2 * CLOSED_MM
    wide = np.pad(mask, [(margin, margin + n % 2) for n in mask.shape], mode="edge")
    coarse = wide.reshape([k for n in wide.shape for k in (n // 2, 2)]).mean((1, 3, 5)) >= 0.5
    grown = ndimage.distance_transform_edt(~coarse) <= CLOSED_MM / 2
    closed = ndimage.distance_transform_edt(grown) > CLOSED_MM / 2
    away = ndimage.distance_transform_edt(~closed).astype(np.float32)
    away -= ndimage.distance_transform_edt(closed).astype(np.float32)
    away = ndimage.gaussian_filter(2 * away, 1.0)
    # Voxel centres at 1 mm lie a quarter of a coarse voxel beside the coarse ones.
    places = [
        torch.linspace(-1 + 1 / n, 1 - 1 / n, n)[margin : margin + m]
        for n, m in zip(wide.shape, mask.shape, strict=True)
    ]
    points = torch.stack(torch.meshgrid(*reversed(places), indexing="ij"), -1).permute(2, 1, 0, 3)
    fine = torch.nn.functional.grid_sample(torch.from_numpy(away)[None, None], points[None], align_corners=False)
    return fine[0, 0].numpy()


def _turned(share: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A symmetric map with the right side moved forward and the left one backward: no brain is symmetric."""
    result = np.empty_like(share)
    for plane, image, shift in zip(result, share, TORQUE_MM * np.tanh(x / 25), strict=True):
        whole = int(np.floor(shift))
        part = float(shift - whole)
        plane[:] = (1 - part) * np.roll(image, whole, 0) + part * np.roll(image, whole + 1, 0)
    return result


def _ventricles(fluid: np.ndarray, away: np.ndarray, coordinates: tuple[np.ndarray, ...]) -> np.ndarray:
    """1 in and closely around the ventricles: deep fluid in pieces of more than 0.1 ml, where ventricles can be."""
    deep = (fluid > 0.5) & (away < -DEEPEST_SULCUS_MM) & _ventricular_region(*coordinates)
    # The sulci's deep ends hang together through narrow necks; what is open here is a room.
    labels, count = ndimage.label(deep)
    if not count:
        return np.zeros_like(fluid)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    rooms = np.isin(labels, np.flatnonzero(sizes > 100))
    return ndimage.binary_dilation(rooms, iterations=2).astype(np.float32)


def _ventricular_region(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Where ventricles lie in template coordinates: without the fissures between and beside the hemispheres."""
    x, y, z = np.abs(x)[:, None, None], y[None, :, None], z[None, None, :]
    # Near the middle the cisterns begin behind the splenium.
    lateral = (x >= 3) & (x < 24) & (y > np.where(x < 12, -38, -70)) & (y < 36) & (z > -4) & (z < 32)
    trigone = (x >= 12) & (x < 40) & (y > -90) & (y < -18) & (z > -6) & (z < 28)
    temporal = (x >= 22) & (x < 42) & (y > -45) & (y < -2) & (z > -26) & (z <= -4)
    third = (x < 5) & (y > -36) & (y < 8) & (z > -10) & (z < 16)
    fourth = (x < 12) & (y > -58) & (y < -36) & (z > -46) & (z < -18)
    return lateral | trigone | temporal | third | fourth


def _ellipsoid(coordinates: tuple[np.ndarray, ...], centre: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
    """1 inside, 0 outside, with an edge of about 3 mm."""
    squares = np.meshgrid(
        *(((axis - c) / h) ** 2 for axis, c, h in zip(coordinates, centre, half, strict=True)),
        indexing="ij",
        sparse=True,
    )
    radius = np.sqrt(sum(squares))
    return np.clip((1 - radius) * min(half) / 3 + 0.5, 0, 1)
