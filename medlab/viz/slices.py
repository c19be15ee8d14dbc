"""Slices of a volume in radiological convention: the patient's right is on the left of the picture."""

from collections.abc import Sequence

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from medlab.viz import style

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}  # the axis that the plane cuts
SIDES = {
    "sagittal": ("A", "P"),
    "coronal": ("R", "L"),
    "axial": ("R", "L"),
}  # left and right edge of the picture


def slice_image(volume, plane: str, index: int) -> np.ndarray:
    """A slice as rows from top to bottom, ready for imshow.

    volume: (X, Y, Z) tensor or array in RAS+. Axial and coronal pictures have the patient's right on the left,
    sagittal ones the front; the head's top or front is up. Raises ValueError for a wrong plane, shape or index.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}, expected one of {', '.join(PLANES)}")
    data = volume.detach().cpu().numpy() if hasattr(volume, "detach") else np.asarray(volume)
    if data.ndim != 3:
        raise ValueError(f"volume has shape {tuple(data.shape)}, expected (X, Y, Z)")
    axis = PLANES[plane]
    if not -data.shape[axis] <= index < data.shape[axis]:
        raise ValueError(f"index is {index}, expected a {plane} slice from 0 to {data.shape[axis] - 1}")
    # take leaves (first, second) axes in RAS order; the picture's rows run down, its columns towards L or P.
    return np.take(data, index, axis=axis)[::-1, ::-1].T


def draw_slice(
    ax: Axes,
    volume,
    *,
    plane: str = "axial",
    index: int | None = None,
    window: tuple[float, float] | None = None,
    cmap: str = "gray",
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    sides: bool = True,
    smooth: bool = True,
    alpha: float | np.ndarray | None = None,
) -> AxesImage:
    """Draw a slice of a volume (X, Y, Z) in RAS+, in mm, with the sides of the patient marked.

    index: the middle slice where absent; window: lowest and highest value shown, of the whole volume where absent;
    spacing: mm per voxel along X, Y, Z; smooth: False shows the voxels' edges; alpha: opacity, for overlays.
    """
    index = volume.shape[PLANES[plane]] // 2 if index is None else index
    image = slice_image(volume, plane, index)
    low, high = window or (float(volume.min()), float(volume.max()))
    across, up = (size for axis, size in enumerate(spacing) if axis != PLANES[plane])
    extent = (0, image.shape[1] * across, 0, image.shape[0] * up)
    drawn = ax.imshow(image, cmap=cmap, vmin=low, vmax=high, extent=extent, alpha=alpha)
    if not smooth:
        drawn.set_gid(f"voxels{id(drawn) % 9973}")
    ax.set_axis_off()
    if sides:
        mark_sides(ax, *SIDES[plane])
    return drawn


def draw_mask(
    ax: Axes,
    mask,
    *,
    plane: str = "axial",
    index: int,
    colour: str = style.ORANGE,
    opacity: float = 0.6,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> AxesImage:
    """Lay a mask (X, Y, Z), true or a fraction in [0, 1], over a slice drawn by `draw_slice`, in one colour."""
    share = slice_image(mask, plane, index).astype(np.float32)
    image = np.ones((*share.shape, 4), dtype=np.float32) * to_rgba(colour)
    image[..., 3] = opacity * share.clip(0, 1)
    across, up = (size for axis, size in enumerate(spacing) if axis != PLANES[plane])
    return ax.imshow(image, extent=(0, share.shape[1] * across, 0, share.shape[0] * up))


def mark_sides(ax: Axes, left: str, right: str) -> None:
    """Write what side of the patient the left and the right edge of a picture show."""
    for x, text, align in ((0.02, left, "left"), (0.98, right, "right")):
        label = ax.text(
            x,
            0.5,
            text,
            transform=ax.transAxes,
            ha=align,
            va="center",
            fontsize=10,
            fontweight="bold",
            color=style.GOLD,
        )
        label.set_path_effects([effects.withStroke(linewidth=2, foreground="#1a1a1a")])


def montage(
    volume,
    *,
    plane: str = "axial",
    indices: Sequence[int] | None = None,
    columns: int = 4,
    window: tuple[float, float] | None = None,
    cmap: str = "gray",
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> Figure:
    """Several slices of a volume (X, Y, Z) side by side, all in the same window."""
    size = volume.shape[PLANES[plane]]
    indices = np.linspace(0.2 * size, 0.8 * size, 8).astype(int).tolist() if indices is None else list(indices)
    window = window or (float(volume.min()), float(volume.max()))
    rows = -(-len(indices) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.9 * columns, 2.1 * rows), squeeze=False)
    for ax in axes.flat[len(indices) :]:
        ax.set_axis_off()
    for ax, index in zip(axes.flat, indices, strict=False):
        draw_slice(ax, volume, plane=plane, index=index, window=window, cmap=cmap, spacing=spacing)
    return figure
