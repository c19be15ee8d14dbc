"""Name what a lesson lacks, one sentence a finding: `python -m book.lint [PATTERN]`. Nothing is executed.

What a lesson is made of stands in the rules themselves: `book/lint_form.py` and `book/lint_craft.py`.
"""

import argparse
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from book import lint_craft, lint_form
from book.coursemap import Graph
from book.lessons import ROOT, Lesson, find_lessons
from book.lint_page import Page, Recorded

TOC = "_toc.yml"
MADE_BY_THE_BUILD = {"book/status"}


def lint(lesson: Lesson, root: Path = ROOT) -> list[str]:
    """What one lesson lacks; empty where it is complete."""
    if problem := unreadable(lesson):
        return [f"{lesson.id}: {problem}"]
    page = Page(lesson, root)
    return [f"{lesson.id}: {finding}" for rule in (*lint_form.RULES, *lint_craft.RULES) for finding in rule(page)]


def lint_book(lessons: list[Lesson], root: Path = ROOT) -> list[str]:
    """What is wrong with the lessons as one book: labels, recorded names, prerequisites, table of contents."""
    readable = [lesson for lesson in lessons if not unreadable(lesson)]
    pages = [Page(lesson, root) for lesson in readable]
    found = [*_labels(pages), *_recorded(pages)]
    try:
        Graph.from_lessons(readable)
    except ValueError as problem:
        found.append(str(problem))
    return [*found, *_contents([lesson.id for lesson in lessons], root)]


def unreadable(lesson: Lesson) -> str:
    """Why the header cannot be read, in which case nothing else can be; empty where it can."""
    try:
        _ = lesson.declared
    except (ValueError, TypeError, yaml.YAMLError) as problem:
        why = " ".join(str(problem).split())
        return f"the header cannot be read ({why}), expected YAML with a lesson block of names and values"
    return ""


def _labels(pages: list[Page]) -> Iterator[str]:
    first: dict[str, str] = {}
    for page in pages:
        for number, label in page.labels:
            if label in first:
                yield f"{page.lesson.id}: cell {number}: the label «{label}» is one of {first[label]}, expected another"
            first.setdefault(label, page.lesson.id)
    for page in pages:
        for number, text in page.roles("eq"):
            label = re.sub(r".*<(.+)>", r"\1", text)
            if label not in first:
                yield f"{page.lesson.id}: cell {number}: refers to equation «{label}», expected the label of one"


def _recorded(pages: list[Page]) -> Iterator[str]:
    names = [(page.lesson.id, name) for page in pages for name in page.recorded]
    for (one, name), (other, again) in itertools.combinations(names, 2):
        if _clash(name, again, one == other):
            yield f"{other}: cell {again.number}: records «{again.text}», as {one} does, expected another name"


def _clash(one: Recorded, other: Recorded, same_lesson: bool) -> bool:
    if same_lesson:  # where an f-string may well stand beside a fixed name that it resembles
        return one.text == other.text and "{}" not in one.text
    return bool(re.fullmatch(one.pattern, other.text) or re.fullmatch(other.pattern, one.text))


def _contents(ids: list[str], root: Path) -> Iterator[str]:
    path = root / TOC
    if not path.is_file():
        yield f"{TOC}: is missing, expected the table of contents of the book"
        return
    named = Counter(_entries(yaml.safe_load(path.read_text(encoding="utf-8"))))
    for lesson_id in ids:
        if (times := named.pop(f"notebooks/{lesson_id}", 0)) != 1:
            yield f"{lesson_id}: {TOC} names it {times} times, expected once, as notebooks/{lesson_id}"
    for entry in named:
        if entry not in MADE_BY_THE_BUILD and not (root / f"{entry.removesuffix('.md')}.md").is_file():
            yield f"{TOC}: names {entry}, which is no lesson and no page, expected neither dead nor renamed files"


def _entries(node: object) -> Iterator[str]:
    """Every `root:` and `file:` of the table of contents, at any depth."""
    if isinstance(node, dict):
        yield from (str(node[key]) for key in ("root", "file") if key in node)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _entries(child)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m book.lint", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="only lessons whose id contains this")
    pattern = parser.parse_args(arguments).pattern
    everything = find_lessons(root / "notebooks")
    chosen = [lesson for lesson in everything if pattern in lesson.id]
    if pattern and not chosen:
        known = ", ".join(lesson.id for lesson in everything)
        print(f"no lesson's id contains «{pattern}», expected a part of one of {known}", file=sys.stderr)
        return 2
    found = [finding for lesson in chosen for finding in lint(lesson, root)]
    found += [
        finding
        for finding in lint_book(everything, root)
        if not pattern or any(lesson.id in finding for lesson in chosen)
    ]
    print("\n".join(found) or f"{len(chosen)} lesson{'' if len(chosen) == 1 else 's'}, nothing missing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
