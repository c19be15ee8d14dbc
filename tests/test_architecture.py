"""The rooms of the library import downwards only, without circles; the book's tools stay out of the library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# From the ground up; a room may import those before it. `viz` stands apart: only lessons use it.
ROOMS = ["arguments", "profiles", "physics", "nn", "data", "cohorts", "metrics", "training", "methods"]
APART = {"viz": {"profiles", "arguments"}, "autodiff": set(), "train": set(ROOMS), "predict": set(ROOMS)}
MODULES = sorted((ROOT / "medlab").rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively, expected the full name"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in found if module.split(".")[0] in {"medlab", "book", "tests"}}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_rooms_below_it(path):
    here = room(name_of(path))
    allowed = APART.get(here, set(ROOMS[: ROOMS.index(here)]) if here in ROOMS else set()) | {here, ""}
    for module in imports_of(path):
        assert module.split(".")[0] == "medlab", f"{path.name} imports {module}, expected only medlab"
        assert room(module) in allowed | {"__version__"}, f"{name_of(path)} imports {module}, which stands above it"


def test_no_circle_of_imports():
    known = {name_of(path): imports_of(path) for path in [*MODULES, *(ROOT / "book").glob("*.py")]}
    # A package's own name stands for its __init__, which re-exports its modules; follow modules only.
    graph = {name: {m for m in found if m in known and m != name} for name, found in known.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"circle of imports: {' -> '.join((*trail, module))}"
        if module in done:
            return
        for below in graph[module]:
            if not trail or not module.startswith(below + "."):
                visit(below, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{path.name} has no docstring"
