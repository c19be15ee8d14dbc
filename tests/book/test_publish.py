"""Publishing: what is staged, and a small book built from one lesson that ran and one that failed."""

import hashlib
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

from book import publish as publishing
from book.cards import cost_card, status_page
from book.execute import Outcome
from book.lessons import Lesson
from book.pages import chapter_numbers, page_notebook

ROOT = Path(__file__).resolve().parents[2]
STATE = {
    "profile": "ci",
    "wall_s": 12.4,
    "peak_mib": 512.0,
    "device": "cpu",
    "machine": {"cpu": "A <fast> one", "cores": 2, "os": "Linux"},
    "date": "2026-11-21T10:00:00+00:00",
    "seed": 0,
    "ok": True,
    "error": None,
}
SOURCE = """# ---
# jupyter:
#   lesson:
#     summary: A lesson.
#     prerequisites: {needs}
#     paths: [engineer]
# ---

# %% [markdown]
# # Lesson {name}
#
# A formula: $x^2$.

# %% tags=["parameters"]
profile = None

# %%
# NBVAL_CHECK_OUTPUT
print("out of {name}")
"""


def make_lesson(root, name, needs="[]"):
    source = root / "notebooks" / "part" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(SOURCE.format(name=name, needs=needs))
    return Lesson(source, root / "notebooks")


def make_outcome(lesson, build, ok=True):
    executed = lesson.notebook
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="an output\n")] if "print" in cell.source else []
    injected = nbformat.v4.new_code_cell('profile = "ci"', metadata={"tags": ["injected-parameters"]})
    executed.cells.insert(2, injected)
    path = build / f"{lesson.id}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(executed, path)
    error = None if ok else {"cell": 3, "name": "ValueError", "message": "it broke", "source": "print", "frames": []}
    return Outcome(
        lesson_id=lesson.id, ok=ok, cached=False, state={**STATE, "ok": ok, "error": error}, notebook=path, error=error
    )


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A checkout in small: the real configuration and prose, two tiny lessons, one of them failed."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (root / "_config.yml").write_bytes((ROOT / "_config.yml").read_bytes())
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: A\n  chapters:\n  - file: notebooks/part/good\n"
        "  - file: notebooks/part/bad\n- caption: B\n  chapters:\n"
        + "".join(
            f"  - file: book/{path.stem}\n" for path in sorted((root / "book").glob("*.md")) if path.stem != "index"
        )
        + "  - file: book/status\n"
    )
    # The prose points at the real lessons; here those links have nowhere to go.
    for path in (root / "book").glob("*.md"):
        path.write_text(path.read_text().replace("../notebooks/", "https://example.org/"))
    lessons = [make_lesson(root, "good"), make_lesson(root, "bad", "[part/good]")]
    outcomes = [make_outcome(lessons[0], root / "run"), make_outcome(lessons[1], root / "run", ok=False)]
    before = fingerprint(root)
    index = publishing.publish(outcomes, lessons, root=root)
    return {"root": root, "index": index, "before": before, "lessons": lessons, "outcomes": outcomes}


def fingerprint(root):
    files = (path for path in root.rglob("*") if path.is_file() and "_build" not in path.parts)
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_book_is_built_and_the_checkout_untouched(book):
    assert book["index"].is_file()
    assert fingerprint(book["root"]) == book["before"]
    assert (book["root"] / "_build" / "medlab-book.zip").stat().st_size > 100_000


def test_a_failed_lesson_says_so_on_its_page_and_on_the_status_page(book):
    site = book["index"].parent
    bad = (site / "notebooks" / "part" / "bad.html").read_text()
    good = (site / "notebooks" / "part" / "good.html").read_text()
    assert "medlab-failed" in bad and "it broke" in bad and "medlab-failed" not in good
    status = (site / "book" / "status.html").read_text()
    assert "1 of 2 lessons failed" in status and "<strong>failed</strong>" in status


