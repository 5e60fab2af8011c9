"""Text files as people have them: quotes, separators, headers, rows without a value."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from own_files import COLUMNS, FOUR, HEAD, PAIRS, complaint, own, table_of, text_file

from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig, SourceFile
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import DataError
from recspectra.data.readers import read, read_netflix, read_sequences


def test_path_and_columns_are_enough(tmp_path: Path) -> None:
    timed, untimed = own(tmp_path / "a.csv"), own(tmp_path / "a.csv", PAIRS)
    assert (timed.split.recipe, timed.ordered) == ("temporal-user", True)
    assert (untimed.split.recipe, untimed.ordered) == ("random-user", False)


# ------------------------------------------------------------------------------- quotes

QUOTED_TITLES = "user_id\titem_id\ttimestamp\ttitle\n" + "".join(
    f"{user}\t{item}\t{item}\t{title}\n"
    for user, item, title in [
        (1, 10, '"Blue'),
        (1, 11, "green"),
        (2, 12, "red"),
        (2, 13, '"Grey'),
        (3, 14, "pink"),
    ]
)


@pytest.mark.parametrize("name", ["clicks.tsv", "clicks.TSV", "clicks.tsv.gz"])
def test_tab_separated_files_have_no_quoting(tmp_path: Path, name: str) -> None:
    content = QUOTED_TITLES.encode()
    table = table_of(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    assert table.items.tolist() == [10, 11, 12, 13, 14]
    assert (table.account.rows_in, table.account.dropped) == (5, {})


def test_one_quote_in_a_tab_separated_file_is_a_letter(tmp_path: Path) -> None:
    text = 'user_id\titem_id\ttimestamp\ttitle\n1\t10\t1\t"Blue\n1\t11\t2\tgreen\n'
    assert table_of(tmp_path, "single.tsv", text).items.tolist() == [10, 11]
    inter = text.replace("user_id", "user_id:token").replace("item_id", "item_id:token")
    assert table_of(tmp_path, "single.inter", inter, {"time": "timestamp"}).items.tolist() == [10, 11]


def test_quotes_around_names_in_a_tab_separated_file_are_named(tmp_path: Path) -> None:
    said = complaint(tmp_path, "r.tsv", '"user_id"\t"item_id"\t"timestamp"\n1\t2\t3\n')
    assert "the names are in quotes" in said


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ('"","user_id","item_id","timestamp"\n"1",1,10,5\n"2",2,11,6\n', COLUMNS),
        ('"user, id",item_id,timestamp\n1,10,5\n2,11,6\n', COLUMNS | {"user": "user, id"}),
        ('"user ""u""",item_id,timestamp\n1,10,5\n2,11,6\n', COLUMNS | {"user": 'user "u"'}),
        ("timestamp, item_id ,\tuser_id\n5,10,1\n6,11,2\n", COLUMNS),
        ("user_id,item_id,timestamp,\n1,10,5,\n2,11,6,\n", COLUMNS),
        ("\n\nuser_id,item_id,timestamp\n1,10,5\n2,11,6\n", COLUMNS),
        ("user_id,item_id,timestamp\r1,10,5\r2,11,6\r", COLUMNS),
        ("x,x,user_id,item_id,timestamp\n0,0,1,10,5\n0,0,2,11,6\n", COLUMNS),
        ('a,user_id,item_id,timestamp\n"one\ntwo",1,10,5\n"x ""y"", z",2,11,6\n', COLUMNS),
        (b"\xef\xbb\xbf\"user_id\",item_id,timestamp\n1,10,5\n2,11,6\n", COLUMNS),
        ("x,user_id,item_id,y,timestamp\r\na,1,10,b,5\r\nc,2,11,d,6\r\n", COLUMNS),
    ],
    ids=["R", "comma in a name", "quotes in a name", "blanks around names", "trailing separator",
         "blank lines first", "lone CR", "unused names twice", "quoted line break", "BOM and quote",
         "CRLF and other columns"],
)  # fmt: skip
def test_csv_is_that_of_rfc_4180(tmp_path: Path, content: str | bytes, columns: dict[str, str]) -> None:
    table = table_of(tmp_path, "a.csv", content, columns)
    assert (table.users.tolist(), table.items.tolist()) == ([1, 2], [10, 11])
    assert table.times.tolist() == [5, 6]
    assert table.account.rows_read == 2


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (FOUR + '1,10,5,"a, b"\n1,11,6,c\n2,12,x,d\n', "line 4, column 'timestamp' (time): 'x'"),
        (FOUR + '1,10,5,"a\nb\r\nc"\n\n1,11,6,c\n2,12,x,d\n', "line 7, column 'timestamp' (time)"),
        (FOUR + '1,10,5,"a\nb"\n1,11,6\n', "line 4: 3 columns, expected 4"),
        (FOUR + '1,10,5,a\n1,10,6,"Blue\n1,11,6,c\n', "line 3: a quote (\") is opened"),
        (FOUR + '1,10,5,a\n1,10,6,"Blue\n1,11,6,"Grey"\n', "line 3: text follows a closing"),
        (FOUR + '1,10,,a\n1,10,6,"Blue\n1,11,6,c\n', "line 2, column 'timestamp' (time): the value is"),
        ('user_id,item_id,"timestamp\n1,10,5\n', "line 1: a quote (\") is opened"),
        ('user_id,item_id,timestamp\n1,"1\n0",5\n', "line 2, column 'item_id' (item): '1\\n0' holds a line"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_the_line_named_is_the_line_meant(tmp_path: Path, content: str, place: str, packed: bool) -> None:
    if packed:
        assert place in complaint(tmp_path, "a.csv.gz", gzip.compress(content.encode()))
    else:
        assert place in complaint(tmp_path, "a.csv", content)


def test_lines_are_counted_through_many_chunks(tmp_path: Path) -> None:
    rows = [f'{i},{i % 7},{i},"a\nb, c"\n' for i in range(5000)]
    rows[4321] = '4321,1,soon,""\n'
    said = complaint(tmp_path, "a.csv", "user_id,item_id,timestamp,t\n" + "".join(rows))
    assert f"line {2 * 4321 + 2}, column 'timestamp' (time): 'soon' is not a number" in said


# ---------------------------------------------------------------- rows in = read + dropped


def test_rows_without_a_value_are_an_error_with_count_and_first_line(tmp_path: Path) -> None:
    text = HEAD + "1,10,5\n1,11,\n2, ,6\n2,12,7\n"
    said = complaint(tmp_path, "a.csv", text)
    assert "line 3, column 'timestamp' (time): the value is missing; 2 rows have a missing value" in said
    assert "`missing: drop`" in said


def test_rows_without_a_value_are_dropped_counted_and_named(tmp_path: Path) -> None:
    text = HEAD + "1,10,5\n1,11,\n\n2, ,6\n2,12,NaN\n,,\n2,13,NULL\n  \n3,14,8\n"
    table = table_of(tmp_path, "a.csv", text, missing="drop")
    assert (table.users.tolist(), table.items.tolist(), table.times.tolist()) == ([1, 3], [10, 14], [5, 8])
    account = table.account
    assert (account.rows_in, account.rows_read) == (9, 2)
    assert account.dropped == {"missing time": 3, "blank line": 2, "missing item": 1, "missing user": 1}
    assert account.statistics()["rows_dropped"] == account.dropped


def test_words_for_missing_numbers_are_ids_among_ids(tmp_path: Path) -> None:
    text = HEAD + "".join(f"{word},{word},5\n" for word in ("NA", "null", "None", "nan"))
    table = table_of(tmp_path, "a.csv", text, missing="drop")
    assert table.users.tolist() == ["NA", "null", "None", "nan"]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("1_000", "is not a number"),
        ("inf", "is not finite"),
        ("1e999", "is not finite"),
        ("0x10", "is not a number"),
        ("\u0663", "is not a number"),
        ('"1,000"', "without commas"),
        ('"3,5"', "without commas"),
        ("true", "is not a number"),
        ("NA", "is not a number"),
    ],
)
def test_what_is_no_number_is_named(tmp_path: Path, cell: str, why: str) -> None:
    columns = PAIRS | {"rating": "stars"}
    said = complaint(tmp_path, "a.csv", f"user_id,item_id,stars\n1,2,4\n1,3,{cell}\n", columns)
    assert "line 3, column 'stars' (rating)" in said and why in said


