"""An order taken from another source: which rows get it, what stays, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig
from recspectra.data import splits
from recspectra.data.alignment import TEST, in_order_of
from recspectra.data.interactions import DataError, from_pairs
from recspectra.data.readers import read
from recspectra.data.tables import InteractionTable, check_duplicates

USERS, ITEMS = 60, 40
TRAIN = 0


def random_table(seed: int) -> InteractionTable:
    """Distinct pairs of users 1..60 and items 1..40 in random order, in three parts."""
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(np.argwhere(rng.random((USERS, ITEMS)) < 0.2)).T + 1
    parts = rng.choice(3, len(users), p=[0.6, 0.2, 0.2]).astype(np.int8)
    return InteractionTable(users, items, np.zeros(len(users)), None, parts)


def shuffled(table: InteractionTable, seed: int) -> InteractionTable:
    """The same pairs in another order, without parts and times."""
    rows = np.random.default_rng(seed).permutation(len(table))
    return InteractionTable(table.users[rows], table.items[rows], None, None, None)


@pytest.mark.parametrize("seed", range(5))
def test_train_and_its_union_with_valid_stand_in_the_order_of_the_other_source(seed: int) -> None:
    table = random_table(seed)
    other = shuffled(table, seed + 100)
    ordered = in_order_of(table, other)
    for held_out in (table.parts != TRAIN, table.parts == TEST):
        rows = ~held_out
        part = from_pairs(table.users[rows], table.items[rows], ordered.times[rows], (USERS + 1, ITEMS + 1))
        for user in range(1, USERS + 1):
            kept = set(table.items[rows & (table.users == user)].tolist())
            sequence = other.items[other.users == user].tolist()
            assert part.sequence(user).tolist() == [i for i in sequence if i in kept]


def test_rows_stay_and_test_pairs_come_last_in_file_order() -> None:
    table = random_table(3)
    ordered = in_order_of(table, shuffled(table, 4))
    for name in ("users", "items", "parts"):
        assert np.array_equal(getattr(ordered, name), getattr(table, name))
    for user in range(1, USERS + 1):
        mine = table.users == user
        tested = ordered.times[mine & (table.parts == TEST)]
        assert (np.diff(tested) > 0).all()
        assert tested.min(initial=np.inf) > ordered.times[mine & (table.parts != TEST)].max(initial=0)


def test_times_of_the_other_source_count_before_its_rows() -> None:
    table = random_table(5)
    other = shuffled(table, 6)
    rows = np.random.default_rng(7).permutation(len(other))
    mixed = InteractionTable(other.users[rows], other.items[rows], rows.astype(float), None, None)
    assert np.array_equal(in_order_of(table, mixed).times, in_order_of(table, other).times)
    tied = replace(mixed, times=np.zeros(len(rows)))
    untimed = replace(mixed, times=None)
    assert np.array_equal(in_order_of(table, tied).times, in_order_of(table, untimed).times)


def test_ids_may_be_texts() -> None:
    table = random_table(8)
    other = shuffled(table, 9)
    named = [replace(t, users=t.users.astype(str), items=t.items.astype(str)) for t in (table, other)]
    assert np.array_equal(in_order_of(*named).times, in_order_of(table, other).times)


def test_nothing_of_the_test_pairs_is_looked_at() -> None:
    table = random_table(10)
    other = shuffled(table, 11)
    known = table.parts != TEST
    of_test = set(zip(table.users[~known].tolist(), table.items[~known].tolist(), strict=True))
    rows = [p not in of_test for p in zip(other.users.tolist(), other.items.tolist(), strict=True)]
    without = InteractionTable(other.users[rows], other.items[rows], None, None, None)
    assert 0 < len(without) < len(other)
    orders = [np.lexsort((in_order_of(table, o).times, table.users)) for o in (without, other)]
    assert np.array_equal(*orders)


def test_a_source_that_does_not_fit_is_refused() -> None:
    table = random_table(12)
    other = shuffled(table, 13)
    with pytest.raises(DataError, match="shipped split alone"):
        in_order_of(replace(table, parts=None), other)
    train = np.flatnonzero(table.parts == TRAIN)[:1]
    user, item = int(table.users[train[0]]), int(table.items[train[0]])
    rest = (other.users != user) | (other.items != item)
    less = InteractionTable(other.users[rest], other.items[rest], None, None, None)
    with pytest.raises(DataError, match=f"^1 of .* such as user {user}, item {item}$"):
        in_order_of(table, less)
    twice = InteractionTable(*(np.append(a, a[:1]) for a in (other.users, other.items)), None, None, None)
    with pytest.raises(DataError, match="1 pairs are repeated"):
        in_order_of(table, twice)


# ------------------------------------------------------------------------------- a YAML


FILES = [{"path": f"{p}.txt", "part": p} for p in ("train", "valid", "test")]
ORDER = {"path": "order.txt", "part": "order"}
READER = {
    "format": "delimited",
    "options": {"columns": "user,item"},
    "order_from": {"format": "sequences"},
}
ORDERED = {
    "source": {"name": "tiny", "licence": "-", "citation": "-", "files": [*FILES, ORDER]},
    "reader": READER,
    "split": {"recipe": "shipped"},
}
CONTENT = {
    "train.txt": "1,10\n1,20\n2,10\n2,30\n",
    "valid.txt": "1,30\n",
    "test.txt": "2,40\n",
    "order.txt": "1 30 20 10\n2 10 40 30\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in CONTENT.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_a_dataset_takes_its_order_from_another_file(
    folder: Path, dataset_config: Callable[..., DatasetConfig]
) -> None:
    config = dataset_config(**ORDERED)
    table = read(config, folder)
    assert len(table) == 6  # the file of the order adds no pair
    assert check_duplicates(table, "tiny") == 0
    pieces, _ = splits.split(table, config)
    assert [pieces["train"].sequence(u).tolist() for u in (0, 1)] == [[1, 0], [0, 2]]
    assert pieces["train"].merged(pieces["valid"]).sequence(0).tolist() == [2, 1, 0]
    assert all(piece.times is None for piece in pieces.values())  # places in another file are no times


def test_errors_name_the_dataset_and_the_file_of_the_order(
    folder: Path, dataset_config: Callable[..., DatasetConfig]
) -> None:
    (folder / "order.txt").write_text("1 30 20\n2 10 30\n")
    with pytest.raises(DataError, match="dataset 'tiny', order from order.txt: 1 of 5 .* user 1, item 10"):
        read(dataset_config(**ORDERED), folder)
    (folder / "order.txt").write_text("1 10 x\n")
    with pytest.raises(DataError, match="line 1"):
        read(dataset_config(**ORDERED), folder)
    (folder / "order.txt").write_text("1\n")
    with pytest.raises(DataError, match="order.txt holds no interactions"):
        read(dataset_config(**ORDERED), folder)


@pytest.mark.parametrize(
    ("order_from", "message"),
    [
        ({"format": "sequence"}, "did you mean 'sequences'"),
        ({"format": "sequences", "options": {"header": True}}, "reader 'sequences' has no option 'header'"),
    ],
)
def test_a_wrong_reader_of_the_order_is_refused(
    order_from: dict, message: str, folder: Path, dataset_config: Callable[..., DatasetConfig]
) -> None:
    config = dataset_config(**ORDERED | {"reader": READER | {"order_from": order_from}})
    with pytest.raises(DataError, match=message):
        read(config, folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reader": {"format": "delimited"}}, "belong together"),
        ({"source": ORDERED["source"] | {"files": FILES}}, "belong together"),
        (
            {"source": ORDERED["source"] | {"files": [*FILES, ORDER, {**ORDER, "path": "again"}]}},
            "belong together",
        ),
        ({"split": {"recipe": "random"}}, "needs `split: {recipe: shipped}`"),
        ({"split": {"recipe": "shipped", "exchange": True}}, "without other keys"),
        ({"split": {"recipe": "shipped", "valid": 0.1}}, "without other keys"),
        ({"ordered": False}, "ordered: true"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    changes: dict, message: str, dataset_config: Callable[..., DatasetConfig]
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset_config(**ORDERED | changes)
