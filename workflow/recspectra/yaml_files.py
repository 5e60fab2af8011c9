"""Reading YAML safely, and schema errors in words that name the file, the key and what is allowed."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from recspectra.schema import ConfigError, nearest


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML loader that refuses a key written twice; in C, if there is one, ten times as fast."""


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
    seen = set()
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem=f"a key must be a plain word (line {line})")
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"key '{key}' is written twice (line {line})")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
# YAML 1.1 reads 1e-4 as a string; numbers in configs should be numbers.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, the same text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def read_yaml(path: Path) -> dict:
    """Read a mapping from a YAML file, safely.

    Raises
    ------
    ConfigError
        The file is missing, is no valid YAML, repeats a key or holds no mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: file not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold a mapping of keys to values")
    return data


def _fields_at(model: type[BaseModel], loc: tuple) -> list[str]:
    """Return the keys allowed where a validation error happened."""
    for part in loc[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            for candidate in _models_in(model.model_fields[part].annotation):
                model = candidate
                break
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _path_of(loc: tuple) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "top level"


def validate(model: type[BaseModel], data: dict, origin: str) -> Any:
    """Validate `data` against a schema; `origin` (a file) opens every message."""
    try:
        return model.model_validate(data)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in dict.fromkeys(lines))) from None


def _kind_in_yaml(value: Any) -> str:
    """Return what YAML made of a word without quotes, `the number 7` for 007; "" for a list or mapping."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the truth value {value}"
    if isinstance(value, int | float):
        return f"the number {value!r}"
    return f"the date {value}" if isinstance(value, date) else ""


def _explain(model: type[BaseModel], problem: dict) -> str:
    loc = tuple(p for p in problem["loc"] if p not in ("bool", "int", "float", "str"))
    where = _path_of(loc)
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc)
        return f"{where}: unknown key; allowed: {', '.join(allowed)}{nearest(loc[-1], allowed)}"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    if problem["type"] == "string_type" and (kind := _kind_in_yaml(problem.get("input"))):
        return f"{where}: YAML reads this as {kind}, but a text belongs here; write it in quotes"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{where}: {message}{shown}"
