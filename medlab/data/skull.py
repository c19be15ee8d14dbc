"""Skull stripping by thresholds and distances: a baseline in a few lines, for T1-weighted heads of adults."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import as_length
from medlab.data.errors import VolumeError
from medlab.data.volume import Volume

# Shares of the median of what is brighter than Otsu's threshold: brain lies between fluid and fat. Round numbers.
TISSUE = (0.75, 1.7)
MARGIN_MM = 2.0  # by which the result grows beyond what was cut off: the brain's own partial volume, and some fluid
CLOSED_MM = 8.0  # gaps and furrows up to twice as wide are filled


def strip_skull(image: Volume, *, radius_mm: float = 3.0) -> Tensor:
    """(X, Y, Z) bool, the brain of a T1-weighted head with the fluid in its furrows; image: (1, X, Y, Z), any unit.

    Voxels that are neither dark (air, bone, fluid) nor bright (fat) are tissue; of those deeper in it than radius_mm
    the largest piece is the brain's core; it grows back by radius_mm and 2 mm more, and gaps and holes are filled.
    So whatever is thinner than 2 radius_mm (vessels, nerves, muscle) comes off, and thin gyri with it, where the radius
    is too large. After Brummer et al. (IEEE Trans. Med. Imaging 12, 153, 1993), with distances in mm instead of
    structuring elements, and Otsu's threshold (IEEE Trans. Syst. Man Cybern. 9, 62, 1979).
    Raises VolumeError where the image has several channels, or no tissue as deep as radius_mm.
    """
    depth_mm = tissue_depth_mm(image)
    radius = as_length(radius_mm, "radius_mm")
    pieces, count = ndimage.label(depth_mm > radius)
    if not count:
        raise VolumeError(
            f"volume {image.name!r}: no tissue lies deeper than {radius:g} mm, expected a T1-weighted head, or a "
            "smaller radius_mm"
        )
    largest = 1 + int(ndimage.sum_labels(pieces > 0, pieces, range(1, count + 1)).argmax())
    grown = _distance_mm(pieces != largest, image) <= radius + MARGIN_MM
    closed = _distance_mm(_distance_mm(~grown, image) <= CLOSED_MM, image) > CLOSED_MM
    return torch.from_numpy(ndimage.binary_fill_holes(grown | closed))


def tissue_depth_mm(image: Volume) -> np.ndarray:
    """How deep each voxel lies in tissue, (X, Y, Z) float64: its distance in mm to what is darker or brighter; 0 there.

    image: (1, X, Y, Z), T1-weighted, with at least two values. Raises VolumeError otherwise.
    """
    if image.shape[0] != 1:
        raise VolumeError(f"volume {image.name!r}: it has {image.shape[0]} channels, expected one, T1-weighted")
    values = image.data[0].detach().cpu().numpy()
    if values.min() == values.max():
        raise VolumeError(f"volume {image.name!r}: every voxel is {values.min():g}, expected a T1-weighted head")
    typical = np.median(values[values > otsu_threshold(values)])
    low, high = (share * typical for share in TISSUE)
    return _distance_mm((values > low) & (values < high), image)


def otsu_threshold(values: np.ndarray, bins: int = 256) -> float:
    """The value that divides numbers (any shape) into two classes with means as far apart as can be, by a histogram.

    What is maximised is the variance between the classes (Otsu 1979, equation 18).
    """
    counts, edges = np.histogram(values, bins)
    middles = (edges[1:] + edges[:-1]) / 2
    below = counts.cumsum()[:-1]
    above = counts.sum() - below
    mass = (counts * middles).cumsum()
    apart = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * apart**2)])


def _distance_mm(inside: np.ndarray, image: Volume) -> np.ndarray:
    """How far each voxel is from the nearest one that is not inside; 0 where it is not inside itself."""
    if inside.all():
        return np.full(inside.shape, np.inf)
    return ndimage.distance_transform_edt(inside, sampling=image.spacing)
