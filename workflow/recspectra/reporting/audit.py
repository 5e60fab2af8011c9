"""Checks of tables that need nothing but their numbers: of published ones, and one of our own.

A target at rank r adds 1 to HR@K and 1 / log2(r + 1) to NDCG@K if r <= K. So with one target a user, between
two cut-offs K < K' the gain in NDCG lies between 1 / log2(K' + 1) and 1 / log2(K + 2) times the gain in HR,
for any mean over users and seeds: ranks are whole numbers, those of equal scores too, which are rounded
down. A row that breaks this does not come from one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.reporting import crosscheck
from recspectra.reporting.crosscheck import Finding
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, StudyError, StudyResults, read_csv, write_csv

COLUMNS = ["table", "dataset", "method", "rule", "cells", "detail"]
BOUNDED = ("recall", "ndcg", "mrr", "hr")
# NDCG@20 - NDCG@10 of one target at ranks 11..20 lies between 1/log2(21) and 1/log2(12)
# times HR@20 - HR@10; the tolerance covers four printed digits.
ONE_TARGET = (0.2277, 0.2789)
DIGITS = 1.5e-4
ROUNDING = 1e-9
HITS = ("hr", "recall", "recall_min")  # with one target all are the same number


def mrr_decreases(cells: pd.DataFrame) -> Iterable[Finding]:
    """A longer list can only find the first hit earlier or at all: MRR@K never falls."""
    for dataset, method, part in _lines(cells, "mrr"):
        if any(low > high for low, high in pairwise(part["value"])):
            yield dataset, method, _show(part), "true MRR@K cannot fall as K grows"


def repeated_cells(cells: pd.DataFrame) -> Iterable[Finding]:
    """The same number at two cut-offs: possible, but rarely to four digits."""
    twice = cells[cells.duplicated(["name", "dataset", "method", "value"], keep=False)]
    for metric in BOUNDED:
        for dataset, method, part in _lines(twice, metric):
            yield dataset, method, _show(part), "the same value at different cut-offs"


def cut_off_ratio(name: str, cells: pd.DataFrame) -> Iterable[Finding]:
    """A metric's ratio @10/@20 far from that of the other rows: another definition, or a typo."""
    part = cells[cells["name"].eq(name) & cells["k"].isin([10, 20])]
    wide = part.pivot_table(index=["dataset", "method"], columns="k", values="value", sort=False)
    if not {10, 20} <= set(wide.columns):
        return
    for (dataset, method), ratio, middle in _outliers((wide[10] / wide[20]).dropna(), 0.03):
        detail = f"{name}@10/{name}@20 is {ratio:.3f}, the median of the other rows is {middle:.3f}"
        row = part[(part["dataset"] == dataset) & (part["method"] == method)]
        yield dataset, method, _show(row), detail


def ndcg_over_mrr(cells: pd.DataFrame) -> Iterable[Finding]:
    """NDCG/MRR at one cut-off far from that of the other rows: the row has an evaluator of its own."""
    part = cells[cells["name"].isin(["ndcg", "mrr"])]
    wide = part.pivot_table(index=["k", "dataset", "method"], columns="name", values="value", sort=False)
    if not {"ndcg", "mrr"} <= set(wide.columns):
        return
    ratios = (wide["ndcg"] / wide["mrr"]).dropna()
    lines: dict[tuple[str, str], list[str]] = {}
    for k in dict.fromkeys(ratios.index.get_level_values("k")):
        for place, ratio, middle in _outliers(ratios.xs(k, level="k"), 0.05):
            lines.setdefault(place, []).append(f"{ratio:.2f} @{k} (others {middle:.2f})")
    for (dataset, method), words in lines.items():
        row = part[(part["dataset"] == dataset) & (part["method"] == method)]
        yield dataset, method, _show(row), f"ndcg/mrr is {', '.join(words)}"