@pytest.mark.parametrize("cell", ["1e3", " 1000 ", "+1000.0", "1000."])
def test_numbers_are_read_as_programs_write_them(tmp_path: Path, cell: str) -> None:
    columns = PAIRS | {"rating": "stars"}
    table = table_of(tmp_path, "a.csv", f"user_id,item_id,stars\n1,2,{cell}\n", columns)
    assert table.ratings.tolist() == [1000]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (
            "a.csv",
            HEAD.replace("item_id", "item") + "1,2,3\n",
            "no column 'item_id' for item; columns: user_id",
        ),
        ("a.csv", HEAD.replace("item_id", "item") + "1,2,3\n", "did you mean 'item'"),
        ("a.csv", (HEAD + "1,2,3\n").encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a.csv", (HEAD + "1,2,3\n").encode("utf-16-le"), "line 1: a NUL byte"),
        ("a.csv", (HEAD + "1,2,3\nJos\u00e9,2,3\n").encode("latin-1"), "line 3: not UTF-8"),
        ("a.csv", HEAD.encode() + b"1,2,3\xc3", "line 2: not UTF-8"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "\n \n", "the file is empty"),
        ("a.csv", HEAD, "a header and no rows"),
        ("a.csv", HEAD + "\n\n", "a header and no rows"),
        ("a.csv", b"BZh91AY&SY", "bzip2; unpack it"),
        ("a.csv.gz", b"user_id,item_id\n1,2\n", "gzip file is truncated or damaged"),
        (
            "a.csv.gz",
            gzip.compress((HEAD + "1,2,3\n" * 5000).encode())[:60],
            "gzip file is truncated or damaged",
        ),
        ("a.csv", "user_id,user_id,item_id,timestamp\n1,1,2,3\n", "'user_id' for user stands there 2 times"),
        ("a.csv", "1,10,5\n1,11,6\n", "`header: false`"),
        ("a.parquet", b"PAR1 and no more", "no readable Parquet file"),
    ],
)
def test_files_that_are_not_what_they_seem_are_named(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    assert why in complaint(tmp_path, name, content)


def test_a_member_of_a_zip_is_read_in_place_and_nothing_leaves_the_archive(
    tmp_path: Path, dataset_config: Callable[..., DatasetConfig]
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../evil.txt", "outside")
        archive.writestr("ml/ratings.dat", "1::10::4::5\n1::11::3::6\n2::10::5::7\n")
    files = [{"path": "a.zip", "member": "ml/ratings.dat"}]
    config = dataset_config(
        source={"name": "z", "licence": "-", "citation": "-", "files": files},
        reader={"format": "delimited", "options": {"separator": "::"}},
    )
    assert read(config, tmp_path).items.tolist() == [10, 11, 10]
    assert not list(tmp_path.parent.rglob("evil.txt"))


def test_a_zip_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", HEAD + "1,2,3\n")
    with pytest.raises(DataError, match=r"a\.csv\.zip: the file is a zip archive .*; unpack it"):
        read(own(tmp_path / "a.csv.zip"), Path("unused"))


def test_gzip_and_parquet_are_known_by_their_content(tmp_path: Path) -> None:
    assert table_of(tmp_path, "a.csv", gzip.compress((HEAD + "1,2,3\n").encode())).items.tolist() == [2]
    frame = pd.DataFrame({"user_id": [1], "item_id": [2], "timestamp": [3]})
    frame.to_parquet(tmp_path / "clicks.data")
    assert read(own(tmp_path / "clicks.data"), Path("unused")).items.tolist() == [2]


# ---------------------------------------------------------------------- separator, header


@pytest.mark.parametrize(("separator", "written"), [(";", ";"), ("\t", "\\t"), ("|", "|"), ("::", "::")])
def test_the_separator_is_named_and_can_be_given(tmp_path: Path, separator: str, written: str) -> None:
    text = (HEAD + "1,10,5\n2,11,6\n").replace(",", separator)
    assert f'write `separator: "{written}"`' in complaint(tmp_path, "a.csv", text)
    assert table_of(tmp_path, "a.csv", text, separator=separator).items.tolist() == [10, 11]
    columns = {"user": 1, "item": 2}
    assert f'write `separator: "{written}"`' in complaint(tmp_path, "a.csv", text, columns, header=False)


def test_a_comma_in_a_tsv_is_named(tmp_path: Path) -> None:
    assert 'write `separator: ","`' in complaint(tmp_path, "a.tsv", HEAD + "1,2,3\n")


@pytest.mark.parametrize("word", ["tab", "\\t", "\t"])
def test_a_tab_can_be_written_in_words(tmp_path: Path, word: str) -> None:
    text = (HEAD + "1,10,5\n").replace(",", "\t")
    assert table_of(tmp_path, "a.txt", text, separator=word).items.tolist() == [10]


def test_columns_without_header_are_counted_from_one(tmp_path: Path) -> None:
    text = "\n5,10,1\n\n6,11,2\n"
    table = table_of(tmp_path, "a.csv", text, {"time": 1, "item": 2, "user": 3}, header=False)
    assert (table.users.tolist(), table.items.tolist(), table.times.tolist()) == ([1, 2], [10, 11], [5, 6])
    assert (table.account.rows_in, table.account.dropped) == (4, {"blank line": 2})
    said = complaint(tmp_path, "a.csv", text, {"user": 1, "item": 4}, header=False)
    assert "no column 4 for item, found 3 columns" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"columns": {"user": 1, "item": 2}}, "columns.user: a number needs `header: false`"),
        ({"columns": {"user": "u", "item": "i"}, "header": False}, "columns.user: without a header"),
        ({"columns": {"user": 0, "item": 2}, "header": False}, "counted from 1"),
        ({"columns": {"user": 1}, "header": False}, "numbers of user and item must be given"),
        ({"columns": {"user": "u", "item": "u"}}, "two roles have the same column"),
        ({"columns": {"user": "u", "item": ""}}, "columns: 'item': must not be empty"),
        ({"columns": {"user": "u", "item": "i", "stars": "r"}}, "unknown 'stars'"),
        ({"separator": ""}, "separator: must not be empty"),
        ({"separator": '"'}, "cannot separate"),
        ({"missing": "skip"}, "missing: "),
        ({"path": "/data/{x}.csv"}, "holds a brace"),
        ({"split": {"recipe": "leave-one-out"}}, "needs the order in time"),
        ({"split": {"recipe": "temporal-user"}}, "`ordered: true`"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(DatasetConfig, {"name": "my-data", "path": "/data/a.csv", **more}, "my-data.yaml")
    assert message in str(caught.value)


def test_keys_of_the_short_form_need_a_path() -> None:
    shipped = {
        "name": "d", "title": "d", "source": {"name": "d", "licence": "-", "citation": "-"}, "ordered": True,
        "reader": {"format": "delimited"}, "split": {"recipe": "random"},
    }  # fmt: skip
    validate(DatasetConfig, shipped, "d.yaml")
    with pytest.raises(ConfigError, match="missing: this key belongs to `path`"):
        validate(DatasetConfig, {**shipped, "missing": "drop"}, "d.yaml")


# --------------------------------------------------------------------- other formats' rows


def test_blank_lines_of_netflix_files_are_counted_and_lines_named(tmp_path: Path) -> None:
    path = text_file(tmp_path, "n.txt", "7:\n\n5,3,2005-09-06\n6,5,2005-05-13\n8:\n5,4,2005-10-19\n")
    table = read_netflix(path, SourceFile(path="n.txt"))
    assert (table.users.tolist(), table.account.dropped) == ([5, 6, 5], {"blank line": 1})
    assert (table.items.tolist(), table.account.rows_read) == ([7, 7, 8], 3)
    assert table.times[0] == pd.Timestamp("2005-09-06").timestamp()


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("7:\n\n5,3,2005-09-06\n6,five,2005-05-13\n", "line 4: expected user"),
        ("7:\n5.5,3,2005-09-06\n", "line 2: expected user"),
        ("7:\n5,3,2005-09-06\n5,3\n", "line 3: expected user"),
        ("7:\n5,3,2005-09-06\nx:\n5,3,2005-09-06\n", "line 4: expected user"),
        ("7:\n5,3,2005-09-06,9\n", "line 2|Expected 3 fields|Length of header"),
        ('7:\n"5,3,2005-09-06\n6,3,2005-09-06\n', "line 2: expected user"),
    ],
)
def test_bad_netflix_lines_are_named(tmp_path: Path, content: str, place: str) -> None:
    path = text_file(tmp_path, "n.txt", content)
    with pytest.raises(DataError, match=rf"n\.txt.*({place})"):
        read_netflix(path, SourceFile(path="n.txt"))


