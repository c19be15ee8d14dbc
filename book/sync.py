"""Write the pairs: from each lesson's `.py`, its `.ipynb`. `python -m book.sync [PATTERN]`, or `make sync`.

A notebook keeps the outputs of the cells marked `# NBVAL_CHECK_OUTPUT` alone, taken from a run at the `ci`
profile, so that nbval compares what matters and differences stay small.
"""

import argparse
import copy
import hashlib
import os
import sys
from pathlib import Path

import jupytext
import nbformat
import yaml

from book.exercises import with_exercises
from book.lessons import CHECK_MARK, KERNEL, NOTEBOOKS, ROOT, Lesson, find_lessons, tags
from book.setup_cell import SETUP_TAGS, setup_source

COMMAND = "make sync"


def repository_url(root: Path = ROOT) -> str:
    """The public address from `_config.yml`, empty while there is none."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")) or {}
    return str((config.get("repository") or {}).get("url") or "")


def synced_notebook(lesson: Lesson, url: str = "") -> nbformat.NotebookNode:
    """What the source should be, as a notebook: fresh exercises, today's setup cell, a canonical header."""
    notebook = copy.deepcopy(lesson.notebook)
    notebook.cells = with_exercises(notebook.cells)
    for cell in notebook.cells:
        if "setup" in tags(cell):
            cell.source, cell.metadata["tags"] = setup_source(url), list(SETUP_TAGS)
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": {
                "formats": "ipynb,py:percent",
                "notebook_metadata_filter": "jupytext,kernelspec,lesson",
                "cell_metadata_filter": "tags",
                "text_representation": {"extension": ".py", "format_name": "percent", "format_version": "1.3"},
            },
            "kernelspec": KERNEL,
            "lesson": lesson.declared,
        }
    )
    return notebook


def source_text(notebook: nbformat.NotebookNode) -> str:
    """The notebook as py:percent."""
    text = jupytext.writes(copy.deepcopy(notebook), fmt="py:percent")
    # The version of the tool that happened to write the file says nothing about the lesson.
    return "\n".join(line for line in text.splitlines() if "jupytext_version" not in line).rstrip() + "\n"


def notebook_text(notebook: nbformat.NotebookNode, outputs: dict[int, list]) -> str:
    """The notebook as `.ipynb`, with the given outputs by cell position and cell ids that follow the content."""
    made = copy.deepcopy(notebook)
    made.nbformat, made.nbformat_minor = 4, 5
    made.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    seen: dict[str, int] = {}
    checked = 0
    for at, cell in enumerate(made.cells):
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type == "code":
            cell.outputs = [_plain_output(output) for output in outputs.get(at, [])]
            # nbval compares a cell only where the notebook says that it was run.
            checked += bool(cell.outputs)
            cell.execution_count = checked if cell.outputs else None
    return nbformat.writes(made, version=4, ensure_ascii=False).rstrip() + "\n"


def _plain_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    kept = copy.deepcopy(output)
    if "execution_count" in kept:
        kept["execution_count"] = None
    return kept


def is_checked(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and CHECK_MARK in cell.source


def drift(lesson: Lesson, url: str = "") -> list[str]:
    """What differs between a lesson's source and its notebook, one sentence each; empty where they agree."""
    name, pair = lesson.source.name, lesson.notebook_path
    if not pair.is_file():
        return [f"{lesson.id}: {pair.name} is missing, expected the pair of {name}: run `{COMMAND}`"]
    wanted = synced_notebook(lesson, url)
    found = []
    if source_text(wanted) != lesson.source.read_text(encoding="utf-8"):
        found.append(f"{lesson.id}: {name} has an old exercise, setup cell or header: run `{COMMAND}`")
    committed = nbformat.read(pair, as_version=4)
    if [_identity(cell) for cell in committed.cells] != [_identity(cell) for cell in wanted.cells]:
        found.append(f"{lesson.id}: {pair.name} differs from {name}: run `{COMMAND}`")
    if committed.metadata.get("kernelspec") != KERNEL:
        found.append(f"{lesson.id}: {pair.name} has no kernelspec with a language: run `{COMMAND}`")
    for number, cell in enumerate(committed.cells, start=1):
        kept = bool(cell.get("outputs"))
        compared = kept and cell.execution_count is not None
        if (compared if is_checked(cell) else kept) != is_checked(cell):
            what = (
                "lacks the outputs that nbval compares" if is_checked(cell) else "carries outputs that nothing checks"
            )
            found.append(f"{lesson.id}: cell {number} of {pair.name} {what}: run `{COMMAND}`")
    return found


def _identity(cell: nbformat.NotebookNode) -> tuple:
    return cell.cell_type, cell.source, tuple(tags(cell))


def sync(lessons: list[Lesson], url: str = "") -> list[str]:
    """Write sources and notebooks; returns a sentence for each lesson that failed to run at `ci`."""
    from book.execute import execute_all

    # First the sources, since what is run has to be what is written.
    for lesson in lessons:
        _write_if_changed(lesson.source, source_text(synced_notebook(lesson, url)))
    fresh = [Lesson(lesson.source, lesson.root) for lesson in lessons]
    failures = []
    for lesson, outcome in zip(fresh, execute_all(fresh, profile="ci"), strict=True):
        if not outcome.ok:
            failures.append(f"{lesson.id}: {outcome.error}")
            continue
        notebook = synced_notebook(lesson, url)
        executed = nbformat.read(outcome.notebook, as_version=4)
        ran = [cell for cell in executed.cells if "injected-parameters" not in tags(cell)]
        outputs = {
            at: after.outputs
            for at, (cell, after) in enumerate(zip(notebook.cells, ran, strict=True))
            if is_checked(cell)
        }
        _write_if_changed(lesson.notebook_path, notebook_text(notebook, outputs))
    return failures


def _write_if_changed(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    print(f"wrote {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m book.sync", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="only lessons whose id contains this")
    parser.add_argument("--check", action="store_true", help="write nothing; say what has drifted and exit 1")
    options = parser.parse_args(arguments)
    lessons, url = find_lessons(NOTEBOOKS, options.pattern), repository_url()
    if options.check:
        problems = [sentence for lesson in lessons for sentence in drift(lesson, url)]
    else:
        problems = sync(lessons, url)
    print("\n".join(problems) or f"{len(lessons)} lessons in step")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
