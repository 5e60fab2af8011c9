"""Where the report lies, where a study's files lie, and addresses from one to the other."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.reporting.results import StudyResults

LINKED = ("run.json", "log")  # what a run links to


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


def results_of(files: StudyResults) -> Path:
    """Return `results/` of a study's folder `results/studies/NAME`."""
    return files.folder.parents[1]


def run_folder(run: pd.Series) -> str:
    """Return the folder of a run below `results/`."""
    return f"runs/{run.dataset}/{run.model}/{run.key}/seed-{run.seed}"


def run_files(files: StudyResults, run: pd.Series) -> dict[str, Path]:
    """Return the record and the log of a run."""
    results = results_of(files)
    log = results / "logs" / "fit" / run.dataset / run.model / f"{run.key}-seed-{run.seed}.log"
    return {"run.json": results / run_folder(run) / "run.json", "log": log}


def study_command(files: StudyResults) -> str:
    """Return the command that makes a study again, with the words it was made with."""
    return f"make study {_words(files)}"


def run_command(files: StudyResults, run: pd.Series) -> str:
    """Return the command that makes exactly one run again."""
    return f"make redo WHAT={shlex.quote('results/' + run_folder(run))} {_words(files)}"


def _words(files: StudyResults) -> str:
    origin = Path(files.study.get("origin", ""))
    own = (origin.parent.name, origin.stem) != ("studies", files.config.name)
    choice = validate(Choice, files.study.get("choice", {}), str(files.folder / "study.json"))
    given = choice.model_dump(exclude_none=True)
    words = {"STUDY": str(origin) if own and origin.name else files.config.name}
    words |= {k.upper(): ",".join(v) if isinstance(v, list) else f"{v}" for k, v in given.items()}
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in words.items())
