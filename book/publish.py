"""Make the book: stage executed lessons and prose, run jupyter-book with warnings as errors, zip the result.

Nothing in the checkout is touched; everything is made below the build folder.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import nbformat
import yaml

from book import cards, coursemap, coursemap_svg
from book.execute import Outcome
from book.lessons import ROOT, Lesson
from book.pages import chapter_numbers, page_notebook
from book.report import failure_banner

PROSE_FOLDERS = ("book",)
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"  # one file: formulas as SVG need no fonts
TOOLS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "sphinx-mathjax-offline")


class PublishError(RuntimeError):
    """jupyter-book refused the book."""


def publish(
    outcomes: list[Outcome],
    lessons: list[Lesson],
    *,
    root: Path = ROOT,
    build_dir: Path | None = None,
    zipped: bool = True,
) -> Path:
    """Build the book from executed lessons; returns the path of its first page.

    outcomes: one for each lesson, in the same order. A book whose staged files have not changed is not built again.
    Raises PublishError with jupyter-book's own words where it warns or fails.
    """
    build_dir = build_dir or root / "_build"
    staging, site = build_dir / "staging", build_dir / "html"
    stage(outcomes, lessons, root, staging)
    stamp, digest = build_dir / "published.sha256", _digest(staging)
    if stamp.is_file() and stamp.read_text() == digest and (site / "index.html").is_file():
        return site / "index.html"
    stamp.unlink(missing_ok=True)
    _run_jupyter_book(staging, build_dir / "sphinx")
    fresh = build_dir / "html.part"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(build_dir / "sphinx" / "_build" / "html", fresh, ignore=shutil.ignore_patterns(".buildinfo*"))
    shutil.rmtree(site, ignore_errors=True)
    os.replace(fresh, site)
    if zipped:
        _zip(site, build_dir / "medlab-book.zip")
    stamp.write_text(digest)
    return site / "index.html"


def stage(outcomes: list[Outcome], lessons: list[Lesson], root: Path, staging: Path) -> None:
    """Lay out below `staging` what jupyter-book reads; files that have not changed keep their time."""
    wanted: dict[str, bytes] = {
        "_config.yml": yaml.safe_dump(staged_config(root), sort_keys=False, allow_unicode=True).encode(),
        "_toc.yml": (root / "_toc.yml").read_bytes(),
    }
    for folder in PROSE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                wanted[path.relative_to(root).as_posix()] = path.read_bytes()
    mathjax = distribution("sphinx-mathjax-offline").locate_file(MATHJAX)
    wanted["book/static/mathjax/tex-svg.js"] = Path(str(mathjax)).read_bytes()
    chapters = chapter_numbers(yaml.safe_load(wanted["_toc.yml"]))
    for lesson, outcome in zip(lessons, outcomes, strict=True):
        page = _page(lesson, outcome, root, chapters.get(f"notebooks/{lesson.id}"))
        wanted[f"notebooks/{lesson.id}.ipynb"] = page.encode()
    states = {outcome.lesson_id: outcome.state for outcome in outcomes}
    in_order = sorted(lessons, key=lambda lesson: chapters.get(f"notebooks/{lesson.id}", len(chapters)))
    wanted["book/status.md"] = cards.status_page(in_order, states).encode()
    wanted["book/index.md"] = _landing(wanted["book/index.md"].decode(), lessons).encode()
    wanted["book/static/coursemap.css"] = coursemap_svg.CSS.encode()
    _write_tree(staging, wanted)


def staged_config(root: Path) -> dict:
    """`_config.yml`, without the launch and repository buttons while there is no public address."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    if not (config.get("repository") or {}).get("url"):
        config.pop("launch_buttons", None)
        config.pop("repository", None)
    return config


def _page(lesson: Lesson, outcome: Outcome, root: Path, chapter: int | None) -> str:
    measured = cards.recorded_costs(lesson.id, root)
    if outcome.ok:
        measured = {**measured, outcome.state["profile"]: outcome.state}
    card = cards.cost_card(lesson, measured)
    banner = "" if outcome.ok else failure_banner(outcome)
    executed = nbformat.read(outcome.notebook, as_version=4)
    return nbformat.writes(page_notebook(executed, card, banner, chapter), version=4)


def _landing(text: str, lessons: list[Lesson]) -> str:
    graph = coursemap.Graph.from_lessons(lessons)

    def link(lesson_id: str) -> str:
        return f"../notebooks/{lesson_id}.html"

    text = text.replace("<!-- coursemap -->", coursemap_svg.svg(graph, link=link))
    return text.replace("<!-- reading-paths -->", coursemap.paths_html(graph, link=link))


def _write_tree(folder: Path, wanted: dict[str, bytes]) -> None:
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = folder / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _digest(staging: Path) -> str:
    tools = {name: version(name) for name in TOOLS}
    digest = hashlib.sha256(json.dumps(tools).encode())
    for path in sorted(p for p in staging.rglob("*") if p.is_file()):
        digest.update(path.relative_to(staging).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _run_jupyter_book(staging: Path, output: Path) -> None:
    # jupyter-book 1.x has no `python -m`; its script may be another Python's.
    starter = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", starter, "build", str(staging), "--path-output", str(output)]
    command += ["-W", "-n", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        log = done.stdout + done.stderr
        named = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
        raise PublishError("jupyter-book refused the book:\n" + "\n".join(named or log.splitlines()[-30:]))


def _zip(site: Path, target: Path) -> None:
    """The book as one file that a reader can keep; opens from `medlab-book/index.html` without a server."""
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(p for p in site.rglob("*") if p.is_file()):
            archive.write(path, Path("medlab-book") / path.relative_to(site))
    os.replace(part, target)
