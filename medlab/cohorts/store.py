"""Where what was computed once is kept: files named by what made them, written whole or not at all."""

import hashlib
import importlib.util
import json
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

ENVIRONMENT_VARIABLE = "MEDLAB_CACHE"


def cache_folder() -> Path:
    """The folder of the environment variable MEDLAB_CACHE, else ~/.cache/medlab."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "medlab"


def content_key(recipe: object) -> str:
    """The name of what a recipe makes: a digest of it, the same on every machine.

    recipe: anything of numbers, strings, lists and dictionaries. Raises ValueError for anything else.
    """
    try:
        text = json.dumps(recipe, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"recipe cannot be named ({error}), expected numbers, strings, lists and dictionaries"
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@cache
def code_digest(*modules: str) -> str:
    """A digest of the source of these modules and all below them: what they make has another name when they change."""
    digest = hashlib.sha256()
    for module in modules:
        found = importlib.util.find_spec(module)
        if found is None or found.origin is None:
            raise ValueError(f"module is {module!r}, expected one that can be imported")
        origin = Path(found.origin)
        files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
        for path in files:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def load_or_make(
    folder: Path, name: str, make: Callable[[], Mapping[str, np.ndarray]], *, compress: bool = True
) -> dict[str, np.ndarray]:
    """The arrays in folder/name.npz; made, and kept there, where the file is missing or damaged.

    The file appears under its name only when it is whole, so a killed process leaves none that is broken, and two
    processes that make the same do not disturb each other. Where the folder cannot be written, nothing is kept.
    """
    path = folder / f"{name}.npz"
    found = _read(path)
    if found is not None:
        return found
    made = dict(make())
    _keep(path, made, compress)
    return made


def _read(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        return None
    except Exception:  # a damaged archive raises about ten kinds; whatever it is, we make the content again
        return None


def _keep(path: Path, arrays: Mapping[str, np.ndarray], compress: bool) -> None:
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            (np.savez_compressed if compress else np.savez)(file, **arrays)
        os.replace(partial, path)
    except OSError:
        _remove(partial)
    except BaseException:
        _remove(partial)
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
