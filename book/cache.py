"""What a lesson's result depends on, by content and never by time stamps.

A lesson runs again when one of these differs: its source, its parameters, the `medlab` files that it imports (with
those that they import, and the files beside them such as scripts), its declared weights, `requirements.txt`, the
minor version of Python.
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from book.lessons import ROOT, Lesson

PACKAGE = "medlab"
EVERYTHING = f"{PACKAGE}.**"
FORMAT = 1  # raise it when the way in which lessons are executed changes what they give


def content_key(lesson: Lesson, parameters: dict, root: Path = ROOT) -> str:
    """The sha256 (hexadecimal) of everything that the lesson's result depends on."""
    return digest(inputs(lesson, parameters, root))


def digest(found: dict[str, str]) -> str:
    """One key for what `inputs` found."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def inputs(lesson: Lesson, parameters: dict, root: Path = ROOT) -> dict[str, str]:
    """Each thing that the lesson depends on with its content's sha256; files are named relative to `root`.

    Raises FileNotFoundError where a declared weight is missing.
    """
    found = {
        "(format)": str(FORMAT),
        "(python)": f"{sys.version_info.major}.{sys.version_info.minor}",
        "(parameters)": json.dumps(parameters, sort_keys=True),
    }
    for path in explain(lesson, root):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def explain(lesson: Lesson, root: Path = ROOT) -> list[Path]:
    """The files that the lesson depends on: source, pinned versions, library files, weights, in this order."""
    pinned = root / "requirements.txt"
    return [
        lesson.source,
        *([pinned] if pinned.is_file() else []),
        *sorted(library_files(lesson, root)),
        *weight_files(lesson, root),
    ]


def weight_files(lesson: Lesson, root: Path = ROOT) -> list[Path]:
    """The weights that the lesson declares. Raises FileNotFoundError for one that is not there."""
    paths = [root / "data" / name for name in sorted(lesson.weights)]
    for name, path in zip(sorted(lesson.weights), paths, strict=True):
        if not path.is_file():
            raise FileNotFoundError(f"{lesson.id} declares the weights {name}, but there is no file data/{name}")
    return paths


def library_files(lesson: Lesson, root: Path = ROOT) -> set[Path]:
    """Every library file that the lesson imports, directly or through another, with the data files beside them."""
    names = set()
    for cell in lesson.cells:
        if cell.cell_type == "code":
            names |= _cell_imports(cell.source)
    found: set[Path] = set()
    waiting = [path for name in names for path in _files(name, root)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        # An __init__.py is its package; any other file lies in one.
        package = ".".join(path.parent.relative_to(root).parts)
        waiting += [new for name in _imports(_text(path), package) for new in _files(name, root)]
    return found | {other for folder in {path.parent for path in found} for other in _data_files(folder)}


def _cell_imports(source: str) -> frozenset[str]:
    """What a lesson's cell imports; lines for the shell or IPython are no Python, so they are set aside."""
    is_magic = re.compile(r"\s*[%!]").match
    magic = [line for line in source.splitlines() if is_magic(line)]
    plain = "\n".join("" if is_magic(line) else line for line in source.splitlines())
    found = _imports(plain, "")
    return found | {EVERYTHING} if any(PACKAGE in line for line in magic) else found


@cache
def _imports(text: str, package: str) -> frozenset[str]:
    """Dotted names of the library that a text may import; a text that cannot be read may import everything.

    package: the package that relative imports start from. A string that is such a name counts as well: that is how
    modules are imported by name or run as a command.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return frozenset({EVERYTHING})
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= _from_names(node, package)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(PACKAGE):
            names |= {node.value} if re.fullmatch(r"\w+(\.\w+)*", node.value) else set()
    return frozenset(name for name in names if name.partition(".")[0] == PACKAGE)


def _from_names(node: ast.ImportFrom, package: str) -> set[str]:
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    return {base, *(f"{base}.{alias.name}" for alias in node.names)}


def _files(name: str, root: Path) -> Iterable[Path]:
    """The files that importing a dotted name reads: those of the packages on the way, then its own."""
    if name == EVERYTHING:
        return sorted((root / PACKAGE).rglob("*.py"))
    parts = name.split(".")
    if parts[-1] == "*":
        # A star may bring any module of the package, as its __all__ says.
        return [*_files(".".join(parts[:-1]), root), *sorted(root.joinpath(*parts[:-1]).glob("*.py"))]
    found = []
    for count in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:count])
        found += [path for path in (place / "__init__.py", place.with_name(f"{place.name}.py")) if path.is_file()]
    return found


def _data_files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in {".py", ".pyc"} and not path.name.startswith(".")
    ]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
