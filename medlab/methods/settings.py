"""Fields of a config that are set on the command line, as "field=value"."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TypeVar

KINDS = {int: "whole number", bool: "true or false", tuple: "list such as 8,8,8", str: "word"}
Config = TypeVar("Config")


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """The config with fields replaced by "field=value", where value is read as the field's kind.

    Raises ValueError, naming the setting, for an unknown field or a value of another kind.
    """
    known = {field.name: getattr(config, field.name) for field in fields(config)}
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            raise ValueError(f"--set {setting} is no setting, expected FIELD=VALUE with one of {', '.join(known)}")
        changes[name] = _read(text, known[name], setting)
    return replace(config, **changes)


def _read(text: str, like: object, setting: str) -> object:
    """A value of the same kind as another one."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(like, tuple):
            kind = type(like[0]) if like else str
            return tuple(kind(one) for one in text.split(",") if one)
        return type(like)(text) if like is not None else float(text)
    except (ValueError, KeyError, TypeError):
        kind = KINDS.get(type(like), "number")
        raise ValueError(f"--set {setting}: {text!r} cannot be read, expected a {kind}") from None
