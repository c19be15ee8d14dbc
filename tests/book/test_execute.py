"""Execution: cached by content, side by side, measured; a failing lesson is told and does not stop the others."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime

import nbformat
import pytest

from book.execute import PROFILES, execute_all, latest
from book.execution_reading import cell_lines
from book.execution_state import INPUT
from book.lessons import ROOT, Lesson, tags
from book.report import Progress, failure_banner, failure_report
from medlab import profiles

PARAMETERS = '# %% tags=["parameters"]\nprofile, seed = None, 7\n\n'
LESSONS = {
    "good": """
# %%
import os, sys
from pathlib import Path
print(profile, seed, os.environ["MEDLAB_PROFILE"], os.environ["MEDLAB_PUBLISH"], os.environ["PYTHONHASHSEED"])
print(Path.cwd().name, sys.executable, os.environ["MPLBACKEND"])
block = bytearray(300 * 2**20)

# %% tags=["exercise"]
print("Not yet: nothing is filled in")

# %% tags=["solution"]
print("a line before")
print("Correct. Well done.")

# %%
from IPython.display import display
facts = {"name": "t1_ms", "value": 812.3, "low": 800, "high": 820, "unit": "ms"}
display(
    {"application/papermill.record/text/plain": "812 ms"},
    raw=True,
    metadata={"scrapbook": {"name": "t1_ms", "mime_prefix": "application/papermill.record/"}, "medlab": facts},
)
""",
    "raises": """
# %%
print("this much ran")

# %%
def inner():
    raise KeyError("the missing key")


inner()

# %%
print("never")
""",
    "dies": "\n# %%\nimport os\nos._exit(3)\n",
    "hangs": "\n# %%\nimport subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])\n",
    "unsolved": '\n# %% tags=["solution"]\nprint("Not yet: x is 2, expected 3")\n',
    "silent": '\n# %% tags=["solution"]\nx = 2\n',
    "grumbles": "\n# %%\nimport sys\nprint('a warning', file=sys.stderr)\n",
    "expects": '\n# %% tags=["raises-exception"]\n1 / 0\n\n# %%\nprint("on we go")\n',
    "weightless": "",
}
HEADERS = {"weightless": "# ---\n# jupyter:\n#   lesson:\n#     weights: [nets/gone.safetensors]\n# ---\n\n"}
FINE = {"good", "grumbles", "expects"}


def write_lesson(root, name, code):
    source = root / "notebooks" / "part" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(f"{HEADERS.get(name, '')}# %% [markdown]\n# # {name}\n\n{PARAMETERS}{code}")
    return Lesson(source, root / "notebooks")


def again(root, *names):
    return [Lesson(root / f"notebooks/part/{name}.py", root / "notebooks") for name in names]


def fingerprint(root):
    files = (path for path in root.rglob("*") if path.is_file() and "_build" not in path.parts)
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All the lessons above, executed once, two at a time."""
    root = tmp_path_factory.mktemp("checkout")
    lessons = [write_lesson(root, name, code) for name, code in LESSONS.items()]
    before, said = fingerprint(root), io.StringIO()
    outcomes = execute_all(lessons, "ci", seed=3, jobs=2, timeout_s=8, root=root, progress=Progress(len(lessons), said))
    assert fingerprint(root) == before, "the checkout was touched"
    return {"root": root, "said": said.getvalue(), **{o.lesson_id.removeprefix("part/"): o for o in outcomes}}


def test_the_profiles_are_the_librarys():
    assert PROFILES == profiles.NAMES


def test_only_the_failing_lessons_fail(ran):
    assert {name for name in LESSONS if ran[name].ok} == FINE


def test_parameters_environment_folder_and_python_arrive(ran):
    cells = nbformat.read(ran["good"].notebook, as_version=4).cells
    first, second = next(cell for cell in cells if "Path.cwd" in cell.source).outputs[0].text.splitlines()
    assert first == "ci 3 ci 1 0"
    assert second == f"part {sys.executable} module://matplotlib_inline.backend_inline"
    assert [cell for cell in cells if "injected-parameters" in tags(cell)]


