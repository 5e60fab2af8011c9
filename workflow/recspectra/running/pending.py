"""What `make redo` began and has not finished, kept in the results folder.

It removes the tables of studies, which are all that says which studies to run again, on what. After an
interrupt or a failure the same command goes on from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recspectra.config.base import Strict
from recspectra.config.scale import NUMBERS, Choice
from recspectra.config.yaml_io import validate
from recspectra.files import ArtifactError, read_json, write_json

NAME = ".redo.json"


class Settings(Strict):
    """With what a study was run: what was chosen of scale, datasets and models, and its file."""

    choice: dict[str, Any] = {}
    origin: str = ""

    @classmethod
    def of(cls, record: dict[str, Any]) -> Settings:
        """Return them from a `study.json`, which may be empty."""
        choice = dict(record.get("choice") or {})
        if record.get("datasets"):  # those that took part, also where none was asked for
            choice["datasets"] = [str(name) for name in record["datasets"]]
        return cls(choice=choice, origin=str(record.get("origin") or ""))

    @property
    def chosen(self) -> Choice:
        """What was chosen.

        Raises
        ------
        ConfigError
            A value is wrong.
        """
        return validate(Choice, self.choice, "what the study was run with")

    def words(self, scale: str = "") -> dict[str, str]:
        """Return words for `--config`; with another `scale` without values that were set on the old."""
        words = {name: text for name, text in self.chosen.words.items() if name in self.choice}
        return {name: text for name, text in words.items() if not (scale and name in ("scale", *NUMBERS))}


class Pending(Strict):
    """What was to be forgotten, and the studies that are to run again.

    Attributes
    ----------
    paths : list of str
        Files and folders to remove.
    studies : dict
        Names of the studies that showed it, with their settings.
    removed : bool
        Whether all of `paths` are removed: what is there then was made since.
    """

    paths: list[str]
    studies: dict[str, Settings]
    removed: bool = False


def read(results: Path) -> dict[str, Pending]:
    """Return what is not finished, by what was named.

    Raises
    ------
    ArtifactError
        The file is damaged.
    ConfigError
        An entry is not one.
    """
    path = results / NAME
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: not what `make redo` writes; delete it and run again")
    return {what: validate(Pending, entry, f"{path}: {what}") for what, entry in found.items()}


def note(results: Path, what: str, entry: Pending) -> None:
    """Write down how far it has come with something."""
    _write(results, read(results) | {what: entry})


def finish(results: Path, what: str) -> None:
    """Strike something off; the file goes with its last entry."""
    _write(results, {name: entry for name, entry in read(results).items() if name != what})


def _write(results: Path, entries: dict[str, Pending]) -> None:
    if entries:
        write_json(results / NAME, {what: entry.model_dump() for what, entry in entries.items()})
    else:
        (results / NAME).unlink(missing_ok=True)
