"""Faults planted into clean lists: each is found, and named by line and id."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from elsewhere import CATALOG, World, lists_of_run, written

from recspectra.data.interactions import DataError
from recspectra.evaluation.import_lists import doubts_of_runs
from recspectra.evaluation.read_lists import read_lists
from recspectra.paths import Paths

K = 30
STANDARD = [CATALOG.protocol("standard")]


@pytest.fixture(scope="module")
def world() -> World:
    """Ids are whole numbers with leading zeros for users, texts for items."""
    return World.made("u{:03}", "Sku-{}")


@pytest.fixture(scope="module")
def clean(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The lists of a fit of EASE, by view."""
    results = tmp_path_factory.mktemp("results")
    planned = world.fitted("ease", results)
    views = ("test_train_train", "test_train+valid_train+valid")
    return {view: lists_of_run(planned, results, view) for view in views}


@pytest.fixture
def frame(world: World, clean: dict[str, np.ndarray]) -> pd.DataFrame:
    """The clean lists that the faults are planted into; header in line 1, the first entry in line 2."""
    return world.frame(clean["test_train+valid_train+valid"], K)


def changed(frame: pd.DataFrame, row: int, **cells: object) -> pd.DataFrame:
    frame = frame.astype(dict.fromkeys(cells, object))
    for column, value in cells.items():
        frame.loc[row, column] = value
    return frame


def text(change: Callable[[str], str]) -> Callable[[pd.DataFrame, Path], Path]:
    """Return a fault of the text of a CSV."""

    def plant(frame: pd.DataFrame, folder: Path) -> Path:
        path = written(frame, folder / "lists.csv")
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        return path

    return plant


def rows(change: Callable[[pd.DataFrame], pd.DataFrame], ending: str = "csv") -> Callable:
    """Return a fault of the rows."""
    return lambda frame, folder: written(change(frame), folder / f"lists.{ending}")


def numbered(column: pd.Series, start: int) -> pd.Series:
    """Return a program's own numbers in the order in which ids appear."""
    return pd.Series(pd.factorize(column)[0] + start, index=column.index)


def latin_1(path: Path) -> Path:
    path.write_bytes(b"user,item\nu\xff,1\n")
    return path


def cut_line(content: str) -> str:
    lines = content.splitlines()
    return "\n".join([*lines[:49], lines[49].rpartition(",")[0], *lines[50:]]) + "\n"


