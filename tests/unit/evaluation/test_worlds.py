"""Worlds: equal to what `measure` gives, shares and turns of cases made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recspectra.config.model import PlannedRun, RunConfig
from recspectra.config.study import ProtocolConfig
from recspectra.data.interactions import Interactions
from recspectra.evaluation import worlds
from recspectra.evaluation.measure import measure
from recspectra.evaluation.turning import DIMENSIONS, shares_above, table_of, turning
from recspectra.evaluation.worlds import QUARTERS, Groups
from recspectra.files import ArtifactError
from recspectra.fitting.ranking import as_arrays, list_name, top_with_ties
from recspectra.paths import Paths

USERS, ITEMS, DEPTH = 40, 120, 50


def interactions(rng: np.random.Generator, lengths: np.ndarray) -> Interactions:
    rows = [np.sort(rng.choice(ITEMS, size, replace=False)) for size in lengths]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Interactions(indptr, np.concatenate(rows).astype(np.int32), None, ITEMS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Runs of two models on disk, one with ties; some users are cold, some have no test item."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("worlds")
    lengths = rng.integers(1, 20, USERS)
    lengths[:4] = 0
    targets = rng.integers(1, 8, USERS)
    targets[6] = 0
    pieces = {"train": interactions(rng, lengths), "valid": interactions(rng, np.full(USERS, 2)),
              "test": interactions(rng, targets)}  # fmt: skip
    planned = []
    for name, levels in (("ease", None), ("popularity", 6)):
        for seed in (0, 1):
            run = RunConfig(model=name, params={})
            item = PlannedRun(dataset="d", run=run, variant="default", group="main", seed=seed)
            arrays = {"status": np.array("ok"), "data": np.array("x"), "code": np.array("c")}
            for view in worlds.VIEWS:
                scores = rng.random((USERS, ITEMS), dtype=np.float32)
                scores = np.floor(scores * levels) if levels else scores
                ranking = top_with_ties(scores, pieces["train"].matrix, DEPTH)
                arrays |= as_arrays(list_name("test", view.history, view.mask), ranking)
            folder = Paths(root).planned(item)
            folder.mkdir(parents=True)
            np.savez(folder / "rankings.npz", **arrays)
            planned.append(item)
    return SimpleNamespace(root=root, planned=planned, pieces=pieces,
                           values=worlds.score(planned, pieces, Paths(root), "x"))  # fmt: skip


# ---------------------------------------------------------------- equal to the slow path


@pytest.mark.parametrize("ties", list(worlds.TIES))
def test_every_world_of_all_users_is_what_measure_gives(made: SimpleNamespace, ties: str) -> None:
    plain = {"name": "p", "title": "P", "why": "w", "views": list(worlds.VIEWS), "k": [5, 10, 20]}
    protocol = ProtocolConfig(**plain, metrics=list(worlds.TIES[ties]), ties=ties)
    rows = measure(made.planned, [(protocol, protocol.views)], made.pieces, made.root, "x").rows
    by = ["model", "metric", "k", "history", "mask", "users"]
    expected = rows.groupby(by)["value"].mean()
    found = made.values[made.values["ties"] == ties].set_index(by)["value"]
    assert {"all", "warm"} == set(expected.index.get_level_values("users"))
    np.testing.assert_allclose(found.reindex(expected.index), expected, rtol=1e-12, atol=1e-15)


def test_shared_places_are_measured_only_where_lists_are_twice_as_long(made: SimpleNamespace) -> None:
    half = made.values[made.values["ties"] == "half"]
    assert half.groupby("model")["k"].max().to_dict() == {"ease": 50, "popularity": 20}


def test_quarters_are_means_over_their_users(made: SimpleNamespace) -> None:
    users = np.flatnonzero(made.pieces["test"].lengths > 0)
    groups = Groups.of(made.pieces["train"], users)
    assert groups.names == ["all", "warm", "cold", *QUARTERS]
    lengths = made.pieces["train"].lengths[users]
    members = groups.members > 0
    assert (members[3:].sum(axis=0) == 1).all()
    tops = [lengths[part].max() for part in members[3:]]
    assert tops == sorted(tops) and lengths[members[6]].min() > tops[2]
    np.testing.assert_allclose(groups.members.sum(axis=1), 1.0)


def test_users_of_one_activity_are_no_quarters() -> None:
    rng = np.random.default_rng(0)
    groups = Groups.of(interactions(rng, np.full(USERS, 3)), np.arange(USERS))
    assert groups.names == ["all", QUARTERS[0]]


def test_there_are_more_than_two_hundred_worlds_each_once(made: SimpleNamespace) -> None:
    table = table_of(made.values)
    assert len(table) > 1000 and table.index.is_unique and table.shape[1] == 2
    assert set(made.values["seeds"]) == {2}


def test_runs_of_other_data_or_code_are_refused(made: SimpleNamespace) -> None:
    with pytest.raises(ArtifactError, match="popularity|ease"):
        worlds.score(made.planned, made.pieces, Paths(made.root), "y")
    with pytest.raises(ArtifactError, match="code"):
        worlds.score(made.planned, made.pieces, Paths(made.root), "x", lambda model: "z")


def test_a_run_without_lists_has_no_rows(made: SimpleNamespace, tmp_path: Path) -> None:
    item = made.planned[0]
    folder = Paths(tmp_path).planned(item)
    folder.mkdir(parents=True)
    np.savez(folder / "rankings.npz", status=np.array("oom"), data=np.array("x"))
    assert worlds.score([item], made.pieces, Paths(tmp_path), "x").empty


# ------------------------------------------------------------------- shares and turns by hand


def index(*places: tuple) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(places, names=DIMENSIONS)


BASE = ("ndcg", 10, "larger-id", "train", "train", "all")
FAR = ("mrr", 20, "larger-id", "train", "train", "all")
NEAR = ("ndcg", 10, "larger-id", "train", "train+valid", "all")
CUT = ("ndcg", 20, "larger-id", "train", "train", "all")
HERE = dict(zip(DIMENSIONS, BASE, strict=True))


def test_shares_count_worlds_and_equal_values_are_not_above() -> None:
    table = pd.DataFrame({"a": [3.0, 1.0, 1.0, 2.0], "b": [2.0, 2.0, 1.0, 1.0], "c": [9.0] * 4},
                         index=index(BASE, FAR, NEAR, CUT))  # fmt: skip
    shares = shares_above(table)
    assert shares.loc["a", "b"] == 0.5 and shares.loc["b", "a"] == 0.25
    assert shares.loc["c", "a"] == 1.0 and shares.loc["a", "a"] == 0.0


def test_the_smallest_change_that_turns_a_claim_is_named() -> None:
    gap = pd.Series([0.1, -0.3, -0.01, 0.2], index=index(BASE, FAR, NEAR, CUT))
    turn = turning(gap, HERE)
    assert (turn.worlds, turn.above, turn.base) == (4, 0.5, 0.1)
    assert (turn.changes, turn.near, turn.change, turn.difference) == (1, 1, {"mask": "train+valid"}, -0.01)


def test_of_changes_that_are_as_small_the_first_dimension_is_named_and_all_are_counted() -> None:
    gap = pd.Series([-0.1, 0.3, 0.01, 0.2], index=index(BASE, FAR, NEAR, CUT))
    turn = turning(gap, HERE)
    assert (turn.changes, turn.near, turn.change) == (1, 2, {"k": 20})


def test_equal_means_turn_nothing_around() -> None:
    gap = pd.Series([0.1, 0.0, 1e-16, 0.2], index=index(BASE, FAR, NEAR, CUT))
    assert turning(gap, HERE).changes == 0
    assert turning(-gap, HERE).changes == 0 and turning(-gap, HERE).above == 0.0


def test_a_claim_that_no_world_turns_has_no_change() -> None:
    turn = turning(pd.Series([0.1, 0.2], index=index(BASE, CUT)), HERE)
    assert (turn.changes, turn.near, turn.change, turn.above) == (0, 0, {}, 1.0)
    assert np.isnan(turn.difference) and json.dumps(turn.change) == "{}"
    with pytest.raises(KeyError):
        turning(pd.Series([0.1], index=index(CUT)), HERE)


def test_a_dataset_without_a_model_of_the_group_has_no_pairs() -> None:
    """Such as one on which a study runs an ablation only."""
    assert shares_above(pd.DataFrame(index=range(3))).shape == (0, 0)
