"""Lessons as the book sees them: a py:percent source, its declared metadata and its cells.

A lesson's id is its path under `notebooks/` without the ending, such as `physics/spins_and_relaxation`.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
CHECK_MARK = "# NBVAL_CHECK_OUTPUT"
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PATHS = ("clinician", "engineer", "physicist")


@dataclass(frozen=True)
class Lesson:
    """One lesson; `source` is its `.py`, the only file that people edit."""

    source: Path
    root: Path = field(default=NOTEBOOKS)

    @cached_property
    def id(self) -> str:
        return self.source.relative_to(self.root).with_suffix("").as_posix()

    @property
    def part(self) -> str:
        return self.id.rpartition("/")[0]

    @property
    def notebook_path(self) -> Path:
        return self.source.with_suffix(".ipynb")

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The source as a notebook without outputs (not the committed `.ipynb`)."""
        return jupytext.reads(self.source.read_text(encoding="utf-8"), fmt="py:percent")

    @property
    def cells(self) -> list[nbformat.NotebookNode]:
        return self.notebook.cells

    @cached_property
    def declared(self) -> dict:
        """The `lesson` block of the header: summary, prerequisites, paths, weights."""
        return dict(self.notebook.metadata.get("lesson", {}))

    @property
    def prerequisites(self) -> tuple[str, ...]:
        return tuple(self.declared.get("prerequisites") or ())

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.declared.get("paths") or ())

    @property
    def weights(self) -> tuple[str, ...]:
        """Files under `data/` that the lesson loads, relative to it."""
        return tuple(self.declared.get("weights") or ())

    @property
    def summary(self) -> str:
        return str(self.declared.get("summary", ""))

    @cached_property
    def title(self) -> str:
        for cell in self.cells:
            if cell.cell_type == "markdown" and (match := re.match(r"#\s+(.+)", cell.source)):
                return match[1].strip()
        return self.id

    def code(self) -> str:
        """All code cells, one after another: what static analysis reads."""
        return "\n\n".join(cell.source for cell in self.cells if cell.cell_type == "code")

    def words(self) -> int:
        """Words of prose, formulas and markup left out."""
        prose = "\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")
        prose = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|\$[^$\n]*\$", " ", prose, flags=re.S)
        return len(re.findall(r"[A-Za-zÀ-ÿ][\w'’-]*", prose))

    def code_lines(self, *, shown_only: bool = False) -> int:
        """Lines of code that are neither blank nor comment; shown_only leaves out the cells that a page folds."""
        cells = [cell for cell in self.cells if cell.cell_type == "code"]
        if shown_only:
            cells = [cell for cell in cells if not FOLDED & set(tags(cell))]
        lines = [line.strip() for cell in cells for line in cell.source.splitlines()]
        return sum(1 for line in lines if line and not line.startswith("#"))

    def reading_minutes(self) -> int:
        """Minutes for a careful first reading: 150 words and 12 lines of open code a minute."""
        return max(1, round(self.words() / 150 + self.code_lines(shown_only=True) / 12))


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def find_lessons(root: Path = NOTEBOOKS, pattern: str = "") -> list[Lesson]:
    """Every lesson below `root` whose id contains `pattern`, in the order of their ids."""
    sources = sorted(path for path in root.rglob("*.py") if ".ipynb_checkpoints" not in path.parts)
    lessons = [Lesson(path, root) for path in sources]
    return [lesson for lesson in lessons if pattern in lesson.id]
