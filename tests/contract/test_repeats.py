"""Repeats: a model that reads binary rows gives the same scores whether a pair stands once or twice."""

from __future__ import annotations

import numpy as np
import pytest
from test_contract import CATALOG, MODELS, ORDERED, SHORT, Bench

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.recommender import History, Task, create

SHAPE = (40, 25)
# Learned from interactions one by one: a pair that stands twice is a training pair twice.
PAIRWISE = {"mf", "lightgcn", "lrgccf", "impgcn", "jgcf", "ngcf", "sgl", "dgrec"}


def played() -> dict[str, Interactions]:
    """Random parts in which many pairs stand several times."""
    rng, parts = np.random.default_rng(3), {}
    for name, count in (("train", 400), ("valid", 60), ("test", 60)):
        users, items = rng.integers(0, 40, count), rng.integers(0, 25, count)
        parts[name] = from_pairs(users, items, rng.random(count), SHAPE)
    return parts


WITH_DEFAULTS = [(name, {}) for name in sorted(set(MODELS) - set(ORDERED) - PAIRWISE)]
OTHER_READINGS = [("sdiff", {"basis": "degree"}), ("diffrec", {"weights": "time"})]


@pytest.mark.parametrize(("name", "params"), [*WITH_DEFAULTS, *OTHER_READINGS])
def test_repeats_do_not_change_the_scores(name: str, params: dict[str, str]) -> None:
    parts, found = played(), []
    plain = {part: interactions.distinct for part, interactions in parts.items()}
    assert parts["train"].nnz > plain["train"].nnz
    for data in (parts, plain):
        system = Bench(data).fit(name, **SHORT[name], rank=4, **params)
        users = np.arange(40)
        found.append(system.score(users, History.of(data["train"], users)))
    assert np.array_equal(*found)


def test_users_of_an_item_who_came_back_are_its_neighbours_once() -> None:
    from recspectra.models.tgsrec import neighbours_of

    users, items = np.array([0, 0, 0, 1, 2]), np.zeros(5, dtype=np.int64)
    train = from_pairs(users, items, np.array([5.0, 6.0, 7.0, 2.0, 3.0]), (3, 2))
    assert neighbours_of(train, 3, seed=0)[0].tolist() == [0, 2, 1]


def test_what_ease_needs_does_not_grow_with_repeats() -> None:
    config = CATALOG.model("ease")
    plays = from_pairs(np.zeros(30_000, dtype=np.int64), np.arange(30_000) % 2, None, (1, 3000))
    system = create(config, config.resolve({"memory_gb": 0.12}))  # the two dense matrices alone are 0.10
    assert system._guard(Task(plays, None, False)) is np.float64
