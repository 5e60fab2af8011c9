"""How sure the numbers of a table are: intervals over users and seeds, and who can be told from whom.

All of it is computed once, when a study is drawn, from the values of every user (`per_user/`), by the
procedure that judges claims (`evaluation.simultaneous`), and is kept in `table-{name}.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from recspectra.config.metric_names import declared
from recspectra.config.model import VARYING
from recspectra.config.study import TableConfig
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Comparison, Panel, Standing
from recspectra.reporting.results import StudyResults, fit_of, names_of
from recspectra.reporting.user_values import kept_values

BEST, TIED, BELOW = "best", "tied", "below"
ABOVE, SAME, REFERENCE = "above", "cannot tell", "reference"
COLUMNS = [
    "low", "high", "users_counted", "seeds_df",
    "behind", "behind_low", "behind_high", "behind_p", "standing",
    "against", "against_low", "against_high", "against_p", "verdict",
]  # fmt: skip
WORDS = ("standing", "verdict")
NUMBERS = [name for name in COLUMNS if name not in WORDS]


class Place(NamedTuple):
    """What tells the columns of a table apart."""

    dataset: str
    history: str
    mask: str
    users: str
    metric: str
    k: int


def with_intervals(
    files: StudyResults, table: TableConfig, frame: pd.DataFrame, runs: pd.DataFrame
) -> pd.DataFrame:
    """Return the long form of a table with `COLUMNS`; they are empty where no values of users are kept.

    Parameters
    ----------
    files : StudyResults
        The study's files.
    table : TableConfig
        Names the protocol and, if any, the reference model.
    frame : DataFrame
        A line a row and column of the table.
    runs : DataFrame
        The runs that its rows are of, with a `label` each.
    """
    found: dict[tuple, dict] = {}
    for dataset, part in frame.groupby("dataset", sort=False):
        names = files.folds.get(dataset, [dataset])
        if not all(files.per_user(name).is_file() for name in names):
            continue
        own = rows_of(runs[runs["dataset"].isin(names)])
        for users, lines in part.groupby("users", sort=False):
            places = [Place(*p) for p in lines[list(Place._fields)].drop_duplicates().itertuples(index=False)]
            panels = {place: panel_of(files, table, place, own) for place in places}
            found |= _stand(table, users, {place: one for place, one in panels.items() if one}, own)
    keys = zip(frame["row"], frame[list(Place._fields)].itertuples(index=False, name=None), strict=True)
    added = pd.DataFrame([found.get(key, {}) for key in keys], index=frame.index, columns=COLUMNS)
    added[list(WORDS)] = added[list(WORDS)].astype(object).where(added[list(WORDS)].notna(), "")
    return frame.assign(**{name: added[name].astype("float64") for name in NUMBERS},
                        **{name: added[name] for name in WORDS})  # fmt: skip


def rows_of(runs: pd.DataFrame) -> pd.DataFrame:
    r"""Return one line a row of the table: `name` in files of users, `label`, `model`, whether it `varies`.

    A label of several keys on one dataset is no one model: it has no line.
    """
    rows = runs.assign(name=names_of(runs), varies=runs["kind"].isin(VARYING))
    rows = rows[["name", "label", "model", "variant", "varies"]].drop_duplicates("name")
    return rows[~rows["label"].duplicated(keep=False)].reset_index(drop=True)


def panel_of(files: StudyResults, table: TableConfig, place: Place, own: pd.DataFrame) -> Panel | None:
    """Return the values of one column, by the labels of its rows; None without any."""
    point = {**place._asdict(), "protocol": table.protocol}
    dataset = point.pop("dataset")
    if place.users == files.protocols.get(table.protocol, {}).get("users", "all"):
        point.pop("users")  # a protocol's own users are all that its file has
    paths = [files.per_user(name) for name in files.folds.get(dataset, [dataset])]
    values = kept_values(paths, point)
    named = {row.label: values[row.name] for row in own.itertuples(index=False) if row.name in values}
    if not named:
        return None
    varies = set(own.loc[own["varies"], "label"])
    trained = {name for name, part in named.items() if name in varies or (part != part[0]).any()}
    fits = {row.label: fit_of(row.name) for row in own.itertuples(index=False)}
    return Panel(dataset, named, frozenset(trained), fits)


def reference_row(table: TableConfig, own: pd.DataFrame) -> str | None:
    """Return the row that others are set against: the reference model's default variant, if it has one."""
    rows = own[own["model"] == table.reference]
    rows = rows[(rows["variant"] == "default") | ~(rows["variant"] == "default").any()]
    return rows["label"].iloc[0] if len(rows) else None


def _stand(
    table: TableConfig, users: str, panels: Mapping[Place, Panel], own: pd.DataFrame
) -> dict[tuple, dict]:
    """Return what is known of each row and column of one dataset and group of users."""
    reference = reference_row(table, own)
    columns = [(p, reference if reference in p.values else None) for p in panels.values()]
    cells = {}
    for (place, panel), (_, beside), found in zip(
        panels.items(), columns, simultaneous.stand(columns), strict=True
    ):
        df = simultaneous.seed_variance(panel).df if panel.trained else math.nan
        for name, one in found.items():
            counts = {"users_counted": panel.users, "seeds_df": df}
            cells[name, tuple(place)] = counts | _cell(one, len(found), ranked(place.metric))
            if name == beside:
                cells[name, tuple(place)]["verdict"] = REFERENCE
    return cells


def ranked(metric: str) -> bool:
    """Return whether more of a metric is better, so that a column has a best."""
    return declared().get(metric, {"ranked": True})["ranked"]


def _cell(one: Standing, models: int, has_best: bool) -> dict:
    """Return the numbers and words of one model in one column."""
    cell: dict = {"low": one.value.low, "high": one.value.high}
    if has_best:
        behind = _named("behind", one.behind) if one.behind else {"behind": 0.0}
        cell |= behind | {"standing": standing(one, models)}
    if one.against is not None:
        cell |= _named("against", one.against) | {"verdict": verdict(one.against)}
    return cell


def standing(one: Standing, models: int) -> str:
    """Return whether a model is the best of a column of so many, cannot be told from it, or is below."""
    if one.behind is None:
        return BEST if models > 1 else ""
    return TIED if one.tied else BELOW


def _named(name: str, found: Comparison) -> dict[str, float]:
    return {name: found.difference, f"{name}_low": found.low, f"{name}_high": found.high,
            f"{name}_p": found.p}  # fmt: skip


def verdict(found: Comparison) -> str:
    """Return whether a model is above another, below it, or cannot be told from it."""
    return ABOVE if found.low > 0.0 else BELOW if found.high < 0.0 else SAME
