"""Pairs of `.py` and `.ipynb`: every real lesson is in step, and drift of any kind is named."""

import subprocess
import sys

import nbformat
import pytest

from book.lessons import NOTEBOOKS, Lesson, find_lessons, tags
from book.sync import drift, is_checked, notebook_text, repository_url, source_text, synced_notebook

LESSON = """# %% [markdown]
# # A lesson

# %% tags=["setup"]
old = "setup"

# %% tags=["parameters"]
profile, seed = None, 0

# %%
# NBVAL_CHECK_OUTPUT
print(seed)

# %% tags=["solution", "hide-cell"]
# begin solution
x = 1
# end solution
"""


@pytest.fixture
def lesson(tmp_path):
    source = tmp_path / "part" / "name.py"
    source.parent.mkdir()
    source.write_text(LESSON)
    wanted = synced_notebook(Lesson(source, tmp_path))
    source.write_text(source_text(wanted))
    made = Lesson(source, tmp_path)
    outputs = {
        at: [nbformat.v4.new_output("stream", text="0\n")] for at, cell in enumerate(wanted.cells) if is_checked(cell)
    }
    made.notebook_path.write_text(notebook_text(synced_notebook(made), outputs))
    return made


@pytest.mark.parametrize("lesson_id", [lesson.id for lesson in find_lessons()])
def test_every_lesson_is_in_step_with_its_notebook(lesson_id):
    assert drift(Lesson(NOTEBOOKS / f"{lesson_id}.py"), repository_url()) == []


def test_a_synced_lesson_has_not_drifted(lesson):
    assert drift(lesson) == []


def test_the_notebook_opens_anywhere(lesson):
    notebook = nbformat.read(lesson.notebook_path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata.language_info.name == "python"
    ids = [cell["id"] for cell in notebook.cells]
    assert len(ids) == len(set(ids))


def test_writing_twice_gives_the_same_bytes(lesson):
    text = lesson.source.read_text()
    assert source_text(synced_notebook(lesson)) == text


def test_the_exercise_stands_before_its_solution(lesson):
    kinds = [set(tags(cell)) & {"exercise", "solution"} for cell in lesson.cells]
    assert kinds[-2:] == [{"exercise"}, {"solution"}] and "x = 1" not in lesson.cells[-2].source


@pytest.mark.parametrize(("printed", "failed"), [("0", 0), ("1", 1)])
def test_nbval_compares_what_is_kept(lesson, printed, failed):
    """A kept output that the notebook does not print fails, one that it prints passes."""
    cells = [cell for cell in lesson.cells if "setup" not in tags(cell)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=lesson.notebook.metadata)
    outputs = {
        at: [nbformat.v4.new_output("stream", text=f"{printed}\n")] for at, cell in enumerate(cells) if is_checked(cell)
    }
    path = lesson.notebook_path.with_name("alone.ipynb")
    path.write_text(notebook_text(notebook, outputs))
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, check=False)
    assert done.returncode == failed, done.stdout
    assert ("1 failed" in done.stdout) == bool(failed)


def edit_notebook(lesson, change):
    notebook = nbformat.read(lesson.notebook_path, as_version=4)
    change(notebook)
    nbformat.write(notebook, lesson.notebook_path)


def drop_kernel_language(notebook):
    del notebook.metadata.kernelspec["language"]


def edit_text(notebook):
    notebook.cells[0].source += " changed"


def add_output(notebook):
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="x")]


def drop_output(notebook):
    next(cell for cell in notebook.cells if is_checked(cell)).outputs = []


def drop_count(notebook):
    next(cell for cell in notebook.cells if is_checked(cell)).execution_count = None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop_kernel_language, "no kernelspec with a language"),
        (edit_text, "name.ipynb differs from name.py"),
        (add_output, "carries outputs that nothing checks"),
        (drop_output, "lacks the outputs that nbval compares"),
        (drop_count, "lacks the outputs that nbval compares"),
    ],
)
def test_drift_of_the_notebook_is_named(lesson, change, sentence):
    edit_notebook(lesson, change)
    (found,) = drift(lesson)
    assert found.startswith("part/name: ") and sentence in found and found.endswith("run `make sync`")


def test_drift_of_the_source_is_named(lesson):
    lesson.source.write_text(lesson.source.read_text().replace("x = 1", "y = 2\nx = 1"))
    assert any("differs" in sentence for sentence in drift(Lesson(lesson.source, lesson.root)))
    lesson.source.write_text(lesson.source.read_text().replace("...  # your code here", "pass"))
    assert any("old exercise" in sentence for sentence in drift(Lesson(lesson.source, lesson.root)))


def test_a_missing_pair_is_named(lesson):
    lesson.notebook_path.unlink()
    (found,) = drift(lesson)
    assert "name.ipynb is missing" in found and "make sync" in found