def _outliers(ratios: pd.Series, least: float) -> Iterable[tuple[tuple[str, str], float, float]]:
    """Yield (dataset, method), ratio and the others' median where the ratio is far from it.

    Far is more than three standard deviations, estimated from the median deviation of the
    others, and at least `least`.
    """
    values, datasets = ratios.to_numpy(), ratios.index.get_level_values("dataset").to_numpy()
    for place, ((dataset, method), ratio) in enumerate(ratios.items()):
        others = np.delete(values, place)[np.delete(datasets, place) == dataset]
        if len(others) < 4:
            continue
        middle = np.median(others)
        spread = 1.4826 * np.median(np.abs(others - middle))
        if abs(ratio - middle) > max(3.0 * spread, least):
            yield (dataset, method), ratio, middle


def misplaced_point(cells: pd.DataFrame) -> Iterable[Finding]:
    """A value above 0.5 where all others of its column are below 0.2."""
    for (dataset, metric), column in cells.groupby(["dataset", "metric"], sort=False):
        for place, line in column[column["value"] > 0.5].iterrows():
            others = column["value"].drop(place)
            if len(others) and others.max() < 0.2:
                detail = f"all other rows are at most {others.max():g}; a misplaced decimal point?"
                yield dataset, line["method"], f"{metric}={line['value']:g}", detail


def one_target(cells: pd.DataFrame) -> Iterable[Finding]:
    """With one target a user, what NDCG gains from rank 10 to 20 is bound by what HR gains."""
    wide = cells.pivot_table(index=["dataset", "method"], columns="metric", values="value", sort=False)
    if not {"hr@10", "hr@20", "ndcg@10", "ndcg@20"} <= set(wide.columns):
        return
    for (dataset, method), line in wide.iterrows():
        hits, gain = line["hr@20"] - line["hr@10"], line["ndcg@20"] - line["ndcg@10"]
        low, high = ONE_TARGET[0] * hits - DIGITS, ONE_TARGET[1] * hits + DIGITS
        if not low <= gain <= high:
            part = cells[(cells["dataset"] == dataset) & (cells["method"] == method)]
            detail = (
                f"ndcg@20 - ndcg@10 = {gain:.4f}, but hr@20 - hr@10 = {hits:.4f} "
                f"allows {ONE_TARGET[0] * hits:.4f} to {ONE_TARGET[1] * hits:.4f}"
            )
            yield dataset, method, _show(part), detail


RULES: dict[str, Callable[[pd.DataFrame], Iterable[Finding]]] = {
    "mrr-decreases": mrr_decreases,
    "repeated-cell": repeated_cells,
    "recall-ratio": partial(cut_off_ratio, "recall"),
    "ndcg-ratio": partial(cut_off_ratio, "ndcg"),
    "hr-ratio": partial(cut_off_ratio, "hr"),
    "ndcg-mrr-ratio": ndcg_over_mrr,
    "misplaced-point": misplaced_point,
}


def audit(published: Published, table_ids: Iterable[str]) -> pd.DataFrame:
    """Check published tables; one line a finding, columns `COLUMNS`.

    All tables of the papers that `table_ids` belong to are checked.
    """
    papers = {published.table(table_id) and table_id.split("/")[0] for table_id in table_ids}
    lines = []
    for table_id in (name for name in published.tables if name.split("/")[0] in papers):
        cells = cells_of(published.values(table_id))
        rules = RULES | ({"one-target": one_target} if published.table(table_id).one_target else {})
        for rule, check in rules.items():
            lines += [(table_id, d, m, rule, c, detail) for d, m, c, detail in check(cells)]
        for rule, check in crosscheck.RULES.items():
            lines += [(table_id, d, m, rule, c, detail) for d, m, c, detail in check(published, table_id)]
    return pd.DataFrame(lines, columns=COLUMNS)


