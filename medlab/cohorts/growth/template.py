"""What all neonatal brains have in common, taken from the head model: a smooth brain, and where its sulci will be.

Sulci are sheets. In an adult they lie midway between the walls of white matter, where the distance to it has a ridge,
so they can be read off the head model; a smooth brain is the same hemispheres with every sulcus closed. Between the
two lies the whole of folding: how deep along its sheet each sulcus has come (`growth.folding`).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.cohorts.anatomy import HeadModel, head_model
from medlab.cohorts.store import cache_folder, code_digest, load_or_make

SPACING_MM = 2  # of the fields; they are smooth
CLOSED_MM = 10.0  # sulci narrower than this are closed in the smooth brain
FOLDED_BOX = ((-80, 80), (-116, 84), (-56, 92))  # the cerebrum lies in it, in mm
# A ridge: where walls on two sides cancel, the distance grows by less than this share per mm, this far from both.
RIDGE_SLOPE, RIDGE_MM, SMALLEST_RIDGE = 0.6, 1.2, 80
SHEET_MM = 1.2  # by which sheets are smoothed, so that their voxels do not show
OPENED_MM = 8  # ridges end below the surface; from this depth they are continued to it
UPRIGHT, FLAT = 0.6, 0.8  # cosine between a sheet's normal and the surface's
SEPTUM_MM = 2.0
DEPTHS_MM = (8.0, 22.0)  # in an adult, of sulci that come late and of those that come first
LOWEST_MM = -62.0  # the skull's floor: below it are only neck and face


@dataclass(frozen=True, eq=False)
class NeonatalTemplate:
    """Fields in template coordinates, (N, X, Y, Z) float32 each, and the affine of their grid of 2 mm.

    shapes: in this order, in mm and negative inside: smooth (the surface of the cerebrum without sulci, the fissure
    between the hemispheres open), ventricles, hindbrain (where cerebellum and brain stem lie), away (from the inside
    of the skull, smoothed); then early, 0 to 1: 1 where the sulci are that come first. normal: the direction away
    from the smooth surface. sheets: the distance to the nearest sulcus of an adult, (1, ...). hindbrain: shares of
    white and of grey matter there, and of blood in the whole head.
    """

    shapes: Tensor
    normal: Tensor
    sheets: Tensor
    hindbrain: Tensor
    affine: np.ndarray


@cache
def neonatal_template() -> NeonatalTemplate:
    """Made once in some ten seconds after the head model, and cached on disk. Do not change it: it is shared."""
    version = code_digest("medlab.cohorts.anatomy", "medlab.cohorts.growth.template")
    found = load_or_make(cache_folder() / "anatomy", f"neonate-{version}", _make)
    model = head_model(SPACING_MM)
    shapes, sheets = (torch.from_numpy(found[key]).float() for key in ("shapes", "sheets"))
    slope = torch.stack([torch.from_numpy(ndimage.gaussian_filter(part, 1.0)) for part in np.gradient(shapes[0])])
    normal = slope / slope.norm(dim=0, keepdim=True).clamp(min=0.3 * SPACING_MM)
    return NeonatalTemplate(shapes, normal, sheets[None], _hindbrain_shares(model, shapes[2]), model.affine)


def _hindbrain_shares(model: HeadModel, hindbrain: Tensor) -> Tensor:
    """White and grey matter of cerebellum and brain stem, as one infant's and not as the mean of 152 adults."""
    white, grey = model.share("white matter"), model.share("grey matter", "deep grey matter")
    brain = ((white + grey - 0.5) * 2 + 0.5).clamp(0, 1)
    x, y, _ = _axes(model)
    # The template mixes both in the stem, in which nuclei and tracts are finer than its voxels: it is one tissue here.
    stem = ((np.abs(x) < 15) & (y > -34)).astype(np.float32) * np.ones(hindbrain.shape, np.float32)
    part = torch.maximum(white / (white + grey).clamp(min=1e-3), torch.from_numpy(stem))
    return torch.stack([brain * part, brain * (1 - part), model.share("blood")])


