"""Means over the folds of a dataset, and how far folds lie apart."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from recspectra.config.scale import CAPPED, USABLE

COLUMNS = ["folds", "fold_low", "fold_high"]


def average(cells: pd.DataFrame, folds: Mapping[str, list[str]]) -> pd.DataFrame:
    """Return the cells of a table with one for all folds of a dataset in place of one for each.

    Parameters
    ----------
    cells : DataFrame
        `dataset`, `mean`, `se`, `seeds`, `status`, and what tells cells apart besides.
    folds : mapping
        Name of a dataset -> names of its folds.

    Returns
    -------
    DataFrame
        With `folds`, how many there are, and `fold_low` and `fold_high`, the lowest and the highest of them;
        NaN of a dataset without folds. Where a fold has no number there is none of all.
    """
    base = {fold: name for name, names in folds.items() for fold in names}
    cells = cells.assign(**dict.fromkeys(COLUMNS, float("nan")))
    if not base:
        return cells
    named = cells.assign(dataset=cells["dataset"].map(base).fillna(cells["dataset"]))
    by = [name for name in cells.columns if name not in ("mean", "se", "seeds", "status", *COLUMNS)]
    lines = []
    for _, part in named.groupby(by, sort=False, dropna=False):
        whole = part["dataset"].iloc[0] in folds
        lines.append(_one(part, len(folds[part["dataset"].iloc[0]])) if whole else part.iloc[0])
    return pd.DataFrame(lines, columns=cells.columns).reset_index(drop=True).astype(cells.dtypes.to_dict())


def _one(part: pd.DataFrame, count: int) -> pd.Series:
    """Return the cell of all folds."""
    statuses = list(dict.fromkeys(part["status"]))
    bad = [status for status in statuses if not status.startswith(USABLE)]
    partly = [status for status in statuses if status != "ok"]
    line = part.iloc[0].copy()
    line["status"] = bad[0] if bad else CAPPED if CAPPED in partly else (partly or ["ok"])[0]
    line["mean"] = part["mean"].mean(skipna=False)
    line["se"], line["seeds"] = float("nan"), part["seeds"].min()
    line["folds"] = count
    if part["mean"].notna().all():
        line["fold_low"], line["fold_high"] = part["mean"].min(), part["mean"].max()
    return line