def test_the_cost_is_measured(ran):
    state = ran["good"].state
    assert 300 < state["peak_mib"] < 700
    assert ran["raises"].state["peak_mib"] < 200, "one lesson's memory must not count for another"
    assert 0.2 < state["wall_s"] < 60 and state["device"] == "cpu"
    assert state["seed"] == 3 and state["profile"] == "ci" and state["key"]
    assert {"cpu", "cores", "os", "python", "torch"} <= set(state["machine"])
    assert datetime.fromisoformat(state["date"]).utcoffset().total_seconds() == 0
    assert [cell["cell"] for cell in state["cells"]] == [2, 3, 4, 5, 6]
    assert 0 < sum(cell["seconds"] for cell in state["cells"]) <= state["wall_s"]


def test_recorded_numbers_are_collected_with_their_bands(ran):
    band = {"value": 812.3, "low": 800, "high": 820, "unit": "ms"}
    assert ran["good"].state["recorded"] == {"t1_ms": {"text": "812 ms", **band}}


def test_a_failure_names_file_cell_line_source_and_frames(ran):
    error, report = ran["raises"].error, failure_report(ran["raises"])
    source = (ran["root"] / error["file"]).read_text().splitlines()
    assert source[error["line"] - 1] == "inner()"
    assert f"notebooks/part/raises.py, cell 4 (line {error['line']})\n  KeyError: 'the missing key'" in report
    assert report.count("| ") == 5 and "    |     raise KeyError" in report
    assert "Last frames:" in report and "in inner()" in report and "\x1b" not in report


def test_the_page_of_a_failed_lesson_keeps_what_ran_and_says_that_it_failed(ran):
    cells = nbformat.read(ran["raises"].notebook, as_version=4).cells
    kinds = [[output.output_type for output in cell.get("outputs", [])] for cell in cells]
    assert kinds == [[], [], [], ["stream"], ["error"], []]
    banner = failure_banner(ran["raises"])
    assert "medlab-failed" in banner and "cell 4" in banner and "&#x27;the missing key&#x27;" in banner
    assert "\n" not in banner, "HTML in Markdown ends at an empty line"
    assert failure_banner(ran["good"]) == ""


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("dies", "DeadKernel", "the kernel died in this cell"),
        ("hangs", "Timeout", "the lesson was stopped after 8 s, its limit"),
        ("unsolved", "UnsolvedExercise", "cell 3 printed «Not yet: x is 2, expected 3», expected «Correct.»"),
        ("silent", "UnsolvedExercise", "cell 3 printed «nothing», expected «Correct.»"),
    ],
)
def test_other_ends_are_told_with_their_cell(ran, name, kind, said):
    assert ran[name].error["name"] == kind and said in ran[name].error["message"]
    assert ran[name].problem.startswith(f"notebooks/part/{name}.py, cell 3 (line 9): {kind}: ")
    assert ran[name].notebook.is_file()


STILLBORN = """
import json, sys
from book import execution_worker as worker
fine, fails = worker.ThisPython.kernel_spec.fget, int(sys.argv[1])

def spec(manager):
    found = fine(manager)
    if len(worker.ThisPython.groups) < fails:
        found.argv = [sys.executable, "-c", "raise SystemExit(1)"]
    return found

worker.ThisPython.kernel_spec = property(spec)
job = {"file": "a.py", "source": "", "folder": ".", "parameters": {}, "environment": {}, "timeout_s": 60}
error = worker.execute(job)["error"]
print(json.dumps([len(worker.ThisPython.groups), error and error["message"]]))
"""


