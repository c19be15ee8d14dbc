"""A lesson taken apart for the linter: prose and code by section, every call in the code, every name it records."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from book.lessons import Lesson, tags


@dataclass(frozen=True)
class Piece:
    """A code cell, or that part of a markdown cell which lies in one `## ` section."""

    number: int  # of the cell, from 1
    text: str
    section: str  # "" before the first `## `
    tags: tuple[str, ...] = ()
    is_code: bool = False
    tree: ast.Module | None = None  # None for prose, and for code that is not Python

    @property
    def nodes(self) -> list[ast.AST]:
        """Every part of the code, a statement before its parts."""
        return list(ast.walk(self.tree)) if self.tree else []


class Call(NamedTuple):
    """A call in a code cell; `name` is as written, such as `plt.show`."""

    number: int
    name: str
    node: ast.Call

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    def lacks(self, *keywords: str) -> list[str]:
        given = {keyword.arg for keyword in self.node.keywords}
        return [keyword for keyword in keywords if keyword not in given]


class Recorded(NamedTuple):
    """A name given to `run.record`. In an f-string each value is `{}` in `text` and anything in `pattern`."""

    number: int
    text: str
    pattern: str


@dataclass(frozen=True)
class Page:
    """What the rules read. Nothing is executed."""

    lesson: Lesson
    root: Path

    @cached_property
    def pieces(self) -> list[Piece]:
        made, section = [], ""
        for number, cell in enumerate(self.lesson.cells, start=1):
            if cell.cell_type == "code":
                made.append(Piece(number, cell.source, section, tuple(tags(cell)), True, parsed(cell.source)))
                continue
            for heading, text in headed(cell.source, 2):
                section = heading or section
                made.append(Piece(number, text, section, tuple(tags(cell))))
        return made

    @property
    def code(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.is_code]

    @property
    def prose(self) -> list[Piece]:
        return [piece for piece in self.pieces if not piece.is_code]

    @cached_property
    def sections(self) -> list[str]:
        """The names of the `## ` sections in order."""
        markdown = (cell.source for cell in self.lesson.cells if cell.cell_type == "markdown")
        return [heading for text in markdown for heading, _ in headed(text, 2) if heading]

    def inside(self, section: str) -> list[Piece]:
        return [piece for piece in self.pieces if piece.section == section]

    @cached_property
    def calls(self) -> list[Call]:
        return [call for piece in self.code for call in calls_in(piece)]

    def called(self, *names: str) -> list[Call]:
        """The calls of functions by these names, with or without the module before them."""
        return [call for call in self.calls if call.last in names]

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Every imported module with its cell; `from a import b` gives `a` and `a.b`."""
        found = []
        for piece in self.code:
            for node in piece.nodes:
                if isinstance(node, ast.Import):
                    found += [(piece.number, alias.name) for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    found.append((piece.number, node.module or ""))
                    found += [(piece.number, f"{node.module}.{alias.name}") for alias in node.names]
        return found

    def roles(self, role: str) -> list[tuple[int, str]]:
        """The texts of {role}`text` in prose with their cells, line breaks taken out."""
        pattern = re.compile(rf"\{{{role}\}}`([^`]+)`")
        return [(piece.number, " ".join(text.split())) for piece in self.prose for text in pattern.findall(piece.text)]

    @cached_property
    def labels(self) -> list[tuple[int, str]]:
        """The labels of the numbered equations with their cells: `$$ ... $$ (label)` or `:label: label`."""
        pattern = re.compile(r"\$\$[ \t]*\(([^)\s]+)\)|^:label:[ \t]*(\S+)", re.M)
        return [(piece.number, a or b) for piece in self.prose for a, b in pattern.findall(piece.text)]

    @cached_property
    def recorded(self) -> list[Recorded]:
        return [Recorded(call.number, *name) for call in self.calls if (name := _recorded_name(call))]


def headed(text: str, level: int) -> list[tuple[str, str]]:
    """Markdown cut at its headings of one level: pairs of heading ("" before the first) and the text below it."""
    mark, fenced = "#" * level + " ", False
    made: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        fenced ^= line.count("```") % 2 == 1
        if line.startswith(mark) and not fenced:
            made.append((line.removeprefix(mark).strip(), []))
        else:
            made[-1][1].append(line)
    return [(heading, "\n".join(lines)) for heading, lines in made]


def parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def calls_in(piece: Piece) -> list[Call]:
    return [Call(piece.number, dotted(node.func), node) for node in piece.nodes if isinstance(node, ast.Call)]


def dotted(node: ast.AST) -> str:
    """`a.b.c` for such a chain of names; what is not a name stays empty."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "", *names])


def _recorded_name(call: Call) -> tuple[str, str] | None:
    if call.name != "run.record" or not call.node.args:
        return None
    name = call.node.args[0]
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    fixed = [str(part.value) if isinstance(part, ast.Constant) else None for part in parts]
    if not isinstance(name, ast.JoinedStr) and fixed == [None]:
        return None  # a variable: nothing is known of it
    return "".join(part or "{}" for part in fixed), "".join(re.escape(part) if part else ".+" for part in fixed)
