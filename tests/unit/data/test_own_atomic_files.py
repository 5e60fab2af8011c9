"""RecBole's files with typed columns, and files that were joined."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from own_files import PAIRS, complaint, own, table_of, text_file

from recspectra.data.interactions import DataError
from recspectra.data.readers import read, read_delimited

# ------------------------------------------------------------------------------- .inter

INTER = "user_id:token\titem_id:token\tdate:float\n1\t10\t9\n1\t11\t2\n1\t12\t5\n1\t13\t1\n"


@pytest.mark.parametrize("column", ["date", "date:float"])
def test_a_recbole_file_has_the_named_columns(tmp_path: Path, column: str) -> None:
    config = own(text_file(tmp_path, "a.inter", INTER), {"time": column})
    assert (config.ordered, config.split.recipe) == (True, "temporal-user")
    assert read(config, Path("unused")).times.tolist() == [9, 2, 5, 1]


def test_a_recbole_file_without_times_is_not_ordered(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.inter", INTER)
    config = own(path, {})
    assert (config.ordered, config.split.recipe) == (False, "random-user")
    assert read(config, Path("unused")).times is None
    assert own(path, {}, ordered=True, split={"recipe": "leave-one-out"}).ordered
    rated = table_of(tmp_path, "c.inter", INTER.replace("date", "rating"), {})
    assert (rated.ratings.tolist(), rated.times) == ([9, 2, 5, 1], None)
    packed = text_file(tmp_path, "b.inter.gz", gzip.compress(INTER.replace("date", "timestamp").encode()))
    assert own(packed, {}).ordered
    assert not own(tmp_path / "absent.inter", {}).ordered


TIMED = INTER.replace("date", "timestamp")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.inter", f"\n \r\n{TIMED}"),
        ("a.inter", f"\ufeff\n{TIMED}"),
        ("a.inter", gzip.compress(TIMED.encode())),
        ("a.INTER", gzip.compress(f"\n{TIMED}".encode())),
        ("a.inter", TIMED.replace("\n", "\r")),
    ],
    ids=["blank lines", "mark and blank line", "gzip by content", "gzip and blank line", "old line ends"],
)
def test_a_recbole_file_is_ordered_where_its_reader_finds_times(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    config = own(text_file(tmp_path, name, content), {})
    assert read(config, Path("unused")).times.tolist() == [9, 2, 5, 1]
    assert (config.ordered, config.split.recipe) == (True, "temporal-user")


@pytest.mark.parametrize(
    ("separator", "options"),
    [("\t", {}), ("|", {"separator": "|"}), ("|", {"separator": "|", "time_column": "timestamp"})],
)
def test_the_reader_that_is_named_says_whether_there_are_times(
    tmp_path: Path, separator: str, options: dict[str, str]
) -> None:
    path = text_file(tmp_path, "a.txt", TIMED.replace("\t", separator))
    config = own(path, {}, reader={"format": "inter", "options": options})
    assert read(config, Path("unused")).times.tolist() == [9, 2, 5, 1]
    assert (config.ordered, config.split.recipe) == (True, "temporal-user")


def test_a_damaged_recbole_file_is_left_to_its_reader(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(TIMED.encode() * 50))
    packed[20:40] = bytes(20)
    assert not own(text_file(tmp_path, "a.inter", bytes(packed)), {}).ordered


def test_a_named_column_that_a_recbole_file_lacks_is_an_error(tmp_path: Path) -> None:
    said = complaint(tmp_path, "a.inter", INTER, {"time": "when"})
    assert "no column 'when' for time; columns: user_id:token, item_id:token, date:float" in said


@pytest.mark.parametrize("kind", ["token_seq", "float_seq"])
@pytest.mark.parametrize(
    ("name", "role", "columns"), [("a.inter", "item", {}), ("a.tsv", "user", PAIRS), ("a.csv", "item", PAIRS)]
)
def test_a_column_of_several_values_a_row_is_refused(
    tmp_path: Path, name: str, role: str, columns: dict[str, str], kind: str
) -> None:
    names = {r: f"{r}_id:{kind if r == role else 'token'}" for r in ("user", "item")}
    text = "\t".join(names.values()) + "\n1\t2 3 4\n2\t3 4\n"
    text = text.replace("\t", ",") if name == "a.csv" else text
    columns = columns and names
    said = complaint(tmp_path, name, text, columns)
    assert f"column '{names[role]}' for {role} holds several values a row; write one row for each" in said


def test_a_column_of_several_values_that_is_not_read_may_stay(tmp_path: Path) -> None:
    text = "user_id:token\titem_id:token\ttags:token_seq\n1\t2\ta b\n2\t3\tc\n"
    assert table_of(tmp_path, "a.inter", text, {}).items.tolist() == [2, 3]


# ------------------------------------------------------------------------- joined files


@pytest.mark.parametrize("rows", [1, 3, 5000])
@pytest.mark.parametrize(
    ("name", "head", "columns"),
    [
        ("a.csv", "user_id,item_id", PAIRS),
        ("a.csv", " user_id , item_id", PAIRS),
        ("a.csv", "title,item_id,user_id", PAIRS),
        ("a.tsv", "user_id\titem_id", PAIRS),
        ("a.inter", "user_id:token\titem_id:token", {}),
    ],
)
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_the_names_of_the_columns_within_a_file_are_refused(
    tmp_path: Path, name: str, head: str, columns: dict[str, str], rows: int, missing: str
) -> None:
    row = "\t".join("12") if "\t" in head else ",".join("123"[: head.count(",") + 1])
    text = "\n".join([head, *[row] * rows, "", head, row]) + "\n"
    said = complaint(tmp_path, name, text, columns, missing=missing)
    assert f"line {rows + 3}: the names of the columns once more; were files joined?" in said


def test_a_shared_file_of_texts_does_not_hold_its_names_twice(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.txt", "user,item\na,b\nuser,item\n")
    options = {"columns": "user,item", "header": True, "text_ids": True}
    with pytest.raises(DataError, match="line 3: the names of the columns once more"):
        read_delimited(path, None, **options)


def test_names_that_are_numbers_or_stand_in_one_column_are_ids(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.csv", "0,1\n0,1\n0,2\n", {"user": "0", "item": "1"})
    assert (table.users.tolist(), table.items.tolist()) == ([0, 0], [1, 2])
    table = table_of(tmp_path, "b.csv", "user_id,item_id\nuser_id,x\ny,item_id\n", PAIRS)
    assert table.users.tolist() == ["user_id", "y"]
    numbered = {"user": "0", "item": "1", "time": "stamp"}
    said = complaint(tmp_path, "c.csv", "0,1,stamp\n1,2,3\n1,3,x\n", numbered)
    assert "line 3, column 'stamp' (time): 'x'" in said


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_byte_order_mark_within_a_file_is_refused(tmp_path: Path, name: str, header: bool) -> None:
    part = "\ufeff" + ("user_id,item_id\n" if header else "") + "1,10\n2,11\n"
    text = (part * 2).replace(",", "\t" if name == "a.tsv" else ",")
    columns = PAIRS if header else {"user": 1, "item": 2}
    said = complaint(tmp_path, name, text, columns, header=header)
    assert ("line 4, column 'user_id' (user): " if header else "line 3, column 'user': ") in said
    assert "byte order mark" in said and "were files joined?" in said
