"""What all configuration schemas share: strictness, safe names, errors, nearest matches."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Part = Literal["train", "train+valid"]
Scalar = bool | int | float | str


class ConfigError(Exception):
    """A configuration is wrong; the message says where and what to do."""


class Strict(BaseModel):
    """Base of every schema: unknown keys and silent type changes are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def nearest(word: Any, words: Any) -> str:
    """Return "; did you mean 'x'?" for the closest of `words`, or an empty string."""
    match = difflib.get_close_matches(str(word), [str(w) for w in words], n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""