def _make() -> dict[str, np.ndarray]:
    fine, model = head_model(1), head_model(SPACING_MM)
    coarse_axes = _axes(model)
    hindbrain = _hindbrain(*coarse_axes)
    smooth = _smooth_surface(model, hindbrain < 0)
    sheets, early = _sheets(fine, model, smooth)
    shapes = [smooth, _ventricles(model), hindbrain, ndimage.gaussian_filter(model.away_mm.numpy(), 3.0), early]
    # Half precision: 0.01 mm near the surfaces.
    return {"shapes": np.stack(shapes).astype(np.float16), "sheets": sheets.astype(np.float16)}


def _axes(model: HeadModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and z in mm, to be broadcast."""
    spans = [
        np.float32(model.affine[a, 3] + model.spacing_mm * np.arange(n)) for a, n in enumerate(model.shares.shape[1:])
    ]
    return spans[0][:, None, None], spans[1][None, :, None], spans[2][None, None, :]


def _hindbrain(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Negative where cerebellum and brain stem lie: below the tentorium, a tent that falls to the sides and behind."""
    side = np.abs(x)
    tent = -23 + np.clip(25 + 0.5 * (y + 50), 0, 25) * np.exp(-side / 22)
    below = np.minimum(-36 - y, tent - z)
    stem = np.minimum(np.minimum(16 - side, -4 - y), -11 - z)
    arms = np.minimum(np.minimum(28 - side, -22 - y), -25 - z)  # of the cerebellum, from the pons
    return -np.maximum(np.maximum(below, stem), arms).astype(np.float32)


def _smooth_surface(model: HeadModel, hindbrain: np.ndarray) -> np.ndarray:
    """Distance to the cerebrum with its sulci closed, each hemisphere by itself, negative inside."""
    x, y, z = _axes(model)
    white, grey, deep, fluid = (
        model.share(name).numpy() for name in ("white matter", "grey matter", "deep grey matter", "ventricular csf")
    )
    cerebrum = (white + grey + deep + fluid > 0.5) & ~hindbrain
    # What joins the hemispheres: callosum, septum and thalami; and the stem, so that no fluid comes between.
    joining = (np.abs(x) < 7) & (z < 34) & (white + deep + fluid > 0.5) & ~hindbrain
    joining |= (np.abs(x) < 12) & (y > -30) & (y < -10) & (z > -24) & (z < 0)
    found = ndimage.gaussian_filter(_signed(joining), 1.0)
    for side in (1, -1):
        half = np.pad(cerebrum & (side * x > 1), 12)
        grown = ndimage.distance_transform_edt(~half) <= CLOSED_MM / 2
        closed = ndimage.distance_transform_edt(grown) > CLOSED_MM / 2
        closed = closed[12:-12, 12:-12, 12:-12] & (side * x > 0)
        found = np.minimum(found, ndimage.gaussian_filter(_signed(closed), 2.0))
    return found


def _sheets(fine: HeadModel, model: HeadModel, smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distance to the sulci's sheets, and how early they come, both on the coarse grid."""
    x, y, z = _axes(fine)
    box = tuple(slice(*np.searchsorted(axis.ravel(), ends)) for axis, ends in zip((x, y, z), FOLDED_BOX, strict=True))
    hindbrain = _hindbrain(x, y, z)[box] < 0
    inside = sum(fine.share(name).numpy()[box] for name in ("white matter", "deep grey matter", "ventricular csf"))
    white = _largest((inside > 0.5) & ~hindbrain)
    distance = ndimage.distance_transform_edt(~white) - ndimage.distance_transform_edt(white)
    distance = ndimage.gaussian_filter(distance.astype(np.float32), 0.6)
    surface = ndimage.zoom(smooth, SPACING_MM, order=1, grid_mode=True, mode="nearest")[box]
    slope = np.sqrt(sum(part * part for part in np.gradient(distance)))
    ridges = (slope < RIDGE_SLOPE) & (distance > RIDGE_MM) & (surface < -0.5) & ~hindbrain
    # Where a mass of grey matter is as thick as it is wide, the ridge is no sheet but a lump.
    ridges &= ~ndimage.binary_dilation(ndimage.binary_opening(ridges, np.ones((3, 3, 3))))
    pieces, _ = ndimage.label(ridges, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    ridges = np.isin(pieces, np.flatnonzero(sizes > SMALLEST_RIDGE))
    _open_to_surface(ridges, distance, surface)
    # Smoothed, the distance is nowhere 0: what it is on a flat sheet is taken off again.
    sheets = ndimage.gaussian_filter(ndimage.distance_transform_edt(~ridges).astype(np.float32), SHEET_MM)
    sheets = np.maximum(sheets - 0.8 * SHEET_MM, 0)
    # Sulci that become deep come first: how deep the sheets within 1 cm reach.
    deepest = ndimage.maximum_filter(np.where(ridges, -surface, 0), 21)
    early = np.clip((ndimage.gaussian_filter(deepest, 3.0) - DEPTHS_MM[0]) / (DEPTHS_MM[1] - DEPTHS_MM[0]), 0, 1)
    whole = np.full(fine.shares.shape[1:], 20.0, np.float32), np.zeros(fine.shares.shape[1:], np.float32)
    for full, part in zip(whole, (np.minimum(sheets, 20.0), early), strict=True):
        full[box] = part
    return _halved(whole[0], model), _halved(whole[1], model)


def _open_to_surface(ridges: np.ndarray, distance: np.ndarray, surface: np.ndarray) -> None:
    """Continues ridges straight out to the smooth surface, and drops those that run along below it; in place."""
    normal = np.stack(np.gradient(ndimage.gaussian_filter(surface, 2.0)))
    near = ridges & (surface > -OPENED_MM)
    at = np.argwhere(near)
    way = normal[:, near].T
    way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 0.3)
    # Across a sheet the distance changes the most: the first axis of the mean of its gradient's products.
    gradient, tensor = np.gradient(distance), np.empty((len(at), 3, 3), np.float32)
    for a in range(3):
        for b in range(a, 3):
            tensor[:, a, b] = tensor[:, b, a] = ndimage.gaussian_filter(gradient[a] * gradient[b], 1.5)[near]
    across = np.linalg.eigh(tensor)[1][..., -1]
    lying = np.abs((across * way).sum(1))
    ridges[tuple(at[lying > FLAT].T)] = False
    at, way = at[lying < UPRIGHT], way[lying < UPRIGHT]
    limit = np.array(ridges.shape) - 1
    for step in range(1, OPENED_MM + 1):
        moved = np.clip(np.rint(at + step * way).astype(int), 0, limit)
        moved = moved[surface[tuple(moved.T)] < 1.0]
        ridges[tuple(moved.T)] = True


def _ventricles(model: HeadModel) -> np.ndarray:
    """Distance to lateral and third ventricles, negative inside, with a thin septum between the lateral ones."""
    x, y, z = _axes(model)
    hindbrain = _hindbrain(x, y, z)
    lateral = (model.share("ventricular csf").numpy() > 0.4) & (hindbrain > 0) & ((np.abs(x) > 11) | (y > -27))
    distance = ndimage.gaussian_filter(_signed(lateral), 0.6)
    septum = (y > -22) & (y < 26) & (z > 4)
    distance = np.where(septum, np.maximum(distance, SEPTUM_MM / 2 - np.abs(x)), distance)
    radius = np.sqrt((x / 2.4) ** 2 + ((y + 8) / 16.0) ** 2 + ((z - 1) / 12.0) ** 2)
    return np.minimum(distance, (radius - 1) * 2.4)


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def _signed(mask: np.ndarray) -> np.ndarray:
    """Distance to a mask on the coarse grid in mm, negative inside."""
    outside, inside = (ndimage.distance_transform_edt(one).astype(np.float32) for one in (~mask, mask))
    return SPACING_MM * (outside - inside)


def _halved(values: np.ndarray, model: HeadModel) -> np.ndarray:
    """Means over the fine voxels of each coarse one."""
    shape = model.shares.shape[1:]
    padded = np.pad(values, [(0, SPACING_MM * m - n) for n, m in zip(values.shape, shape, strict=True)], mode="edge")
    return padded.reshape([k for m in shape for k in (m, SPACING_MM)]).mean((1, 3, 5))