ERRORS: dict[str, tuple[Callable, str]] = {
    "unknown user": (rows(lambda f: changed(f, 40, user="u900")),
                     r"line 42: unknown user 'u900': 1 of 121 users are not among the 120 of the dataset"),
    "unknown item": (rows(lambda f: changed(f, 7, item="Sku-900")),
                     r"line 9: unknown item 'Sku-900': 1 of \d+ items are not among the 80"),
    "unknown row": (rows(lambda f: changed(f, 40, user="u900"), "parquet"), r"row 41: unknown user 'u900'"),
    "items that look like digits": (rows(lambda f: f.assign(item="²")), "line 2: unknown item '²': 1 of 1"),
    "items by other case": (rows(lambda f: f.assign(item=f["item"].str.lower())),
                            r"unknown item 'sku-\d+', .*'Sku-\d+' is: upper and lower case differ"),
    "a user twice, by other case": (rows(lambda f: pd.concat([f, f.head(K).assign(user="U001")])),
                                    r"unknown user 'U001'.*'u001' is: upper and lower case differ"),
    "columns swapped": (rows(lambda f: f.rename(columns={"user": "item", "item": "user"})),
                        r"unknown user 'Sku-.*are the columns of user and item swapped\?"),
    "positions for ids": (rows(lambda f: f.assign(item=numbered(f["item"], 0))),
                          r"unknown item '0', '1', '2'.*a program's own numbers"),
    "RecBole's numbers": (rows(lambda f: f.assign(item=numbered(f["item"], 1), user=numbered(f["user"], 1))),
                          r"unknown user '1'.*RecBole counts from 1.*\n.*unknown item '1'.*id2token"),
    "an item twice": (rows(lambda f: changed(f, 4, item=f.loc[1, "item"])),
                      r"line 6: user 'u001' has item 'Sku-\d+' twice \(1 such rows, of 1 users\)$"),
    "seeds mixed, no column": (rows(lambda f: pd.concat([f, f])[["user", "item", "score"]]),
                               r"twice \(3,600 such rows, of 120 users\); are several runs or seeds mix"),
    "seeds mixed, by column": (rows(lambda f: pd.concat([f.assign(seed=0), f.assign(seed=1)])),
                               r"column 'seed' has 2 values \('0', '1'\): the lists of several runs"),
    "seeds mixed, in Parquet": (rows(lambda f: pd.concat([f.assign(seed=0), f.assign(seed=1)]), "parquet"),
                                r"column 'seed' has 2 values"),
    "ranks twice": (rows(lambda f: changed(f, 3, rank=3)),
                    r"line 5: user 'u001' has two items at rank 3 \(1 such rows\)"),
    "a gap in ranks": (rows(lambda f: f.drop(index=3)),
                       r"line 5: user 'u001' has an item at rank 5 and none at the rank before \(1 users"),
    "no first rank": (rows(lambda f: f[(f["rank"] > 1) | (f["user"] != "u002")]),
                      r"user 'u002' has an item at rank 2 and none at the rank before \(1 users"),
    "half a rank": (rows(lambda f: changed(f, 3, rank=3.5)), r"line 5: rank 3.5 is no place in a list"),
    "scores against ranks": (rows(lambda f: changed(f, 3, score=2.0)),
                             r"line 5: user 'u001' has a higher score at rank 4 than at the rank before"),
    "distances for scores": (rows(lambda f: f.assign(score=-f["score"])), r"is a small score the better"),
    "score NaN": (rows(lambda f: changed(f, 5, score="NaN")), r"line 7: the score is NaN; leave such rows"),
    "score of a masked item": (rows(lambda f: changed(f, 5, score="-inf")),
                               r"line 7: the score is -inf, as of a masked item"),
    "score NaN, in Parquet": (rows(lambda f: f.assign(score=f["score"].where(f.index != 5)), "parquet"),
                              r"row 6: the score is NaN"),
    "score no number": (rows(lambda f: changed(f, 5, score="1,5")), r"line 7: the score '1,5' is not a num"),
    "user missing": (rows(lambda f: changed(f, 5, user="")), r"line 7: the user is missing"),
    "item missing, in Parquet": (rows(lambda f: changed(f, 5, item=None), "parquet"),
                                 r"row 6: the item is missing"),
    "empty file": (text(lambda _: ""), r"the file is empty"),
    "header alone": (text(lambda s: s.splitlines()[0] + "\n"), r"holds no lists"),
    "no header": (text(lambda s: s.partition("\n")[2]),
                  r"no column is the user: a header with user, user_id, userid is needed.*'u001', 'Sku-\d+'"),
    "other columns": (rows(lambda f: f.rename(columns={"item": "film"})),
                      r"no column is the item: .* or `columns: \{item: NAME\}`; .* 'user', 'film'"),
    "two columns of users": (rows(lambda f: f.assign(user_id=f["user"])),
                             r"columns 'user' and 'user_id' may both be the user; say which"),
    "a line cut off": (text(cut_line), r"line 50: 3 columns, the header has 4; is it cut off\?"),
    "an open quote": (text(lambda s: s.replace("u002", '"u002', 1)), r"line \d+: a quote"),
    "one row a user": (lambda f, folder: written(f.groupby("user")["item"].agg(list).reset_index(),
                                                 folder / "lists.parquet"),
                       r"the column of the item holds list.*one row for each item is needed"),
    "no text": (lambda f, folder: latin_1(folder / "lists.csv"), r"line 2: not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("fault", list(ERRORS))
def test_a_fault_stops_the_import_and_is_named(
    fault: str, frame: pd.DataFrame, world: World, tmp_path: Path
) -> None:
    plant, message = ERRORS[fault]
    path = plant(frame, tmp_path)
    with pytest.raises(DataError, match=re.compile(message, re.S)) as refused:
        world.imported(path, tmp_path / "results", "train+valid")
    assert str(refused.value).startswith(str(path))
    assert not (tmp_path / "results").exists()  # nothing half-written
    with pytest.raises(DataError, match=re.compile(message, re.S)):
        read_lists(path, world)


TREC: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "cut off": (lambda lines: [*lines[:-1], "u120 Q0 Sku"], r"line 3,600: 3 fields, a TREC run has 6"),
    "cut within": (lambda lines: [*lines[:9], lines[9].rpartition(" ")[0], *lines[10:]],
                   r"line 10: 5 fields, a TREC run has 6"),
    "two tags": (lambda lines: [*lines[:-1], lines[-1][:-3] + "two"], r"column 'tag' has 2 values"),
    "an id with a blank": (lambda lines: [lines[0].replace("Sku-", "Sku "), *lines[1:]], r"line 1: 7 fields"),
}  # fmt: skip


@pytest.mark.parametrize("fault", list(TREC))
def test_a_fault_of_a_trec_run_is_named(
    fault: str, frame: pd.DataFrame, world: World, tmp_path: Path
) -> None:
    change, message = TREC[fault]
    path = written(frame, tmp_path / "run.trec")
    path.write_text("\n".join(change(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_lists(path, world)


def test_leading_zeros_that_a_table_program_took_away(tmp_path: Path) -> None:
    world = World.made("{:03}", "{}")
    (tmp_path / "a.csv").write_text("user,item\n7,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="unknown user '7'.*'007' is: were leading zeros lost or added"):
        read_lists(tmp_path / "a.csv", world)


def test_whole_numbers_that_became_floats_in_a_part_of_the_file(tmp_path: Path) -> None:
    world = World.made("{}", "{}")
    (tmp_path / "a.csv").write_text("user,item\n7,1\n7,2\n7.0,3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 4: user '7' is written as '7' and as '7\.0'"):
        read_lists(tmp_path / "a.csv", world)
    (tmp_path / "b.csv").write_text("user,item\n7.0,1\n7.0,2\n", encoding="utf-8")  # all alike: pandas did it
    assert read_lists(tmp_path / "b.csv", world).frame()["user"].tolist() == ["7", "7"]


# --------------------------------------------------------------------------------------- doubts


def doubted(world: World, frame: pd.DataFrame, folder: Path, history: str = "train+valid") -> dict[str, str]:
    """Return what is doubted about lists, by check: at import and at evaluation."""
    planned, record = world.imported(written(frame, folder / "lists.csv"), folder, history)
    found = [*record["doubts"], *doubts_of_runs([planned], STANDARD, world.pieces, folder)]
    assert len({doubt["check"] for doubt in found}) == len(found)
    return {doubt["check"]: doubt["text"] for doubt in found}


def of_sequences(world: World, first: Callable[[int], list[int]], clean: np.ndarray) -> pd.DataFrame:
    """Return clean lists with some items of each user in front."""
    lists = np.full_like(clean, -1)
    for user, row in enumerate(clean):
        front = first(user)
        items = [*front, *(item for item in row.tolist() if item >= 0 and item not in front)][: len(row)]
        lists[user, : len(items)] = items
    return world.frame(lists)


def test_clean_lists_raise_no_doubt(world: World, frame: pd.DataFrame, tmp_path: Path) -> None:
    assert doubted(world, frame, tmp_path) == {}


def test_items_of_train_are_doubted_and_taken_out(world: World, clean: dict, tmp_path: Path) -> None:
    lists = clean["test_train+valid_train+valid"]
    found = doubted(world, of_sequences(world, lambda u: world.train.sequence(u).tolist(), lists), tmp_path)
    assert found.keys() == {"items of train"}
    assert re.match(
        rf"{world.train.nnz:,} of .* of 120 users, are items that the user has in train", found.popitem()[1]
    )
    names = {"model": "theirs", "dataset": "tiny"}
    place = next((Paths(tmp_path).root / "runs" / names["dataset"] / names["model"]).glob("*/seed-0"))
    theirs = np.load(place / "rankings.npz")["test_train+valid_train+valid"]
    assert np.array_equal(theirs[:, :20], lists[:, :20])


def test_lists_whose_ids_were_mixed_up_look_drawn_at_random(
    world: World, clean: dict, tmp_path: Path
) -> None:
    frame = world.frame(clean["test_train+valid_train+valid"])
    names = np.random.default_rng(0).permutation(world.ids.items)
    frame["item"] = frame["item"].map(dict(zip(world.ids.items, names, strict=True)))
    found = doubted(world, frame, tmp_path)
    assert "as many as in lists drawn at random" in found["items of train"]


def test_validation_items_are_doubted_where_the_model_was_shown_them(
    world: World, clean: dict, tmp_path: Path
) -> None:
    frame = world.frame(clean["test_train_train"])
    assert doubted(world, frame, tmp_path / "a", "train") == {}
    found = doubted(world, frame, tmp_path, "train+valid")
    assert found.keys() == {"items of validation"}
    assert "write `history: train` if the model was not shown them" in found["items of validation"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()


PLANTED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "absent users": (lambda f: f[f["user"] > "u020"], r"20 of 1\d\d test users have no list; they count"),
    "short lists": (lambda f: f[(f["rank"] <= 12) | (f["user"] > "u030")],
                    r"30 of 1\d\d test users have fewer than 20 items \(half of these at most 12\)"),
    "unsorted rows": (lambda f: f[["user", "item", "score"]].sample(frac=1.0, random_state=0),
                      r"the rows of 120 users do not stand in the order of their scores"),
    "equal scores": (lambda f: f.assign(score=1.0)[["user", "item", "score"]],
                     r"all scores of a list are equal, for 120 users: the order of the rows was taken"),
}  # fmt: skip


@pytest.mark.parametrize("check", list(PLANTED))
def test_a_planted_doubt_is_named(check: str, frame: pd.DataFrame, world: World, tmp_path: Path) -> None:
    change, message = PLANTED[check]
    found = doubted(world, change(frame), tmp_path)
    assert found.keys() == {check}
    assert re.search(message, found[check])


def test_one_list_for_all_users(world: World, frame: pd.DataFrame, tmp_path: Path) -> None:
    one = frame[frame["user"] == "u001"]
    everyone = pd.concat([one.assign(user=user) for user in world.ids.users])
    assert doubted(world, everyone, tmp_path)["same for all"] == "the lists of all 120 users are the same"


def shuffled(items: np.ndarray, user: int) -> list[int]:
    return np.random.default_rng(user).permutation(items).tolist()


def test_lists_that_begin_with_the_test_items(world: World, clean: dict, tmp_path: Path) -> None:
    lists = clean["test_train+valid_train+valid"]
    frame = of_sequences(world, lambda u: shuffled(world.test.sequence(u), u), lists)
    found = doubted(world, frame, tmp_path)
    assert found.keys() == {"test items first"}
    assert re.search(
        r"of \d+ of \d+ test users begin with exactly their test items", found["test items first"]
    )


def test_hits_in_the_order_of_the_test_part(world: World, clean: dict, tmp_path: Path) -> None:
    """Hidden behind another item, so that the lists do not begin with all of them."""
    lists = clean["test_train+valid_train+valid"]

    def hidden(user: int) -> list[int]:
        wanted = world.test.sequence(user).tolist()
        other = next(item for item in lists[user].tolist() if item not in wanted)
        return [other, *wanted]

    found = doubted(world, of_sequences(world, hidden, lists), tmp_path)
    assert found.keys() == {"test order"}
    assert "in the order of the test part: were test data used" in found["test order"]


def test_test_items_found_far_above_validation_items(world: World, clean: dict, tmp_path: Path) -> None:
    """Test items are shuffled among others, so that neither their place nor their order gives them away."""
    lists = clean["test_train_train"]

    def mixed(user: int) -> list[int]:
        valid, wanted = set(world.valid.sequence(user).tolist()), world.test.sequence(user)
        others = [item for item in lists[user].tolist() if item not in valid][:6]
        return shuffled(np.unique([*wanted, *others]), user)

    found = doubted(world, of_sequences(world, mixed, lists), tmp_path, "train")
    assert found.keys() == {"test above validation"}
    assert re.search(r"find \d+\.\d% of the test items and \d+\.\d% of the validation", found.popitem()[1])


def test_doubts_are_warnings_in_python(world: World, clean: dict, tmp_path: Path) -> None:
    path = written(world.frame(clean["test_train_train"]), tmp_path / "lists.csv")
    with pytest.warns(UserWarning, match="are validation items of the user"):
        found = read_lists(path, world, name="theirs")
    assert [doubt.check for doubt in found.doubts] == ["items of validation"]
    assert found.name == "theirs"
    for user, row in zip(found.users, found.items, strict=True):
        assert not set(row.tolist()) & set(world.valid.sequence(user).tolist())
