"""The first page: what ran, what came of each claim, who leads, and how far printed numbers are from ours."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.model import VARYING
from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.study import TableConfig
from recspectra.evaluation.simultaneous import FEWEST_DF
from recspectra.reporting import tables
from recspectra.reporting.figures.published import impossible_rows
from recspectra.reporting.footnotes import scale_of
from recspectra.reporting.intervals import ranked
from recspectra.reporting.pages import charts
from recspectra.reporting.pages.study import RUN, StudyView
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, StudyResults, leaked_lists, rows_at, select_runs

GAPS = 12  # lines of the list of largest gaps
TOP_TRIALS = 3  # of a search, that are set against each other
SAME, OTHER, UNKNOWN, ELSEWHERE, PROTOCOL = (
    "same definition",
    "another definition",
    "definition not known",
    "other files or another split",
    "another protocol",
)
DEFINITIONS = {"true": SAME, "false": OTHER, "elsewhere": ELSEWHERE, "protocol": PROTOCOL}


def status(views: Sequence[StudyView]) -> dict[str, str]:
    """Return what stands in the strip at the top: name -> text."""
    runs = pd.concat([view.runs.drop_duplicates(RUN) for view in views]).drop_duplicates(RUN)
    made = [view.files.study.get("provenance", {}) for view in views]
    days = [(view.files.folder / "study.json").stat().st_mtime for view in views]
    failed = int((~runs["status"].isin(USABLE)).sum())
    capped = int((runs["status"] == CAPPED).sum())
    facts = {
        "commit": _all(about.get("commit", "") for about in made) or "not known",
        "date": datetime.fromtimestamp(max(days), UTC).date().isoformat(),
        "scale": _all(scale_of(view.files).name for view in views) or "none",
        "runs ok": f"{len(runs) - failed - capped:,}",
        "still gaining": f"{len({_fit_of(run) for view in views for run in view.gaining}):,}",
        "capped": f"{capped:,}",
        "trials a search": _all(_trials_cut(view, len(views) > 1) for view in views),
        "failed": f"{failed:,}",
        "machine": _all(f"{a.get('processor', '')}, {a.get('machine', '')}".strip(", ") for a in made),
    }
    return {name: text for name, text in facts.items() if text}


def _trials_cut(view: StudyView, named: bool) -> str:
    """Return how many trials of those that a study asks for the scale left; "" where it left all."""
    asked, most = view.files.config.tuning, scale_of(view.files).trials
    if view.files.tuning.empty or not asked or not most or most >= asked.trials:
        return ""
    return f"{most} of {asked.trials}" + (f" ({view.name})" if named else "")


def _fit_of(run: tuple[str, ...]) -> tuple[str, ...]:
    """Return what names the fit of a run (`JOIN`): a point of a sweep may be the main row as well."""
    named = dict(zip(JOIN, run, strict=True))
    return tuple(named[name] for name in RUN)


def _all(texts: Any) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def leaders(view: StudyView, published: Published) -> list[dict[str, Any]]:
    """Return, for each dataset, its title, what is measured, and the models, best first."""
    titles, found = view.files.titles, []
    table = next((table for table in view.files.config.tables if table.kind == "metrics"), None)
    marks = tables.mark_notes(published, table) if table else {}
    for name, part in view.standings.groupby("dataset", sort=False):
        first = part.iloc[0]
        found.append({
            "title": titles.get(name, name), "metric": f"{first['metric']}@{first['k']:.0f}",
            "view": f"protocol {first['protocol']}, history {first['history']}, mask {first['mask']}",
            "rows": _lines(part, _gaining_rows(view), _leaked_rows(view)),
            "printed": bool(part["published"].notna().any()),
            "sure": bool(part["low"].notna().any()),
            "seeds_told": bool(part["seeds_df"].min() >= FEWEST_DF),
            "users": first["users"], "marks": marks, "others": _other_leaders(view, part, table),
        })  # fmt: skip
    return found


def _other_leaders(view: StudyView, part: pd.DataFrame, table: TableConfig | None) -> dict[str, list[str]]:
    """Return who is above the leader by other metrics of the table: row -> metrics."""
    first = part.iloc[0]
    at = {name: first[name] for name in ("dataset", "history", "mask")}
    found: dict[str, list[str]] = {}
    if table is None or (drawn := rows_at(tables.read(view.files.folder, table.name), at)).empty:
        return found
    drawn = drawn[drawn["users"] == drawn["users"].iloc[0]].merge(part[["row", "fit"]])
    for (metric, k), rows in drawn.groupby(["metric", "k"], sort=False):
        means = rows.set_index("row")["mean"].dropna()
        if ranked(metric) and means.max() > means.get(first["row"], math.inf):
            found.setdefault(means.idxmax(), []).append(f"{metric}@{k:.0f}")
    return found


def _gaining_rows(view: StudyView) -> set[tuple[str, ...]]:
    """Return dataset, model, variant and key of what was still gaining with some seed."""
    folds = {fold: name for name, several in view.files.folds.items() for fold in several}
    return {(folds.get(dataset, dataset), *rest[:3]) for dataset, *rest in view.gaining}


def _leaked_rows(view: StudyView) -> set[tuple[str, ...]]:
    """Return dataset, model and key of lists that look as if made with test items, in some fold."""
    folds = {fold: name for name, several in view.files.folds.items() for fold in several}
    return {(folds.get(dataset, dataset), *rest) for dataset, *rest in leaked_lists(view.files)}


def _lines(
    part: pd.DataFrame, gaining: set[tuple[str, ...]], leaked: Collection[tuple[str, ...]]
) -> list[dict[str, Any]]:
    """Return models with the ends of their intervals as shares of the field that all of them span."""
    names = part[["dataset", "model", "variant", "key"]].itertuples(index=False, name=None)
    part = part.assign(gaining=[name in gaining for name in names])
    places = part[["dataset", "model", "key"]].itertuples(index=False, name=None)
    part = part.assign(leaked=[place in leaked for place in places])
    part = part.replace([np.inf, -np.inf], np.nan)  # too few users tell
    ends = part[["low", "high", "value"]].to_numpy()
    least, most = pd.Series(ends.ravel()).min(), pd.Series(ends.ravel()).max()
    span = (most - least) or 1.0
    rows = part.assign(
        mark=[tables.MARKS.get(s, tables.UNKNOWN) if s else "" for s in part["same_definition"]]
    )
    for name in ("low", "high", "value"):
        rows[f"at_{name}"] = ((part[name] - least) / span * 100).round(2)
    return rows.to_dict("records")


def spreads(view: StudyView) -> list[dict[str, Any]]:
    """Return, for each dataset, by how much a model's number moves with users, seeds, search and split.

    All are shares of the number, None where the study cannot tell.
    """
    files, found = view.files, []
    for name, part in view.standings.groupby("dataset", sort=False):
        # Some closed forms draw too: a start of iALS, clusters of HiGSP.
        seeded = part[part["kind"].isin(VARYING) | part["seed_spread"].gt(0)]
        repeated = seeded[seeded["seeds"] > 1]
        folds = files.folds.get(name, [])
        searches = _top_trials(files, folds or [name])
        found.append({
            "title": files.titles.get(name, name), "count": part["users"].max(),
            "users": _median(part["user_error"] / part["value"]),
            "seeds": _median(repeated["seed_spread"] / repeated["value"]),
            "seeded": len(seeded), "repeated": len(repeated),
            "search": _median(searches), "searches": len(searches),
            "split": _median(_over_folds(files, part.iloc[0], folds)), "folds": len(folds),
        })  # fmt: skip
    return found


def _median(shares: pd.Series) -> float | None:
    known = shares.replace([np.inf, -np.inf], np.nan).dropna()
    return float(known.median()) if len(known) else None


def _top_trials(files: StudyResults, datasets: Sequence[str]) -> pd.Series:
    """Return how far the best trials of each search lie apart on validation, as a share of the best.

    What the others would have on test is not measured: only the best trial is fitted and evaluated.
    """
    trials = files.tuning[files.tuning["dataset"].isin(datasets)].dropna(subset="value")
    best = trials.groupby(["dataset", "model", "key"])["value"].nlargest(TOP_TRIALS).groupby(level=[0, 1, 2])
    shares = 1.0 - best.min() / best.max()
    return shares[best.count() == TOP_TRIALS]


def _over_folds(files: StudyResults, point: pd.Series, folds: Sequence[str]) -> pd.Series:
    """Return the standard deviation of each model's mean over folds, as a share of its mean."""
    rows = files.metrics[files.metrics["dataset"].isin(folds)]
    rows = rows_at(rows, point[["protocol", "history", "mask", "metric", "k"]].to_dict())
    means = rows.groupby(["model", "variant", "fit", "dataset"])["value"].mean()
    whole = means.groupby(level=[0, 1, 2])
    return whole.std() / whole.mean()


