"""A sheet of pictures: slices of several volumes, each in its own window, with titles and coloured masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medlab.viz.slices import PLANES, draw_mask, draw_slice

TITLE_INCHES = 0.18  # of a title's line, with the room around it


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet: a slice of `image`, (X, Y, Z) in RAS+, as `slices.draw_slice` draws it.

    title: above it, of one line or more. window: lowest and highest value shown, of the whole volume where absent.
    masks: a mask (X, Y, Z) for each colour that is laid over it. index: the middle slice where absent. opacity: of the
    masks. The other fields are those of `draw_slice`.
    """

    title: str
    image: object
    window: tuple[float, float] | None = None
    masks: Mapping[str, object] = field(default_factory=dict)
    plane: str = "axial"
    index: int | None = None
    spacing: Sequence[float] = (1.0, 1.0, 1.0)
    cmap: object = "gray"
    sides: bool = True
    smooth: bool = True
    opacity: float = 0.75

    @property
    def aspect(self) -> float:
        """Height over width of the picture. Raises ValueError for a plane that is none."""
        if self.plane not in PLANES:
            raise ValueError(f"plane is {self.plane!r}, expected one of {', '.join(PLANES)}")
        lengths = [n * mm for n, mm in zip(self.image.shape, self.spacing, strict=True)]
        width, height = (length for axis, length in enumerate(lengths) if axis != PLANES[self.plane])
        return height / width

    def height_inches(self, width_inches: float) -> float:
        """Of the picture with its title, where it is so wide."""
        return self.aspect * width_inches + TITLE_INCHES * (1 + self.title.count("\n"))


def draw_panel(ax: Axes, panel: Panel) -> None:
    """Draw one panel with its masks and its title."""
    index = panel.image.shape[PLANES[panel.plane]] // 2 if panel.index is None else panel.index
    shared = {"plane": panel.plane, "index": index, "spacing": panel.spacing}
    look = {"window": panel.window, "cmap": panel.cmap, "sides": panel.sides, "smooth": panel.smooth}
    draw_slice(ax, panel.image, **shared, **look)
    for colour, mask in panel.masks.items():
        draw_mask(ax, mask, colour=colour, opacity=panel.opacity, **shared)
    ax.set_title(panel.title, fontsize=10)


def sheet(panels: Sequence[Panel | None], *, columns: int = 2, width_inches: float = 2.7) -> Figure:
    """The panels in rows of so many columns, each width_inches wide; None leaves a place empty.

    Raises ValueError for no panel at all.
    """
    shown = [panel for panel in panels if panel is not None]
    if not shown or columns < 1:
        raise ValueError(f"panels are {len(shown)} in {columns} columns, expected at least one of each")
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max((one.height_inches(width_inches) for one in row if one is not None), default=0.1) for row in rows]
    size = (columns * width_inches, sum(heights) + 0.12 * len(rows))
    figure, axes = plt.subplots(len(rows), columns, figsize=size, height_ratios=heights, squeeze=False)
    for ax, panel in zip(axes.flat, [*panels, *[None] * (axes.size - len(panels))], strict=True):
        ax.set_axis_off()
        if panel is not None:
            draw_panel(ax, panel)
    return figure


def panels_of(sample, name: str, windows: Mapping[str, tuple[float, float]] | None = None) -> list[Panel]:
    """A panel for each channel of a `medlab.data.samples.Sample`, titled "name: channel".

    windows: by channel; where there is none, from 0 to a little above the brightest 0.5 % of what is above 0.
    """
    made = []
    for channel in sample.channels:
        image = sample.channel(channel)
        bright = (0.0, 1.15 * float(image[image > 0].quantile(0.995)))
        made.append(Panel(f"{name}: {channel}", image, (windows or {}).get(channel, bright)))
    return made
