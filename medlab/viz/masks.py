"""Two masks in one picture: what was found, missed, and seen where nothing is."""

import numpy as np
from matplotlib.axes import Axes

from medlab.viz import slices, style

FOUND, MISSED, FALSE = style.GREEN, style.BLUE, style.ORANGE
SHARPER = 4  # so many pixels for one, or the page would blur their corners


def draw_difference(
    ax: Axes, prediction: np.ndarray, reference: np.ndarray, *, image=None, window=(0.0, 1.0), spacing: float = 1.0
) -> None:
    """Masks (X, Y) of bool in RAS+: `FOUND` in both, `MISSED` in the reference alone, `FALSE` in the prediction alone.

    image: (X, Y), in grey behind them, in this window, with the sides of the patient marked. spacing: mm per pixel.
    Raises ValueError for shapes that differ.
    """
    if prediction.shape != reference.shape or prediction.ndim != 2:
        raise ValueError(f"masks have the shapes {prediction.shape} and {reference.shape}, expected (X, Y) twice")
    ax.set_axis_off()
    if image is not None:
        slices.draw_slice(ax, image[..., None], index=0, window=window, spacing=(spacing,) * 3)
    opacity = 0.9 if image is None else 0.6
    parts = {FOUND: prediction & reference, MISSED: reference & ~prediction, FALSE: prediction & ~reference}
    for colour, part in parts.items():
        sharp = np.kron(part, np.ones((SHARPER, SHARPER)))[..., None]
        slices.draw_mask(ax, sharp, index=0, colour=colour, opacity=opacity, spacing=(spacing / SHARPER,) * 3)


def name_colours(ax: Axes, x: float = 1.06, y: float = 0.62) -> None:
    """The three words in their colours, beside the picture (in its own coordinates)."""
    for row, (word, colour) in enumerate((("found", FOUND), ("missed", MISSED), ("false", FALSE))):
        ax.text(x, y - 0.12 * row, word, color=colour, weight="bold", transform=ax.transAxes)
