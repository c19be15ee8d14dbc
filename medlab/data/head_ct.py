"""The skull of a head CT, what it encloses, and the plane that divides the head: thresholds, distances and mirrors."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import least_squares
from torch import Tensor
from torch.nn import functional as F

from medlab.data.errors import VolumeError
from medlab.data.volume import Volume

BONE_HU = 200.0  # round: above clotted blood (to about 90), below bone that fills half a voxel
THIN_MM = 3.0  # in longer voxels thin bone fills less of them, and the threshold falls as much
CLOSED_MM = 2.0  # gaps in bone up to twice as wide, such as a fracture's, count as bone
AROUND_MM = 2.0  # outside bone that counts as skull too, for a broken piece leaves its place
WALL_MM = 6.0  # about the thickness of a skull
BRINK_MM = 2.0  # by which the space is moved outwards to where bone fills half a voxel
DEEP_MM = 12.0  # wider than the spinal canal, so that the brain's core does not run down into it
CORNER_MM = 6.0  # by which the space grows beyond what was cut off, into the corners of the skull's base
REACH_MM = 15.0  # bone further from the space is none of the skull's: the jaw, the spine
COARSE_MM = 4.0  # of the grid on which distances and the mirror are looked for: they need no finer one
LEAST_ML = 150.0  # what a skull encloses; half of a newborn's
STRUCTURES = ("skull", "left hemisphere", "right hemisphere")


class Midplane(NamedTuple):
    """The plane that mirrors a head onto itself: points p with p @ normal == offset_mm.

    normal: (3,) float64 of length 1, to the patient's right. offset_mm: of the plane from the world's origin along it.
    """

    normal: np.ndarray
    offset_mm: float

    def mirrored(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in mm on the other side."""
        return points - 2 * (points @ self.normal - self.offset_mm)[..., None] * self.normal


def skull_mask(ct: Volume) -> Tensor:
    """(X, Y, Z) bool, the bone within 15 mm of the space that it encloses; ct: (1, X, Y, Z) in HU, the head upright.

    Bone has more than 200 HU (less in voxels longer than 3 mm). Gaps up to 4 mm are closed and 2 mm around the outside
    count as skull, so a fracture lies inside the mask; voxels of 4 mm or more do neither, and show no fracture.
    Raises VolumeError for several channels, and where bone encloses less than 150 ml.
    """
    return _head(ct)[0]


def intracranial_mask(ct: Volume) -> Tensor:
    """(X, Y, Z) bool, what the skull encloses: brain, fluid, meninges and bleeds, up to the bone; arguments as there.

    Of the soft tissue with bone to its left, right, front and back, the largest piece that lies deeper than 12 mm is
    the core; it grows back by 12 mm and 6 mm more, and then to where bone fills half a voxel. So orbits and sinuses,
    behind bone, stay out, and so does the spinal canal from about 18 mm below the skull.
    """
    return _head(ct)[1]


def head_structures(ct: Volume) -> dict[str, Tensor]:
    """The three structures about which decisions are made, (X, Y, Z) bool each; ct as for `skull_mask`.

    "skull", and the "left hemisphere" and "right hemisphere" of the patient: the halves of the intracranial space on
    both sides of `head_midplane`, cerebellum, fluid and bleeds outside the brain included. They share no voxel, but
    each shares its outermost one with the skull, so that neither a thin bleed nor the inner end of a fracture is lost.
    A brain that a bleed pushes across stays divided where the skull is. Thesis, chapter 6, section 3.3 (not how).
    """
    skull, space = _head(ct)
    right = _right_of(_midplane(ct, space), ct)
    return dict(zip(STRUCTURES, (skull, space & ~right, space & right), strict=True))


def head_midplane(ct: Volume) -> Midplane:
    """The plane in which the intracranial space looks most like its own mirror image; ct as for `skull_mask`.

    Found by least squares over two angles and an offset, from where the patient's left and right should be (RAS+).
    """
    return _midplane(ct, _head(ct)[1])


