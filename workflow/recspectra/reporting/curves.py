"""Curves over a spectrum or over steps, as points (x, y) of named series, a panel a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.model import PlannedRun
from recspectra.reporting.figures.base import LINES, FigureData, drawn, panels
from recspectra.reporting.results import StudyResults

POINTS = ["dataset", "series", "x", "y"]


def points(planned: PlannedRun, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return the points of named curves (x, y) of a run, columns `POINTS`."""
    frames = [
        pd.DataFrame({"dataset": planned.dataset, "series": name, "x": x, "y": y})
        for name, (x, y) in curves.items()
    ]
    return pd.concat(frames)[POINTS] if frames else pd.DataFrame(columns=POINTS)


def curve_data(
    files: StudyResults, rows: pd.DataFrame, caption: str, x: str, y: str,
    shorten: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> FigureData:  # fmt: skip
    """Return points as lines, in the order of datasets and series; `shorten` may rename those of several."""
    rows = rows[np.isfinite(rows["x"]) & np.isfinite(rows["y"])]
    frame: Any = rows.assign(panel=panels(files, rows["dataset"]), se=float("nan"), seeds=1)
    frame = shorten(frame) if shorten and frame["dataset"].nunique() > 1 else frame
    frame = frame.sort_values("x", kind="stable")
    order = {name: i for i, name in enumerate(dict.fromkeys(rows["dataset"] + "\0" + rows["series"]))}
    # The names of series may have been shortened: the index still tells which row is which.
    place = (rows["dataset"] + "\0" + rows["series"]).map(order)
    frame = frame.assign(place=place.reindex(frame.index)).sort_values("place", kind="stable")[LINES]
    return drawn(frame, caption, x, y, "no finished run of this figure has such a curve")
