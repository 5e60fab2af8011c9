"""Where the report lies, where a study's files lie, and addresses from one to the other."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from recspectra.config.narrowed import WORDS
from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.paths import Paths
from recspectra.reporting.results import StudyResults


@dataclass(frozen=True)
class Place:
    """The folder of the report; links are relative, so that all of `results/` may move."""

    report: Path

    def address(self, path: Path) -> str:
        """Return the address of a file as the report's pages write it."""
        return quote(os.path.relpath(path, self.report).replace(os.sep, "/"))

    def link(self, path: Path) -> str:
        """Return the address of a file, an empty text if it is not there."""
        return self.address(path) if path.is_file() else ""


def results_of(files: StudyResults) -> Paths:
    """Return the results that a study's folder `results/studies/NAME` belongs to."""
    return Paths(files.folder.parents[1])


def run_files(files: StudyResults, run: pd.Series) -> dict[str, Path]:
    """Return the record and the log of a run."""
    results = results_of(files)
    log = results.root / "logs" / "fit" / run.dataset / run.model / f"{run.key}-seed-{run.seed}.log"
    return {"run.json": results.run(run.dataset, run.model, run.key, run.seed) / "run.json", "log": log}


def study_command(files: StudyResults) -> str:
    """Return the command that makes a study again, with the words it was made with."""
    return f"make study {_words(files)}"


def run_command(files: StudyResults, run: pd.Series) -> str:
    """Return the command that makes exactly one run again."""
    folder = str(Paths().run(run.dataset, run.model, run.key, run.seed))
    return f"make redo WHAT={shlex.quote(folder)} {_words(files)}"


def _words(files: StudyResults) -> str:
    origin = Path(files.study.get("origin", ""))
    own = (origin.parent.name, origin.stem) != ("studies", files.config.name)
    choice = validate(Choice, files.study.get("choice", {}), str(files.folder / "study.json"))
    given = choice.model_dump(exclude_none=True)
    words = {"STUDY": str(origin) if own and origin.name else files.config.name}
    words |= {
        WORDS.get(k, k.upper()): ",".join(v) if isinstance(v, list) else f"{v}" for k, v in given.items()
    }
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in words.items())
