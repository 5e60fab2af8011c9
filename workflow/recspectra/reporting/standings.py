"""Who leads on each dataset, and how sure that is: `standings.csv`, from the values of every user.

The models of a study's first table of metrics stand in it, on each dataset by one metric of one view. A
model is tied with the best if the interval of the best minus it, simultaneous over all models of the dataset,
holds 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import PER_USER_METRICS, TableConfig
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Pair, Panel
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    StudyResults,
    joint_status,
    preferred,
    read_csv,
    seed_values,
    select_runs,
    user_values,
    write_csv,
)

FILE = "standings.csv"
TEXTS = ["dataset", "row", "model", "variant", "key", "kind", "fit", "protocol", "history", "mask", "metric",
         "status", "same_definition"]  # fmt: skip
NUMBERS = ["k", "value", "low", "high", "rank", "rank_low", "rank_high", "tied", "users", "seeds",
           "user_error", "seed_spread", "seconds", "memory", "published"]  # fmt: skip
COLUMNS = [*TEXTS, *NUMBERS]
STAGES = ["spectrum_seconds", "fit_seconds", "score_seconds"]
FIRST = ("ndcg", 10)  # what models are ranked by, where a table has it


def draw_standings(files: StudyResults, published: Published) -> list[str]:
    """Write `standings.csv` and return its name."""
    write_csv(files.folder / FILE, build(files, published))
    return [FILE]


def read(folder: Path) -> pd.DataFrame:
    """Read `standings.csv` back from disk."""
    return read_csv(Path(folder) / FILE, COLUMNS, NUMBERS, "draw the study first")


def build(files: StudyResults, published: Published) -> pd.DataFrame:
    """Return one row a model and dataset, the best of each dataset first.

    Parameters
    ----------
    files : StudyResults
        The study's files.
    published : Published
        Printed numbers.

    Returns
    -------
    DataFrame
        `COLUMNS`: the mean, its 95 % interval over users and seeds, the place and between which places
        other users would put it; `tied` is 1 where the model cannot be told from the best, NaN where the
        study keeps no values of users. Without a table of metrics there is no row.
    """
    table = next((table for table in files.config.tables if table.kind == "metrics"), None)
    rows: list[dict[str, Any]] = []
    for dataset in (table.datasets or files.config.datasets) if table else []:
        own = list(_rows(files, table, dataset, published))
        rows += sorted(own, key=lambda row: -row["value"] if row["value"] == row["value"] else np.inf)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype(dict.fromkeys(NUMBERS, "float64"))


def measure_of(table: TableConfig) -> tuple[str, int]:
    """Return the metric and cut-off by which a table's models are ranked: kept of every user, if any is."""
    pairs = list(product(table.metrics, table.k))
    kept = [pair for pair in (FIRST, *pairs) if pair in pairs and pair in PER_USER_METRICS]
    return (kept or pairs)[0]


def _rows(
    files: StudyResults, table: TableConfig, dataset: str, published: Published
) -> Iterator[dict[str, Any]]:
    """Yield the models of one dataset, without a number too."""
    view = table.views[0] if table.views else preferred(files, table.protocol)
    if view is None:
        return
    metric, k = measure_of(table)
    point = {"protocol": table.protocol, "metric": metric, "k": k, **view.model_dump()}
    runs = select_runs(files, table.groups, [dataset], table.fit)
    by = ["dataset", "label", "model", "variant", "key", "kind", "fit"]
    models = [(dict(zip(by, names, strict=True)), part) for names, part in runs.groupby(by, sort=False)]
    values = _values(files, dataset, point, models)
    judged = _judge(dataset, values, _varying(models, values))
    for about, part in models:
        label = about.pop("label")
        found = published.lookup(table.published, dataset, about["model"], metric, k, about["variant"],
                                 printed=table.printed.get(dataset)) if table.published else None  # fmt: skip
        same = ("elsewhere" if not found.same_data else found.same_definition) if found else None
        yield {
            **about, **point, "row": label, "status": joint_status(part["status"]), "value": np.nan,
            **_cost(part), "published": found.value if found else np.nan,
            "same_definition": "" if same is None else str(same).lower(), **judged.get(label, {}),
        }  # fmt: skip


def _values(
    files: StudyResults, dataset: str, point: dict[str, Any], models: list[tuple[dict, pd.DataFrame]]
) -> dict[str, np.ndarray]:
    """Return the metric of each label, shape (seeds, users), or (seeds, 1) where users are not kept."""
    kept = (files.folder / "per_user" / f"{dataset}.parquet").is_file()
    by_user = kept and (point["metric"], point["k"]) in PER_USER_METRICS
    read = user_values if by_user else seed_values
    found: dict[str, np.ndarray] = {}
    for fit in dict.fromkeys(about["fit"] for about, _ in models):
        named = read(files, dataset, point | {"fit": fit})
        for about, _ in models:
            name = "\0".join((about["model"], about["variant"], about["key"]))
            if about["fit"] == fit and name in named:
                found[about["label"]] = named[name]
    return found


def _varying(models: list[tuple[dict, pd.DataFrame]], values: dict[str, np.ndarray]) -> frozenset[str]:
    """Return the labels that another seed would change."""
    kinds = {about["label"]: about["kind"] for about, _ in models}
    return frozenset(n for n, v in values.items() if kinds[n] == "trained" or (v != v[0]).any())


def _judge(
    dataset: str, values: dict[str, np.ndarray], varying: frozenset[str]
) -> dict[str, dict[str, float]]:
    """Return place, intervals and spreads of each label that has a number."""
    means = {name: float(v.mean()) for name, v in values.items()}
    ranks = {name: 1.0 + sum(other > mean for other in means.values()) for name, mean in means.items()}
    rows = {
        name: {"value": means[name], "rank": ranks[name], "seeds": len(v),
               "seed_spread": _spread(v.mean(axis=1)),
               "users": v.shape[1] if v.shape[1] > 1 else np.nan}
        for name, v in values.items()
    }  # fmt: skip
    if not rows or any(np.isnan(row["users"]) for row in rows.values()):
        return rows
    panel = Panel(dataset, values, varying)
    drawn, tied = simultaneous.resample_means(panel), _tied(panel, means)
    for i, name in enumerate(values):
        ends = [*_quantiles(drawn[:, i]), *_quantiles(1 + (drawn > drawn[:, [i]]).sum(axis=1))]
        rows[name] |= dict(zip(("low", "high", "rank_low", "rank_high"), ends, strict=True))
        own = panel.by_user(name)
        rows[name] |= {"tied": float(name in tied), "user_error": _spread(own) / np.sqrt(len(own))}
    return rows


def _tied(panel: Panel, means: dict[str, float]) -> set[str]:
    """Return the models that cannot be told from the best, itself among them."""
    best = max(means, key=means.__getitem__)
    others = [name for name in means if name != best]
    found = simultaneous.compare([panel], [Pair(panel.dataset, best, name) for name in others])
    return {best, *(name for name, one in zip(others, found, strict=True) if one.low <= 0.0)}


def _quantiles(values: np.ndarray) -> list[float]:
    share = (1.0 - simultaneous.LEVEL) / 2
    return np.quantile(values, [share, 1.0 - share], method="nearest").tolist()


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _cost(part: pd.DataFrame) -> dict[str, float]:
    """Return the median seconds of the runs that finished, eigenpairs included, and the highest memory."""
    done = part[part["status"].isin(USABLE)].drop_duplicates("seed")
    seconds = done[STAGES].fillna(0.0).sum(axis=1).median() if len(done) else np.nan
    return {"seconds": seconds, "memory": part["peak_memory_mb"].max()}
