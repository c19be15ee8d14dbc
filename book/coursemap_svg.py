"""The course map as inline SVG: one drawing for wide screens, one for narrow ones, and the style of both.

All colours are CSS variables with fallbacks and text is `currentColor`, so light and dark both read well.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

from book.coursemap import Graph, Node
from book.coursemap_layout import Box, Sheet, layered, layers_of, listed

# Mid lightness: each reads on white and on dark. More parts than colours start again from the first.
COLOURS = ("#2f8fd6", "#d9691e", "#1d9e78", "#8b6fd0", "#d4689f", "#b8960c", "#16a0b5", "#cf4f4f", "#6e9a2e", "#7d8896")
ACRONYMS = {"mri", "ct", "gan", "gans", "vae"}
MOST_COLUMNS, ROWS_A_COLUMN, CARDS_A_ROW = 6, 9, 5
NARROW_WIDTH = 350.0

CSS = """\
.coursemap { --coursemap-card: #ffffff; --coursemap-tint: .10; container: coursemap / inline-size; margin: 1.5rem 0; }
html[data-theme="dark"] .coursemap { --coursemap-card: #1b212b; --coursemap-tint: .20; }
.coursemap svg { display: block; width: 100%; height: auto; margin: 0 auto; overflow: visible; color: inherit;
  font-family: var(--pst-font-family-base, system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif); }
.coursemap .coursemap-narrow { display: none; }
.coursemap a, .coursemap a:hover, .coursemap a:visited { color: inherit; text-decoration: none; }
.coursemap text { fill: currentColor; stroke: none; }
.coursemap-title { font-weight: 600; }
.coursemap-more { opacity: .72; }
.coursemap-clock { fill: none; stroke: currentColor; stroke-width: 1.2; stroke-linecap: round; opacity: .72; }
.coursemap-paper { fill: var(--coursemap-card, #ffffff); }
.coursemap-face { fill: var(--part); fill-opacity: var(--coursemap-tint, .10); stroke: var(--part); stroke-opacity: .55;
  stroke-width: 1.2; transition: fill-opacity .15s, stroke-opacity .15s; }
.coursemap-bar, .coursemap-end { fill: var(--part); }
.coursemap-edge { fill: none; stroke: var(--part); stroke-width: 1.7; stroke-opacity: .62; stroke-linecap: round;
  stroke-linejoin: round; transition: stroke-width .15s, stroke-opacity .15s; }
.coursemap a:hover .coursemap-face, .coursemap a:focus-visible .coursemap-face { stroke-opacity: 1; stroke-width: 2;
  fill-opacity: calc(var(--coursemap-tint, .10) * 2); }
.coursemap a:hover ~ .coursemap-edge, .coursemap a:focus-visible ~ .coursemap-edge { stroke-width: 3;
  stroke-opacity: 1; }
.coursemap a:focus-visible { outline: none; }
.coursemap a:focus-visible .coursemap-face { stroke: currentColor; stroke-width: 2.5; }
.coursemap ul.coursemap-legend { display: flex; flex-wrap: wrap; justify-content: center; gap: .3rem 1.2rem;
  list-style: none; margin: 0 0 1.1rem; padding: 0; font-size: .85rem; }
.coursemap-legend li { display: flex; align-items: center; gap: .45rem; margin: 0; }
.coursemap-legend i { width: .8rem; height: .8rem; border-radius: .25rem; background: var(--part); }
.coursemap-paths { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0; }
.coursemap-paths section { border: 1px solid var(--pst-color-border, #8886); border-radius: .7rem;
  padding: .9rem 1.1rem; }
.coursemap-paths .coursemap-path { margin: 0 0 .6rem; }
.coursemap-paths strong { display: block; }
.coursemap-paths span { opacity: .72; font-size: .85em; }
.coursemap-paths ol { margin: 0; padding-left: 1.4rem; }
.coursemap-paths li { margin: .2rem 0; }
@media (max-width: 700px) {
  .coursemap .coursemap-wide { display: none; }
  .coursemap .coursemap-narrow { display: block; }
}
@container coursemap (max-width: 700px) {
  .coursemap .coursemap-wide { display: none; }
  .coursemap .coursemap-narrow { display: block; }
}
@media (prefers-reduced-motion: reduce) { .coursemap * { transition: none; } }
"""


@dataclass(frozen=True)
class Look:
    """The measures of a card's text."""

    title: float
    small: float
    title_lines: int
    summary_lines: int = 0

    def height(self, lines: int, summary: int) -> float:
        return 13 + lines * self.title * 1.28 + summary * self.small * 1.35 + (6 if summary else 0) + self.small + 17


def svg(graph: Graph, link: Callable[[str], str]) -> str:
    """The map of the book as one line of HTML: a legend of the parts and two inline drawings of all lessons.

    link: gives the address of a lesson's page. `CSS` chooses the drawing that fits the width.
    """
    if not graph.nodes:
        return '<div class="coursemap"><p>No lesson yet.</p></div>'
    legend = "".join(
        f'<li style="{_colour(graph, part)}"><i></i>{html.escape(part_title(part))}</li>' for part in graph.parts
    )
    wide, look = wide_sheet(graph)
    narrow, small_look = narrow_sheet(graph)
    return (
        f'<div class="coursemap"><ul class="coursemap-legend" aria-label="Parts of the book">{legend}</ul>'
        f"{_drawing(graph, wide, look, link, 'coursemap-wide', wide.width)}"
        f"{_drawing(graph, narrow, small_look, link, 'coursemap-narrow', 460)}</div>"
    )


def wide_sheet(graph: Graph) -> tuple[Sheet, Look]:
    """Layers from left to right; from top to bottom where there are too many for one page's width."""
    order, needs = graph.order, graph.needs
    cap = max(ROWS_A_COLUMN, -(-len(order) // MOST_COLUMNS))
    layer = layers_of(order, needs, cap)
    columns = max(layer.values()) + 1
    if columns > MOST_COLUMNS:
        look = Look(14, 12, 3)
        width = 166.0
        card = (width, _tallest(graph, look, width))
        return layered(order, needs, card=card, gap=52, cap=CARDS_A_ROW, across=False), look
    fullest = max(list(layer.values()).count(at) for at in range(columns))
    roomy = columns <= 3 and fullest <= 4
    look = Look(17, 13.5, 3, 4) if roomy else Look(14, 12, 4)
    width, gap = {1: (300, 0), 2: (300, 110), 3: (262, 84), 4: (190, 62), 5: (158, 50)}.get(columns, (142, 44))
    return layered(order, needs, card=(width, _tallest(graph, look, width)), gap=gap, cap=cap), look


def narrow_sheet(graph: Graph) -> tuple[Sheet, Look]:
    """One column with lanes at its left, at the width of a phone."""
    look = Look(15, 12.5, 3)
    # The lanes' width depends on the graph alone: ask for it first, then wrap the titles in what is left.
    first = listed(graph.order, graph.needs, width=NARROW_WIDTH, heights=dict.fromkeys(graph.order, 60.0))
    width = next(iter(first.boxes.values())).width
    heights = {name: look.height(*map(len, _texts(node, look, width))) for name, node in graph.nodes.items()}
    return listed(graph.order, graph.needs, width=NARROW_WIDTH, heights=heights), look


def _tallest(graph: Graph, look: Look, width: float) -> float:
    return max(look.height(*map(len, _texts(node, look, width))) for node in graph.nodes.values())


def _texts(node: Node, look: Look, width: float) -> tuple[list[str], list[str]]:
    title = wrap(plain(node.title), width - 34, look.title, look.title_lines)
    return title, wrap(plain(node.summary), width - 34, look.small, look.summary_lines)


def _drawing(graph: Graph, sheet: Sheet, look: Look, link: Callable[[str], str], kind: str, most: float) -> str:
    cards = "".join(_lesson(graph, node, sheet, look, link(node.id)) for node in graph.nodes.values())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="group" aria-label="Map of the book: '
        f'{len(graph.nodes)} lessons and what each builds on" viewBox="0 0 {sheet.width:.0f} {sheet.height:.0f}" '
        f'style="max-width:{most:.0f}px">{cards}</svg>'
    )


def _lesson(graph: Graph, node: Node, sheet: Sheet, look: Look, address: str) -> str:
    """A card in its link, followed by the line to the lessons that build on it (which a style rule can then find)."""
    edge = ""
    if node.id in sheet.edges:
        ends = "".join(f'<circle class="coursemap-end" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
                       for x, y in sheet.arrivals[node.id])  # fmt: skip
        edge = f'<path class="coursemap-edge" d="{sheet.edges[node.id]}"/>{ends}'
    needs = "; ".join(plain(graph.nodes[need].title) for need in node.prerequisites)
    label = f"{plain(node.title)}. {part_title(node.part)}, {node.minutes} minutes to read. "
    label += f"Builds on: {needs}." if needs else "Needs no other lesson."
    return (
        f'<g style="{_colour(graph, node.part)}"><a href="{html.escape(address)}" aria-label="{html.escape(label)}">'
        f"<title>{html.escape(plain(node.summary) or label)}</title>{_card(node, sheet.boxes[node.id], look)}</a>"
        f"{edge}</g>"
    )


def _card(node: Node, box: Box, look: Look) -> str:
    frame = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="10"'
    title, summary = _texts(node, look, box.width)
    left, y = box.x + 22, box.y + 11
    lines = []
    for text, size, leading, kind in [
        *((text, look.title, 1.28, "title") for text in title),
        *((text, look.small, 1.35, "more") for text in summary),
    ]:
        if kind == "more" and lines and "coursemap-title" in lines[-1]:
            y += 6
        lines.append(
            f'<text class="coursemap-{kind}" x="{left:.1f}" y="{y + size:.1f}" font-size="{size}">'
            f"{html.escape(text)}</text>"
        )
        y += size * leading
    base, radius = box.y + box.height - 13, look.small * 0.42
    middle = base - look.small * 0.35
    centre = left + radius
    lines.append(
        f'<g class="coursemap-clock"><circle cx="{centre:.1f}" cy="{middle:.1f}" r="{radius:.1f}"/>'
        f'<path d="M{centre:.1f} {middle - radius * 0.6:.1f}V{middle:.1f}H{centre + radius * 0.5:.1f}"/></g>'
        f'<text class="coursemap-more" x="{left + 2 * radius + 6:.1f}" y="{base:.1f}" font-size="{look.small}">'
        f"{node.minutes} min</text>"
    )
    return (
        f'<rect class="coursemap-paper" {frame}/><rect class="coursemap-face" {frame}/>'
        f'<rect class="coursemap-bar" x="{box.x + 9:.1f}" y="{box.y + 12:.1f}" width="4" '
        f'height="{box.height - 24:.1f}" rx="2"/>{"".join(lines)}'
    )


def _colour(graph: Graph, part: str) -> str:
    at = graph.parts.index(part) % len(COLOURS)
    return f"--part:var(--coursemap-part-{at},{COLOURS[at]})"


def part_title(part: str) -> str:
    """A part's folder name for people: `physics/mri` is `Physics, MRI`."""
    words = [word.upper() if word in ACRONYMS else word for word in re.split(r"[_\s]+", part.replace("/", ", "))]
    text = " ".join(words).strip() or "The book"
    return text[0].upper() + text[1:]


def plain(text: str) -> str:
    """Text without the marks of Markdown."""
    return re.sub(r"\s+", " ", re.sub(r"[`*$]", "", text)).strip()


def wrap(text: str, width: float, size: float, most: int) -> list[str]:
    """At most `most` lines no wider than `width` at this font size; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = lines[:most]
        if lines:
            lines[-1] += " …"
    return [_shortened(line, width, size) for line in lines]


def _shortened(line: str, width: float, size: float) -> str:
    while text_width(line, size) > width and len(line) > 2:
        line = line.removesuffix("…").rstrip()[:-1].rstrip() + "…"
    return line


def text_width(text: str, size: float) -> float:
    """A generous estimate for a sans-serif font, since the reader's font is not known."""
    return size * sum(_advance(letter) for letter in text)


def _advance(letter: str) -> float:
    if letter in " .,:;'’|!iljI()[]":
        return 0.32
    if letter in "frt-":
        return 0.4
    if letter in "mwMW@%…":
        return 0.92
    return 0.72 if letter.isupper() else 0.59
