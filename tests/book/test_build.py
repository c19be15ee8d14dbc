"""The command: what it executes, records, publishes and says, and with which exit status."""

import json
import subprocess
import sys

import pytest

from book.build import main
from book.lessons import ROOT

CELL = '# %% [markdown]\n# # {name}\n\n# %% tags=["parameters"]\nprofile, seed = None, 0\n\n# %%\n{code}\n'
LESSONS = {"part/one": "import medlab.shared", "part/two": "print(2)", "other/bad": "raise ValueError('on purpose')"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    (root / "medlab").mkdir()
    for name in ("__init__", "shared", "unrelated"):
        (root / "medlab" / f"{name}.py").write_text("")
    for lesson_id, code in LESSONS.items():
        source = root / "notebooks" / f"{lesson_id}.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(CELL.format(name=lesson_id, code=code))
    return root


@pytest.fixture(scope="module")
def first(checkout):
    """The whole book built once, with a publisher that only remembers what it was given."""
    published = []
    status = main(["--profile", "ci", "--record"], root=checkout, publish=publisher(published))
    return {"status": status, "published": published, "states": states(checkout)}


def publisher(seen):
    def publish(outcomes, lessons, *, root, build_dir):
        seen.append(
            [(lesson.id, outcome.lesson_id, outcome.ok) for lesson, outcome in zip(lessons, outcomes, strict=True)]
        )
        return build_dir / "html" / "index.html"

    return publish


def states(root):
    return {path: json.loads(path.read_text()) for path in (root / "_build" / "executed").rglob("*.json")}


def test_one_failure_makes_the_status_and_everything_is_published(first):
    assert first["status"] == 1
    assert first["published"] == [
        [("other/bad", "other/bad", False), ("part/one", "part/one", True), ("part/two", "part/two", True)]
    ]


def test_costs_of_what_ran_are_recorded_and_other_profiles_stay(checkout, first, capsys):
    folder = checkout / "data" / "results" / "costs"
    assert sorted(path.name for path in folder.iterdir()) == ["part__one.json", "part__two.json"]
    path = folder / "part__two.json"
    cost = json.loads(path.read_text())["ci"]
    assert set(cost) == {"wall_s", "peak_mib", "device", "threads", "machine", "versions", "seed", "date"}
    assert set(cost["machine"]) == {"cpu", "cores", "os"} and "torch" in cost["versions"]
    path.write_text(json.dumps({"gpu": {"wall_s": 1.0}}))
    assert main(["--profile", "ci", "--only", "two", "--record", "--no-publish"], root=checkout) == 0
    assert json.loads(path.read_text()) == {"ci": cost, "gpu": {"wall_s": 1.0}}
    assert "recorded data/results/costs/part__two.json" in capsys.readouterr().out


def test_nothing_changed_nothing_runs_but_what_failed(checkout, first, capsys):
    assert main(["--profile", "ci", "--no-publish"], root=checkout) == 1
    said = capsys.readouterr().out
    assert "3 lessons: 0 ran, 2 up to date, 1 failed" in said
    assert "FAILED other/bad: notebooks/other/bad.py, cell 3 (line 8)\n  ValueError: on purpose" in said
    assert said.index("up to date") < said.index("FAILED other/bad: ")


def test_an_edited_module_runs_the_one_lesson_that_needs_it(checkout, first, capsys):
    (checkout / "medlab" / "unrelated.py").write_text("x = 1")
    assert main(["--profile", "ci", "--only", "part/", "--no-publish"], root=checkout) == 0
    assert "0 ran, 2 up to date" in capsys.readouterr().out
    (checkout / "medlab" / "shared.py").write_text("x = 1")
    assert main(["--profile", "ci", "--only", "part/", "--why"], root=checkout) == 0
    why = capsys.readouterr().out
    assert "part/one: to be executed at ci" in why and "changed medlab/shared.py" in why
    assert "part/two: up to date at ci" in why and why.count("changed") == 1
    assert main(["--profile", "ci", "--only", "part/", "--no-publish"], root=checkout) == 0
    said = capsys.readouterr().out
    assert "1 ran, 1 up to date" in said and len(said.splitlines()) == 3


def test_only_publishes_the_others_as_they_were(checkout, first, capsys):
    seen = []
    assert main(["--profile", "ci", "--only", "part/two"], root=checkout, publish=publisher(seen)) == 0
    assert [ok for *_, ok in seen[0]] == [False, True, True]
    assert "the book: file://" in capsys.readouterr().out
    assert main(["--profile", "cpu", "--only", "part/two"], root=checkout, publish=publisher(seen)) == 0
    assert len(seen) == 1
    assert "not published: other/bad, part/one not executed at cpu yet" in capsys.readouterr().out


def test_a_book_that_is_refused_makes_the_status(checkout, first, capsys):
    from book.publish import PublishError

    def refuse(*_, **__):
        raise PublishError("jupyter-book refused the book")

    assert main(["--profile", "ci", "--only", "part/two"], root=checkout, publish=refuse) == 1
    assert "refused the book" in capsys.readouterr().err


def test_wrong_calls_are_told(checkout, capsys):
    assert main(["--only", "no such lesson"], root=checkout) == 2
    assert "other/bad, part/one, part/two" in capsys.readouterr().err
    assert main(["--jobs", "0", "--only", "part/two"], root=checkout) == 2
    assert "jobs is 0, expected at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["--profile", "huge"], root=checkout)
    assert stop.value.code == 2


@pytest.mark.parametrize("command", [[str(ROOT / "book" / "build.py")], ["-m", "book.build"]])
def test_the_command_explains_itself(command):
    told = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True, cwd=ROOT, check=True)
    for word in ("--profile", "--only", "--jobs", "--record", "--why", "examples:", "runs again when"):
        assert word in told.stdout
