"""Where the cards of the course map stand: layers by longest path, an order with few crossings, no overlap.

Positions are in the drawing's own units. Nothing here knows about lessons: a graph is a list of names in an order
that respects `needs`, and `needs` itself, the names that each one builds on.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Needs = Mapping[str, Sequence[str]]
Waypoint = tuple[str, int]  # (source, layer): where a long edge passes a layer
SWEEPS = 16
WAYPOINT_SIZE, CARD_GAP, WAYPOINT_GAP = 4.0, 22.0, 11.0


@dataclass(frozen=True)
class Box:
    """A card: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Sheet:
    """A finished layout: its size, a box for each name, and for each source the curve to all that builds on it."""

    width: float
    height: float
    boxes: dict[str, Box]
    edges: dict[str, str]  # SVG path data
    arrivals: dict[str, list[tuple[float, float]]]  # where a source's curve meets a card


def direct_needs(order: Sequence[str], needs: Needs) -> dict[str, list[str]]:
    """`needs` without what another need already brings along (the transitive reduction): fewer lines, same meaning."""
    above: dict[str, set[str]] = {}
    for name in order:
        above[name] = set(needs[name]).union(*(above[need] for need in needs[name]))
    return {name: [need for need in needs[name] if not any(need in above[other] for other in needs[name])]
            for name in order}  # fmt: skip


def layers_of(order: Sequence[str], needs: Needs, cap: int) -> dict[str, int]:
    """The layer of each name: one after the last of its needs, or later where a layer already holds `cap` names."""
    layer: dict[str, int] = {}
    filled: dict[int, int] = {}
    for name in order:
        at = max((layer[need] + 1 for need in needs[name]), default=0)
        while filled.get(at, 0) >= cap:
            at += 1
        layer[name] = at
        filled[at] = filled.get(at, 0) + 1
    return layer


def layered(
    order: Sequence[str],
    needs: Needs,
    *,
    card: tuple[float, float],
    gap: float,
    cap: int,
    across: bool = True,
    margin: float = 6.0,
) -> Sheet:
    """Cards in layers, from left to right (`across`) or from top to bottom.

    card: width and height. gap: free space between layers. cap: the most cards in one layer.
    """
    needs = direct_needs(order, needs)
    layer = layers_of(order, needs, cap)
    columns, links = _with_waypoints(order, needs, layer)
    columns = _fewest_crossings(columns, links)
    long_side, side = card if across else card[::-1]
    place = _straighten(columns, links, side)
    low = min(place[name] for name in order) - side / 2
    low = min([low, *(place[item] for item in place)])
    high = max([*(place[name] + side / 2 for name in order), *place.values()])

    def along(at: int) -> float:
        return margin + at * (long_side + gap)

    def point(a: float, b: float) -> tuple[float, float]:
        return (a, b) if across else (b, a)

    boxes, edges, arrivals = {}, {}, {}
    for name in order:
        corner = point(along(layer[name]), place[name] - side / 2 - low + margin)
        boxes[name] = Box(*corner, *card)
    depth = {item: at for at, column in enumerate(columns) for item in column}
    for source in order:
        strokes, ends = [], []
        for start, end in links:
            if start != source and not (isinstance(start, tuple) and start[0] == source):
                continue
            a, b = along(depth[start]) + long_side, along(depth[end])
            p, q = place[start] - low + margin, place[end] - low + margin
            middle = (a + b) / 2
            stroke = [point(a, p), point(middle, p), point(middle, q), point(b, q)]
            if isinstance(end, tuple):
                strokes.append(_curve(stroke) + "L" + _pair(point(b + long_side, q)))
            else:
                strokes.append(_curve(stroke))
                ends.append(point(b, q))
        if strokes:
            edges[source], arrivals[source] = "".join(strokes), ends
    size = point(along(len(columns) - 1) + long_side + margin, high - low + 2 * margin)
    return Sheet(*size, boxes, edges, arrivals)


def listed(
    order: Sequence[str], needs: Needs, *, width: float, heights: Mapping[str, float], gap: float = 12.0
) -> Sheet:
    """Cards one below another, with a lane at their left for each one that others build on."""
    needs = direct_needs(order, needs)
    row = {name: at for at, name in enumerate(order)}
    last = {need: max(row[name] for name in order if need in needs[name]) for each in order for need in needs[each]}
    lane = _lanes({source: (row[source], end) for source, end in last.items()})
    pitch = min(11.0, 66.0 / (max(lane.values(), default=0) + 1))
    gutter = pitch * (max(lane.values(), default=-1) + 1) + (14.0 if lane else 0.0)
    boxes, y = {}, 4.0
    for name in order:
        boxes[name] = Box(gutter, y, width - gutter - 2, heights[name])
        y += heights[name] + gap
    edges, arrivals = {}, {}
    for source in (name for name in order if name in last):
        x = gutter - 13 - lane[source] * pitch
        box = boxes[source]
        start, turn = box.y + box.height * 0.64, min(9.0, gutter - x)
        targets = [name for name in order if source in needs[name]]
        # Where several lines meet one card they arrive side by side.
        ends = [(gutter, _arrival(boxes[name], needs[name].index(source), len(needs[name]))) for name in targets]
        path = f"M{_pair((gutter, start))}H{x + turn:.1f}Q{_pair((x, start))} {_pair((x, start + turn))}"
        path += f"V{ends[-1][1] - turn:.1f}"
        for _, end in ends:
            path += f"M{_pair((x, end - turn))}Q{_pair((x, end))} {_pair((x + turn, end))}H{gutter:.1f}"
        edges[source], arrivals[source] = path, ends
    return Sheet(width, y - gap + 4, boxes, edges, arrivals)


