"""Data that a model can learn nothing from: it is skipped with the reason, or has really learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_contract import CATALOG, MODELS, ORDERED, SHORT, TRAINED, Bench, params_of

from recspectra.config.model import Budget, RunConfig
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import read_json, read_npz
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import NOT_LISTS
from recspectra.recommender import History
from recspectra.training.loop import TrainingLoop

SHAPE = (150, 20)
# Their scores come of pairs of items that a user has: without any they tell no candidates apart.
FROM_PAIRS = {
    "bspm", "chebycf", "dlae", "ease", "edlae", "fagsp", "gfcf", "higsp", "itemknn", "linkprop", "rlae",
    "rp3beta", "sgfcf", "slim", "spectral_ridge", "svdae", "turbocf",
}  # fmt: skip

# In closed form, and still told apart by something else. A model in neither set may do either.
TELL_APART = {"gsprec", "ials", "pgsp", "popularity"}


def one_item_each(more: int = 0) -> dict[str, Interactions]:
    """Three clicks of 150 users in a row, leave-one-out; the first `more` users have one before them."""
    start = np.random.default_rng(0).integers(20, size=150)
    users = np.arange(150)
    parts = {n: from_pairs(users, (start + i) % 20, users * 4.0 + i, SHAPE)
             for i, n in enumerate(("train", "valid", "test"))}  # fmt: skip
    if more:
        before = from_pairs(users[:more], (start[:more] - 1) % 20, users[:more] * 4.0 - 1, SHAPE)
        parts["train"] = before.merged(parts["train"])
    return parts


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the training of each loop that runs changed a parameter."""
    found: list[bool] = []
    whole = TrainingLoop.run

    def run(self: TrainingLoop, progress: Any) -> dict[str, Any]:
        before = [p.detach().clone() for p in self.module.parameters()]
        log = whole(self, progress)
        after = list(self.module.parameters())
        found.append(any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)))
        return log

    monkeypatch.setattr(TrainingLoop, "run", run)
    return found


def outcome(name: str, data: dict[str, Interactions], folder: Path, fit: str = "train") -> tuple[str, str]:
    """Status and reason of a short run."""
    config, bench = CATALOG.model(name), Bench(data)
    run = RunConfig(model=name, params=params_of(config, **SHORT[name], rank=4), fit=fit, top=10)
    job = Job("small", config, run, run.params, 0, "cpu", 1, Budget(), "code")
    execute(job, bench.inputs(config, run), folder)
    record, lists = read_json(folder / "run.json"), read_npz(folder / "rankings.npz")
    assert bool(set(lists) - set(NOT_LISTS)) == (record["status"] == "ok")
    return record["status"], record["reason"]


@pytest.mark.parametrize("name", MODELS)
def test_where_every_user_has_one_item_a_model_learns_or_is_skipped(
    name: str, tmp_path: Path, moved: list[bool]
) -> None:
    status, reason = outcome(name, one_item_each(), tmp_path)
    if name in ORDERED:
        assert status == "skipped"
        assert "no user has two interactions" in reason
    elif name in FROM_PAIRS or (status == "skipped" and name not in {*TELL_APART, *TRAINED}):
        assert status == "skipped"
        assert "all candidates of 150 of 150 users have the same score" in reason
    else:
        assert status == "ok"
        assert moved == ([True] if name in TRAINED else [])


@pytest.mark.parametrize("name", MODELS)
def test_users_and_items_without_interactions_spread_no_nan(name: str) -> None:
    rng, parts = np.random.default_rng(3), {}
    for part in ("train", "valid"):
        users, items = np.nonzero(rng.random((38, 23)) < 0.2)  # nobody has items 23 and 24
        parts[part] = from_pairs(users, items, rng.random(len(users)), (40, 25))
    history = History.of(parts["train"], np.arange(40))
    found = Bench(parts).fit(name, **SHORT[name], rank=4).score(np.arange(40), history)
    assert np.isfinite(found).all()
    if name in FROM_PAIRS:
        assert not found[38:].any() and not found[:, 23:].any() and found[:38, :23].any()


@pytest.mark.parametrize("name", ORDERED)
def test_one_step_of_one_user_is_something_to_learn(name: str, tmp_path: Path, moved: list[bool]) -> None:
    assert outcome(name, one_item_each(1), tmp_path)[0] == "ok"
    assert moved == ([True] if name in TRAINED else [])


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_that_serves_no_batch_is_skipped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TrainingLoop.__init__

    def init(self: TrainingLoop, *args: Any, **kwargs: Any) -> None:
        whole(self, *args, **kwargs)
        self.batches = lambda generator: iter(())

    monkeypatch.setattr(TrainingLoop, "__init__", init)
    status, reason = outcome(name, one_item_each(3), tmp_path)
    assert status == "skipped"
    assert "finds nothing to learn in the 153 interactions that it is fitted on" in reason
    assert "there is no batch in epoch 1" in reason
