"""`evaluate` and `compare`: the numbers of the workflow, with intervals, for models and lists."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recspectra as rs
from recspectra.fitting.scoring import Inputs, all_lists
from recspectra.fitting.validation import validator


@pytest.fixture(scope="module")
def popularity(data: rs.Data) -> rs.Model:
    return rs.fit("popularity", data)


def lists_by_hand(model: rs.Model, data: rs.Data, k: int) -> np.ndarray:
    """The lists that a run of the workflow keeps."""
    inputs = Inputs(data.train, data.valid, True, {})
    return all_lists(model.system.score, inputs, "train", k)["test_train+valid_train+valid"]


def recall_by_hand(model: rs.Model, data: rs.Data, k: int) -> np.ndarray:
    """Recall of each user from the lists that a run of the workflow keeps."""
    top = lists_by_hand(model, data, k)
    return np.array(
        [len(set(top[u]) & set(data.test.sequence(u))) / len(set(data.test.sequence(u))) for u in range(120)]
    )


def test_a_model_is_measured_as_the_workflow_does_it(data: rs.Data, ease: rs.Model) -> None:
    found = rs.evaluate({"EASE": ease}, data, metrics=["recall"], k=10)
    values = recall_by_hand(ease, data, 10)
    row = found.iloc[0]
    assert row[["model", "history", "mask", "users", "metric", "k"]].tolist() == [
        "EASE", "train+valid", "train+valid", "all", "recall", 10,
    ]  # fmt: skip
    assert row["value"] == pytest.approx(values.mean(), abs=1e-12)
    half = 1.959964 * values.std(ddof=1) / np.sqrt(120)
    assert row["high"] - row["value"] == pytest.approx(half, rel=0.1)
    assert row["value"] - row["low"] == pytest.approx(half, rel=0.1)


def test_the_protocol_s_metrics_and_views_are_all_measured(data: rs.Data, ease: rs.Model) -> None:
    found = rs.evaluate(ease, data)
    assert len(found) == 4 * 3 and set(found["model"]) == {"EASE"}
    both = rs.evaluate(ease, data, protocol="sdiff", metrics="ndcg", k=[10])
    assert len(both) == both[["history", "mask"]].drop_duplicates().shape[0] > 1


def test_a_narrow_terminal_shows_whose_numbers_they_are(data: rs.Data, ease: rs.Model) -> None:
    found = rs.evaluate({"Popularity of everything": ease}, data)
    with pd.option_context("display.width", 80, "display.max_columns", 0):
        heads = str(found).splitlines()[0].split()
    assert heads == ["model", "metric", "k", "...", "value", "low", "high"]
    assert set(found.columns) == {"model", "history", "mask", "users", "metric", "k", "value", "low", "high"}


def test_lists_from_elsewhere_stand_beside_models(data: rs.Data, ease: rs.Model) -> None:
    top = lists_by_hand(ease, data, 10)
    rows, places = np.nonzero(top >= 0)
    frame = pd.DataFrame(
        {"user": data.users[rows], "item": data.items[top[rows, places]], "rank": places + 1}
    ).sample(frac=1, random_state=0)
    found = rs.evaluate({"own": ease, "theirs": frame}, data, k=10)
    own, theirs = (found[found["model"] == name].reset_index(drop=True) for name in ("own", "theirs"))
    pd.testing.assert_frame_equal(own.drop(columns="model"), theirs.drop(columns="model"))
    without = frame[frame["user"] != "u5"]  # a user without a list counts as zeros
    values = recall_by_hand(ease, data, 10)
    values[data.ids.user_positions("u5")] = 0
    found = rs.evaluate({"theirs": without}, data, metrics=["recall"], k=10)
    assert found["value"][0] == pytest.approx(values.mean())


def test_lists_that_begin_with_the_test_items_get_a_warning(data: rs.Data) -> None:
    """They had ndcg 1 and no word about it."""
    lists = enumerate(map(data.test.sequence, range(data.test.n_users)))
    rows = [(data.users[u], data.items[i], place) for u, top in lists for place, i in enumerate(top.tolist())]
    frame = pd.DataFrame(rows, columns=["user", "item", "rank"])
    short = int(frame.groupby("user").size().max())
    with pytest.warns(UserWarning, match="begin with exactly their test items: were test data used"):
        rs.evaluate({"leak": frame}, data, metrics=["ndcg"], k=short)


def test_a_comparison_has_its_interval_p_value_and_smallest_difference(
    data: rs.Data, ease: rs.Model, popularity: rs.Model
) -> None:
    found = rs.compare(ease, popularity, data, metric="recall", k=10)
    gaps = recall_by_hand(ease, data, 10) - recall_by_hand(popularity, data, 10)
    assert found.difference == pytest.approx(gaps.mean()) == pytest.approx(found.value - found.rival_value)
    assert 0 < found.low < found.difference < found.high and found.p < 0.05 and found.users == 120
    error = gaps.std(ddof=1) / np.sqrt(120)
    assert found.high - found.low == pytest.approx(2 * 1.98 * error, rel=0.1)
    assert found.mde == pytest.approx((1.96 + 0.84) * error, rel=0.1)
    assert str(found).startswith("EASE is above Popularity in recall@10: +0.")
    assert str(found).endswith(
        f"; 120 users would show a true difference of {found.mde:.4f} in 80 % of such tests"
    )


def test_a_model_is_not_told_apart_from_itself(data: rs.Data, ease: rs.Model) -> None:
    found = rs.compare(ease, ease, data)
    assert (found.subject, found.rival) == ("EASE (1)", "EASE (2)")
    assert found.difference == 0 and found.p == 1.0
    assert "is not told apart from" in str(found)
    named = rs.compare(("mine", ease), ("theirs", ease), data)
    assert (named.subject, named.rival) == ("mine", "theirs")


def test_seeds_widen_an_interval(data: rs.Data) -> None:
    fits = [rs.fit("mf", data, seed=seed, epochs=8, dimensions=8, learning_rate=0.05) for seed in range(3)]
    means = [rs.evaluate(one, data, metrics=["ndcg"], k=10)["value"][0] for one in fits]
    found = rs.evaluate({"MF": fits}, data, metrics=["ndcg"], k=10).iloc[0]
    assert found["value"] == pytest.approx(np.mean(means))
    assert found["low"] < min(means) and max(means) < found["high"]


def test_numbers_of_all_lists_together_have_no_interval(data: rs.Data, ease: rs.Model) -> None:
    found = rs.evaluate(ease, data, metrics=["coverage", "novelty"], k=10).set_index("metric")
    top = lists_by_hand(ease, data, 10)
    assert found.loc["coverage", "value"] == pytest.approx(len(np.unique(top)) / 80)
    assert found.loc["coverage", ["low", "high"]].isna().all()
    assert found.loc["novelty", "low"] < found.loc["novelty", "value"] < found.loc["novelty", "high"]
    with pytest.raises(rs.ConfigError, match="coverage is a number of all lists together"):
        rs.compare(ease, ease, data, metric="coverage")


def test_a_file_of_lists_is_read_and_measured(data: rs.Data, ease: rs.Model, tmp_path: Path) -> None:
    top = lists_by_hand(ease, data, 10)
    lists = rs.Lists(np.arange(120), top, None, "theirs", data.ids)
    lists.frame().drop(columns="score").to_csv(tmp_path / "theirs.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about so few users is no matter here
        read = rs.read_lists(tmp_path / "theirs.csv", data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rs.evaluate({"own": ease, "theirs": read}, data, metrics=["ndcg"], k=10)["value"]
    assert found[0] == pytest.approx(found[1])
    with pytest.warns(
        UserWarning, match="made from train.valid items, and protocol 'giffcf' shows .* train:"
    ):
        rs.evaluate(read, data, protocol="giffcf", k=10)
    with pytest.raises(rs.DataError, match="validation items were taken out of it; .*history=.train."):
        rs.evaluate(read, data, protocol="validation", k=10)


def test_a_refit_may_learn_as_long_as_its_own_seed_did(data: rs.Data, ease: rs.Model) -> None:
    refit = [
        dataclasses.replace(ease, about={**ease.about, "fit": "train+valid", "seed": seed,
                             "params": {**ease.about["params"], "epochs": seed + 3}})
        for seed in (0, 1)
    ]  # fmt: skip
    found = rs.evaluate({"x": refit, "y": ease}, data, metrics=["ndcg"], k=10)["value"]
    assert found[0] == pytest.approx(found[1])
    longer = [dataclasses.replace(one, about=one.about | {"fit": "train"}) for one in refit]
    with pytest.raises(rs.ConfigError, match="is a list of different models"):
        rs.evaluate({"x": longer}, data, k=10)


class FirstThirty:
    """Scores in which the items 0 to 29 are equal, and above all others, which are equal too."""

    def score(self, users: np.ndarray, history: object) -> np.ndarray:
        return np.tile(np.float32(np.arange(80) < 30), (len(users), 1))


def test_a_cut_off_does_not_depend_on_how_far_others_look(data: rs.Data, popularity: rs.Model) -> None:
    model = dataclasses.replace(popularity, system=FirstThirty())
    values = []
    for cuts in ([20], [20, 40]):  # under `ties: half`, where 30 equals share a place before 20
        found = rs.evaluate(model, data, protocol="wpgrec", metrics=["hr"], k=cuts)
        values.append(found.loc[found["k"] == 20, "value"].tolist())
    assert values[0] == values[1]


def test_what_a_view_masks_is_taken_out_of_given_lists(data: rs.Data, ease: rs.Model) -> None:
    top = lists_by_hand(ease, data, 10)
    seen = data.train.merged(data.valid)
    first = np.array([[seen.sequence(user)[0]] for user in range(120)], dtype=np.int32)
    lists = rs.Lists(np.arange(120), np.concatenate([first, top], axis=1), None, "theirs", data.ids)
    found = rs.evaluate({"own": ease, "theirs": lists}, data, metrics=["ndcg"], k=10)["value"]
    assert found[0] == pytest.approx(found[1])


def test_auc_is_measured_on_whole_lists_alone(data: rs.Data, ease: rs.Model, popularity: rs.Model) -> None:
    items = data.train.n_items
    found = rs.evaluate({"EASE": ease, "Popularity": popularity}, data, metrics=["auc"], k=items)
    assert (found["value"] > 0.5).all()
    with pytest.raises(rs.DataError, match=f"auc needs lists of all items .*; give k=\\[{items}\\]"):
        rs.evaluate(ease, data, metrics=["auc"], k=10)


def test_models_of_other_data_and_of_the_test_part_are_refused(data: rs.Data, clicks: pd.DataFrame) -> None:
    other = rs.read(clicks, user="user_id", item="item_id", time="timestamp", split="leave-one-out")
    with pytest.raises(rs.DataError, match="was fitted on frame with another split"):
        rs.evaluate(rs.fit("popularity", other), data)
    with pytest.raises(rs.ConfigError, match="on all data, the test part included, on which it is"):
        rs.evaluate(rs.fit("popularity", data, on="all"), data)
    assert len(rs.evaluate(rs.fit("popularity", data, on="train+valid"), data, k=10)) == 4


def test_lists_that_cannot_be_measured_are_refused(data: rs.Data, ease: rs.Model) -> None:
    with pytest.raises(rs.DataError, match=r"at most 5 items, and 20 are measured; give longer.*k=\[5\]"):
        rs.evaluate(ease.lists(k=5), data)
    with pytest.raises(rs.DataError, match="has the ids of other data"):
        lists = ease.lists(k=20)
        swapped = dataclasses.replace(lists, ids=dataclasses.replace(lists.ids, users=lists.ids.users[::-1]))
        rs.evaluate(swapped, data)


def test_recommendations_are_no_lists_to_be_measured(data: rs.Data, ease: rs.Model) -> None:
    with pytest.warns(
        UserWarning, match="holds nothing that is to be found: lists of `recommend` leave out all"
    ):
        rs.evaluate({"mine": ease.recommend(k=20)}, data)


def test_choices_are_made_by_the_validation_part(data: rs.Data, ease: rs.Model) -> None:
    found = rs.evaluate(ease, data, protocol="validation", metrics=["recall"], k=20)
    expected = validator(Inputs(data.train, data.valid, True, {}))(ease.system.score)
    assert found[["history", "mask"]].iloc[0].tolist() == ["train", "train"]
    assert found["value"][0] == pytest.approx(expected)
    with pytest.raises(rs.ConfigError, match="on train.valid data, the valid part included"):
        rs.evaluate(rs.fit("popularity", data, on="train+valid"), data, protocol="validation")
