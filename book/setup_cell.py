"""The setup cell: the same text in every lesson, so that one test can vouch for all of them."""

SETUP_TAGS = ["setup", "hide-input"]

SETUP = """\
# Find medlab: installed, in this checkout, or (on Colab) from the book's repository. Torch stays as it is.
import importlib.util, pathlib, subprocess, sys

REPOSITORY = ""
if importlib.util.find_spec("medlab") is None:
    here = pathlib.Path.cwd().resolve()
    folders = [p for p in (here, *here.parents) if (p / "medlab" / "__init__.py").is_file()]
    if folders:
        sys.path.insert(0, str(folders[0]))
    elif "google.colab" in sys.modules and REPOSITORY:
        pip = [sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"]
        subprocess.run(pip, check=True)
        importlib.invalidate_caches()
    else:
        raise ModuleNotFoundError(
            "medlab is not installed here: run `%pip install git+ADDRESS` with the address of the "
            "book's repository (your torch stays), or open this notebook inside a checkout of it."
        )"""


def setup_source(repository_url: str = "") -> str:
    """The cell's text with the repository's public address filled in (empty while there is none)."""
    return SETUP.replace('REPOSITORY = ""', f'REPOSITORY = "{repository_url}"')
