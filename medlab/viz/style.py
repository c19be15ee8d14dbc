"""The look of the figures: one set of matplotlib settings, and inks that follow the reader's theme.

A figure is published as inline SVG. Whatever is drawn in `INK` takes the text colour of the page around
it and whatever is drawn in `PAPER` its background, so one figure serves light and dark.
"""

import matplotlib

INK = "#2b2f36"  # becomes `currentColor`
PAPER = "#fdfcfb"  # becomes the page's background
MUTED = "#858b94"  # a grey with contrast of at least 3:1 against white and against the dark page

BLUE, ORANGE, GREEN, PINK, GOLD, PURPLE = "#2f8fd6", "#d9691e", "#1d9e78", "#d4689f", "#b8960c", "#8b6fd0"
# After Okabe and Ito's colour-blind safe set, shifted to mid lightness so that each line reads on white and on dark.
CYCLE = [BLUE, ORANGE, GREEN, PINK, GOLD, PURPLE]

SETTINGS = {
    "figure.facecolor": "none",
    "figure.figsize": (7.0, 3.6),
    "figure.constrained_layout.use": True,
    # The layout forgets a title's own pad over pictures of fixed aspect; without this their first line is cut.
    "figure.constrained_layout.h_pad": 0.1,
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "grid.color": MUTED,
    "grid.alpha": 0.3,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "patch.edgecolor": INK,
    "hatch.color": INK,
    "image.cmap": "gray",
    "image.interpolation": "none",  # the SVG then carries the image's own pixels
    "image.composite_image": False,
    "svg.fonttype": "path",  # the same letters on every machine, and no font to fetch
    "mathtext.fontset": "dejavusans",
}


def apply() -> None:
    """Use the book's look for every figure made from here on."""
    matplotlib.rcParams.update(SETTINGS)
