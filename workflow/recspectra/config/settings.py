"""`config/config.yaml` and what `--config` says in its place."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from recspectra.config.base import ConfigError
from recspectra.config.model import Budget
from recspectra.config.scale import NUMBERS, Choice
from recspectra.config.yaml_io import read_yaml, validate


class Settings(Choice):
    """`config/config.yaml`: what to build by default, on what, and how much to spend."""

    study: str = "quickstart"
    mirror: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    fits_per_gpu: int = Field(1, ge=1, le=64)
    budget: Budget = Budget()
    keep: bool = False

    @field_validator("keep", mode="before")
    @classmethod
    def _read_yes_or_no(cls, value: Any) -> Any:
        """Read `keep=1`, which arrives as a number or as text."""
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
        return value if isinstance(value, bool) else words.get(str(value).lower(), value)


# Values of `--config` that are texts of the user's: they must reach spawned jobs as they are.
TEXTS = ("study", "mirror", "scale", "datasets", "models", "groups")
_WORD = re.compile(rf"({'|'.join(TEXTS)})=(.*)", re.DOTALL)


def check_texts(overrides: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Refuse a text on the command line that Snakemake or a shell would change on its way to a job.

    Snakemake reads `007` as a number, `a: b` as a mapping and drops what follows ` #`; to jobs that it
    spawns it hands the words on as Python writes them, through a shell.

    Raises
    ------
    ConfigError
        A text is of that kind; the message names key and value.
    """
    written = dict(match.groups() for word in argv[1:] if (match := _WORD.fullmatch(word)))
    for key in TEXTS:
        value = overrides.get(key)
        if isinstance(value, str):
            if bad := harmful(value):
                raise ConfigError(f"--config {key}: {value!r} holds {bad}; rename the file or folder")
        elif isinstance(value, list):  # as YAML writes it; the schema checks its names
            continue
        if value is not None and written.get(key, value) != value:
            raise ConfigError(
                f"--config {key}: {written[key]!r} would be read as {value!r}; {_instead(key, written[key])}"
            )


def _instead(key: str, text: str) -> str:
    """Return what to do about a text that is read as something else."""
    if key in ("datasets", "models", "groups"):
        return f"write {key}='[{text}]'"
    return "rename the file or folder" if "/" in text else f"write {key}='./{text}' if a path is meant"


def harmful(text: str) -> str:
    """Return which character in a text does not survive Python's quotes and a shell, or an empty text."""
    kinds = {
        "a control character": r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]",
        "a backslash": r"\\",
        "a backtick": "`",
        "$(": r"\$[({]",
        "both kinds of quotes": "'.*\"|\".*'",
        "a quote and a $": "'.*\\$|\\$.*'",
        "a - at the start": "^-",
    }
    return next((name for name, pattern in kinds.items() if re.search(pattern, text, re.DOTALL)), "")


def load_settings(root: Path | str, overrides: dict[str, Any]) -> Settings:
    """Return `config/config.yaml` with command-line values (`--config k=v`) on top."""
    path = Path(root) / "config" / "config.yaml"
    # `scale=` says nothing: the file decides. make hands numbers on as texts.
    given = {
        k: _typed(v) if isinstance(v, dict) or k in NUMBERS else v
        for k, v in overrides.items()
        if v is not None
    }
    return validate(Settings, {**read_yaml(path), **given}, "config/config.yaml (and --config)")


def _typed(value: Any) -> Any:
    """Give numbers back their type: Snakemake reads `budget={minutes: 5}` as text."""
    if isinstance(value, dict):
        return {k: _typed(v) for k, v in value.items()}
    # Python reads `1_0` and the digits of all scripts, YAML and people do not.
    for number in (int, float) if isinstance(value, str) and value.isascii() and "_" not in value else ():
        with contextlib.suppress(ValueError):
            return number(value)
    return value
