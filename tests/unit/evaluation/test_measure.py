"""What is written of every run: rows of metrics.csv and values of every user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from recspectra.config.model import PlannedRun, RunConfig
from recspectra.config.study import ProtocolConfig, View
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.measure import Measured, measure
from recspectra.evaluation.per_user import activity
from recspectra.files import ArtifactError, read_npz, write_npz
from recspectra.fitting.ranking import list_name, positions_name
from recspectra.paths import Paths

USERS, ITEMS, DEPTH = 30, 60, 25
VIEWS = [View(history="train", mask="train"), View(history="train+valid", mask="train+valid")]
WITHOUT_TARGETS = {3, 17}
SPLIT = "digest"


def planned(model: str, seed: int = 0, group: str = "main", fit: str = "train") -> PlannedRun:
    run = RunConfig(model=model, params={}, fit=fit, top=DEPTH)
    return PlannedRun(dataset="d", run=run, variant="default", group=group, seed=seed)


def protocol(name: str = "standard", **changes: object) -> ProtocolConfig:
    plain = {"name": name, "title": "T", "why": "w", "views": VIEWS,
             "metrics": ["recall", "ndcg", "mrr"], "k": [5, 10, 20]}  # fmt: skip
    return ProtocolConfig(**(plain | changes))


@pytest.fixture
def truth() -> dict[str, Interactions]:
    """A train item of each user; two to six targets of all but two, other ones in `valid` than in `test`."""
    rng = np.random.default_rng(0)
    made = {"train": from_pairs(np.arange(USERS), np.arange(USERS), None, (USERS, ITEMS))}
    for name in ("test", "valid"):
        rows = [(u, i) for u in range(USERS) for i in rng.permutation(ITEMS)[: rng.integers(2, 7)]]
        rows = [(u, i) for u, i in rows if u not in WITHOUT_TARGETS]
        users, items = np.array(rows).T
        made[name] = from_pairs(users, items, None, (USERS, ITEMS))
    return made


def write_lists(results: Path, item: PlannedRun, status: str = "ok") -> dict[str, np.ndarray]:
    """Write rankings of a run, random and of another order in every view."""
    rng = np.random.default_rng([item.seed, len(item.run.model)])
    names = [list_name(target, v.history, v.mask) for target in ("test", "valid") for v in VIEWS]
    lists = {
        n: np.stack([rng.permutation(ITEMS)[:DEPTH] for _ in range(USERS)]).astype(np.int32) for n in names
    }
    places = np.tile(np.arange(1, DEPTH + 1, dtype=np.int32), (USERS, 1))
    kept = lists | {positions_name(name): places for name in names} if status == "ok" else {}
    write_npz(Paths(results).planned(item) / "rankings.npz", status=np.str_(status), data=SPLIT, **kept)
    return lists


def recall(lists: np.ndarray, truth: Interactions, k: int) -> dict[int, float]:
    targets = {u: set(truth.sequence(u).tolist()) for u in range(USERS)}
    return {u: len(t & set(lists[u, :k].tolist())) / len(t) for u, t in targets.items() if t}


def of(frame: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def test_every_metric_of_every_user_is_kept_in_every_view(tmp_path: Path, truth: dict) -> None:
    item = planned("ease", seed=4)
    lists = write_lists(tmp_path, item)
    frame = measure([item], [(protocol(), VIEWS)], truth, tmp_path, SPLIT).users.frame()
    kept = set(frame[["metric", "k"]].drop_duplicates().itertuples(index=False, name=None))
    assert kept == {(metric, k) for metric in ("recall", "ndcg", "mrr") for k in (5, 10, 20)}
    assert len(frame) == 9 * 2 * (USERS - len(WITHOUT_TARGETS))
    for view in VIEWS:
        part = of(frame, metric="recall", k=20, history=view.history, mask=view.mask)
        expected = recall(lists[list_name("test", view.history, view.mask)], truth["test"], 20)
        assert dict(zip(part["user"], part["value"], strict=True)) == pytest.approx(expected)
    labels = {"dataset": "d", "model": "ease", "variant": "default", "key": item.run.key, "seed": 4,
              "protocol": "standard", "fit": "train"}  # fmt: skip
    assert of(frame, **labels).shape == frame.shape


def test_means_of_users_are_the_rows_of_the_metrics(tmp_path: Path, truth: dict) -> None:
    items = [planned("ease", seed) for seed in (0, 1)]
    for item in items:
        write_lists(tmp_path, item)
    found = measure(items, [(protocol(), VIEWS)], truth, tmp_path, SPLIT)
    by = ["seed", "history", "mask", "metric", "k"]
    means = found.users.frame().groupby(by, observed=True)["value"].mean()
    rows = found.rows.set_index(by)["value"]
    assert len(means) == len(rows) == 2 * 2 * 9
    for place, mean in means.items():
        assert rows[place] == pytest.approx(mean, rel=1e-6)


def test_the_file_holds_what_was_measured_metric_by_metric(tmp_path: Path, truth: dict) -> None:
    items = [planned("ease", 0), planned("gfcf", 1)]
    for item in items:
        write_lists(tmp_path, item)
    found = measure(items, [(protocol(), VIEWS)], truth, tmp_path, SPLIT)
    found.users.write(tmp_path / "kept.parquet", np.array([f"00{user}" for user in range(USERS)]))
    whole = pd.read_parquet(tmp_path / "kept.parquet")
    assert (whole["user_id"] == "00" + whole["user"].astype(str)).all()
    pd.testing.assert_frame_equal(whole.drop(columns="user_id").astype(str), found.users.frame().astype(str))
    file = parquet.ParquetFile(tmp_path / "kept.parquet")
    assert file.num_row_groups == 9 * 2
    assert len(file.read_row_group(0).column("metric").unique()) == 1
    assert whole["warm"].all() and set(whole["activity"]) == {1}  # each has one training interaction


def test_users_are_in_quarters_by_activity_and_equal_ones_together() -> None:
    lengths = np.array([9, 0, 1, 2, 3, 4, 5, 6, 7, 50])
    assert activity(lengths, np.arange(1, 9)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert activity(np.array([1, 1, 1, 1, 8]), np.arange(5)).tolist() == [1, 1, 1, 1, 4]
    assert activity(lengths, np.arange(0)).tolist() == []


def test_a_failed_run_has_rows_without_values_and_no_users(tmp_path: Path, truth: dict) -> None:
    item = planned("ease")
    write_lists(tmp_path, item, "oom")
    found = measure([item], [(protocol(), VIEWS)], truth, tmp_path, SPLIT)
    assert len(found.rows) == 2 * 9 and set(found.rows["status"]) == {"oom"}
    assert found.rows["value"].isna().all() and found.users.frame().empty
    found.users.write(tmp_path / "kept.parquet", np.arange(USERS).astype(str))
    assert pd.read_parquet(tmp_path / "kept.parquet").empty


def measured_on(target: str, fit: str, place: Path, truth: dict) -> Measured:
    item = planned("ease", fit=fit)
    write_lists(place, item)
    return measure([item], [(protocol(target=target), VIEWS[:1])], truth, place, SPLIT)


def test_the_target_of_the_protocol_is_measured_and_a_refit_not_on_validation(
    tmp_path: Path, truth: dict
) -> None:
    lists = write_lists(tmp_path, planned("ease"))
    for target in ("test", "valid"):
        rows = of(measured_on(target, "train", tmp_path, truth).rows, metric="recall", k=5)
        expected = recall(lists[list_name(target, "train", "train")], truth[target], 5)
        assert rows["value"].tolist() == pytest.approx([np.mean(list(expected.values()))])
    assert measured_on("valid", "train+valid", tmp_path, truth).rows.empty
    assert len(measured_on("test", "train+valid", tmp_path, truth).rows) == 9


def test_a_run_of_two_groups_is_measured_once(tmp_path: Path, truth: dict) -> None:
    items = [planned("ease"), planned("ease", group="ablation")]
    write_lists(tmp_path, items[0])
    found = measure(items, [(protocol(), VIEWS[:1])], truth, tmp_path, SPLIT)
    assert len(found.rows) == 9 and not found.users.frame().duplicated().any()


def test_a_list_that_is_not_there_is_named(tmp_path: Path, truth: dict) -> None:
    item = planned("ease")
    write_npz(Paths(tmp_path).planned(item) / "rankings.npz", status=np.str_("ok"), data=SPLIT)
    with pytest.raises(ArtifactError, match="no list 'test_train_train' for protocol 'odd'"):
        measure([item], [(protocol("odd"), VIEWS)], truth, tmp_path, SPLIT)


@pytest.mark.parametrize("harm", ["beyond", "below", "users", "kind"])
def test_a_list_that_cannot_be_of_these_items_and_users_is_refused_by_its_file(
    harm: str, tmp_path: Path, truth: dict
) -> None:
    """An id beyond the catalogue ended in an IndexError that named nothing."""
    item = planned("ease")
    write_lists(tmp_path, item)
    path = Paths(tmp_path).planned(item) / "rankings.npz"
    arrays = read_npz(path)
    lists = arrays["test_train_train"].copy()
    if harm in ("beyond", "below"):
        lists[0, 0] = ITEMS if harm == "beyond" else -2
    arrays["test_train_train"] = {"users": lists[:-1], "kind": lists + 0.5}.get(harm, lists)
    write_npz(path, **arrays)
    with pytest.raises(
        ArtifactError, match=r"rankings.npz: 'test_train_train' is no table of item ids .*redo"
    ):
        measure([item], [(protocol(), VIEWS)], truth, tmp_path, SPLIT)
