"""What one target a user forces upon a table of hit rates and NDCG.

A target at rank r adds 1 to HR@K and 1 / log2(r + 1) to NDCG@K if r <= K. So between two cut-offs
the gain in NDCG lies between 1 / log2(K' + 1) and 1 / log2(K + 2) times the gain in HR, for any
mean over users and seeds: ranks are whole numbers, those of equal scores too, which are rounded
down. A row that breaks this does not come from one evaluation.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.reporting.audit import cells_of, one_target
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, StudyError, StudyFiles

ROUNDING = 1e-9
HITS = ("hr", "recall", "recall_min")  # with one target all are the same number


def broken(metrics: pd.DataFrame) -> pd.DataFrame:
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


def identity_notes(files: StudyFiles, table: TableConfig, published: Published) -> list[str]:
    """Return a note on the identity under a table of one target a user; nothing for others.

    Raises
    ------
    StudyError
        A row of ours breaks it: the evaluation is wrong.
    """
    datasets = table.datasets or files.config.datasets
    counts = files.datasets.set_index("dataset")[["test", "test_users"]]
    if not all(
        name in counts.index and counts["test"][name] == counts["test_users"][name] for name in datasets
    ):
        return []
    metrics = files.metrics[files.metrics["protocol"] == table.protocol]
    metrics = metrics[metrics["dataset"].isin(datasets) & metrics["value"].notna()]
    wrong = broken(metrics)
    if len(wrong):
        line = wrong.iloc[0]
        raise StudyError(
            f"{files.folder / 'metrics.csv'}: {line['model']} on {line['dataset']}, seed {line['seed']}: "
            f"ndcg gains {line['gain']:.6f} from @{line['low']} to @{line['high']} where the hit rate gains "
            f"{line['hits']:.6f}, which one target a user cannot give; delete the folder `parts` of the "
            "study and run it again"
        )
    if not {"ndcg"} <= set(table.metrics) or not set(HITS) & set(table.metrics):
        return []
    return [
        "With one target a user, what NDCG gains between two cut-offs is bound by what the hit rate gains. "
        f"Every row of ours keeps to this{_of_theirs(table, published)}."
    ]


def _of_theirs(table: TableConfig, published: Published) -> str:
    if not table.published or not published.table(table.published).one_target:
        return ""
    cells = cells_of(published.values(table.published))
    total = len(cells[["dataset", "method"]].drop_duplicates())
    names = {}
    for dataset, method, _, _ in one_target(cells):
        names.setdefault(method, []).append(dataset)
    if not names:
        return f"; so do all {total} published rows"
    lines = ", ".join(f"{method} ({', '.join(places)})" for method, places in names.items())
    count = sum(map(len, names.values()))
    return f"; of the {total} published rows {count} do not, so they are not from one evaluation: {lines}"
