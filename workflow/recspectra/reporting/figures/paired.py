"""Differences between runs of a study, user by user, with intervals that hold for all of a figure at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.model import VARYING
from recspectra.config.study import FigureConfig, View
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Comparison, Pair, Panel
from recspectra.reporting.results import StudyResults, fit_of, names_of, preferred
from recspectra.reporting.user_values import kept_values

NO_USERS = "no values of single users are on disk"


class Asked(NamedTuple):
    """Two runs of one dataset, by their names: how far is `subject` above `rival`?"""

    dataset: str
    subject: str
    rival: str


def view_of(files: StudyResults, figure: FigureConfig) -> View | None:
    """Return what a figure is measured with: its own view, else the fullest of its protocol."""
    return figure.view or preferred(files, figure.protocol)


def panels_of(files: StudyResults, figure: FigureConfig, runs: pd.DataFrame) -> dict[str, Panel]:
    """Return the metric of every user of each dataset, under the runs that have a number.

    Parameters
    ----------
    files : StudyResults
        The study's files.
    figure : FigureConfig
        Names protocol, metric, cut-off and view.
    runs : DataFrame
        Rows of `select_runs`.

    Returns
    -------
    dict
        By dataset; without those of which no user is on disk.
    """
    view = view_of(files, figure)
    if view is None or runs.empty:
        return {}
    point = {"protocol": figure.protocol, "metric": figure.metric, "k": figure.k, **view.model_dump()}
    runs = runs.assign(name=names_of(runs))
    found: dict[str, Panel] = {}
    for dataset, own in runs.groupby("dataset", sort=False):
        values = {}
        for fit, part in own.groupby("fit", sort=False):
            values |= _values(files, str(dataset), {**point, "fit": fit}, set(part["name"]))
        if values:
            trained = set(own.loc[own["kind"].isin(VARYING), "name"])
            varying = {name for name, array in values.items() if name in trained or (array != array[0]).any()}
            fits = {name: fit_of(name) for name in values}
            found[str(dataset)] = Panel(str(dataset), values, frozenset(varying), fits)
    return found


def _values(files: StudyResults, dataset: str, point: dict, names: set[str]) -> dict[str, np.ndarray]:
    path = files.per_user(dataset)
    if not path.is_file():
        return {}
    return {name: array for name, array in kept_values([path], point).items() if name in names}


def differences(panels: dict[str, Panel], asked: Sequence[Asked]) -> dict[Asked, Comparison]:
    """Compare pairs as one family; those without numbers are left out, equal runs too."""
    known = [
        pair
        for pair in dict.fromkeys(asked)
        if pair.subject != pair.rival
        and pair.dataset in panels
        and {pair.subject, pair.rival} <= set(panels[pair.dataset].values)
    ]
    found = simultaneous.compare(list(panels.values()), [Pair(*pair) for pair in known])
    return dict(zip(known, found, strict=True))
