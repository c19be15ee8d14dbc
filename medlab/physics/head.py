"""A head to scan: brain maps, which end at the brain, get the fluid, bone and skin that lie around it."""

import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import as_length, whole

# From the inside out: thickness in mm of what is laid around the brain.
LAYERS_MM = {"cerebrospinal fluid": 2.5, "skull": 7.0, "skin": 5.0}
CLOSED_MM = 12.0  # furrows narrower than twice this do not dent the skull
TISSUES = ("skin", "skull", "cerebrospinal fluid", "grey matter", "white matter")


def head_slice(
    white: Tensor, grey: Tensor, mask: Tensor, size: int | tuple[int, int] = 256, pixel_mm: float = 1.0
) -> Tensor:
    """An axial slice of a synthetic head: the share of each of `TISSUES` in each pixel, (5, X, Y), float32.

    white, grey, mask: (X, Y), shares of white and grey matter and the brain, 0 to 1, in pixels of pixel_mm. What is
    neither white nor grey within the brain is fluid. size: X and Y, or one number for a square; the brain's array is
    centred in it. Skull and skin are synthetic: layers of constant thickness (`LAYERS_MM`) around the brain; real ones
    vary and have air in them. To a magnet the skin is the scalp's fat. Outside the shares are 0, so air has none.
    Raises ValueError for maps of different shapes, an empty mask, and a size in which the head finds no place.
    """
    sides = [whole(side, "size") for side in (size if isinstance(size, tuple) else (size, size))]
    pixel_mm = as_length(pixel_mm, "pixel_mm")
    if white.ndim != 2 or not white.shape == grey.shape == mask.shape:
        found = ", ".join(str(tuple(given.shape)) for given in (white, grey, mask))
        raise ValueError(f"white, grey and mask have shapes {found}, expected one shape (X, Y)")
    if not bool((mask > 0.5).any()):
        raise ValueError("mask is empty, expected a brain above 0.5")
    white, grey, mask = (_centred(given.float().cpu(), sides) for given in (white, grey, mask))
    away = _distance_mm(mask > 0.5, pixel_mm)
    if float(away[[0, -1]].min()) < sum(LAYERS_MM.values()) or float(away[:, [0, -1]].min()) < sum(LAYERS_MM.values()):
        raise ValueError(f"size is {size}, expected one in which the head finds place")
    shares, inner = {}, 0.0
    for name, thickness in LAYERS_MM.items():
        within, before = (_inside(away, edge, pixel_mm) for edge in (inner + thickness, inner))
        shares[name], inner = within - before, inner + thickness
    brain = _inside(away, 0.0, pixel_mm)
    total = (white + grey).clamp(min=1.0)  # maps that add up to more than 1 would be denser than tissue
    shares["white matter"], shares["grey matter"] = white / total * brain, grey / total * brain
    shares["cerebrospinal fluid"] += brain - shares["white matter"] - shares["grey matter"]
    return torch.stack([shares[name] for name in TISSUES]).clamp(0, 1)


def _centred(image: Tensor, sides: list[int]) -> Tensor:
    """The image in the middle of zeros; an image that is longer is refused."""
    for side, length in zip(sides, image.shape, strict=True):
        if length > side:
            raise ValueError(f"size is {side}, expected at least the {length} pixels of the maps")
    start = [(side - length) // 2 for side, length in zip(sides, image.shape, strict=True)]
    slice_ = torch.zeros(sides)
    slice_[start[0] : start[0] + image.shape[0], start[1] : start[1] + image.shape[1]] = image
    return slice_


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
