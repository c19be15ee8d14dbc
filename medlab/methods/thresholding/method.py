"""Skull stripping, normalisation, a threshold, components by size: the steps, and the method made of them."""

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import as_length, number
from medlab.data import Volume
from medlab.data.head_ct import intracranial_mask, skull_mask
from medlab.data.samples import Sample
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.thresholding.config import Config

BONE_HU = (-200.0, 1000.0)  # of a gap's depth: no bone is counted as denser, no air as emptier
CORNERS = np.ones((3, 3, 3), dtype=bool)


class Thresholding:
    """Calls anomalous what is too bright for the inside of a head (Meissen et al. 2021, on CT instead of FLAIR).

    Nothing is learnt. Fresh blood is brighter than brain, and so a few lines find most of it; the same lines say
    nothing about an anomaly that is as bright as what it replaces.
    """

    sees = "HU"

    def __init__(self, config: Config | None = None):
        self.config = config or Config()

    def error_map(self, scan: Sample | Volume, *, bone: bool = False) -> ErrorMap:
        """How many HU too bright each voxel inside the skull is, 0 where it is not.

        scan: a prepared head, or a CT (1, X, Y, Z) in HU, the head upright. bone: in the skull, too, how many HU are
        missing where dense bone has a thin gap; that finds sutures and spongy bone as well as fractures.
        Raises VolumeError where there is no head.
        """
        volume = seen(scan, self.sees) if isinstance(scan, Sample) else scan
        config, values = self.config, volume.data[0].float().cpu()
        inside = intracranial_mask(volume)
        found = excess(
            values, inside, volume.spacing, config.margin_hu, config.rim_mm, config.smooth_mm, config.ceiling_hu
        )
        found = without_small(found, config.least_ml, volume.spacing)
        if bone and config.gap_mm:
            # A mask of the skull and that of its inside share their edge, where a gap's depth would drown a bleed's.
            found = torch.where(skull_mask(volume) & ~inside, gaps(values, volume.spacing, config.gap_mm), found)
        return ErrorMap(volume.with_data(found[None]), "HU")

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        """The map by which heads are judged, with the gaps in bone."""
        return {"excess": self.error_map(head, bone=True)}


def excess(
    values: Tensor,
    inside: Tensor,
    spacing: tuple[float, ...],
    margin: float,
    rim_mm: float = 0.0,
    smooth_mm: float = 0.0,
    ceiling: float = math.inf,
) -> Tensor:
    """How far each voxel lies above the median of those inside, by more than a margin; 0 where it does not.

    values: (X, Y, Z); inside: bool of that shape, with at least one voxel. Voxels within rim_mm of what is not inside
    count as 0. smooth_mm: width of a median filter, rounded to an odd number of voxels along each axis. ceiling:
    where the values themselves are above it, nothing counts. The median normalises: without a ceiling, what is added to
    all values changes nothing.
    """
    if not bool(inside.any()):
        raise ValueError("inside chooses no voxel, expected the inside of a head")
    widths = [_odd_voxels(smooth_mm, edge) for edge in spacing]
    smooth = values if max(widths) == 1 else torch.from_numpy(ndimage.median_filter(values.numpy(), widths))
    counts = inside & (values <= ceiling)
    if number(rim_mm, "rim_mm", 0):
        depth = ndimage.distance_transform_edt(np.pad(inside.numpy(), 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
        counts = counts & torch.from_numpy(depth > rim_mm)
    return ((smooth - values[inside].median() - margin).clamp(min=0) * counts).float()


def without_small(values: Tensor, least_ml: float, spacing: tuple[float, ...]) -> Tensor:
    """The map without its connected components, of voxels above 0, that are smaller than least_ml; corners connect."""
    if not number(least_ml, "least_ml", 0):
        return values
    pieces, _ = ndimage.label(values.numpy() > 0, CORNERS)
    sizes_ml = np.bincount(pieces.reshape(-1)) * float(np.prod(spacing)) / 1000
    keep = sizes_ml >= least_ml - 1e-9
    keep[0] = False
    return values * torch.from_numpy(keep[pieces])


def gaps(values: Tensor, spacing: tuple[float, ...], width_mm: float) -> Tensor:
    """How many HU a voxel would gain if dark gaps up to width_mm were filled: the grey closing less the values."""
    widths = [max(_odd_voxels(as_length(width_mm, "width_mm"), edge), 3) for edge in spacing]
    bone = values.clamp(*BONE_HU).numpy()
    return torch.from_numpy(ndimage.grey_closing(bone, widths, mode="nearest") - bone)


def _odd_voxels(length_mm: float, edge_mm: float) -> int:
    """The odd number of voxels nearest to a length, at least 1."""
    return 2 * round((length_mm / edge_mm - 1) / 2) + 1 if length_mm > edge_mm else 1