def compared(view: StudyView, published: Published) -> list[dict[str, Any]]:
    """Return every number of a study that has a printed one to compare with, each once."""
    points: dict[tuple, dict[str, Any]] = {}
    for table in view.files.config.tables:
        if table.kind == "metrics" and table.published:
            for point in _compared(view, table, published):
                same = ("model", "where", "metric", "published", "ours")
                points.setdefault(tuple(point[name] for name in same), point)
    return list(points.values())


def _compared(view: StudyView, table: TableConfig, published: Published) -> list[dict[str, Any]]:
    files, entry = view.files, published.table(table.published)
    broken = impossible_rows(published, table.published)
    theirs = {ours: printed for printed, ours in entry.datasets.items()} | dict(table.printed)
    names = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    models = {run.label: (run.model, run.variant) for run in names.itertuples()}
    frame = tables.read(files.folder, table.name)
    frame = frame[frame["mean"].notna() & frame["published"].notna() & (frame["published"] > 0)]
    return [
        {
            "model": row.row, "where": f"{files.titles.get(row.dataset, row.dataset)}, {_seen(row)}",
            "metric": f"{row.metric}@{row.k:.0f}", "published": row.published, "ours": round(row.mean, 5),
            "difference": round(row.mean - row.published, 5),
            "definition": DEFINITIONS.get(str(row.same_definition), UNKNOWN), "table": table.name,
            "page": view.page, "capped": CAPPED in row.status,
            "check": charts.BREAKS if (theirs.get(row.dataset),
                                       entry.method_of(*models.get(row.row, ("", "")))) in broken
            else charts.KEEPS,
        }
        for row in frame.itertuples()
    ]  # fmt: skip


def _seen(row: Any) -> str:
    return f"history {row.history}, mask {row.mask}"


def gaps(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the numbers of the same definition that are furthest, in percent, from the printed ones."""
    same = [p | {"share": p["difference"] / p["published"]} for p in points if p["definition"] == SAME]
    return sorted(same, key=lambda point: -abs(point["share"]))[:GAPS]
