"""What makes a lesson run again, and what does not."""

import os

import pytest

from book import cache
from book.lessons import Lesson

FILES = {
    "medlab/__init__.py": "",
    "medlab/alpha.py": "import medlab.beta",
    "medlab/beta.py": "def f():\n    from medlab.room import gamma",
    "medlab/other.py": "x = 1",
    "medlab/room/__init__.py": "from . import delta",
    "medlab/room/gamma.py": "from ..circle import c",
    "medlab/room/delta.py": "",
    "medlab/room/player.js": "play",
    "medlab/circle.py": "import medlab.alpha\nc = 1",
    "medlab/deep/__init__.py": "",
    "medlab/deep/er/__init__.py": "",
    "medlab/deep/er/lone.py": "",
    "requirements.txt": "torch==2.13.0",
    "data/weights/net.safetensors": "numbers",
    "notebooks/part/name.py": "# %%\n# %matplotlib inline\nfrom medlab import alpha\n",
    "notebooks/part/alone.py": "# %%\nimport medlab.deep.er.lone\n",
}
HEADER = "# ---\n# jupyter:\n#   lesson:\n#     weights: [{}]\n# ---\n\n"
OF_NAME = {name for name in FILES if name.startswith("medlab/") and "other" not in name and "deep" not in name}
OF_ALONE = {"medlab/__init__.py", *(name for name in FILES if "deep" in name)}
OF_BOTH = {"requirements.txt", "medlab/__init__.py"}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lesson(root, name="name"):
    return Lesson(root / f"notebooks/part/{name}.py", root / "notebooks")


def keys(root, **parameters):
    """The keys of both lessons, read afresh."""
    return [cache.content_key(lesson(root, name), parameters or {"profile": "ci"}, root) for name in ("name", "alone")]


def library(root, code):
    write(root, "notebooks/part/new.py", f"# %%\n{code}\n")
    return {path.relative_to(root).as_posix() for path in cache.library_files(lesson(root, "new"), root)}


def test_imports_are_followed_through_functions_packages_and_relative_names(root):
    assert library(root, "from medlab import alpha") == OF_NAME
    assert library(root, "import medlab.deep.er.lone as short") == OF_ALONE


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import numpy, torch.nn", set()),
        ("import medlabs, amedlab", set()),
        ("import medlab", {"__init__.py"}),
        ("from medlab.deep import nothing_of_this_name", {"__init__.py", "deep/__init__.py"}),
        ("from medlab.deep.er import *", {"__init__.py", "deep/__init__.py", "deep/er/__init__.py", "deep/er/lone.py"}),
        ("import importlib\nm = importlib.import_module('medlab.other')", {"__init__.py", "other.py"}),
        ("import subprocess\nsubprocess.run(['python', '-m', 'medlab.other'])", {"__init__.py", "other.py"}),
        ("text = 'medlab.other is a module'", set()),
        ("try:\n    import medlab.other\nexcept ImportError:\n    pass", {"__init__.py", "other.py"}),
    ],
)
def test_ways_to_import(root, code, wanted):
    assert library(root, code) == {f"medlab/{name}" for name in wanted}


@pytest.mark.parametrize("code", ["!python -m medlab.other", "%run -m medlab.other", "x = !ls"])
def test_what_cannot_be_read_as_python_may_need_the_whole_library(root, code):
    assert library(root, code) == {name for name in FILES if name.startswith("medlab/")}


def test_the_files_are_explained_in_order(root):
    names = [path.relative_to(root).as_posix() for path in cache.explain(lesson(root, "alone"), root)]
    assert names == ["notebooks/part/alone.py", "requirements.txt", *sorted(OF_ALONE)]


def test_time_stamps_change_nothing(root):
    before = keys(root)
    for name in FILES:
        os.utime(root / name, (1, 1))
    assert keys(root) == before


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("data")])
def test_an_edit_changes_the_keys_of_the_lessons_that_need_it_and_no_other(root, name):
    before = keys(root)
    write(root, name, FILES[name] + "\n# changed\n")
    changed = [after != then for after, then in zip(keys(root), before, strict=True)]
    needs_name = name in OF_NAME or name in OF_BOTH or name == "notebooks/part/name.py"
    needs_alone = name in OF_ALONE or name in OF_BOTH or name == "notebooks/part/alone.py"
    assert changed == [needs_name, needs_alone]


def test_a_new_module_in_the_place_of_a_missing_name_counts(root):
    write(root, "notebooks/part/name.py", "# %%\nfrom medlab.deep import later\n")
    before = keys(root)
    write(root, "medlab/deep/later.py", "")
    assert keys(root)[0] != before[0]


def test_parameters_and_python_count(root, monkeypatch):
    made = {keys(root, profile=profile, seed=seed)[0] for profile in ("ci", "cpu") for seed in (0, 1)}
    assert len(made) == 4
    before = keys(root)
    monkeypatch.setattr(cache.sys, "version_info", type("Version", (), {"major": 3, "minor": 99}))
    assert keys(root) != before


def test_declared_weights_count_others_do_not(root):
    before = keys(root)
    write(root, "data/weights/net.safetensors", "other numbers")
    assert keys(root) == before
    write(root, "notebooks/part/name.py", HEADER.format("weights/net.safetensors") + FILES["notebooks/part/name.py"])
    declared = keys(root)
    write(root, "data/weights/net.safetensors", "yet others")
    assert [after != then for after, then in zip(keys(root), declared, strict=True)] == [True, False]


def test_missing_weights_are_named(root):
    write(root, "notebooks/part/name.py", HEADER.format("weights/gone.safetensors") + "# %%\n1")
    with pytest.raises(FileNotFoundError, match=r"^part/name declares the weights weights/gone.safetensors, but"):
        keys(root)


def test_a_library_file_with_a_syntax_error_is_still_a_dependency(root):
    write(root, "medlab/other.py", "def broken(:\n")
    assert "medlab/other.py" in library(root, "import medlab.other")