def _arrival(box: Box, at: int, of: int) -> float:
    return box.y + box.height * 0.34 + (at - (of - 1) / 2) * min(7.0, box.height * 0.42 / of)


def _lanes(spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """A lane for each span so that spans in one lane do not overlap; short ones stay near the cards."""
    taken: list[list[tuple[int, int]]] = []
    lane = {}
    for source, (first, last) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[1])):
        free = (at for at, held in enumerate(taken) if all(last <= a or b <= first for a, b in held))
        at = next(free, len(taken))
        if at == len(taken):
            taken.append([])
        taken[at].append((first, last))
        lane[source] = at
    return lane


def _with_waypoints(order: Sequence[str], needs: Needs, layer: Mapping[str, int]) -> tuple[list[list], list[tuple]]:
    """The layers with a waypoint wherever an edge passes one, and the links between neighbouring layers.

    All edges of one source share its waypoints, so that a lesson that many need sends one line, not a bundle.
    """
    columns: list[list] = [[] for _ in range(max(layer.values()) + 1)]
    for name in order:
        columns[layer[name]].append(name)
    links: list[tuple] = []
    for name in order:
        for source in needs[name]:
            trail = [source, *((source, at) for at in range(layer[source] + 1, layer[name])), name]
            for start, end in itertools.pairwise(trail):
                if isinstance(end, tuple) and end not in columns[end[1]]:
                    columns[end[1]].append(end)
                if (start, end) not in links:
                    links.append((start, end))
    return columns, links


def _fewest_crossings(columns: list[list], links: list[tuple]) -> list[list]:
    """The best order within the layers that sweeps of the barycentre rule find."""
    before, after = _neighbours(links)
    best, fewest = [list(column) for column in columns], _crossings(columns, after)
    current = [list(column) for column in columns]
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        steps = range(1, len(current)) if forward else range(len(current) - 2, -1, -1)
        for at in steps:
            beside = {item: n for n, item in enumerate(current[at - 1 if forward else at + 1])}
            near = before if forward else after
            here = {item: n for n, item in enumerate(current[at])}
            centre = {i: _mean([beside[n] for n in near.get(i, [])], here[i]) for i in current[at]}
            current[at] = sorted(current[at], key=lambda item, c=centre: c[item])
        if (count := _crossings(current, after)) < fewest:
            best, fewest = [list(column) for column in current], count
    return best


def _crossings(columns: list[list], after: Mapping) -> int:
    total = 0
    for left, right in itertools.pairwise(columns):
        position = {item: at for at, item in enumerate(right)}
        ends = [sorted(position[item] for item in after.get(start, [])) for start in left]
        flat = [end for group in ends for end in group]
        total += sum(a > b for at, a in enumerate(flat) for b in flat[at + 1 :])
    return total


def _straighten(columns: list[list], links: list[tuple], side: float) -> dict:
    """The centre of each item across its layer: near its neighbours' mean, never closer than the gaps allow."""
    before, after = _neighbours(links)
    place: dict = {}
    for column in columns:
        place.update(_apart(column, dict.fromkeys(column, 0.0), side))
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else columns[::-1]:
            wanted = {}
            for item in column:
                near = [*before.get(item, []), *after.get(item, [])]
                if sweep < SWEEPS - 4:
                    near = (before if forward else after).get(item, []) or near
                wanted[item] = _mean([place[n] for n in near], place[item])
            place.update(_apart(column, wanted, side))
    return place


def _apart(column: list, wanted: Mapping, side: float) -> dict:
    """The places nearest to the wanted ones (least squares) that keep the order and the gaps.

    With the gaps taken off, the places must not decrease: isotonic regression, by pooling adjacent violators.
    """
    offsets, total = [0.0], 0.0
    for one, two in itertools.pairwise(column):
        cards = sum(not isinstance(item, tuple) for item in (one, two))
        gap = CARD_GAP if cards == 2 else WAYPOINT_GAP
        total += gap + sum(WAYPOINT_SIZE if isinstance(item, tuple) else side for item in (one, two)) / 2
        offsets.append(total)
    pools: list[list[float]] = []  # [sum, count]
    for item, offset in zip(column, offsets, strict=True):
        pools.append([wanted[item] - offset, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            top = pools.pop()
            pools[-1] = [pools[-1][0] + top[0], pools[-1][1] + top[1]]
    level = [value / count for value, count in pools for _ in range(int(count))]
    return {item: at + offset for item, at, offset in zip(column, level, offsets, strict=True)}


def _neighbours(links: list[tuple]) -> tuple[dict, dict]:
    before: dict = {}
    after: dict = {}
    for start, end in links:
        after.setdefault(start, []).append(end)
        before.setdefault(end, []).append(start)
    return before, after


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _pair(at: tuple[float, float]) -> str:
    return f"{at[0]:.1f} {at[1]:.1f}"


def _curve(points: list[tuple[float, float]]) -> str:
    first, *rest = map(_pair, points)
    return f"M{first}C{' '.join(rest)}"
