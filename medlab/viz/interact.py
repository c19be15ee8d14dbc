"""Interactive figures: one function of a few named values, live in Jupyter, precomputed in the page.

In Jupyter `explore` gives ipywidgets and calls the function at each move. In a published page it draws
every combination beforehand and packs the frames, compressed, beside a slider that needs neither a kernel
nor the network.
"""

import base64
import gzip
import html
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources

from IPython.display import display
from matplotlib.figure import Figure

from medlab import profiles
from medlab.viz.figure import require_texts, short_hash, svg_of

MAX_FRAMES = 60
MAX_BYTES = 1_000_000
_count = itertools.count(1)


def explore(
    draw: Callable[..., Figure],
    *,
    caption: str,
    alt: str | Callable[..., str],
    labels: Mapping[str, str] | None = None,
    start: Mapping[str, object] | None = None,
    **values: Sequence,
) -> None:
    """An interactive figure of `draw(**values)`, one slider for each named value.

    draw: takes one value by each name and returns a matplotlib figure; it is called once for each combination.
    alt: a text alternative, or a function of the same values that gives it frame by frame.
    labels: how a value is called beside its slider, with its unit; the name where absent.
    start: the values shown first; the middle of each sequence where absent.
    values: for each name the sequence of values that the slider walks through.

    Raises ValueError where a sequence is empty, where there are more than 60 combinations or where the page's
    copy takes more than 1 MB.
    """
    require_texts(caption, alt)
    choices = {name: list(sequence) for name, sequence in values.items()}
    if not choices or not all(choices.values()):
        raise ValueError(f"explore got the values {choices}, expected at least one name with a non-empty sequence")
    frames = math.prod(len(sequence) for sequence in choices.values())
    if frames > MAX_FRAMES:
        raise ValueError(f"explore would draw {frames} frames, expected at most {MAX_FRAMES}: give fewer values")
    first = {name: (start or {}).get(name, sequence[len(sequence) // 2]) for name, sequence in choices.items()}
    for name, value in first.items():
        if value not in choices[name]:
            raise ValueError(f"start[{name!r}] is {value!r}, expected one of {choices[name]}")
    names = {name: (labels or {}).get(name, name.replace("_", " ")) for name in choices}
    if _is_published():
        _show_frames(draw, caption, alt, names, _thinned(choices, first), first)
    else:
        _show_widgets(draw, caption, alt, names, choices, first)


def _is_published() -> bool:
    """True while a page is built (MEDLAB_PUBLISH=1) and where ipywidgets is absent."""
    if os.environ.get("MEDLAB_PUBLISH") == "1":
        return True
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return True
    return False


def _thinned(choices: dict[str, list], first: dict) -> dict[str, list]:
    """At the `ci` profile the two ends and the starting value: the same code, fewer frames."""
    if os.environ.get(profiles.ENVIRONMENT_VARIABLE) != "ci":
        return choices
    return {
        name: [value for at, value in enumerate(seq) if at in (0, len(seq) - 1) or value == first[name]]
        for name, seq in choices.items()
    }


def _alt_of(alt: str | Callable[..., str], at: dict) -> str:
    return alt(**at) if callable(alt) else alt


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show_widgets(draw, caption, alt, names, choices, first) -> None:
    import ipywidgets as widgets

    from medlab.viz.figure import show

    sliders = {
        name: widgets.SelectionSlider(
            options=[(_shown(value), value) for value in choices[name]],
            value=first[name],
            description=names[name],
            continuous_update=True,
            style={"description_width": "initial"},
            layout={"width": "32em", "max_width": "100%"},
        )
        for name in choices
    }
    frame = widgets.interactive_output(lambda **at: show(draw(**at), caption=caption, alt=_alt_of(alt, at)), sliders)
    display(widgets.VBox([*sliders.values(), frame]))


def _show_frames(draw, caption, alt, names, choices, first) -> None:
    identity = f"x{next(_count)}-{short_hash(caption, *names)}"
    combinations = [dict(zip(choices, at, strict=True)) for at in itertools.product(*choices.values())]
    alts = [_alt_of(alt, at) for at in combinations]
    svgs = [
        svg_of(draw(**at), prefix=f"{identity}-{number}-", alt=text)
        for number, (at, text) in enumerate(zip(combinations, alts, strict=True))
    ]
    shown = combinations.index(first)
    # mtime=0: the same frames give the same bytes, and so the same page.
    packed = base64.b64encode(gzip.compress(json.dumps([svgs, alts]).encode(), 9, mtime=0)).decode()
    sliders = "".join(_slider(f"{identity}-{name}", names[name], choices[name], first[name]) for name in choices)
    body = (
        f'<figure class="medlab-figure medlab-explore" id="{identity}">'
        f'<div class="medlab-frame">{svgs[shown]}</div>'
        f'<div class="medlab-controls">{sliders}</div>'
        f'<p class="medlab-alt" aria-live="polite" style="position:absolute;width:1px;height:1px;'
        f'overflow:hidden;clip-path:inset(50%)"></p>'
        f"<figcaption>{caption}</figcaption>"
        f'<script type="text/plain" class="medlab-frames">{packed}</script>'
        f"<script>({_player()})({json.dumps(identity)})</script></figure>"
    )
    if len(body) > MAX_BYTES:
        raise ValueError(
            f"the interactive figure «{caption[:40]}…» takes {len(body) / 1e6:.2f} MB, expected at most "
            f"{MAX_BYTES / 1e6:.0f} MB: draw fewer or smaller frames"
        )
    display({"text/html": body, "text/plain": f"Interactive figure: {alts[shown]}"}, raw=True)


def _slider(identity: str, label: str, values: list, first: object) -> str:
    texts = html.escape(json.dumps([_shown(value) for value in values]), quote=True)
    at, shown = values.index(first), _shown(first)
    return (
        f'<div class="medlab-slider"><label for="{identity}">{html.escape(label)}</label>'
        f'<input type="range" id="{identity}" min="0" max="{len(values) - 1}" step="1" value="{at}" '
        f'data-values="{texts}" aria-valuetext="{shown}"><output for="{identity}">{shown}</output></div>'
    )


@cache
def _player() -> str:
    """The few lines of JavaScript that swap frames (`player.js`), as one function expression."""
    return resources.files("medlab.viz").joinpath("player.js").read_text(encoding="utf-8").strip()
