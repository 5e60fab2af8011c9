"""Repeats: a system that reads binary rows gives the same scores whether a pair stands once or twice."""

from __future__ import annotations

import numpy as np
import pytest
from test_contract import MODELS, ORDERED, SHORT, Bench

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models.base import History

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


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(ORDERED) - PAIRWISE))
def test_repeats_do_not_change_the_scores(name: str) -> None:
    parts, found = played(), []
    plain = {part: interactions.distinct for part, interactions in parts.items()}
    assert parts["train"].nnz > plain["train"].nnz
    for data in (parts, plain):
        system = Bench(data).fit(name, **SHORT, rank=4)
        users = np.arange(40)
        found.append(system.score(users, History.of(data["train"], users)))
    assert np.array_equal(*found)