def head_landmarks(ct: Volume) -> np.ndarray:
    """Four points on the inner skull, (4, 3) float64 in mm: in front, to the left, to the right and on top.

    From the middle of the intracranial space rays run along its longest axis in the mid-sagittal plane, across that
    plane, and upwards at right angles to both; the points are where they leave the space. So they turn, shift and grow
    with the head, and stand far apart: a frame in which neither a head's pose nor its size is left.
    ct as for `skull_mask`, turned by less than 45 degrees.
    """
    space = _head(ct)[1]
    plane = _midplane(ct, space)
    points = ct.to_world(space.nonzero().numpy())
    points = np.concatenate([points, plane.mirrored(points)])  # their middle lies in the plane
    middle = points.mean(0)
    flat = (points - middle) - ((points - middle) @ plane.normal)[:, None] * plane.normal
    front = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    front = front if front[1] > 0 else -front
    top = np.cross(plane.normal, front)
    return np.stack([_exit(space, ct, middle, way) for way in (front, -plane.normal, plane.normal, top)])


def _head(ct: Volume) -> tuple[Tensor, Tensor]:
    """The skull and what it encloses."""
    if ct.shape[0] != 1:
        raise VolumeError(f"volume {ct.name!r}: it has {ct.shape[0]} channels, expected one, a CT in HU")
    threshold_hu = BONE_HU * min(THIN_MM / max(ct.spacing), 1.0)
    bone = ct.data[0].detach().cpu() > threshold_hu
    if bool(bone.any()):
        box = _box(bone, AROUND_MM + 2 * CLOSED_MM, ct)
        low, high = [edge.start for edge in box], [edge.stop for edge in box]
        skull, space = (_back(mask, box, bone.shape) for mask in _in_box(ct.to("cpu").crop(low, high), threshold_hu))
    else:
        skull, space = bone, bone
    found = float(space.sum()) * abs(float(np.linalg.det(ct.affine[:3, :3]))) / 1000
    if found < LEAST_ML:
        raise VolumeError(
            f"volume {ct.name!r}: bone above {threshold_hu:g} HU encloses {found:.0f} ml, expected a whole head in HU, "
            f"upright, with {LEAST_ML:g} ml or more"
        )
    return skull, space


def _in_box(ct: Volume, threshold_hu: float) -> tuple[Tensor, Tensor]:
    """The same of a box that holds all bone; empty masks where nothing is enclosed."""
    hounsfield = ct.data[0].detach()
    bone = _largest(_closed(hounsfield > threshold_hu, ct))
    soft = ~bone & _surrounded(bone, ct)
    steps = _steps(ct)
    # A block with any bone in it is no core, so thin bone still divides.
    coarse = _pooled(soft.float(), steps) > 0.999
    edges = [edge * step for edge, step in zip(ct.spacing, steps, strict=True)]
    core = _largest(torch.from_numpy(_depth_mm(coarse.numpy(), edges) > DEEP_MM))
    near = _depth_mm(~core.numpy(), edges) <= DEEP_MM + CORNER_MM
    space = _largest(soft & _unpooled(torch.from_numpy(near), steps, soft.shape))
    skull = _grown(bone, AROUND_MM, ct) & _grown(space, REACH_MM, ct) & ~space
    return skull, space | (_grown(space, BRINK_MM, ct, least=1) & _mostly_soft(hounsfield, ct))


def _depth_mm(inside: np.ndarray, edges: list[float]) -> np.ndarray:
    """How far each voxel is from the nearest one that is not inside."""
    if inside.all():
        return np.full(inside.shape, np.inf)
    return ndimage.distance_transform_edt(inside, sampling=edges)


def _box(mask: Tensor, margin_mm: float, ct: Volume) -> tuple[slice, ...]:
    """The smallest box with all of a mask, and so many mm more where there is room."""
    (found,) = ndimage.find_objects(mask.numpy().view(np.uint8))
    margins = [int(np.ceil(margin_mm / edge)) for edge in ct.spacing]
    box = zip(found, margins, mask.shape, strict=True)
    return tuple(slice(max(edge.start - more, 0), min(edge.stop + more, size)) for edge, more, size in box)


def _back(mask: Tensor, box: tuple[slice, ...], shape: torch.Size) -> Tensor:
    whole = torch.zeros(shape, dtype=torch.bool)
    whole[box] = mask
    return whole


def _steps(ct: Volume) -> list[int]:
    """How many voxels make a block of about 4 mm, along each axis."""
    return [max(round(COARSE_MM / edge), 1) for edge in ct.spacing]


def _mostly_soft(hounsfield: Tensor, ct: Volume) -> Tensor:
    """Voxels with less than half the HU of the densest bone within 6 mm; all, where voxels are thicker than a skull."""
    if max(ct.spacing) > WALL_MM:
        return torch.ones(hounsfield.shape, dtype=torch.bool)
    return hounsfield < _highest(hounsfield, WALL_MM, ct) / 2