def cells_of(values: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose metric is `name@k` with a value that must lie in [0, 1]."""
    parts = values["metric"].str.extract(r"^([a-z]+)@(\d+)$")
    cells = values.assign(name=parts[0], k=pd.to_numeric(parts[1]))
    return cells[cells["name"].isin(BOUNDED)].astype({"k": "int64"})


def _lines(cells: pd.DataFrame, name: str) -> Iterable[tuple[str, str, pd.DataFrame]]:
    rows = cells[cells["name"] == name]
    for (dataset, method), part in rows.groupby(["dataset", "method"], sort=False):
        yield dataset, method, part.sort_values("k")


def _show(part: pd.DataFrame) -> str:
    return ", ".join(f"{m}={v:.4f}" for m, v in zip(part["metric"], part["value"], strict=True))


def draw_audit(folder: Path, published: Published, table_ids: Iterable[str]) -> list[str]:
    """Write `audit.csv`; return its name."""
    write_csv(Path(folder) / "audit.csv", audit(published, table_ids))
    return ["audit.csv"]


def read_audit(folder: Path) -> pd.DataFrame:
    """Read `audit.csv` back from disk."""
    return read_csv(Path(folder) / "audit.csv", COLUMNS, hint="draw the study first")


# ----------------------------------------------------------------- one target a user, our own rows


def breaks_bound(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of runs whose NDCG does not fit their hit rate.

    Parameters
    ----------
    metrics : DataFrame
        Columns `JOIN`, `history`, `mask`, `metric`, `k`, `value`, of one protocol.

    Returns
    -------
    DataFrame
        The offending points: `JOIN`, `history`, `mask`, `low`, `high` (cut-offs), `hits`, `gain`.
    """
    hit = next((name for name in HITS if (metrics["metric"] == name).any()), None)
    if hit is None:
        return pd.DataFrame()
    by = [*JOIN, "history", "mask"]
    part = metrics[metrics["metric"].isin([hit, "ndcg"])]
    wide = part.pivot_table(index=by, columns=["metric", "k"], values="value", sort=False)
    found = []
    for low, high in pairwise(sorted(set(part["k"]))):
        if not {(name, k) for name in (hit, "ndcg") for k in (low, high)} <= set(wide.columns):
            continue
        hits, gain = (wide[name, high] - wide[name, low] for name in (hit, "ndcg"))
        least, most = hits / np.log2(high + 1), hits / np.log2(low + 2)
        wrong = (gain < least - ROUNDING) | (gain > most + ROUNDING)
        rows = pd.DataFrame({"low": low, "high": high, "hits": hits, "gain": gain})[wrong]
        found.append(rows.reset_index())
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def bound(files: StudyResults, table: TableConfig, published: Published) -> dict[str, Any] | None:
    """Return what the bound says of a table of one target a user; None for others.

    Returns
    -------
    dict or None
        `rows`, how many published rows stand beside, and `broken` (method -> datasets) those that break it.

    Raises
    ------
    StudyError
        A row of ours breaks it: the evaluation is wrong.
    """
    if files.protocols.get(table.protocol, {}).get("target", "test") != "test":
        return None  # users may have several targets there
    datasets = table.datasets or files.config.datasets
    counts = files.datasets.set_index("dataset")[["test", "test_users"]].reindex(datasets)
    if counts.isna().any(axis=None) or (counts["test"] != counts["test_users"]).any():
        return None
    metrics = files.metrics[files.metrics["protocol"] == table.protocol]
    wrong = breaks_bound(metrics[metrics["dataset"].isin(datasets) & metrics["value"].notna()])
    if len(wrong):
        line = wrong.iloc[0]
        raise StudyError(
            f"{files.folder / 'metrics.csv'}: {line['model']} on {line['dataset']}, seed {line['seed']}: "
            f"ndcg gains {line['gain']:.6f} from @{line['low']} to @{line['high']} where the hit rate gains "
            f"{line['hits']:.6f}, which one target a user cannot give; delete the folder `parts` of the "
            "study and run it again"
        )
    shown = "ndcg" in table.metrics and set(HITS) & set(table.metrics)
    return _printed_rows(table, published) if shown else None


def _printed_rows(table: TableConfig, published: Published) -> dict[str, Any]:
    if not table.published or not published.table(table.published).one_target:
        return {"rows": 0, "broken": {}}
    cells = cells_of(published.values(table.published))
    broken: dict[str, list[str]] = {}
    for dataset, method, _, _ in one_target(cells):
        broken.setdefault(method, []).append(dataset)
    return {"rows": len(cells[["dataset", "method"]].drop_duplicates()), "broken": broken}
