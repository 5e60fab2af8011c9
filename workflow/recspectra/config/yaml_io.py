"""Reading YAML safely, and schema errors in words that name the file, the key and what is allowed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ValidationError

from recspectra.config.base import BY_NAME, ONE_LIST, ONE_TEXT, ConfigError, nearest
from recspectra.files import open_regular

# Nobody writes more by hand. The parser's own limits are the stack and the memory of the machine.
MOST_BYTES = 2**20
MOST_VALUES = 100_000  # each as often as aliases repeat it
DEEPEST = 100

# What a plain scalar (one without quotes) means: YAML 1.2's core schema, without the spellings below.
_MEANINGS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
    "merge": r"<<",
}
# What readers of YAML 1.1, of YAML 1.2 and people understand differently: refused, never guessed.
_AMBIGUOUS = (
    r"(?i:yes|no|on|off)",  # truth values, or texts
    r"[-+]?0[0-9_]+",  # octal, or decimal
    r"[-+]?0(?:[xX][0-9a-fA-F_]*|[oO][0-9_]*|[bB][01_]*)",
    r"[-+]?(?=[0-9._]*_)[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?",  # 1_000: a number, or a text
    r"[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?",  # 1:30: a number of base 60, or a text
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?",  # a date, or a text
    r"(?i:[-+]?\.inf|\.nan)",
)
_STANDARD = "tag:yaml.org,2002:"
_UNCLEAR = "!unclear"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML loader without surprises; in C, if there is one, ten times as fast.

    It refuses a key written twice and spellings whose meaning differs between versions of YAML.
    """

    yaml_implicit_resolvers: ClassVar[dict] = {}
    yaml_constructors: ClassVar[dict] = {}


