"""What makes a lesson run again, and what does not."""

import os

import pytest

from book.cache import content_key, depends_on, imported_files
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
    "requirements.txt": "torch==2.13.0",
    "data/weights/net.safetensors": "numbers",
    "notebooks/part/name.py": "# %%\n%matplotlib inline\nfrom medlab import alpha",
}
HEADER = "# ---\n# jupyter:\n#   lesson:\n#     weights: [{}]\n# ---\n\n"


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def key(root, **parameters):
    lesson = Lesson(root / "notebooks/part/name.py", root / "notebooks")
    return content_key(lesson, parameters or {"profile": "ci"}, root)


def test_imports_are_followed_through_functions_packages_and_relative_names(root):
    found = {path.relative_to(root).as_posix() for path in imported_files("from medlab import alpha", root)}
    assert found == {name for name in FILES if name.startswith("medlab/") and "other" not in name}


def test_a_lesson_depends_on_itself_what_it_imports_and_the_pins(root):
    lesson = Lesson(root / "notebooks/part/name.py", root / "notebooks")
    names = [path.relative_to(root).as_posix() for path in depends_on(lesson, root)]
    assert names[0] == "notebooks/part/name.py" and names[-1] == "requirements.txt"


def test_touching_a_file_changes_nothing(root):
    before = key(root)
    for name in FILES:
        os.utime(root / name, (1, 1))
    assert key(root) == before


@pytest.mark.parametrize("name", [name for name in FILES if "other" not in name and "data" not in name])
def test_other_content_of_what_it_needs_changes_the_key(root, name):
    before = key(root)
    (root / name).write_text(FILES[name] + "\n# changed")
    assert key(root) != before


@pytest.mark.parametrize("name", ["medlab/other.py", "data/weights/net.safetensors", "notebooks/part/another.py"])
def test_other_content_of_what_it_does_not_need_changes_nothing(root, name):
    before = key(root)
    (root / name).write_text("changed")
    assert key(root) == before


def test_parameters_change_the_key(root):
    assert (
        len({key(root, profile="ci", seed=0), key(root, profile="cpu", seed=0), key(root, profile="ci", seed=1)}) == 3
    )


def test_weights_count_and_missing_ones_are_named(root):
    source = root / "notebooks/part/name.py"
    source.write_text(HEADER.format("weights/net.safetensors") + FILES["notebooks/part/name.py"])
    before = key(root)
    (root / "data/weights/net.safetensors").write_text("other numbers")
    assert key(root) != before
    (root / "data/weights/net.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"part/name: its weights .*net.safetensors are missing"):
        key(root)