def test_versions_of_a_file_whose_order_says_nothing_are_read_alike(tmp_path: Path) -> None:
    file = SourceFile(path="s.txt")
    one, other = (
        read_sequences(text_file(tmp_path, f"{n}.txt", text), file, sort=True)
        for n, text in enumerate(("1 30 10 20\n0 5\n", "0 5\n1 10 20 30\n"))
    )
    assert one.users.tolist() == other.users.tolist() == [0, 1, 1, 1]
    assert one.items.tolist() == other.items.tolist() == [5, 10, 20, 30]


def test_users_without_items_are_counted(tmp_path: Path) -> None:
    table = read_sequences(text_file(tmp_path, "s.txt", "1 10 11\n2\n\n3 10\n"), SourceFile(path="s.txt"))
    assert table.account.dropped == {"user without items": 1, "blank line": 1}
    with pytest.raises(DataError, match="line 1: a number is too large"):
        read_sequences(text_file(tmp_path, "s.txt", f"1 {2**64}\n"), SourceFile(path="s.txt"))


@pytest.mark.parametrize(("name", "line"), [("a.csv", '1, "11",6\n'), ("a.tsv", '1\t"11"\t6\n')])
def test_quotes_that_would_be_part_of_an_id_are_refused(tmp_path: Path, name: str, line: str) -> None:
    """After a blank, or in a tab-separated file, a quote is a letter: "11" would be another item than 11."""
    head = HEAD if name.endswith(".csv") else HEAD.replace(",", "\t")
    said = complaint(tmp_path, name, head + line)
    assert "line 2, column 'item_id' (item)" in said and 'the quotes of "11" would be part of the id' in said
