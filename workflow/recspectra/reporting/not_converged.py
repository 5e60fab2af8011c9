"""Which systems were cut off: their validation was at its best when the epochs ran out."""

from __future__ import annotations

import pandas as pd

from recspectra.config.study import FindingConfig
from recspectra.reporting.results import StudyFiles, select_runs

LOSS = "loss"
BY = ["dataset", "model", "variant", "group", "seed", "fit"]


def cut_off(files: StudyFiles, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs whose last validation was their best.

    Early stopping ends a run some epochs after its best one, so these had no epochs left.

    Parameters
    ----------
    files : StudyFiles
        The study's files.
    runs : DataFrame
        Rows of `select_runs`.

    Returns
    -------
    DataFrame
        Columns `dataset`, `model`, `label`, `seed`.
    """
    curves = files.learning[files.learning["curve"] != LOSS].dropna(subset=["epoch", "value"])
    rows = runs[[*BY, "label"]].drop_duplicates().merge(curves, on=BY)  # epoch by epoch
    whole = rows.groupby([*BY, "label"], sort=False)["value"]
    ends = pd.DataFrame({"last": whole.last(), "best": whole.max()}).reset_index()
    return ends.loc[ends["last"] >= ends["best"], ["dataset", "model", "label", "seed"]]


def cut_off_notes(files: StudyFiles, groups: list[str], datasets: list[str], fits: list[str]) -> list[str]:
    """Return a sentence that names the systems of a table that had seeds without epochs left."""
    found = cut_off(files, select_runs(files, groups, datasets, fits))
    if found.empty:
        return []
    parts = []
    for dataset, rows in found.groupby("dataset", sort=False):
        parts.append(f"{files.titles.get(dataset, dataset)}: {', '.join(dict.fromkeys(rows['label']))}")
    return [
        "Validation was at its best when the epochs ran out, so more of them may lift these "
        f"({'; '.join(parts)})."
    ]


def cut_off_sentence(files: StudyFiles, finding: FindingConfig, dataset: str) -> str:
    """Return a sentence on those variants of a finding's system that had no epochs left; "" if all had."""
    runs = select_runs(files, finding.groups, [dataset], [finding.fit], finding.model)
    names = list(dict.fromkeys(cut_off(files, runs)["label"]))
    if not names:
        return ""
    was, their, them = ("were", "their", "them") if len(names) > 1 else ("was", "its", "it")
    return (
        f"{' and '.join(names)} {was} still gaining on validation when {their} epochs ran out, so more of "
        f"them may lift {them}."
    )
