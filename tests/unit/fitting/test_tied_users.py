"""A model that gives every candidate of every user one score has learned nothing, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_scores_taken import CATALOG, Mine, floats

from recspectra.config.model import Budget, RunConfig, TuneConfig
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import read_json, read_npz
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import NOT_LISTS, Inputs, all_lists
from recspectra.fitting.tune import TuneJob, chosen, tune
from recspectra.fitting.validation import validator
from recspectra.models.popularity import Popularity
from recspectra.recommender import Refused

REASON = "all candidates of 120 of 120 users have the same score: lists would stand in order of ids"


def row(value: float, other: float, at: int) -> np.ndarray:
    scores = np.full(80, value, dtype=np.float32)
    scores[at] = other
    return scores


@pytest.mark.parametrize("value", [0.0, 0.25, -3.0, -np.inf])
@pytest.mark.parametrize("fit", ["train", "train+valid"])
@pytest.mark.parametrize("depth", [1, 10, 80, 100])
def test_a_score_for_all_is_refused(
    value: float, fit: str, depth: int, tiny: dict[str, Interactions]
) -> None:
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    system = Mine(lambda b: np.full((b, 80), value, dtype=np.float32))
    with pytest.raises(Refused, match=REASON):
        all_lists(system.score, inputs, fit, depth)
    assert validator(inputs)(system.score) >= 0  # an early epoch may look like this
    with pytest.raises(Refused, match="have the same score"):
        validator(inputs, refuse_ties=True)(system.score)


def test_differences_among_what_is_masked_are_none(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    with pytest.raises(Refused, match=REASON):
        all_lists(
            lambda users, _: train.matrix[users].toarray(), Inputs(train, tiny["valid"], True, {}), "train", 9
        )


@pytest.mark.parametrize("depth", [1, 10, 80])
@pytest.mark.parametrize("other", [1.0, -1.0, -np.inf])
def test_one_candidate_of_one_user_that_differs_is_enough(
    other: float, depth: int, tiny: dict[str, Interactions]
) -> None:
    train = tiny["train"]
    free = int(np.setdiff1d(np.arange(80), train.sequence(7))[0])  # the smallest id stands last

    def score(users: np.ndarray, history: Any) -> np.ndarray:
        return np.stack([row(0.0, other, free) if user == 7 else row(0.0, 0.0, 0) for user in users])

    assert all_lists(score, Inputs(train, tiny["valid"], True, {}), "train", depth)


def test_users_without_a_history_or_a_choice_do_not_count() -> None:
    # User 0 has nothing, user 1 all items but one; users 2 and 3 have one item each.
    users, items = np.array([1, 1, 1, 1, 2, 3]), np.array([0, 1, 2, 3, 0, 1])
    train, valid = (from_pairs(u, i, None, (4, 5)) for u, i in ((users, items), (users[:0], items[:0])))
    inputs = Inputs(train, valid, False, {})
    with pytest.raises(Refused, match="all candidates of 2 of 4 users"):
        all_lists(lambda u, h: np.tile(np.arange(5.0), (len(u), 1)) * (u == 0)[:, None], inputs, "train", 3)
    assert all_lists(lambda u, h: np.tile(np.arange(5.0), (len(u), 1)) * (u > 1)[:, None], inputs, "train", 3)
    none = Inputs(valid, valid, False, {})
    assert all_lists(lambda u, h: np.zeros((len(u), 5)), none, "train", 3)


def test_a_run_that_learned_nothing_is_skipped(
    tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Popularity, "score", lambda self, users, history: 0 * floats(len(users)))
    job = Job("tiny", CATALOG.model("popularity"), RunConfig(model="popularity", params={}), {}, 0, "cpu", 1,
              Budget(memory_gb=64), "code")  # fmt: skip
    assert execute(job, Inputs(tiny["train"], tiny["valid"], True, {}), tmp_path) == "skipped"
    assert read_json(tmp_path / "run.json")["reason"] == REASON
    assert set(read_npz(tmp_path / "rankings.npz")) == set(NOT_LISTS)


def test_a_trial_that_learned_nothing_has_failed(
    tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CATALOG.model("ease")
    tried = TuneConfig(model="ease", params={}, search={"regularization": [1.0, 2.0]}, trials=3, seed=0)
    job = TuneJob("tiny", config, tried, "cpu", Budget(memory_gb=64))
    kind: Callable = lambda _, params: Sometimes(params)  # noqa: E731
    monkeypatch.setattr("recspectra.fitting.tune.create", kind)
    study = tune(job, Inputs(tiny["train"], tiny["valid"], True, {}), tmp_path / "trials.sqlite")
    said = {
        t.params["regularization"]: (t.user_attrs["status"], t.user_attrs["reason"]) for t in study.trials
    }
    assert said.pop(1.0)[0] == "skipped"
    assert len(said) == 2
    assert all(status == "ok" for status, _ in said.values())
    assert chosen(job, study)["params"]["regularization"] != 1.0


class Sometimes(Popularity):
    """Popularity that says nothing at one value of its parameter."""

    def score(self, users: np.ndarray, history: Any) -> np.ndarray:
        return super().score(users, history) * (self.params.regularization != 1.0)
