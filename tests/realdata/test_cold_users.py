"""A temporal split of ML-100K: most test users are cold, and who wins depends on whom one averages over."""

from __future__ import annotations

from pathlib import Path

import pytest
from from_mirror import CATALOG, fitted, need

from recspectra.config.dataset import SplitConfig
from recspectra.data import filters
from recspectra.data.reach import warm_users
from recspectra.data.reach_words import describe
from recspectra.data.readers import read
from recspectra.data.splits import split, statistics
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting.scoring import rank


def test_popularity_wins_on_cold_users_alone(mirror: Path) -> None:
    need("ml-100k", mirror)
    config = CATALOG.dataset("ml-100k").model_copy(
        update={"split": SplitConfig(recipe="temporal"), "expected": None}
    )
    table, _ = filters.apply(read(config, mirror), config.filter)
    pieces, _ = split(table, config)
    stats = statistics(config, pieces)
    assert (stats["test_users"], stats["cold_users"]) == (302, 204)
    assert describe(stats)[0].startswith("204 of 302 test users have no training interaction")
    train, test = pieces["train"], pieces["test"]
    means = {}
    for name in ("popularity", "ease"):
        ranked = compare(rank(fitted(name, train).score, train, [train], 20)[0].lists, test)
        values = METRICS["recall"](ranked, [20])[:, 0]
        warm = warm_users(train)[ranked.users]
        assert warm.sum() == 98
        means[name] = values.mean(), values[warm].mean()
    assert means["popularity"] == pytest.approx((0.1076, 0.1123), abs=1e-4)
    assert means["ease"] == pytest.approx((0.0401, 0.1227), abs=1e-4)
