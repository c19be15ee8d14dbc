"""Weights that ship: a safetensors file, and beside it a card in JSON that says what it is and where it comes from."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from medlab.training.files import write_atomically, write_text
from medlab.training.machine import machine, now, versions

SUFFIX = ".safetensors"
CHECKOUT = Path(__file__).resolve().parents[2] / "data" / "weights"
FORMAT = 1


def save_weights(
    module: nn.Module | Mapping[str, Tensor], path: str | os.PathLike, card: Mapping | None = None
) -> Path:
    """Write the weights to NAME.safetensors and a card to NAME.json; the path of the weights.

    module: a module, of which parameters and buffers are written, or named tensors. card: what only the caller knows,
    such as "method", "config", "seed", "data" (the recipe), "steps", "profile", "metrics"; anything JSON can hold.
    Added are the sha256 of the file, the number of parameters, machine, versions and date.
    The card is written after the weights and names their checksum: where a write is broken off, `load_weights` says so.
    Raises ValueError for another ending, and for a card that JSON cannot hold.
    """
    path = _named(path)
    if isinstance(module, nn.Module):
        tensors = module.state_dict()
        count = sum(parameter.numel() for parameter in module.parameters())
    else:
        # Layers that share their weights hold the same memory: it counts once.
        tensors = dict(module)
        count = sum({value.data_ptr(): value.numel() for value in tensors.values()}.values())
    # Copies: a file holds each tensor once and whole, also where two share memory or one is a view.
    data = save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})
    full = {
        **(card or {}),
        "format": FORMAT,
        "parameters": count,
        "sha256": hashlib.sha256(data).hexdigest(),
        "machine": machine(),
        "versions": versions(),
        "date": now(),
    }
    try:
        text = json.dumps(full, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"card cannot be written as JSON ({error}), expected numbers, text, lists and dicts") from None
    write_atomically(path, lambda file: file.write(data))
    write_text(path.with_suffix(".json"), text + "\n")
    return path


def load_weights(path: str | os.PathLike, module: nn.Module | None = None) -> tuple[dict[str, Tensor], dict]:
    """The named tensors, on the CPU, and the card; into the module too, where one is given.

    Raises FileNotFoundError where the weights or their card are missing; ValueError where the card is not that of these
    weights, where the file is damaged, and where the weights do not fit the module.
    """
    path = _named(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, expected weights")
    card = read_card(path)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.get("sha256"):
        raise ValueError(
            f"{path}: its sha256 begins with {found[:12]}, expected {str(card.get('sha256'))[:12]} as on its card"
        )
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"{path}: it cannot be read ({error}), expected a safetensors file") from error
    if module is not None:
        put_into(module, tensors, str(path))
    return tensors, card


def shipped_weights(name: str) -> Path:
    """Weights that come with the project, by name, from the checkout or from where pip put them.

    Raises FileNotFoundError where there are none of this name.
    """
    place = CHECKOUT / f"{name}{SUFFIX}"
    if place.is_file():
        return place
    with suppress(PackageNotFoundError):
        for file in files("medlab") or []:
            if file.parts[-3:] == ("medlab", "weights", place.name):
                return Path(str(file.locate()))
    known = ", ".join(sorted(path.stem for path in CHECKOUT.glob(f"*{SUFFIX}"))) or "none"
    raise FileNotFoundError(f"{place}: there are no such weights, expected one of {known}")


def read_card(path: str | os.PathLike) -> dict:
    """The card beside weights. Raises FileNotFoundError where there is none, ValueError where it is no card."""
    place = _named(path).with_suffix(".json")
    if not place.is_file():
        raise FileNotFoundError(f"{place}: there is no such file, expected the card of the weights")
    try:
        card = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{place}: it is not JSON ({error}), expected the card of weights") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise ValueError(f"{place}: its format is {found!r}, expected {FORMAT}")
    return card


def put_into(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load tensors into a module that has exactly these names and shapes; ValueError, naming the first that differs."""
    own = module.state_dict()
    for name in own.keys() | tensors.keys():
        if name not in tensors:
            raise ValueError(f"{source}: it holds no {name}, expected the weights of {type(module).__name__}")
        if name not in own:
            raise ValueError(f"{source}: it holds {name}, which {type(module).__name__} has not")
        if own[name].shape != tensors[name].shape:
            raise ValueError(f"{source}: {name} is {tuple(tensors[name].shape)}, expected {tuple(own[name].shape)}")
    with torch.no_grad():
        module.load_state_dict(dict(tensors))


def _named(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: the name ends in {path.suffix or 'nothing'}, expected {SUFFIX}")
    return path
