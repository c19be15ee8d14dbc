"""A head to scan: brain maps, which end at the brain, get the fluid, bone and skin that a beam meets first."""

import torch
from scipy import ndimage
from torch import Tensor

from medlab.physics.ct.angles import as_count, as_length

# From the inside out: thickness in mm of what is laid around the brain.
LAYERS_MM = {"cerebrospinal fluid": 2.5, "skull": 7.0, "skin": 5.0}
CLOSED_MM = 12.0  # furrows narrower than twice this do not dent the skull
TISSUES = ("skin", "skull", "cerebrospinal fluid", "grey matter", "white matter")


def head_slice(white: Tensor, grey: Tensor, mask: Tensor, size: int = 256, pixel_mm: float = 1.0) -> Tensor:
    """An axial slice of a synthetic head: the share of each of `TISSUES` in each pixel, (5, size, size), float32.

    white, grey, mask: (X, Y), shares of white and grey matter and the brain, 0 to 1, in pixels of pixel_mm. What is
    neither white nor grey within the brain is fluid. Skull and skin are synthetic: layers of constant thickness
    (`LAYERS_MM`) around the brain; real ones vary and have air in them. Outside the shares are 0, so air has none. The
    brain's array is centred in the square.
    Raises ValueError for maps of different shapes, an empty mask, and a square in which the head finds no place.
    """
    size, pixel_mm = as_count(size, "size"), as_length(pixel_mm, "pixel_mm")
    if white.ndim != 2 or not white.shape == grey.shape == mask.shape:
        found = ", ".join(str(tuple(given.shape)) for given in (white, grey, mask))
        raise ValueError(f"white, grey and mask have shapes {found}, expected one shape (X, Y)")
    if not bool((mask > 0.5).any()):
        raise ValueError("mask is empty, expected a brain above 0.5")
    white, grey, mask = (_centred(given.float().cpu(), size) for given in (white, grey, mask))
    away = _distance_mm(mask > 0.5, pixel_mm)
    if float(away[[0, -1]].min()) < sum(LAYERS_MM.values()) or float(away[:, [0, -1]].min()) < sum(LAYERS_MM.values()):
        raise ValueError(f"size is {size}, expected a square in which the head finds place")
    shares, inner = {}, 0.0
    for name, thickness in LAYERS_MM.items():
        within, before = (_inside(away, edge, pixel_mm) for edge in (inner + thickness, inner))
        shares[name], inner = within - before, inner + thickness
    brain = _inside(away, 0.0, pixel_mm)
    whole = (white + grey).clamp(min=1.0)  # maps that add up to more than 1 would be denser than tissue
    shares["white matter"], shares["grey matter"] = white / whole * brain, grey / whole * brain
    shares["cerebrospinal fluid"] += brain - shares["white matter"] - shares["grey matter"]
    return torch.stack([shares[name] for name in TISSUES]).clamp(0, 1)


def _centred(image: Tensor, size: int) -> Tensor:
    """The image in the middle of a square of zeros; what does not fit is cut off where it is empty."""
    square = torch.zeros(size, size)
    if max(image.shape) > size:
        raise ValueError(f"size is {size}, expected at least the {max(image.shape)} pixels of the maps")
    start = [(size - length) // 2 for length in image.shape]
    square[start[0] : start[0] + image.shape[0], start[1] : start[1] + image.shape[1]] = image
    return square


def _distance_mm(brain: Tensor, pixel_mm: float) -> Tensor:
    """The distance to the brain with its furrows closed, in mm; negative inside."""

    def outside(mask):
        return ndimage.distance_transform_edt(mask) * pixel_mm

    dilated = outside(~brain.numpy()) <= CLOSED_MM
    closed = outside(dilated) > CLOSED_MM
    return torch.from_numpy(outside(~closed) - outside(closed)).float()


def _inside(away: Tensor, edge_mm: float, pixel_mm: float) -> Tensor:
    """1 inside the contour at this distance, 0 outside, linear across the one pixel that it cuts."""
    return ((edge_mm - away) / pixel_mm + 0.5).clamp(0, 1)
