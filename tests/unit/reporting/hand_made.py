"""Studies by hand: every user's value under every model, and how each run ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import study_rows
from scipy import stats
from study_rows import head_of, write_files

from recspectra.evaluation.per_user import activity
from recspectra.reporting.claims import judge
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults

ROOT = Path(__file__).resolve().parents[3]
BOTH = {"history": "train+valid", "mask": "train+valid"}
TITLES = {"wpgrec": "WPGRec", "bsarec": "BSARec", "dgrec": "DGRec", "sgl": "SGL", "ease": "EASE"}
LOO = "lastfm.loo"


@dataclass
class Model:
    """A model on a dataset: `values`, shape (seeds, users), or None where it has no number."""

    values: np.ndarray | None
    status: str = "ok"
    kind: str = "trained"
    cosine: str = ""
    curve: list[float] = field(default_factory=list)
    protocol: str = "wpgrec"
    metric: str = "ndcg"
    k: int = 10
    variant: str = "default"
    swept: dict = field(default_factory=dict)
    key: str = ""
    fit: str = "train"


def above(base: np.ndarray, gap: float, seed: int, noise: float = 0.02) -> np.ndarray:
    """Return values that are above others by a gap and noise of the users."""
    errors = np.random.default_rng(seed).normal(0.0, noise, base.shape[1])
    return base + gap + errors - errors.mean()


def gaps_with(p: float, seed: int, users: int = 60) -> np.ndarray:
    """Return gaps of users, mean above 0, whose paired t-test gives exactly this p-value."""
    noise = np.random.default_rng(seed).normal(size=users)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return 0.01 * (noise + stats.t.isf(p / 2, users - 1) / np.sqrt(users))


def write(
    folder: Path,
    datasets: dict[str, dict[str, Model | list[Model]]],
    claims: list[dict],
    protocols: dict | None = None,
) -> StudyResults:
    """Write a study's folder; a model may have several measures or variants."""
    (folder / "per_user").mkdir(parents=True)
    runs, metrics, curves = [], [], []
    for dataset, models in datasets.items():
        users = []
        for name, given in models.items():
            for one in given if isinstance(given, list) else [given]:
                for seed in range(1 if one.values is None else len(one.values)):
                    runs.append(run_row(dataset, name, one, seed))
                    head = head_of(runs[-1]) | {
                        "protocol": one.protocol,
                        **BOTH,
                        "metric": one.metric,
                        "k": one.k,
                    }
                    value = "" if one.values is None else one.values[seed].mean()
                    metrics.append(head | {"users": "all", "value": value, "status": one.status})
                    for epoch, point in enumerate(one.curve, 1):
                        curves.append({**head, "group": "main", "curve": "recall@20", "epoch": epoch,
                                       "value": point})  # fmt: skip
                    if one.values is not None:
                        users_of = range(one.values.shape[1])
                        frame = pd.DataFrame({"user": users_of, "value": one.values[seed]})
                        frame = frame.assign(activity=activity(np.arange(len(users_of)) // 2, frame["user"]))
                        users.append(frame.assign(**head))
        frame = pd.concat(users, ignore_index=True) if users else pd.DataFrame()
        frame.to_parquet(folder / "per_user" / f"{dataset}.parquet", index=False)
    known = {"wpgrec": {"title": "W", "why": "w", "target": "test", "metrics": ["ndcg"], "k": [10],
                        "views": [BOTH]}}  # fmt: skip
    study = {"name": "hand", "title": "By hand", "claims": claims, "protocols": protocols or known}
    titles = {dataset: dataset.upper() for dataset in datasets}
    return write_files(
        folder, study, titles, runs=unlike(runs), metrics=unlike(metrics), learning=unlike(curves)
    )


def unlike(rows: list[dict]) -> pd.DataFrame:
    """Return rows each once."""
    return pd.DataFrame(rows).drop_duplicates()


def run_row(dataset: str, model: str, one: Model, seed: int) -> dict:
    ended = {"status": one.status, "gradient_cosine": one.cosine}
    named = {
        "swept": json.dumps(one.swept),
        "title": TITLES.get(model, model),
        "kind": one.kind,
        "variant": one.variant,
        "seed": seed,
        "key": one.key,
        "fit": one.fit,
    }
    return study_rows.run_row(dataset, model, **named, **ended)


def judged(files: StudyResults) -> pd.DataFrame:
    """Return the rows of `claims.csv`."""
    return judge(files, Published(ROOT))


def verdict(files: StudyResults, dataset: str = LOO) -> tuple[str, str]:
    """Return the verdict and the reason of the first claim on a dataset."""
    rows = judged(files)
    row = rows[(rows["scope"] == "claim") & (rows["dataset"] == dataset)].iloc[0]
    return row["verdict"], row["reason"]


TABLE = {"name": "main", "title": "Main", "protocol": "wpgrec", "metrics": ["ndcg"], "k": [10]}
USERS = 300
BASE = np.random.default_rng(0).beta(1, 9, (1, USERS))
GAIN = {"name": "best", "title": "Best?", "statement": "WPGRec is above every baseline", "kind": "gain",
        "model": "wpgrec", "protocol": "wpgrec", "rivals": ["bsarec", "dgrec"]}  # fmt: skip
ORDER = {"name": "order", "title": "Order?", "statement": "the order is the same", "kind": "order",
         "protocol": "wpgrec"}  # fmt: skip
VALUE = {"name": "value", "title": "Value?", "statement": "the printed number comes out", "kind": "value",
         "model": "wpgrec", "protocol": "wpgrec", "published": "wpgrec/table1"}  # fmt: skip


def closed(gap: float, seed: int = 3, **more: object) -> Model:
    """A model in closed form that is above `BASE` by a gap."""
    return Model(above(BASE, gap, seed), **({"kind": "closed-form"} | more))
