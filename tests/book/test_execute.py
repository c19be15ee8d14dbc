"""Execution: cached by content, side by side, measured; a failing lesson is told and does not stop the others."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from book.build import record_cost
from book.execute import execute_all
from book.lessons import ROOT, Lesson
from book.report import failure_banner, failure_report

PARAMETERS = '# %% tags=["parameters"]\nprofile, seed = None, 7\n\n'
LESSONS = {
    "good": """
# %%
import os
print("device cpu, profile", profile, seed, os.environ["MEDLAB_PROFILE"], os.environ["MEDLAB_PUBLISH"])
block = bytearray(300 * 2**20)
""",
    "raises": """
# %%
fine = 1

# %%
def inner():
    raise KeyError("the missing key")
inner()

# %%
print("never")
""",
    "dies": "\n# %%\nimport os\nos._exit(3)\n",
    "hangs": "\n# %%\nimport time\ntime.sleep(600)\n",
    "unsolved": '\n# %% tags=["solution"]\nprint("Not yet: x is 2, expected 3")\n',
    "grumbles": "\n# %%\nimport sys\nprint('a warning', file=sys.stderr)\n",
    "records": """
# %%
from medlab.viz.lesson import start
run = start("ci", 0)
run.record("t1_ms", 812.3, low=800, high=820, unit="ms")
""",
}


def lesson_in(root, name):
    source = root / "notebooks" / "part" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(f"# %% [markdown]\n# # {name}\n\n{PARAMETERS}{LESSONS[name]}")
    return Lesson(source, root / "notebooks")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All the lessons above, run once, two at a time."""
    root = tmp_path_factory.mktemp("checkout")
    lessons = [lesson_in(root, name) for name in LESSONS]
    before = fingerprint(root)
    outcomes = execute_all(lessons, "ci", seed=3, jobs=2, timeout_s=8, root=root)
    assert fingerprint(root) == before, "a source was touched"
    return root, {name: outcome for name, outcome in zip(LESSONS, outcomes, strict=True)}


def fingerprint(root):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (root / "notebooks").rglob("*") if p.is_file()}


def test_parameters_and_environment_arrive(ran):
    executed = nbformat.read(ran[1]["good"].notebook, as_version=4)
    assert executed.cells[-1].outputs[0].text == "device cpu, profile ci 3 ci 1\n"


def test_the_cost_is_measured(ran):
    state = ran[1]["good"].state
    assert 300 < state["peak_mib"] < 800
    assert 0.2 < state["wall_s"] < 60 and state["device"] == "cpu" and state["seed"] == 3
    assert state["machine"]["cores"] == os.cpu_count() and state["date"].endswith("+00:00")


def test_only_the_failing_lessons_fail(ran):
    assert {name for name, outcome in ran[1].items() if outcome.ok} == {"good", "grumbles", "records"}


def test_a_failure_names_file_cell_source_and_frames(ran):
    root, outcomes = ran
    report = failure_report(Lesson(root / "notebooks/part/raises.py", root / "notebooks"), outcomes["raises"])
    assert "raises.py, cell 4: KeyError: 'the missing key'" in report
    assert 'raise KeyError("the missing key")' in report and "\x1b" not in report
    assert "the end of the traceback" in report
    assert "cell 4" in failure_banner(outcomes["raises"]) and "medlab-failed" in failure_banner(outcomes["raises"])


def test_the_page_of_a_failed_lesson_keeps_what_ran(ran):
    executed = nbformat.read(ran[1]["raises"].notebook, as_version=4)
    kinds = [[output.output_type for output in cell.get("outputs", [])] for cell in executed.cells]
    assert ["error"] in kinds and kinds[-1] == []


@pytest.mark.parametrize(("name", "said"), [("dies", "died"), ("hangs", "timed out"), ("unsolved", "expected 3")])
def test_other_ends_are_told_too(ran, name, said):
    error = ran[1][name].error
    assert said in f"{error['name']}: {error['message']}".lower() and error["cell"] == 3


def test_records_are_collected_with_their_bands(ran):
    wanted = {"name": "t1_ms", "value": 812.3, "low": 800, "high": 820, "unit": "ms"}
    assert ran[1]["records"].state["recorded"] == {"t1_ms": wanted}


def test_unchanged_lessons_do_not_run_again_but_failed_ones_do(ran, monkeypatch):
    root, _ = ran
    names = ("good", "unsolved")
    lessons = [Lesson(root / f"notebooks/part/{name}.py", root / "notebooks") for name in names]
    good, unsolved = execute_all(lessons, "ci", seed=3, root=root)
    assert good.cached and not unsolved.cached
    other_seed, _ = execute_all(lessons, "ci", seed=4, root=root)
    assert not other_seed.cached


def test_strict_refuses_what_a_page_should_not_show(ran):
    root, _ = ran
    lesson = Lesson(root / "notebooks/part/grumbles.py", root / "notebooks")
    (outcome,) = execute_all([lesson], "ci", seed=3, root=root, strict=True)
    assert not outcome.ok and "cell 3 writes to stderr: a warning" in outcome.error["message"]


def test_lessons_run_side_by_side(tmp_path, monkeypatch):
    LESSONS["waits"] = "\n# %%\nimport time\ntime.sleep(3)\n"
    (tmp_path / "notebooks" / "part").mkdir(parents=True)
    lessons = []
    for name in ("one", "two"):
        monkeypatch.setitem(LESSONS, name, LESSONS["waits"] + f"# {name}\n")
        lessons.append(lesson_in(tmp_path, name))
    outcomes = execute_all(lessons, "ci", jobs=2, root=tmp_path)
    ends = [outcome.state["date"] for outcome in outcomes]
    assert all(outcome.ok for outcome in outcomes)
    spans = sorted(nbformat.read(o.notebook, as_version=4).metadata.papermill["start_time"] for o in outcomes)
    # The second begins before the first can have ended, since each lasts three seconds.
    assert spans[1] < min(ends)
    del LESSONS["waits"]


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    monkeypatch.setitem(LESSONS, "slow", "\n# %%\nimport time\ntime.sleep(60)\n")
    lesson = lesson_in(tmp_path, "slow")
    program = (
        "import sys; from pathlib import Path; from book.lessons import Lesson; from book.execute import execute_all\n"
        f"root = Path({str(tmp_path)!r}); execute_all([Lesson(Path({str(lesson.source)!r}), root / 'notebooks')],"
        "'ci', root=root)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, start_new_session=True)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) != 0
    assert not list((tmp_path / "_build" / "executed").rglob("slow.json"))


def test_recorded_costs_keep_the_other_profiles(ran, tmp_path):
    outcome = ran[1]["good"]
    path = record_cost(outcome, tmp_path)
    known = json.loads(path.read_text())
    known["gpu"] = {"wall_s": 1.0}
    path.write_text(json.dumps(known))
    record_cost(outcome, tmp_path)
    costs = json.loads(path.read_text())
    assert path.name == "part__good.json" and costs["gpu"] == {"wall_s": 1.0}
    assert set(costs["ci"]) == {"profile", "wall_s", "peak_mib", "device", "machine", "versions", "date", "seed"}


def test_the_command_explains_itself_and_knows_its_lessons():
    command = [sys.executable, str(ROOT / "book" / "build.py")]
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd="/", check=True)
    assert "--profile" in told.stdout and "--only" in told.stdout
    wrong = subprocess.run([*command, "--only", "no such lesson"], capture_output=True, text=True, cwd="/", check=False)
    assert wrong.returncode == 1 and "no lesson's id contains 'no such lesson'" in wrong.stderr