def test_an_unchanged_book_is_not_built_again(book, monkeypatch):
    monkeypatch.setattr(publishing, "_run_jupyter_book", lambda *_: pytest.fail("it was built again"))
    assert publishing.publish(book["outcomes"], book["lessons"], root=book["root"]) == book["index"]


def test_no_dead_launch_button_while_there_is_no_address(book, tmp_path):
    good = (book["index"].parent / "notebooks" / "part" / "good.html").read_text()
    assert "colab.research" not in good and "github.com" not in good
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"]["url"] = "https://example.org/team/book"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    staged = publishing.staged_config(tmp_path)
    assert staged["launch_buttons"]["colab_url"] and staged["repository"]["url"] == "https://example.org/team/book"


def test_a_warning_is_an_error(book, tmp_path):
    root = tmp_path / "checkout"
    shutil.copytree(book["root"], root, ignore=shutil.ignore_patterns("_build"))
    (root / "book" / "notation.md").write_text("# Notation\n\n{ref}`nowhere`\n")
    lesson = Lesson(root / "notebooks" / "part" / "good.py", root / "notebooks")
    bad = Lesson(root / "notebooks" / "part" / "bad.py", root / "notebooks")
    with pytest.raises(publishing.PublishError, match="nowhere"):
        publishing.publish(book["outcomes"], [lesson, bad], root=root)


def test_the_page_hides_what_is_for_the_machine(book):
    executed = nbformat.read(book["outcomes"][0].notebook, as_version=4)
    exercise = nbformat.v4.new_code_cell("...", metadata={"tags": ["exercise"]})
    executed.cells.append(exercise)
    page = page_notebook(executed, "THE CARD")
    sources = [cell.source for cell in page.cells]
    assert sources[1] == "THE CARD" and 'profile = "ci"' not in sources
    assert not any("NBVAL_CHECK_OUTPUT" in source for source in sources)
    assert page.cells[-1].metadata.tags == ["exercise", "remove-output"]


def test_the_cost_card_shows_what_was_measured_and_names_what_was_not(book):
    card = cost_card(book["lessons"][0], {"ci": STATE, "cpu": {**STATE, "wall_s": 150, "peak_mib": 3000}})
    for fact in ("12 s", "512 MiB", "2.5 min", "2.9 GiB", "A &lt;fast&gt; one", "2026-11-21", "Not measured yet: gpu"):
        assert fact in card


def test_the_status_page_links_each_lesson(book):
    page = status_page(book["lessons"], {"part/good": STATE, "part/bad": STATE})
    assert "Every lesson ran" in page and '<a href="../notebooks/part/good.html">Lesson good</a>' in page


def test_chapters_are_counted_through_all_numbered_parts():
    toc = {
        "parts": [
            {"numbered": 1, "chapters": [{"file": "a"}, {"file": "b"}]},
            {"chapters": [{"file": "glossary"}]},
            {"numbered": 1, "chapters": [{"file": "c"}]},
        ]
    }
    assert chapter_numbers(toc) == {"a": 1, "b": 2, "c": 3}


def test_code_and_what_it_prints_name_equations_by_number():
    cells = [
        nbformat.v4.new_markdown_cell("# A lesson"),
        nbformat.v4.new_markdown_cell("$$\nx\n$$ (first)\n\nand $$y$$ (second-one)"),
        nbformat.v4.new_code_cell(
            "f(second)  # (second-one), then (first)", outputs=[nbformat.v4.new_output("stream", text="by (first)\n")]
        ),
    ]
    made = page_notebook(nbformat.v4.new_notebook(cells=cells), card="a card", chapter=7)
    code = made.cells[-1]
    assert code.source == "f(second)  # (7.2), then (7.1)"
    assert code.outputs[0].text == "by (7.1)\n"
    assert cells[-1].source == "f(second)  # (second-one), then (first)", "the executed notebook was changed"