@pytest.mark.parametrize(("fails", "said"), [(2, [3, None]), (3, [3, "Kernel died before replying to kernel_info"])])
def test_a_kernel_that_ends_before_it_answers_is_started_again(tmp_path, fails, said):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")]), tmp_path / INPUT)
    run = [sys.executable, "-c", STILLBORN, str(fails)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == said


def test_a_lesson_without_its_weights_fails_without_running(ran):
    error = ran["weightless"].error
    assert error["name"] == "FileNotFoundError" and "nets/gone.safetensors" in error["message"]
    assert nbformat.read(ran["weightless"].notebook, as_version=4).cells[0].source == "# weightless"


def test_progress_in_a_log_is_one_line_a_lesson(ran):
    lines = ran["said"].splitlines()
    assert len(lines) == len(LESSONS)
    assert sum(line.endswith("FAILED") for line in lines) == len(LESSONS) - len(FINE)
    assert any("part/good" in line and "MiB" in line and line.endswith("ran") for line in lines)


def test_no_worker_folder_is_left(ran):
    assert not list((ran["root"] / "_build" / "work").iterdir())


def test_stderr_is_a_warning_and_with_strict_a_failure(ran):
    (warning,) = ran["grumbles"].state["warnings"]
    assert warning["cell"] == 3 and warning["message"] == "the cell writes to stderr: a warning"
    (outcome,) = execute_all(again(ran["root"], "grumbles"), "ci", seed=3, root=ran["root"], strict=True)
    assert outcome.cached and not outcome.ok and not outcome.state["ok"]
    assert "writes to stderr" in outcome.problem and "cell 3" in failure_report(outcome)


def test_what_ran_is_not_run_again_what_failed_is(ran):
    root, before = ran["root"], ran["good"].notebook.stat().st_mtime_ns
    good, silent = execute_all(again(root, "good", "silent"), "ci", seed=3, root=root)
    assert good.cached and good.state == ran["good"].state and good.notebook.stat().st_mtime_ns == before
    assert not silent.cached and not silent.ok


def test_another_seed_and_force_run_it_again(ran):
    root = ran["root"]
    for settings in ({"seed": 4}, {"seed": 4, "force": True}):
        (outcome,) = execute_all(again(root, "expects"), "ci", root=root, **settings)
        assert outcome.ok and not outcome.cached and outcome.state["seed"] == 4


def test_a_pair_of_files_that_do_not_belong_together_counts_as_none(ran, tmp_path):
    (lesson,), folder = again(ran["root"], "good"), tmp_path / "executed" / "ci" / "part"
    shutil.copytree(ran["good"].notebook.parent, folder)
    assert latest(lesson, "ci", tmp_path).ok
    for name, text in (("good.ipynb", "{}"), ("good.json", '{"ok": true'), ("good.json", "{}"), ("good.json", "")):
        kept = (folder / name).read_text()
        (folder / name).write_text(text)
        assert latest(lesson, "ci", tmp_path) is None
        (folder / name).write_text(kept)
    assert latest(lesson, "cpu", tmp_path) is None


def test_lessons_run_side_by_side_and_are_found_again_through_a_link(tmp_path):
    (tmp_path / "checkout").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "checkout")
    waits = """
# %%
import pathlib, time
me, other = pathlib.Path("{me}.flag"), pathlib.Path("{other}.flag")
me.touch()
deadline = time.time() + 20
while not other.exists():
    assert time.time() < deadline, "the other one never came"
    time.sleep(0.05)
"""
    lessons = [write_lesson(link, me, waits.format(me=me, other=other)) for me, other in ("ab", "ba")]
    assert [outcome.problem for outcome in execute_all(lessons, "ci", jobs=2, root=link)] == ["", ""]
    assert all(outcome.cached for outcome in execute_all(again(link, "a", "b"), "ci", jobs=2, root=link))


def test_an_interrupted_build_leaves_no_kernel_and_nothing_that_looks_finished(tmp_path):
    code = "\n# %%\nimport os, pathlib, time\npathlib.Path('../../pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    write_lesson(tmp_path, "slow", code)
    program = (
        "import signal, sys; from pathlib import Path; from book.build import main\n"
        # A shell hands its background jobs an ignored SIGINT, and this test may run in one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(main(['--profile', 'ci', '--no-publish'], root=Path(sys.argv[1])))"
    )
    build = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    pid, deadline = tmp_path / "pid", time.time() + 40
    while not (pid.is_file() and pid.read_text()):
        assert build.poll() is None and time.time() < deadline
        time.sleep(0.1)
    build.send_signal(signal.SIGINT)
    said = build.communicate(timeout=20)[1]
    assert build.returncode == 130 and "interrupted" in said
    assert not (tmp_path / "_build" / "executed").exists()
    while _lives(int(pid.read_text())):
        assert time.time() < deadline
        time.sleep(0.1)


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile": "huge"}, "profile is 'huge', expected one of ci, cpu, gpu"),
        ({"seed": -1}, "seed is -1"),
        ({"jobs": 0}, "jobs is 0"),
        ({"timeout_s": 0}, "timeout_s is 0"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        execute_all([], **settings)


def test_lines_are_told_only_where_they_are_certain():
    source = "# ---\n# header\n# ---\n\n# %% [markdown]\n# # A\n\n# %% tags=[]\n\nx = 1\n"
    assert cell_lines(source, 2) == [6, 10]
    assert cell_lines(source, 3) == [None, None, None]
