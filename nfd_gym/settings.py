"""Settings: frozen dataclasses, changed with `--preset NAME --set a.b=value`."""

import argparse
import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nfd_gym.errors import NfdError

S = TypeVar("S")


class SettingsError(NfdError, ValueError):
    """A setting that does not exist or does not fit; the message names the nearest one."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` was probably meant to be."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return close[0] if close else "nothing"


def apply(settings: S, assignments: Sequence[str]) -> S:
    """`settings` with every "a.b=value" applied, later ones winning."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(f"--set {assignment}: write it as name=value.")
        settings = _assign(settings, path.strip().split("."), text.strip(), path.strip())
    return settings


def add_arguments(parser: argparse.ArgumentParser, presets: Mapping[str, Any]) -> None:
    """Add --preset, --set and --dry-run to a command."""
    names = ", ".join(presets)
    first = next(iter(presets))
    parser.add_argument("--preset", default=first, help=f"one of: {names} (default {first})")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=value",
        dest="assignments",
        help="change one setting; may be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the settings and stop")


def resolve(args: argparse.Namespace, presets: Mapping[str, S]) -> S:
    """The settings that the command line asks for."""
    if args.preset not in presets:
        raise SettingsError(
            f"no preset {args.preset!r}; did you mean {nearest(args.preset, presets)!r}?"
        )
    return apply(presets[args.preset], args.assignments)


def to_json(settings: Any) -> dict[str, Any]:
    """Plain JSON values of a settings object, nested."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


def from_json(cls: type[S], data: Mapping[str, Any], where: str = "settings") -> S:
    """The inverse of `to_json`, strict: an unknown or missing key is an error."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise SettingsError(
                f"{where}: unknown key {key!r}; the nearest is {nearest(key, fields)!r}."
            )
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _from_plain(hints[name], data[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{where}: the key {name!r} is missing.")
    return cls(**values)


def show(settings: Any) -> str:
    """The settings as text: what --dry-run prints and what a run stores."""
    return json.dumps(to_json(settings), indent=2)


def _assign(settings: Any, keys: Sequence[str], text: str, path: str) -> Any:
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise SettingsError(
            f"--set {path}: {keys[0]!r} is inside a plain value, not a group of settings."
        )
    names = [field.name for field in dataclasses.fields(settings)]
    if keys[0] not in names:
        meant = ".".join([*path.split(".")[: -len(keys)], nearest(keys[0], names)])
        raise SettingsError(
            f"--set {path}: there is no setting {keys[0]!r}; did you mean {meant!r}?"
        )
    if len(keys) > 1:
        value = _assign(getattr(settings, keys[0]), keys[1:], text, path)
    else:
        value = _parse(typing.get_type_hints(type(settings))[keys[0]], text, path)
    return dataclasses.replace(settings, **{keys[0]: value})


def _parse(kind: Any, text: str, path: str) -> Any:
    """Text from the command line as a value of type `kind`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    wrong = SettingsError(f"--set {path}: {text!r} is not {_name(kind)}.")
    if origin in (typing.Union, types.UnionType):
        if type(None) in inner and text.lower() in ("none", "null"):
            return None
        for option in inner:
            if option is not type(None):
                try:
                    return _parse(option, text, path)
                except SettingsError:
                    continue
        raise wrong
    if origin is typing.Literal:
        for option in inner:
            if str(option) == text:
                return option
        raise SettingsError(f"--set {path}: {text!r} is none of {', '.join(map(str, inner))}.")
    if origin is tuple:
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        kinds = inner[:1] * len(parts) if len(inner) == 2 and inner[1] is Ellipsis else inner
        if len(kinds) != len(parts):
            raise wrong
        return tuple(
            _parse(part_kind, part, path) for part_kind, part in zip(kinds, parts, strict=True)
        )
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise wrong
        return text.lower() in ("true", "1", "yes", "on")
    if kind in (int, float, str, Path):
        try:
            return kind(text)
        except ValueError as error:
            raise wrong from error
    raise SettingsError(f"--set {path}: a {_name(kind)} cannot be set from the command line.")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _from_plain(kind: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where}: a group of settings was expected, got {value!r}.")
        return from_json(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        for option in inner:
            if option is not type(None):
                try:
                    return _from_plain(option, value, where)
                except SettingsError:
                    continue
        raise SettingsError(f"{where}: {value!r} is not {_name(kind)}.")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = inner[:1] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_from_plain(k, v, where) for k, v in zip(kinds, value, strict=True))
    elif origin is typing.Literal and value in inner:
        return value
    elif origin is dict and isinstance(value, Mapping):
        return {key: _from_plain(inner[1], item, where) for key, item in value.items()}
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is Any or (isinstance(kind, type) and type(value) is kind):
        return value
    raise SettingsError(f"{where}: {value!r} is not {_name(kind)}.")


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
