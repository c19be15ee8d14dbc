"""The setup cell finds medlab in a checkout, on a hub and on Colab, and says what to do elsewhere."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from book.setup_cell import setup_source

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://example.org/medlab/book"
# medlab itself must be out of sight: no site-packages of an editable install, no PYTHONPATH.
PRELUDE = """
import importlib.util, sys
find = importlib.util.find_spec
def blind(name, *rest):
    if name == "medlab" and not any("{visible}" and p == "{visible}" for p in sys.path):
        return None
    return find(name, *rest)
importlib.util.find_spec = blind
sys.meta_path = [f for f in sys.meta_path if "editable" not in str(f).lower()]
sys.path = [p for p in sys.path if p not in ("", {root!r})]
"""


def run(cell, folder, before="", after="", visible="-", site=None):
    program = PRELUDE.format(visible=visible, root=str(ROOT)) + textwrap.dedent(before) + cell + textwrap.dedent(after)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if site:
        environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_in_a_checkout_it_takes_the_checkout():
    folder = ROOT / "notebooks"
    done = run(setup_source(), folder, after="\nimport medlab\nprint(medlab.__file__)\n")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "medlab" / "__init__.py"


def test_on_a_hub_it_takes_what_is_installed_and_installs_nothing(tmp_path):
    site = tmp_path / "site"
    (site / "medlab").mkdir(parents=True)
    (site / "medlab" / "__init__.py").write_text("where = 'hub'")
    before = "import subprocess\nsubprocess.run = None\n"
    done = run(setup_source(ADDRESS), tmp_path, before, "\nimport medlab\nprint(medlab.where)\n", str(site), site)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "hub"


COLAB = """
import subprocess, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
subprocess.run = lambda command, check: print(*command[1:])
"""


def test_on_colab_it_installs_the_library_and_leaves_torch(tmp_path):
    done = run(setup_source(ADDRESS), tmp_path, COLAB)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"-m pip install -q git+{ADDRESS}"
    assert "torch" not in done.stdout and "upgrade" not in done.stdout


@pytest.mark.parametrize(("before", "address"), [("", ADDRESS), ("", ""), (COLAB, "")])
def test_elsewhere_it_says_in_one_sentence_what_to_do(tmp_path, before, address):
    done = run(setup_source(address), tmp_path, before)
    assert done.returncode == 1 and not done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: medlab is not installed here: run `%pip install git+")


def test_the_loose_requirements_let_colabs_and_a_hubs_torch_stay():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    for version in ("2.6.0", "2.8.0+cu126", "2.13.0+cpu"):
        assert wanted["torch"].contains(version)
    assert not any("==" in str(specifier) for specifier in wanted.values())


def test_the_pinned_set_satisfies_the_loose_one():
    import tomllib

    from packaging.requirements import Requirement

    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    versions = {r.name.lower(): str(r.specifier).removeprefix("==") for r in pinned}
    assert all(str(r.specifier).startswith("==") for r in pinned)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for wanted in (Requirement(text) for group in groups for text in group):
        assert wanted.specifier.contains(versions[wanted.name.lower()]), f"{wanted} against {versions[wanted.name]}"
