"""Floor 2: generator, readers and splits; every complaint names its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recspectra.config.dataset import DatasetConfig, SourceFile
from recspectra.data.interactions import DataError, Interactions, from_pairs
from recspectra.data.readers import read, read_delimited, read_pairs_npy
from recspectra.data.splits import split
from recspectra.data.tables import PARTS, Account, InteractionTable, check_duplicates, concatenate
from recspectra.files import ArtifactError, write_npz
from recspectra.recommender import History

MakeConfig = Callable[..., DatasetConfig]
FILE = SourceFile(path="raw.csv", sha256="0" * 64)


# ------------------------------------------------------------------------- interactions


def test_rows_keep_the_order_of_the_input_at_equal_times_and_without_times() -> None:
    users, items = np.array([1, 0, 1, 1, 0]), np.array([4, 3, 2, 0, 1])
    plain = from_pairs(users, items, None, (2, 5))
    tied = from_pairs(users, items, np.array([7.0, 7, 7, 7, 7]), (2, 5))
    late = from_pairs(users, items, np.array([7.0, 7, 7, 1, 7]), (2, 5))
    for found in (plain, tied):
        assert [found.sequence(u).tolist() for u in (0, 1)] == [[3, 1], [4, 2, 0]]
    assert late.sequence(1).tolist() == [0, 4, 2]
    assert late.times.tolist() == [7, 7, 1, 7, 7]


def test_merging_keeps_time_order_and_puts_the_other_last_without_times() -> None:
    first = from_pairs(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 5.0]), (2, 6))
    second = from_pairs(np.array([0, 1]), np.array([3, 4]), np.array([3.0, 9.0]), (2, 6))
    assert first.merged(second).sequence(0).tolist() == [1, 3, 2]
    assert first.merged(second).sequence(1).tolist() == [4]
    bare = Interactions(second.indptr, second.items, None, 6)
    assert first.merged(bare).sequence(0).tolist() == [1, 2, 3]
    assert first.merged(bare).times is None


def test_the_matrix_is_binary_and_sorted(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    dense = np.zeros(train.shape)
    dense[train.users, train.items] = 1
    assert np.array_equal(train.matrix.toarray(), dense)
    assert train.matrix.dtype == np.float32
    assert train.matrix.has_sorted_indices
    assert train.nnz == train.lengths.sum() == train.matrix.nnz


def test_interactions_come_back_from_disk(tmp_path: Path, tiny: dict[str, Interactions]) -> None:
    tiny["valid"].save(tmp_path / "v.npz")
    again = Interactions.load(tmp_path / "v.npz")
    assert again.shape == tiny["valid"].shape
    for name in ("indptr", "items", "times"):
        assert np.array_equal(getattr(again, name), getattr(tiny["valid"], name))


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [0, 9]},
        {"items": [0, -1]},
        {"indptr": [0, 1, 3]},
        {"shape": [3, 5]},
        {"items": None},
        {"times": [1.0]},
        {"preceding": [0]},
        {"preceding": [0, -1]},
    ],
)
def test_inconsistent_interactions_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    good = {"indptr": [0, 1, 2], "items": [0, 4], "shape": [2, 5]} | changes
    write_npz(tmp_path / "v.npz", **{k: np.array(v) for k, v in good.items() if v is not None})
    with pytest.raises(
        ArtifactError,
        match=r"v\.npz: (inconsistent|truncated or corrupted \(its rows|array 'items' is missing)",
    ):
        Interactions.load(tmp_path / "v.npz")


def test_ids_become_dense_in_the_order_of_the_source() -> None:
    table = InteractionTable(np.array([30, 7, 30]), np.array([500, 2, 2]), None, None, None)
    dense, users, items = table.densified()
    assert (dense.users.tolist(), users.tolist()) == ([1, 0, 1], [7, 30])
    assert (dense.items.tolist(), items.tolist()) == ([1, 0, 0], [2, 500])


# ------------------------------------------------------------------------------ readers


def raw(folder: Path, content: bytes | str) -> Path:
    path = folder / "raw.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_text_rows_are_read(tmp_path: Path) -> None:
    table = read_delimited(raw(tmp_path, "3,4,5,100\n1,2,3.5,50\n"), FILE)
    assert (table.users.tolist(), table.items.tolist()) == ([3, 1], [4, 2])
    assert (table.ratings.tolist(), table.times.tolist()) == ([5, 3.5], [100, 50])
    assert table.parts is None


@pytest.mark.parametrize("separator", ["\t", "::", " ", ";"])
def test_columns_and_separator_are_options(tmp_path: Path, separator: str) -> None:
    text = separator.join(["9", "4", "3"]) + "\n"
    table = read_delimited(raw(tmp_path, text), FILE, "time,user,item", separator)
    assert (table.users.tolist(), table.items.tolist(), table.times.tolist()) == ([4], [3], [9])
    assert table.ratings is None


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        ("1,2,3,4\n1,two,3,4\n", "line 2, column 'item'", "'two' is not a number"),
        ("user,item,rating,time\n1,2,3,4\n", "line 1, column 'user'", "'user' is not a number"),
        ("1,2,3,4\n1,2.5,3,4\n", "line 2, column 'item'", "'2.5' is not a number"),
        ("1,2,3,4\n\n1,-2,3,4\n", "line 3, column 'item'", "'-2' is negative"),
        ("1,2,3,4\n1,2,3\n", "line 2", "3 columns, expected 4"),
        ("1,2,3\n4,5,6\n", "line 1", "3 columns, expected 4"),
        ("1,2,3,4\n1,2,3,4,5\n", "line 2", "5 columns, expected 4"),
        ("1,2,3,4,5\n1,2,3,4,5\n", "line 1", "5 columns, expected 4"),
        ("1,2,3,4\n1," + "9" * 30 + ",3,4\n", "line 2, column 'item'", "is too large"),
    ],
)
def test_the_first_bad_line_is_named(tmp_path: Path, content: bytes | str, place: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"raw\.csv, {place}: .*{problem}"):
        read_delimited(raw(tmp_path, content), FILE)


@pytest.mark.parametrize("columns", ["user,itme", "user,rating", "user,item,user"])
def test_columns_that_do_not_make_interactions_are_refused(tmp_path: Path, columns: str) -> None:
    with pytest.raises(DataError, match=r"raw\.csv"):
        read_delimited(raw(tmp_path, "1,2,3\n"), FILE, columns)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_named(tmp_path: Path, content: str, dataset_config: MakeConfig) -> None:
    raw(tmp_path, content)
    with pytest.raises(DataError, match=r"dataset 'tiny': raw\.csv holds no interactions"):
        read(config_of_files(dataset_config, FILE), tmp_path)


def config_of_files(make: MakeConfig, *files: SourceFile, **changes: Any) -> DatasetConfig:
    source = {"name": "tiny", "licence": "free", "citation": "-", "fetch": "example.org/tiny"}
    return make(source={**source, "files": [f.model_dump() for f in files]}, **changes)


def test_files_of_a_shipped_split_are_joined_with_their_parts(
    tmp_path: Path, dataset_config: MakeConfig
) -> None:
    files = [SourceFile(path=f"{p}.csv", sha256="0" * 64, part=p) for p in PARTS]
    for number, file in enumerate(files):
        (tmp_path / file.path).write_text(f"{number},{number + 7},1,9\n")
    config = config_of_files(dataset_config, *files, split={"recipe": "shipped"})
    table = read(config, tmp_path)
    assert (table.users.tolist(), table.parts.tolist()) == ([0, 1, 2], [0, 1, 2])
    pieces, _ = split(table, config)
    assert [pieces[p].users.tolist() for p in PARTS] == [[0], [1], [2]]


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "raw.npy", array, allow_pickle=True)
    return folder / "raw.npy"


def test_pairs_are_read_from_npy(tmp_path: Path) -> None:
    file = SourceFile(path="raw.npy", sha256="0" * 64, part="valid")
    table = read_pairs_npy(npy(tmp_path, np.array([[5, 2], [1, 9]], dtype=np.int32)), file)
    assert (table.users.tolist(), table.items.tolist()) == ([5, 1], [2, 9])
    assert table.parts.tolist() == [PARTS.index("valid")] * 2
    assert table.times is None


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([[{}, 1]], dtype=object), "no readable npy array"),
        (np.array([[1, 2], [3, -4]]), r"row 1: negative id \[3, -4\]"),
        (np.array([[2**63 + 1, 1]], dtype=np.uint64), "row 0: negative id"),
        (np.array([[1.0, 2.0]]), r"integers of shape \(n, 2\), found float64"),
        (np.array([1, 2]), r"found int64 \(2,\)"),
        (np.array([[1, 2, 3]]), r"found int64 \(1, 3\)"),
    ],
)
def test_bad_npy_content_is_refused(tmp_path: Path, array: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=rf"raw\.npy.*{problem}"):
        read_pairs_npy(npy(tmp_path, array), FILE)


@pytest.mark.parametrize("keep", [0, 7, 60, -3])
def test_a_truncated_npy_is_named(tmp_path: Path, keep: int) -> None:
    path = npy(tmp_path, np.arange(20).reshape(10, 2))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"raw\.npy: no readable npy array"):
        read_pairs_npy(path, FILE)


def test_an_archive_under_the_name_of_an_npy_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "raw.npy", "wb") as stream:
        np.savez(stream, a=np.array([[1, 2]]))
    with pytest.raises(DataError, match="found an npz archive"):
        read_pairs_npy(tmp_path / "raw.npy", FILE)


def test_unknown_reader_and_option_are_refused_with_the_nearest(
    tmp_path: Path, dataset_config: MakeConfig
) -> None:
    with pytest.raises(DataError, match="unknown reader 'delimted'.*did you mean 'delimited'"):
        read(dataset_config(reader={"format": "delimted"}), tmp_path)
    reader = {"format": "synthetic", "options": {"user": 3}}
    with pytest.raises(DataError, match="no option 'user'; known: users, .*did you mean 'users'"):
        read(dataset_config(reader=reader), tmp_path)


def test_files_with_times_and_without_are_not_one_dataset() -> None:
    one = InteractionTable(np.array([1]), np.array([2]), np.array([3.0]), None, None)
    two = InteractionTable(np.array([4]), np.array([5]), None, None, None)
    assert concatenate([one, one]).times.tolist() == [3, 3]
    with pytest.raises(DataError, match="some of the dataset's files have times, others have none"):
        concatenate([one, two])


def test_ids_are_texts_in_all_files_where_they_are_in_one() -> None:
    numbers = InteractionTable(np.array([1, 2]), np.array([7, 8]), None, None, None)
    words = InteractionTable(np.array(["2", "anna"]), np.array([7, 9]), None, None, None)
    table = concatenate([numbers, words])
    assert table.users.tolist() == ["1", "2", "2", "anna"]
    assert table.items.tolist() == [7, 8, 7, 9]


def test_accounts_of_files_add_up_and_come_back_from_disk(tmp_path: Path) -> None:
    one = InteractionTable(
        np.array([1]), np.array([2]), None, None, None,
        Account(3, {"blank line": 1, "missing time": 1}, 2, ("user '1.0' is '1'",)),
    )  # fmt: skip
    two = InteractionTable(np.array([4, 5]), np.array([5, 5]), None, None, None)
    table = concatenate([one, two, one])
    table.save(tmp_path / "t.npz")
    account = InteractionTable.load(tmp_path / "t.npz").account
    assert account == table.account
    assert (account.rows_in, account.rows_read, account.unified) == (8, 4, 4)
    assert account.words() == (
        "8 rows: 4 read, 4 dropped (2 blank line, 2 missing time); 4 spellings of ids unified "
        "(user '1.0' is '1', user '1.0' is '1')"
    )


def test_tables_come_back_from_disk(tmp_path: Path) -> None:
    table = InteractionTable(
        np.array([1]), np.array([2]), np.array([3.0]), None, np.array([1], dtype=np.int8)
    )
    table.save(tmp_path / "t.npz")
    again = InteractionTable.load(tmp_path / "t.npz")
    assert again.times.tolist() == [3]
    assert again.parts.tolist() == [1]
    assert again.ratings is None


# ------------------------------------------------------------------------------ repeats


@pytest.mark.parametrize("parts", [[1, 0, 0, 0], [1, 2, 0, 2], None])
def test_a_pair_that_is_repeated_in_one_part_is_counted(parts: list[int] | None) -> None:
    codes = None if parts is None else np.array(parts, dtype=np.int8)
    table = InteractionTable(np.array([9, 7, 3, 7]), np.array([1, 2, 5, 2]), None, None, codes)
    assert check_duplicates(table, "d") == 1


@pytest.mark.parametrize("parts", [[1, 1, 1, 2], [2, 0, 1, 1]])
def test_a_pair_in_two_parts_of_a_shipped_split_is_refused(parts: list[int]) -> None:
    codes = np.array(parts, dtype=np.int8)
    table = InteractionTable(np.array([9, 7, 3, 7]), np.array([1, 2, 5, 2]), None, None, codes)
    with pytest.raises(DataError, match="dataset 'd': user 7, item 2 stands in two parts"):
        check_duplicates(table, "d")


def test_a_batch_of_histories_is_that_of_the_users_in_their_order(tiny: dict[str, Interactions]) -> None:
    train, users = tiny["train"], np.array([7, 3, 110, 3])
    batch = History.of(train, users)
    for row, user in enumerate(users):
        assert (
            batch.items[batch.indptr[row] : batch.indptr[row + 1]].tolist() == train.sequence(user).tolist()
        )
    assert np.array_equal(batch.matrix.toarray(), train.matrix.toarray()[users])