def _unclear(node: yaml.Node | None, key: str = "", above: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield what is wrong with each value that readers of YAML understand differently, with its key."""
    if node is None or id(node) in above:  # an alias inside what it names
        return
    if node.tag == _UNCLEAR and (why := _why(node.value)):  # else somebody wrote the tag
        yield f"{key or 'top level'} (line {node.start_mark.line + 1}): {why}"
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _unclear(item, f"{key}[{index}]", above)
    elif isinstance(node, yaml.MappingNode):
        for name, item in node.value:
            yield from _unclear(name, key, above)
            yield from _unclear(item, f"{key}.{name.value}".removeprefix("."), above)


class _Unclear(Exception):
    """What readers of YAML understand differently, a line for each value."""


def _why(text: str) -> str:
    """Return why a spelling is refused and what to write, or an empty text."""
    if not re.fullmatch("|".join(_AMBIGUOUS), str(text)):
        return ""
    return (
        f"{text} means different things to different readers of YAML; write {json.dumps(text)} for the text, "
        "true or false, or a finite number in plain decimal digits"
    )


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    mark = node.start_mark
    return yaml.MarkedYAMLError(problem=f"{text} (line {mark.line + 1}, column {mark.column + 1})")


def _scalar(meaning: str, read: Callable[[str], Any]) -> Callable[[yaml.SafeLoader, yaml.ScalarNode], Any]:
    """Return a constructor that reads exactly what the meaning allows, also behind a tag such as `!!int`."""

    def construct(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(_MEANINGS[meaning], node.value):
            raise _problem(node, f"not of type {meaning}")
        return read(node.value)

    return construct


def _finite(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    value = _scalar("float", float)(loader, node)
    if not math.isfinite(value):
        raise _problem(node, f"{node.value} is too large for a number")
    return value


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
    if not isinstance(node, yaml.MappingNode):
        raise _problem(node, "not a mapping of keys to values")
    seen = set()
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem=f"a key must be a plain word (line {line})")
        key = "<<" if key_node.tag == f"{_STANDARD}merge" else loader.construct_object(key_node)
        if not isinstance(key, str):
            raise _problem(key_node, f"a key must be text; write {json.dumps(key_node.value)} in quotes")
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"key '{key}' is written twice (line {line})")
        seen.add(key)
    loader.flatten_mapping(node)
    return yaml.constructor.BaseConstructor.construct_mapping(loader, node, deep=True)


def _sequence(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list:
    if not isinstance(node, yaml.SequenceNode):
        raise _problem(node, "not a list")
    return loader.construct_sequence(node, deep=True)


def _unknown_tag(loader: yaml.SafeLoader, node: yaml.Node) -> None:
    raise _problem(node, f"tag '{node.tag}' is not allowed")


_NUMBER = "+-.0123456789"
for _kind, _first in {"null": "~nN", "bool": "tTfF", "int": _NUMBER, "float": _NUMBER, "merge": "<"}.items():
    _Loader.add_implicit_resolver(
        _STANDARD + _kind, re.compile(rf"(?:{_MEANINGS[_kind]})\Z"), list(_first) + [""] * (_kind == "null")
    )
_Loader.add_implicit_resolver(
    _UNCLEAR, re.compile(rf"(?:{'|'.join(_AMBIGUOUS)})\Z"), list(_NUMBER + "yYnNoO")
)
for _kind, _construct in {
    "null": _scalar("null", lambda text: None),
    "bool": _scalar("bool", lambda text: text.lower() == "true"),
    "int": _scalar("int", int),
    "float": _finite,
    "str": yaml.SafeLoader.construct_yaml_str,
    "seq": _sequence,
    "map": _mapping,
}.items():
    _Loader.add_constructor(_STANDARD + _kind, _construct)
_Loader.add_constructor(None, _unknown_tag)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, the same text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def read_yaml(path: Path) -> dict:
    """Read a mapping from a YAML file, safely.

    Raises
    ------
    ConfigError
        The file is missing, is no valid YAML, repeats a key, holds no mapping or spells a value in a
        way that readers of YAML understand differently (`010`, `1:30`, `no`, `2020-01-01`).
    """
    path = Path(path)
    return parse_yaml(_text_of(path), path)


def parse_yaml(text: str, origin: Path | str) -> dict:
    """Read a mapping from text as `read_yaml` does from a file; `origin` opens every message."""
    try:
        data = _load(text)
    except _Unclear as error:
        raise ConfigError("\n".join(f"{origin}: {line}" for line in str(error).splitlines())) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: not valid YAML: {_in_words(error)}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{origin}: must hold a mapping of keys to values")
    return data


def _text_of(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            found = stream.read(MOST_BYTES + 1)
        if len(found) > MOST_BYTES:
            raise ConfigError(f"{path}: is larger than {MOST_BYTES:,} bytes; no configuration file is")
        return found.decode("utf-8-sig")  # some editors start a file with a mark
    except FileNotFoundError:
        raise ConfigError(f"{path}: file not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _check_size(text: str) -> None:
    """Refuse what would nest too deep or grow too large by its aliases, before anything is made of it."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = [(None, 0)]  # anchor and values so far, outermost first
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            _add(open_, sizes, *open_.pop())
        elif isinstance(event, yaml.ScalarEvent):
            if "\0" in event.value:  # no path holds one
                raise ValueError(f"'\\0' belongs into no text (line {event.start_mark.line + 1})")
            _add(open_, sizes, event.anchor, 1)
        elif isinstance(event, yaml.AliasEvent):
            _add(open_, sizes, None, sizes.get(event.anchor, 1))
        if len(open_) > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels deep (line {event.start_mark.line + 1})")
        if open_[-1][1] > MOST_VALUES:
            raise ValueError(
                f"it has more than {MOST_VALUES:,} values, those of its aliases counted "
                f"(line {event.start_mark.line + 1})"
            )


def _add(open_: list[tuple[str | None, int]], sizes: dict[str, int], anchor: str | None, size: int) -> None:
    """Add a value of a size to what encloses it, and note it where it has an anchor."""
    if anchor is not None:
        sizes[anchor] = size
    outer, before = open_[-1]
    open_[-1] = (outer, before + size)


def _load(text: str) -> Any:
    _check_size(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _value_of(loader, node)
    finally:
        loader.dispose()


def _value_of(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """Return what a document says; no constructor takes an unclear value, so that one is looked for then."""
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError):
        if found := list(dict.fromkeys(_unclear(node))):
            raise _Unclear("\n".join(found)) from None
        raise


def _fields_at(model: type[BaseModel], loc: tuple) -> list[str]:
    """Return the keys allowed where a validation error happened."""
    for part in loc[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            candidates = _models_in(model.model_fields[part].annotation)
            named = [candidate for candidate in candidates if candidate.__name__ in loc]
            model = next(iter(named or candidates), model)
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
        lines = [_explain(model, problem) for problem in _joined(error.errors())]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in dict.fromkeys(lines))) from None


def _in_words(error: Exception) -> str:
    """Return a parser's message without the name that it gives to text from memory, and with its cause."""
    said = str(error).replace('in "<unicode string>", ', "in ")
    if "cannot start any token" in said:
        said += "; where it is a tab, write blanks in its place"
    return " ".join(said.split())


# What pydantic adds to a path for the members of a union.
_TAGS = ("bool", "int", "float", "str", ONE_TEXT, ONE_LIST, BY_NAME)
_SCHEMAS = ("ModelEntry", "ListsEntry")  # the same for kinds of entries, whose keys differ


RENAMED = {"systems": "models", "findings": "claims"}  # keys of version 0.1.0


_SCALAR_TYPES = {"bool_type", "int_type", "float_type", "string_type"}


def _joined(problems: list[dict]) -> list[dict]:
    """Return the problems, those of one value under each type of a union as one."""
    by_place: dict[tuple, list[dict]] = {}
    for problem in problems:
        by_place.setdefault(tuple(p for p in problem["loc"] if p not in _TAGS), []).append(problem)
    several = [own[-1] | {"type": "scalar_type"} if {p["type"] for p in own} == _SCALAR_TYPES else None
               for own in by_place.values()]  # fmt: skip
    return [p for own, one in zip(by_place.values(), several, strict=True) for p in ([one] if one else own)]


def _explain(model: type[BaseModel], problem: dict) -> str:
    loc = tuple(p for p in problem["loc"] if p not in _TAGS)
    where = _path_of(tuple(p for p in loc if p not in _SCHEMAS))
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc)
        now = RENAMED.get(str(loc[-1]))
        hint = f"; it is called '{now}' now" if now in allowed else nearest(loc[-1], allowed)
        return f"{where}: unknown key; allowed: {', '.join(allowed)}{hint}"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    given = problem.get("input")
    if problem["type"] == "string_type":
        return f"{where}: must be text, not {_named(given)}{_in_quotes(given)}"
    if problem["type"] == "scalar_type":
        return f"{where}: must be a number, a text, true or false, not {_named(given)}"
    if problem["type"] == "too_short":
        return f"{where}: must not be empty; write one entry or more"
    if problem["type"] in ("model_type", "dict_type"):
        inside = _fields_at(model, (*loc, "")) if problem["type"] == "model_type" else ["name"]
        first = given[0] if isinstance(given, list) and given and isinstance(given[0], str) else inside[0]
        return f"{where}: must be a mapping such as `{{{first}: ...}}`, not {_named(given)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "literal_error":
        message += nearest(given, re.findall(r"'([^']*)'", problem.get("ctx", {}).get("expected", "")))
    if given is None and problem["type"].endswith("_type"):
        return f"{where}: {message} (nothing is given; leave the key out or give it a value)"
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{where}: {message}{shown}"


def _named(given: Any) -> str:
    """Say what was given where text is wanted."""
    if isinstance(given, bool):
        return f"the truth value {str(given).lower()}"
    if isinstance(given, (int, float)):
        return f"the number {given}"
    return {list: "a list", dict: "a mapping", type(None): "nothing"}.get(type(given), repr(given))


def _in_quotes(given: Any) -> str:
    return ": write it in quotes" if isinstance(given, (bool, int, float)) else ""
