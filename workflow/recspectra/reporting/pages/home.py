"""The first page: what ran, what came of each claim, who leads, and how far printed numbers are from ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.study import TableConfig
from recspectra.evaluation.simultaneous import FEWEST_DF
from recspectra.reporting import tables
from recspectra.reporting.audit import read_audit
from recspectra.reporting.footnotes import scale_of
from recspectra.reporting.pages import charts
from recspectra.reporting.pages.study import StudyView
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, select_runs

IDENTITIES = ("mrr-decreases", "one-target")  # rules that no evaluation can break
GAPS = 12  # lines of the list of largest gaps
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
    runs = pd.concat([view.runs.drop_duplicates(JOIN) for view in views]).drop_duplicates(JOIN)
    made = [view.files.study.get("provenance", {}) for view in views]
    days = [(view.files.folder / "study.json").stat().st_mtime for view in views]
    failed = int((~runs["status"].isin(USABLE)).sum())
    capped = int((runs["status"] == CAPPED).sum())
    facts = {
        "commit": _all(about.get("commit", "") for about in made) or "not known",
        "date": datetime.fromtimestamp(max(days), UTC).date().isoformat(),
        "scale": _all(scale_of(view.files).name for view in views) or "none",
        "runs ok": f"{len(runs) - failed - capped:,}",
        "capped": f"{capped:,}",
        "failed": f"{failed:,}",
        "machine": _all(f"{a.get('processor', '')}, {a.get('machine', '')}".strip(", ") for a in made),
    }
    return {name: text for name, text in facts.items() if text}


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
            "rows": _lines(part), "printed": bool(part["published"].notna().any()),
            "sure": bool(part["low"].notna().any()),
            "users": first["users"], "marks": marks,
        })  # fmt: skip
    return found


def _lines(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Return models with the ends of their intervals as shares of the field that all of them span."""
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
    """Return, for each dataset, how much a number moves with other users and with other seeds."""
    titles, found = view.files.titles, []
    for name, part in view.standings.groupby("dataset", sort=False):
        trained = part[(part["kind"] == "trained") & (part["seeds"] > 1)]
        found.append({
            "title": titles.get(name, name), "users": part["users"].max(),
            "user_error": (part["user_error"] / part["value"]).median(),
            "seed_spread": (trained["seed_spread"] / trained["value"]).median(), "trained": len(trained),
            "covered": bool(part["seeds_df"].min() >= FEWEST_DF),
        })  # fmt: skip
    return [one for one in found if one["user_error"] == one["user_error"]]


def compared(view: StudyView, published: Published) -> list[dict[str, Any]]:
    """Return every number of a study that has a printed one to compare with, each once."""
    points: dict[tuple, dict[str, Any]] = {}
    broken = _broken(view)
    for table in view.files.config.tables:
        if table.kind == "metrics" and table.published:
            for point in _compared(view, table, published, broken):
                same = ("model", "where", "metric", "published", "ours")
                points.setdefault(tuple(point[name] for name in same), point)
    return list(points.values())


def _compared(
    view: StudyView, table: TableConfig, published: Published, broken: set[tuple[str, str, str]]
) -> list[dict[str, Any]]:
    files, entry = view.files, published.table(table.published)
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
            "check": charts.BREAKS if (table.published, theirs.get(row.dataset, ""),
                                       entry.method_of(*models.get(row.row, ("", "")))) in broken
            else charts.KEEPS,
        }
        for row in frame.itertuples()
    ]  # fmt: skip


def _seen(row: Any) -> str:
    return f"history {row.history}, mask {row.mask}"


def _broken(view: StudyView) -> set[tuple[str, str, str]]:
    """Return (table, dataset, method) of printed rows that break an identity."""
    checks = read_audit(view.files.folder)
    checks = checks[checks["rule"].isin(IDENTITIES)]
    return set(checks[["table", "dataset", "method"]].itertuples(index=False, name=None))


def gaps(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the numbers of the same definition that are furthest, in percent, from the printed ones."""
    same = [p | {"share": p["difference"] / p["published"]} for p in points if p["definition"] == SAME]
    return sorted(same, key=lambda point: -abs(point["share"]))[:GAPS]
