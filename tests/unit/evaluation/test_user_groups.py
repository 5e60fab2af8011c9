"""Metrics of all, warm and cold users: which rows there are, over whom, and what stands where nobody is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.model import PlannedRun, RunConfig
from recspectra.config.study import ProtocolConfig, View
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.measure import Measured, measure
from recspectra.files import write_npz
from recspectra.paths import Paths

VIEW = View(history="train", mask="train")
PLANNED = PlannedRun(
    dataset="tiny", run=RunConfig(model="ease", params={}), variant="1e3", group="main", seed=0
)
TEST = from_pairs(np.arange(6), np.arange(6), None, (7, 30))  # user 6 has no target
# Users 0 to 3 find their item in first place, users 4 and 5 do not.
LISTS = np.array([[u if u < 4 else 20] + list(range(7, 26)) for u in range(7)], dtype=np.int32)


def part(users: list[int]) -> Interactions:
    return from_pairs(np.array(users), np.full(len(users), 29), None, (7, 30))


def protocol(**changes: object) -> ProtocolConfig:
    given = {"name": "p", "title": "P", "why": "-", "views": [{"history": "train", "mask": "train"}],
             "metrics": ["recall", "ndcg"], "k": [10, 20]}  # fmt: skip
    return validate(ProtocolConfig, given | changes, "p.yaml")


def measured(tmp_path: Path, train: list[int], status: str = "ok", **changes: object) -> Measured:
    folder = Paths(tmp_path).planned(PLANNED)
    lists = {"test_train_train": LISTS, "test_train_train.positions": np.tile(np.arange(1, 21), (7, 1))}
    words = {"status": np.str_(status), "data": np.str_("split")}
    write_npz(folder / "rankings.npz", **words, **(lists if status == "ok" else {}))
    pieces = {"train": part(train), "valid": part([6]), "test": TEST}
    return measure([PLANNED], [(protocol(**changes), [VIEW])], pieces, tmp_path, "split")


def values(found: Measured, metric: str = "recall") -> dict[str, float | str]:
    rows = found.rows[(found.rows["metric"] == metric) & (found.rows["k"] == 10)]
    return {r.users: r.value if r.status == "ok" else r.status for r in rows.itertuples()}


def test_warm_users_stand_beside_all_where_some_are_cold(tmp_path: Path) -> None:
    found = measured(tmp_path, [0, 1, 4, 6])
    assert values(found) == {"all": 4 / 6, "warm": 2 / 3}
    assert len(found.rows) == 2 * 2 * 2
    assert list(found.rows.columns)[8:11] == ["mask", "users", "metric"]
    assert sorted(found.users.frame()["user"].unique()) == [0, 1, 2, 3, 4, 5]  # those of all, once


def test_users_without_targets_make_nobody_cold(tmp_path: Path) -> None:
    assert values(measured(tmp_path, [0, 1, 2, 3, 4, 5])) == {"all": 4 / 6}


@pytest.mark.parametrize(("users", "expected"), [("warm", 2 / 3), ("cold", 2 / 3)])
def test_a_protocol_may_ask_for_warm_or_cold_users(tmp_path: Path, users: str, expected: float) -> None:
    found = measured(tmp_path, [0, 1, 4], users=users)
    assert values(found) == {users: expected}
    group = [0, 1, 4] if users == "warm" else [2, 3, 5]
    assert sorted(found.users.frame()["user"].unique()) == group
    recall = found.users.frame()[found.users.frame()["metric"] == "recall"]
    assert recall["value"].mean() == pytest.approx(expected)


@pytest.mark.parametrize(("users", "train"), [("warm", [6]), ("cold", [0, 1, 2, 3, 4, 5])])
def test_a_group_without_users_has_no_number_and_says_so(
    tmp_path: Path, users: str, train: list[int]
) -> None:
    found = measured(tmp_path, train, users=users)
    assert values(found) == {users: "no users"}
    assert found.rows["value"].isna().all()
    assert found.users.frame().empty


def test_all_users_may_be_cold(tmp_path: Path) -> None:
    assert values(measured(tmp_path, [6])) == {"all": 4 / 6, "warm": "no users"}


def test_a_failed_run_has_its_status_for_every_group(tmp_path: Path) -> None:
    assert values(measured(tmp_path, [0], status="oom")) == {"all": "oom", "warm": "oom"}
    assert values(measured(tmp_path, [0], status="oom", users="cold")) == {"cold": "oom"}


def test_only_known_groups_are_taken() -> None:
    with pytest.raises(ConfigError, match=r"p.yaml: users: .*'all', 'warm' or 'cold'"):
        protocol(users="hot")


# ----------------------------------------------------------------- groups that are asked for


def test_quarters_by_activity_and_cold_users_are_measured_where_asked_for(tmp_path: Path) -> None:
    train = [0, 0, 0, 1, 1, 2, 4, 6]  # 3, 2, 1 and 1 interactions of users 0, 1, 2 and 4; none of 3 and 5
    found = values(measured(tmp_path, train, groups=["cold", "activity"]))
    assert found == {
        "all": 4 / 6, "warm": 3 / 4, "cold": 1 / 2,
        "activity-1": 1 / 2, "activity-2": 1 / 2, "activity-3": "no users", "activity-4": 1.0,
    }  # fmt: skip


def test_groups_add_rows_and_change_none(tmp_path: Path) -> None:
    plain = measured(tmp_path / "a", [0, 1, 4, 6])
    asked = measured(tmp_path / "b", [0, 1, 4, 6], groups=["warm", "activity"])
    old = asked.rows[asked.rows["users"].isin(["all", "warm"])]
    assert old.to_csv(index=False) == plain.rows.to_csv(index=False)
    assert asked.users.frame().equals(plain.users.frame())


def test_means_of_groups_are_those_of_the_kept_users(tmp_path: Path) -> None:
    found = measured(
        tmp_path, [0, 0, 0, 1, 1, 2, 4, 6], groups=["cold", "activity"], metrics=["recall"], k=[10]
    )
    kept = found.users.frame()
    for name, expected in values(found).items():
        own = {"all": kept["warm"] >= 0, "warm": kept["warm"], "cold": ~kept["warm"]}
        chosen = own.get(name, kept["activity"] == int(name[-1]) if name[-1].isdigit() else None)
        if expected != "no users":
            assert kept[chosen]["value"].mean() == pytest.approx(expected)


def test_metrics_of_the_catalogue_are_of_the_lists_of_a_group_and_have_no_users(tmp_path: Path) -> None:
    found = measured(tmp_path, [0, 1, 2, 3], metrics=["coverage", "recall"])
    # all: items 0 to 3, 20 and 7 to 15; warm users find 0 to 3 and have 7 to 15
    assert values(found, "coverage") == {"all": 14 / 30, "warm": 13 / 30}
    assert set(found.users.frame()["metric"]) == {"recall"}


def test_lists_that_are_too_short_for_a_metric_say_so(tmp_path: Path) -> None:
    found = measured(tmp_path, [0, 1, 2, 3, 4, 5], metrics=["auc", "recall"])
    assert values(found, "auc") == {"all": "partial lists"}
    assert values(found) == {"all": 4 / 6}
    assert set(found.users.frame()["metric"]) == {"recall"}


def test_only_known_groups_may_be_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"p.yaml: groups\[0\]: .*'warm', 'cold' or 'activity'"):
        protocol(groups=["hot"])
