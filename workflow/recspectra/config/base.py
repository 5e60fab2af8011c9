"""What all configuration schemas share: strictness, safe names, errors, nearest matches."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Part = Literal["train", "train+valid"]
Scalar = bool | int | float | str
Seed = Annotated[int, Field(ge=0)]
CutOff = Annotated[int, Field(ge=1)]
# Tags of the members of a union: pydantic puts them into the path of an error, no message shows them.
ONE_TEXT, ONE_LIST, BY_NAME = "one text", "one list", "by name"
LARGEST = 2**63 - 1  # that NumPy and PyTorch keep as a whole number


class ConfigError(Exception):
    """A configuration is wrong; the message says where and what to do."""


class Strict(BaseModel):
    """Base of every schema: unknown keys and silent type changes are errors.

    So are, in every field, an entry that a list has twice, an empty text or list (where it is not the
    default) and a number that is not finite or has more than 63 bits.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _no_odd_values(cls, value: Any, info: ValidationInfo) -> Any:
        if value in ("", []) and cls.model_fields[info.field_name].default == value:
            return value
        if value == []:
            raise ValueError("must not be empty; write one entry or more")
        if problem := odd(value):
            raise ValueError(problem)
        return value


def is_safe(name: Any) -> bool:
    """Return whether a name is of the pattern `SAFE_NAME`, to its very end."""
    return isinstance(name, str) and re.fullmatch(SAFE_NAME.strip("^$"), name) is not None


def safe_name(name: Any, where: str) -> str:
    """Return a name that is about to become part of a path or a command; refuse one that YAML may not have.

    Raises
    ------
    ConfigError
        It is not of the pattern `SAFE_NAME`; `where` opens the message.
    """
    if not is_safe(name):
        raise ConfigError(
            f"{where}: {str(name)[:80]!r} is no name: at most 64 letters, digits and ._- are, the first of "
            "them a letter or digit"
        )
    return name


def kind_of_list(value: Any) -> str:
    """Return which member of a union of a list and a mapping a value is meant for, by its tag."""
    return BY_NAME if isinstance(value, dict) else ONE_LIST


def odd(value: Any) -> str:
    """Return what is wrong with a value whatever it is for, or an empty text."""
    if isinstance(value, str):
        return "" if value else "must not be empty"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a finite number"
    if isinstance(value, int):
        return "" if abs(value) <= LARGEST else f"{value} is too large; at most {LARGEST} is possible"
    if isinstance(value, dict):
        found = [(f"{key!r}: " if key else "a name ", odd(key) or odd(item)) for key, item in value.items()]
        return next((place + problem for place, problem in found if problem), "")
    if isinstance(value, list):
        return twice(value) or next(filter(None, map(odd, value)), "")
    return ""


def twice(values: list) -> str:
    """Return which entry a list has twice, or an empty text; `true` and `1` differ, `1` and `1.0` do not."""
    places: dict[Any, int] = {}
    for index, value in enumerate(values):
        plain = isinstance(value, Scalar)
        first = places.setdefault((isinstance(value, bool), value) if plain else repr(value), index)
        if first < index:
            shown = value if plain else "the same"
            return f"{shown} is written twice (entries {first + 1} and {index + 1})"
    return ""


def check_known(
    names: Iterable[Any], known: Collection[Any], said: str, error: type[Exception] = ConfigError
) -> None:
    """Refuse the first of some names that is not known.

    Parameters
    ----------
    names, known : collection
        What is named, and what there is.
    said : str
        The message: `{name}` and `{known}` in it are filled in, the nearest match stands behind it.
    error : type
        `ValueError` inside a schema, which says where.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        filled = {"{known}": ", ".join(map(str, known)) or "none", "{name}": str(unknown[0])}
        message = re.sub(r"\{(?:known|name)\}", lambda found: filled[found[0]], said)
        raise error(message + nearest(unknown[0], known))


def nearest(word: Any, words: Any) -> str:
    """Return "; did you mean 'x'?" for the only one of `words` that begins so, else the closest; or ""."""
    known = [str(w) for w in words]
    begun = [w for w in known if len(str(word)) > 1 and w.casefold().startswith(str(word).casefold())]
    lower = {w.casefold(): w for w in reversed(known)}
    match = (
        begun * (len(begun) == 1)
        or difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
        or [lower[w] for w in difflib.get_close_matches(str(word).casefold(), lower, n=1, cutoff=0.5)]
    )
    return f"; did you mean '{match[0]}'?" if match else ""


def places_of(own: str, folder: Path) -> tuple[str, ...]:
    """Return where a user's file may lie, as absolute paths: below a folder, then below the working folder.

    Links stay as they are: what the user reads is what the user wrote.
    """
    expanded = Path(own)
    with contextlib.suppress(RuntimeError):  # there is no such user
        expanded = expanded.expanduser()
    places = (os.path.normpath(Path.cwd() / base / expanded) for base in (folder, Path.cwd()))
    return tuple(dict.fromkeys(places))
