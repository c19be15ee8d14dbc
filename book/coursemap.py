"""The course map: how the lessons build on one another, checked; `book.coursemap_svg` draws it.

A lesson declares its prerequisites and its reading paths; everything here follows from that.
"""

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from book.lessons import PATHS, Lesson

Link = Callable[[str], str]
PATH_TITLES = {"clinician": "For a clinician", "engineer": "For an engineer", "physicist": "For a physicist"}


@dataclass(frozen=True)
class Node:
    """A lesson as the map shows it."""

    id: str
    title: str
    part: str
    minutes: int
    summary: str = ""
    prerequisites: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Lessons by id, in an order in which each follows its prerequisites."""

    nodes: dict[str, Node]

    @classmethod
    def from_lessons(cls, lessons: Iterable[Lesson]) -> "Graph":
        """The graph of these lessons; ValueError as in `from_nodes`."""
        return cls.from_nodes(
            Node(
                lesson.id,
                lesson.title,
                lesson.part,
                lesson.reading_minutes(),
                lesson.summary,
                lesson.prerequisites,
                lesson.paths,
            )
            for lesson in lessons
        )

    @classmethod
    def from_nodes(cls, nodes: Iterable[Node]) -> "Graph":
        """The graph of these nodes.

        Raises ValueError where a prerequisite is unknown, where prerequisites run in a circle, where a path is
        unknown or where a path leaves out a prerequisite of a lesson on it.
        """
        known = {node.id: node for node in nodes}
        for node in known.values():
            for need in node.prerequisites:
                if need not in known:
                    raise ValueError(f"{node.id}: prerequisite «{need}» is not a lesson, expected {_one_of(known)}")
        graph = cls({name: known[name] for name in _ordered(known)})
        for node in graph.nodes.values():
            for path in node.paths:
                if path not in PATHS:
                    raise ValueError(f"{node.id}: path «{path}» is unknown, expected {_one_of(PATHS)}")
                for need in node.prerequisites:
                    if path not in known[need].paths:
                        raise ValueError(
                            f"{node.id}: is on the path «{path}» but its prerequisite «{need}» is not, "
                            f"expected «{path}» among the paths of «{need}»"
                        )
        return graph

    @property
    def order(self) -> list[str]:
        return list(self.nodes)

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        return {name: node.prerequisites for name, node in self.nodes.items()}

    @property
    def parts(self) -> list[str]:
        """The parts of the book in the order in which a reader meets them."""
        return list(dict.fromkeys(node.part for node in self.nodes.values()))

    def reading_path(self, path: str) -> list[str]:
        """The ids of a path's lessons, in an order to read them in; ValueError for an unknown path."""
        if path not in PATHS:
            raise ValueError(f"path «{path}» is unknown, expected {_one_of(PATHS)}")
        return [name for name, node in self.nodes.items() if path in node.paths]

    def minutes(self, names: Iterable[str]) -> int:
        return sum(self.nodes[name].minutes for name in names)


def _ordered(known: dict[str, Node]) -> list[str]:
    """A topological order that stays in a part as long as it can; ValueError names a circle."""
    done: dict[str, None] = {}
    part = None
    while len(done) < len(known):
        ready = [n for n in known.values() if n.id not in done and all(need in done for need in n.prerequisites)]
        if not ready:
            circle = _circle({n: node for n, node in known.items() if n not in done})
            raise ValueError(
                f"prerequisites run in a circle: {' needs '.join(circle)}, expected an order in which to read"
            )
        chosen = next((node for node in ready if node.part == part), ready[0])
        done[chosen.id], part = None, chosen.part
    return list(done)


def _circle(left: dict[str, Node]) -> list[str]:
    """A circle among nodes each of which needs another of them: walk until a node comes back."""
    trail = [next(iter(left))]
    while True:
        step = next(need for need in left[trail[-1]].prerequisites if need in left)
        if step in trail:
            return [*trail[trail.index(step) :], step]
        trail.append(step)


def _one_of(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)


def duration(minutes: int) -> str:
    """Minutes for people: `45 min`, `2 h 5 min`."""
    hours, rest = divmod(minutes, 60)
    return " ".join(filter(None, [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]))


def paths_html(graph: Graph, link: Link) -> str:
    """The reading paths as HTML on one line: for each, its lessons in order and the time to read them.

    link: gives the address of a lesson's page.
    """
    return f'<div class="coursemap-paths">{"".join(_path_html(graph, path, link) for path in PATHS)}</div>'


def _path_html(graph: Graph, path: str, link: Link) -> str:
    names = graph.reading_path(path)
    items = "".join(
        f'<li><a href="{html.escape(link(name))}">{html.escape(graph.nodes[name].title)}</a> '
        f"<span>{graph.nodes[name].minutes} min</span></li>"
        for name in names
    )
    count = f"{len(names)} lesson{'' if len(names) == 1 else 's'}"
    body = f"<ol>{items}</ol>" if names else "<p>No lesson yet.</p>"
    return (
        f'<section aria-label="{PATH_TITLES[path]}"><p class="coursemap-path"><strong>{PATH_TITLES[path]}</strong> '
        f"<span>{count}, {duration(graph.minutes(names))} of reading</span></p>{body}</section>"
    )
