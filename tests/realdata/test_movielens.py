"""Real data: known numbers come out, without Snakemake. Needs a mirror (RECSPECTRA_MIRROR)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from from_mirror import CATALOG, Pieces, fitted, measured, need, part

from recspectra.data.readers import read
from recspectra.data.tables import check_duplicates
from recspectra.files import sha256

# --------------------------------------------------------------------------------- data


@pytest.mark.parametrize("name", ["ml-100k.higsp", "ml-1m.diffrec"])
def test_no_pair_stands_twice(name: str, mirror: Path) -> None:
    need(name, mirror)
    assert check_duplicates(read(CATALOG.dataset(name), mirror), name) == 0


def test_another_order_of_ties_moves_the_last_item_of_777_of_2999_users(mirror: Path) -> None:
    orders = []
    for name in ("ml-1m.head", "ml-1m.ordered"):
        need(name, mirror)
        table = read(CATALOG.dataset(name), mirror)
        rows = np.arange(len(table)) if table.times is None else np.argsort(table.times, kind="stable")
        rows = rows[table.users[rows] < 3000]
        orders.append({int(u): int(i) for u, i in zip(table.users[rows], table.items[rows], strict=True)})
    assert len(orders[0]) == len(orders[1]) == 2999
    assert sum(orders[0][user] != orders[1][user] for user in orders[0]) == 777


@pytest.mark.parametrize("name", ["ml-100k.higsp", "ml-1m.diffrec"])
def test_the_mirror_has_the_files_that_the_yaml_names(name: str, mirror: Path) -> None:
    for file in CATALOG.dataset(name).source.files:
        assert sha256(mirror / file.path) == file.sha256


def test_counts_of_ml_100k(ml100k: Pieces) -> None:
    assert {n: p.nnz for n, p in ml100k.items()} == {"train": 72_000, "valid": 8_000, "test": 20_000}
    assert ml100k["train"].shape == (943, 1682)
    assert (ml100k["test"].lengths > 0).sum() == 459
    assert ml100k["train"].times is not None


def test_counts_of_ml_1m(ml1m: Pieces) -> None:
    assert {n: p.nnz for n, p in ml1m.items()} == {"train": 403_277, "valid": 110_722, "test": 57_532}
    assert ml1m["train"].shape == (5949, 2810)


def test_the_order_of_ml_100k_is_that_of_its_time_stamps(ml100k: Pieces) -> None:
    train = ml100k["train"]
    same_user = train.users[1:] == train.users[:-1]
    assert (np.diff(train.times)[same_user] >= 0).all()


# --------------------------------------------------------------------- published numbers


def test_popularity_on_ml_100k_is_the_row_that_gsprec_printed(ml100k: Pieces) -> None:
    found = measured(
        fitted("popularity", ml100k["train"]), ml100k, "train", "train", ("ndcg_hit", "mrr"), [5, 10, 20]
    )
    published = [0.5672, 0.5857, 0.5867, 0.5151, 0.5296, 0.5315]
    assert [round(v, 4) for v in found] == published


def test_gfcf_on_ml_100k_under_the_evaluator_of_higsp(ml100k: Pieces) -> None:
    system = fitted("gfcf", ml100k["train"], rank=80, alpha=0.3)
    found = measured(system, ml100k, "train", "train", ("ndcg_set", "mrr_set"), [5, 10, 20])
    assert found == pytest.approx([0.6967, 0.6819, 0.6625, 0.6414, 0.6027, 0.5717], abs=0.003)


# ----------------------------------------------------- figures measured before the project

SDIFF_METRICS = ("recall", "ndcg")


@pytest.mark.parametrize(
    ("regularization", "fit", "expected"),
    [
        (
            300.0,
            "train",
            {"train": [0.1076, 0.1815, 0.0902, 0.1158], "train+valid": [0.1559, 0.2460, 0.1404, 0.1697]},
        ),
        (1000.0, "train+valid", {"train+valid": [0.1505, 0.2410, 0.1353, 0.1651]}),
    ],
)
def test_ease_on_ml_1m(
    ml1m: Pieces, regularization: float, fit: str, expected: dict[str, list[float]]
) -> None:
    system = fitted("ease", part(ml1m, fit), regularization=regularization)
    for history, values in expected.items():
        found = measured(system, ml1m, history, "train+valid", SDIFF_METRICS, [10, 20])
        assert found == pytest.approx(values, abs=2e-4)


def test_gfcf_on_ml_1m(ml1m: Pieces) -> None:
    system = fitted("gfcf", ml1m["train"], rank=128, alpha=0.1)
    found = measured(system, ml1m, "train", "train+valid", SDIFF_METRICS, [10, 20])
    assert found == pytest.approx([0.0957, 0.1625, 0.0844, 0.1062], abs=5e-4)
