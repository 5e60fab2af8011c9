"""Gather the numbers that a kind of figure of a paper is drawn from into one file of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recspectra import registry
from recspectra.config.model import PlannedRun
from recspectra.config.planned import Study
from recspectra.config.study import FigureConfig
from recspectra.files import ArtifactError, open_regular, read_json, write_text
from recspectra.paths import Paths


def gather(study: Study, kind: str, results: Path) -> None:
    """Write `{kind}.csv` of a study: the rows of each of its figures of that kind, named by `figure`.

    Raises
    ------
    ArtifactError
        A file that they are gathered from is missing, or has other columns.
    """
    about = registry.figure(kind)
    figures = [figure for figure in study.config.figures if figure.kind == kind]
    frames = [rows_of(study, about, figure, results) for figure in figures]
    frames = [frame for frame in frames if len(frame)]
    columns = ["figure", *about.columns]
    frame = pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    text = frame.to_csv(index=False, lineterminator="\n")
    write_text(Paths(results).study(study.name) / f"{kind}.csv", text)


def rows_of(study: Study, kind: registry.FigureKind, figure: FigureConfig, results: Path) -> pd.DataFrame:
    """Return the rows of one figure, columns `figure` and those of its kind."""
    if isinstance(kind.source, registry.OfJobs):
        places = [Paths(results).measured(t.name) for t in registry.targets(study, figure)]
        frames = [_measured(path, kind) for path in places]
    else:
        runs = kind.source.runs(study, figure)
        frames = [kind.source.rows(study, planned, _record(results, planned)) for planned in runs]
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames).assign(figure=figure.name) if frames else pd.DataFrame()


def _record(results: Path, planned: PlannedRun) -> dict[str, Any]:
    return read_json(Paths(results).planned(planned) / "run.json")


def _measured(path: Path, kind: registry.FigureKind) -> pd.DataFrame:
    """Read what a job measured, as text."""
    try:
        with open_regular(path) as stream:
            frame = pd.read_csv(stream, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); delete it and run again") from None
    if missing := set(kind.columns) - set(frame.columns):
        raise ArtifactError(f"{path}: lacks {', '.join(sorted(missing))}; delete it and run again")
    return frame
