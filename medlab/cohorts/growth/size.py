"""How large a head is at an age, and how a tape would measure it on an image."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from scipy.interpolate import PchipInterpolator
from scipy.spatial import ConvexHull
from torch import Tensor

from medlab.arguments import as_finite, as_length, number

YOUNGEST_WEEKS, OLDEST_WEEKS = 24.0, 46.0  # what can be drawn; dHCP has 26 to 45
LAST_FETAL_WEEKS = 36.0
# From here on medians of the WHO child growth standards, mean of boys and girls, in weeks after the last menstruation
# and cm: at birth at term, after one month and after two. From memory of the published tables: round.
WHO_MEDIANS = ((40.0, 34.2), (44.3, 36.9), (48.7, 38.7))
SPREAD = 0.037  # standard deviation among people of one age as a share of the median: 1.27 cm at 40 weeks; round
EDGE_VOXELS = 1.0  # by which a mask of 0 and 1 is smoothed in its slices, so that its steps are not measured


def head_circumference_cm(age_weeks: float, z: float = 0.0) -> float:
    """The head circumference in cm at a postmenstrual age from 24 to 46 weeks, z standard deviations from the median.

    To 36 weeks the median of fetuses by the INTERGROWTH-21st equation (Papageorghiou et al., Lancet 384, 2014, 869),
    -28.2849 + 1.69267 GA² - 0.397485 GA² ln GA in mm; after it a monotone cubic through medians of the WHO. The spread
    is a constant share of the median here, which the sources' is only nearly.
    """
    age = number(age_weeks, "age_weeks", YOUNGEST_WEEKS, OLDEST_WEEKS)
    deviation = float(as_finite(z, "z"))
    if age <= LAST_FETAL_WEEKS:
        median = _fetal_cm(age)
    else:
        before = [(LAST_FETAL_WEEKS - weeks, _fetal_cm(LAST_FETAL_WEEKS - weeks)) for weeks in (1, 0)]
        median = float(PchipInterpolator(*zip(*before, *WHO_MEDIANS, strict=True))(age))
    size = median * (1 + SPREAD * deviation)
    if size <= 0:
        raise ValueError(f"z is {deviation:g}, expected a number for which a head has a size (above {-1 / SPREAD:.0f})")
    return size


def measured_circumference_cm(mask: Tensor | np.ndarray, spacing_mm: float | Sequence[float]) -> float:
    """The head circumference of a mask in cm: the tape around its largest axial slice.

    mask: (X, Y, Z), bool, or the head's share of each voxel from 0 to 1; its largest connected piece is measured, in
    each slice the perimeter of the convex hull of the contour at 0.5, and the largest of them is the result. A tape
    is straight over hollows, hence the hull. spacing_mm: of the voxels, one number or three.
    Raises ValueError for another shape, other values, or an empty mask.
    """
    volume = torch.as_tensor(mask)
    if volume.ndim != 3:
        raise ValueError(f"mask has shape {tuple(volume.shape)}, expected (X, Y, Z)")
    lengths = (spacing_mm,) * 3 if isinstance(spacing_mm, int | float) else tuple(spacing_mm)
    if len(lengths) != 3:
        raise ValueError(f"spacing_mm is {spacing_mm!r}, expected one number or three")
    x, y, _ = (as_length(length, "spacing_mm") for length in lengths)
    binary = volume.dtype == torch.bool
    share = volume.numpy().astype(np.float32) if binary else as_finite(volume, "mask").float().numpy()
    if not binary and share.size and (share.min() < -1e-3 or share.max() > 1 + 1e-3):
        raise ValueError(f"mask has values from {share.min():g} to {share.max():g}, expected 0 to 1")
    pieces, count = ndimage.label(share >= 0.5)
    if not count:
        raise ValueError("mask is empty, expected a head")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    # Voxels beside the piece that are partly filled belong to its edge.
    own = ndimage.binary_dilation(pieces == sizes.argmax(), np.ones((3, 3, 1)))
    share = np.pad(np.where(own, share, 0), ((4, 4), (4, 4), (0, 0)))
    if binary:
        share = ndimage.gaussian_filter(share, (EDGE_VOXELS, EDGE_VOXELS, 0))
    found = largest_perimeter_mm(0.5 - share, (x, y)) / 10
    if not found:
        raise ValueError(
            f"mask holds {int(sizes.max())} voxels in one piece, which no contour encloses, expected a head"
        )
    return found


def largest_perimeter_mm(level: np.ndarray, spacing_mm: tuple[float, float]) -> float:
    """The perimeter of the convex hull of {level < 0}, in the slice along z in which it is largest; 0 if none has one.

    level: (X, Y, Z), positive outside and at the slices' edges. Its zeros are found by linear interpolation.
    """
    return max((_hull_perimeter(level[..., z], spacing_mm) for z in range(level.shape[2])), default=0.0)


def _hull_perimeter(level: np.ndarray, spacing_mm: tuple[float, float]) -> float:
    points = []
    for axis in (0, 1):
        first, second = (np.take(level, range(k, level.shape[axis] - 1 + k), axis) for k in (0, 1))
        at = np.argwhere((first < 0) != (second < 0)).astype(np.float64)
        if len(at):
            a, b = (values[(first < 0) != (second < 0)].astype(np.float64) for values in (first, second))
            at[:, axis] += a / (a - b)
            points.append(at * np.array(spacing_mm))
    # Fewer than three points, or all on one line, enclose nothing.
    if len(points) < 2:
        return 0.0
    return float(ConvexHull(np.concatenate(points)).area)  # what SciPy calls the area of a plane hull is its perimeter


def _fetal_cm(age_weeks: float) -> float:
    square = age_weeks**2
    return (-28.2849 + 1.69267 * square - 0.397485 * square * math.log(age_weeks)) / 10
