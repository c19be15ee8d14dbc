"""A matplotlib figure as inline SVG that follows the theme of the page it stands in."""

import base64
import hashlib
import html
import io
import itertools
import re

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from medlab.viz import style

PAGE_BACKGROUND = "var(--pst-color-background, var(--jp-layout-color0, #fff))"
FEW_COLOURS = 32
_count = itertools.count(1)


def show(figure: Figure, *, caption: str, alt: str) -> None:
    """Display a figure in the notebook and in the page, then close it.

    caption: what the reader should see in it, one or two sentences (plain text, <em>, <sub>, <sup>).
    alt: a text alternative for readers who do not see it.

    Raises ValueError where one of the two texts is empty.
    """
    require_texts(caption, alt)
    svg = svg_of(figure, prefix=f"f{next(_count)}-", alt=alt)
    body = f'<figure class="medlab-figure">{svg}<figcaption>{caption}</figcaption></figure>'
    display({"text/html": body, "text/plain": f"Figure: {alt}"}, raw=True)


def require_texts(caption: str, alt: object) -> None:
    if not (isinstance(caption, str) and caption.strip()):
        raise ValueError("caption is empty, expected a sentence that says what to see")
    if not callable(alt) and not (isinstance(alt, str) and alt.strip()):
        raise ValueError("alt is empty, expected a text alternative of the figure")


def svg_of(figure: Figure, *, prefix: str, alt: str) -> str:
    """The figure as one line of SVG: no prolog, ids made unique by `prefix`, inks that follow the theme.

    Closes the figure.
    """
    buffer = io.StringIO()
    # A fixed salt gives the same ids for the same drawing, so that an unchanged lesson gives an unchanged page.
    with plt.rc_context({"svg.hashsalt": prefix}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _smaller_image, svg)
    svg = _smooth_images(svg)
    svg = _with_unique_ids(svg, prefix)
    svg = svg.replace(style.INK, "currentColor").replace(style.PAPER, PAGE_BACKGROUND)
    svg = _with_frame(svg, alt)
    return re.sub(r"\s*\n\s*", " ", svg).strip()


def _smaller_image(match: re.Match) -> str:
    """The embedded PNG as WebP where that is smaller (every current browser reads it).

    Few colours are categories, such as masks and tables of numbers: they are kept to the letter, where a photograph's
    compression would let them run into each other.
    """
    raw = base64.b64decode(re.sub(r"\s", "", match[1]))
    image = Image.open(io.BytesIO(raw))
    buffer = io.BytesIO()
    few = image.convert("RGBA").getcolors(FEW_COLOURS) is not None
    image.save(buffer, format="WEBP", quality=92, method=4, lossless=few)
    kind, best = ("webp", buffer.getvalue()) if buffer.tell() < len(raw) else ("png", raw)
    return f"data:image/{kind};base64,{base64.b64encode(best).decode()}"


def _smooth_images(svg: str) -> str:
    """Let the browser interpolate images, but for artists whose gid starts with `voxels` (see `slices`)."""
    parts = re.split(r"(<image\b[^>]*>)", svg)
    for at in range(1, len(parts), 2):
        if 'id="voxels' not in parts[at] and 'id="voxels' not in parts[at - 1][-120:]:
            parts[at] = re.sub(r"image-rendering:\s*[a-z-]+;?", "", parts[at])
    return "".join(parts)


def _with_unique_ids(svg: str, prefix: str) -> str:
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', svg)


def _with_frame(svg: str, alt: str) -> str:
    """The opening tag: scales to its column, at most its drawn size and a quarter, with its text alternative."""
    end = svg.index(">")
    opening, rest = svg[:end], svg[end:]
    width_pt = float(re.search(r'\bwidth="([\d.]+)pt"', opening)[1])
    opening = re.sub(r'\s(width|height)="[\d.]+pt"', "", opening)
    size = f"width:100%;max-width:{width_pt * 4 / 3 * 1.25:.0f}px;height:auto"
    return f'{opening} role="img" aria-label="{html.escape(alt, quote=True)}" style="{size}"{rest}'


def short_hash(*texts: str) -> str:
    """Eight hexadecimal digits that stand for these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