def _midplane(ct: Volume, space: Tensor) -> Midplane:
    steps = _steps(ct)
    affine = ct.affine @ np.diag([*steps, 1.0])
    affine[:3, 3] += ct.affine[:3, :3] @ ((np.array(steps) - 1) / 2)
    # Blurred, so that a step of less than a voxel is felt.
    field = ndimage.gaussian_filter(_pooled(space.float(), steps).numpy(), 1.0)
    voxels = np.argwhere((field > 0.05) & (field < 0.95))
    values = field[tuple(voxels.T)]
    points, back = voxels @ affine[:3, :3].T + affine[:3, 3], np.linalg.inv(affine)
    middle = points.mean(0)

    def plane(parameters: np.ndarray) -> Midplane:
        normal = np.array([1.0, *parameters[:2]]) / np.linalg.norm([1.0, *parameters[:2]])
        return Midplane(normal, float(middle @ normal + parameters[2]))

    def unlike(parameters: np.ndarray) -> np.ndarray:
        other = plane(parameters).mirrored(points) @ back[:3, :3].T + back[:3, 3]
        return ndimage.map_coordinates(field, other.T, order=1) - values

    # An angle of 0.01 moves the head's surface by about a millimetre.
    return plane(least_squares(unlike, np.zeros(3), x_scale=(0.01, 0.01, 1.0), diff_step=1e-3).x)


def _right_of(plane: Midplane, ct: Volume) -> Tensor:
    """(X, Y, Z) bool: which voxels lie on the plane's right."""
    along = plane.normal @ ct.affine[:3, :3]
    i, j, k = (torch.arange(n, dtype=torch.float64) * float(a) for n, a in zip(ct.shape[1:], along, strict=True))
    start = float(plane.normal @ ct.affine[:3, 3]) - plane.offset_mm
    return i[:, None, None] + j[None, :, None] + k[None, None, :] + start > 0


def _exit(space: Tensor, ct: Volume, start: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Where a ray leaves a mask for good, to a tenth of a millimetre or so."""
    steps = np.arange(0.0, 200.0, 0.1)
    places = ct.to_voxels(start + steps[:, None] * way)
    inside = ndimage.map_coordinates(space.numpy().astype(np.float32), places.T, order=1) > 0.5
    return start + steps[np.flatnonzero(inside)[-1]] * way


def _surrounded(bone: Tensor, ct: Volume) -> Tensor:
    """Voxels with bone on both sides along each of the two axes that lie flattest."""
    vertical = int(np.argmax(np.abs(ct.affine[2, :3]) / ct.spacing))
    inside = torch.ones_like(bone)
    for axis in {0, 1, 2} - {vertical}:
        inside &= (bone.cumsum(axis) > 0) & (bone.flip(axis).cumsum(axis).flip(axis) > 0)
    return inside


def _largest(mask: Tensor) -> Tensor:
    """The largest piece whose voxels share faces; nothing where there is none."""
    pieces, count = ndimage.label(mask.numpy())
    if not count:
        return mask
    return torch.from_numpy(pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax()))


def _closed(mask: Tensor, ct: Volume) -> Tensor:
    return ~_grown(~_grown(mask, CLOSED_MM, ct), CLOSED_MM, ct)


def _grown(mask: Tensor, by_mm: float, ct: Volume, least: int = 0) -> Tensor:
    return _highest(mask.to(torch.uint8), by_mm, ct, least) > 0


def _highest(field: Tensor, within_mm: float, ct: Volume, least: int = 0) -> Tensor:
    """Maxima over boxes that reach within_mm, or `least` voxels, to each side; one axis after another is quick."""
    found = field.numpy()
    for axis, edge in enumerate(ct.spacing):
        reach = max(round(within_mm / edge), least)
        if reach:
            found = ndimage.maximum_filter1d(found, 2 * reach + 1, axis)
    return torch.from_numpy(found)


def _pooled(field: Tensor, steps: list[int]) -> Tensor:
    """Means over blocks; what the last block lacks counts as 0."""
    missing = [-n % step for n, step in zip(field.shape, steps, strict=True)]
    padded = F.pad(field[None, None], [end for n in reversed(missing) for end in (0, n)])
    return F.avg_pool3d(padded, steps)[0, 0]


def _unpooled(mask: Tensor, steps: list[int], shape: torch.Size) -> Tensor:
    for axis, step in enumerate(steps):
        mask = mask.repeat_interleave(step, axis)
    return mask[: shape[0], : shape[1], : shape[2]]
