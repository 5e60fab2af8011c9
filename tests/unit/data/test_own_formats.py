"""Files as people have them: quotes, separators, spellings of ids, times, Parquet from pandas."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig, SourceFile, read_dataset
from recspectra.config.yaml_io import validate
from recspectra.data import filters
from recspectra.data.interactions import DataError
from recspectra.data.readers import read, read_delimited, read_netflix, read_sequences
from recspectra.data.tables import InteractionTable

COLUMNS = {"user": "user_id", "item": "item_id", "time": "timestamp"}
PAIRS = {"user": "user_id", "item": "item_id"}
HEAD = "user_id,item_id,timestamp\n"
FOUR = "user_id,item_id,timestamp,title\n"


def own(path: Path, columns: dict[str, Any] | None = None, **more: Any) -> DatasetConfig:
    data = {"name": "my-data", "path": str(path), **more}
    return validate(
        DatasetConfig, data | {"columns": COLUMNS if columns is None else columns}, "my-data.yaml"
    )


def text_file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table_of(
    folder: Path, name: str, content: str | bytes, columns: dict[str, Any] | None = None, **more: Any
) -> InteractionTable:
    return read(own(text_file(folder, name, content), columns, **more), Path("unused"))


def complaint(folder: Path, name: str, content: str | bytes, *columns: Any, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        table_of(folder, name, content, *columns, **more)
    assert name in str(caught.value)
    return str(caught.value)


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
    ],
    ids=["R", "comma in a name", "quotes in a name", "blanks around names", "trailing separator",
         "blank lines first", "lone CR", "unused names twice", "quoted line break", "BOM and quote"],
)  # fmt: skip
def test_csv_is_that_of_rfc_4180(tmp_path: Path, content: str | bytes, columns: dict[str, str]) -> None:
    table = table_of(tmp_path, "a.csv", content, columns)
    assert (table.users.tolist(), table.items.tolist()) == ([1, 2], [10, 11])
    assert table.times.tolist() == [5, 6]
    assert table.account.rows_read == 2


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (FOUR + '1,10,5,"a, b"\n1,11,6,c\n2,12,x,d\n', "line 4, column 'time': 'x'"),
        (FOUR + '1,10,5,"a\nb\r\nc"\n\n1,11,6,c\n2,12,x,d\n', "line 7, column 'time'"),
        (FOUR + '1,10,5,"a\nb"\n1,11,6\n', "line 4: 3 columns, expected 4"),
        (FOUR + '1,10,5,a\n1,10,6,"Blue\n1,11,6,c\n', "line 3: a quote (\") is opened"),
        (FOUR + '1,10,5,a\n1,10,6,"Blue\n1,11,6,"Grey"\n', "line 3: text follows a closing"),
        (FOUR + '1,10,,a\n1,10,6,"Blue\n1,11,6,c\n', "line 2, column 'time': the value is"),
        ('user_id,item_id,"timestamp\n1,10,5\n', "line 1: a quote (\") is opened"),
        ('user_id,item_id,timestamp\n1,"1\n0",5\n', "line 2, column 'item': '1\\n0' holds a line break"),
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
    assert f"line {2 * 4321 + 2}, column 'time': 'soon' is not a number" in said


# ---------------------------------------------------------------- rows in = read + dropped


def test_rows_without_a_value_are_an_error_with_count_and_first_line(tmp_path: Path) -> None:
    text = HEAD + "1,10,5\n1,11,\n2, ,6\n2,12,7\n"
    said = complaint(tmp_path, "a.csv", text)
    assert "line 3, column 'time': the value is missing; 2 rows have a missing value" in said
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
    assert "line 3, column 'rating'" in said and why in said


@pytest.mark.parametrize("cell", ["1e3", " 1000 ", "+1000.0", "1000."])
def test_numbers_are_read_as_programs_write_them(tmp_path: Path, cell: str) -> None:
    columns = PAIRS | {"rating": "stars"}
    table = table_of(tmp_path, "a.csv", f"user_id,item_id,stars\n1,2,{cell}\n", columns)
    assert table.ratings.tolist() == [1000]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
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
        ("a.csv", "user_id,user_id,item_id,timestamp\n1,1,2,3\n", "'user_id' for user stands there 2 times"),
        ("a.csv", "1,10,5\n1,11,6\n", "`header: false`"),
        ("a.parquet", b"PAR1 and no more", "no readable Parquet file"),
    ],
)
def test_files_that_are_not_what_they_seem_are_named(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    assert why in complaint(tmp_path, name, content)


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


# ---------------------------------------------------------------------------------- ids


def test_one_id_is_one_user_however_it_is_written(tmp_path: Path) -> None:
    text = HEAD + "1,10,1\n1.0,11,2\n2 ,10.0,3\n2,10,4\n"
    table = table_of(tmp_path, "a.csv", text)
    assert (table.users.tolist(), table.items.tolist()) == ([1, 1, 2, 2], [10, 11, 10, 10])
    assert table.account.unified == 3
    assert "3 spellings of ids unified (user '1.0' is '1', item '10.0' is '10')" in table.account.words()


def test_composed_and_decomposed_letters_are_one_id(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.csv", HEAD + "Jos\u00e9,a,1\nJose\u0301,b,2\n\u00a0Jos\u00e9,c,3\n")
    assert set(table.users.tolist()) == {"Jos\u00e9"}
    assert table.account.unified == 2


def test_ids_that_may_differ_stay_different(tmp_path: Path) -> None:
    ids = [
        "7",
        "007",
        "1.5",
        "1.50",
        "1.10",
        "1.1",
        "1e3",
        "1000",
        "A",
        "a",
        "+1",
        "1",
        "007.0",
        "-3",
        "-3.5",
        "\uff11",
    ]
    table = table_of(tmp_path, "a.csv", HEAD + "".join(f"{label},x,1\n" for label in ids))
    assert table.users.tolist() == ids
    assert table.account.unified == 0


def test_large_whole_numbers_stay_exact(tmp_path: Path) -> None:
    ids = [2**63 - 1, 2**63 - 2, 2**53, 2**53 + 1]
    table = table_of(tmp_path, "a.csv", HEAD + "".join(f"{label}.0,x,1\n" for label in ids))
    assert table.users.tolist() == ids
    beyond = table_of(tmp_path, "b.csv", HEAD + f"{2**64},x,1\n1,x,1\n-0,x,1\n0,x,1\n")
    assert beyond.users.tolist() == [str(2**64), "1", "0", "0"]


def test_an_id_as_long_as_a_text_is_the_wrong_column(tmp_path: Path) -> None:
    assert "501 characters; is this the right column?" in complaint(
        tmp_path, "a.csv", HEAD + "1,2,3\n" + "x" * 501 + ",2,3\n"
    )


# -------------------------------------------------------------------------------- times

DAY = 86400.0


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["1970-01-03", "1970-01-02"], [2 * DAY, DAY]),
        (["1970-01-02 00:00:01", "1970-01-02 12:00"], [DAY + 1, 1.5 * DAY]),
        (
            ["1970-01-02T00:00:00Z", "1970-01-02T02:00:00+02:00", "1970-01-01 23:00:00 UTC"],
            [DAY, DAY, DAY - 3600],
        ),
        (["1970-01-01T00:00:00.5", "1970-01-01T00:00:00.25"], [0.5, 0.25]),
        (["1969-12-31", "1970-01-01"], [-DAY, 0]),
        (["-86400", "0.5"], [-DAY, 0.5]),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.inter", "a.parquet"])
def test_dates_and_numbers_are_times(
    tmp_path: Path, cells: list[str], seconds: list[float], name: str
) -> None:
    frame = pd.DataFrame({"user_id": 1, "item_id": range(len(cells)), "timestamp": cells})
    path = tmp_path / name
    if name == "a.parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if name == "a.csv" else "\t")
    assert read(own(path), Path("unused")).times.tolist() == seconds


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["2020-01-01", "1577836800"], "line 3, column 'time': '1577836800' is a number, the values above"),
        (["1577836800", "2020-01-01"], "line 3, column 'time': '2020-01-01' is a date, the values above"),
        (["2020-01-01", "2020-01-01 10:00:00"], "is a date with time, the values above it are dates"),
        (["2020-01-01 10:00", "2020-01-01 10:00Z"], "is a date with time and zone"),
        (["01/02/2020"], "may mean different days; write dates as 2020-01-31"),
        (["1/2/20 10:00"], "may mean different days"),
        (["2020-01-01", "01.02.2020"], "line 3, column 'time': '01.02.2020'"),
        (["2020-02-28", "2020-02-30"], "line 3, column 'time': '2020-02-30' is no date of the calendar"),
        (["2020-01-01 24:00:00"], "is no date of the calendar"),
        (["9999-12-31"], "from 1678 to 2261"),
        (["yesterday"], "'yesterday' is not a number or a date such as 2020-01-31"),
    ],
)  # fmt: skip
def test_times_that_could_be_misread_are_refused(tmp_path: Path, cells: list[str], why: str) -> None:
    assert why in complaint(tmp_path, "a.csv", HEAD + "".join(f"1,{i},{c}\n" for i, c in enumerate(cells)))


def test_nanoseconds_and_long_numbers_keep_their_order(tmp_path: Path) -> None:
    base = 1_600_000_000_000_000_000
    steps = [5, 3, 4, 0, 1, 2, 3]
    for texts in (
        [str(base + step) for step in steps],
        [f"1600000000.{step:09d}" for step in steps],
        [f"2020-09-13T12:26:40.{step:09d}Z" for step in steps],
    ):
        times = table_of(tmp_path, "a.csv", HEAD + "".join(f"1,{i},{t}\n" for i, t in enumerate(texts))).times
        assert np.argsort(times, kind="stable").tolist() == np.argsort(steps, kind="stable").tolist()
        assert len(set(times.tolist())) == 6
        assert np.allclose(times, float(texts[0]) if texts[0][4] != "-" else 1.6e9, rtol=1e-12)


def test_a_late_long_number_is_told_from_early_short_ones(tmp_path: Path) -> None:
    rows = "".join(f"1,{i},{i}\n" for i in range(3000)) + f"1,9,{2**60}\n1,8,{2**60 + 1}\n1,7,2999.0\n"
    times = table_of(tmp_path, "a.csv", HEAD + rows).times
    assert times[:3000].tolist() == list(range(3000))
    assert times[3000] < times[3001] and times[3002] == times[2999]


# -------------------------------------------------------------------- negative and unused


def test_negative_ratings_are_no_fault_of_the_reader(tmp_path: Path) -> None:
    text = "user_id,item_id,rating,timestamp\n1,10,-1,4\n2,11,5,-6\n"
    table = table_of(tmp_path, "a.csv", text, COLUMNS | {"rating": "rating"})
    assert (table.ratings.tolist(), table.times.tolist()) == ([-1, 5], [4, -6])
    filtered, _ = filters.apply(table, filters.FilterConfig(min_rating=4))
    assert filtered.ratings.tolist() == [5]
    assert filtered.account.filtered == {"rating below 4.0": 1}
    _, said = filters.apply(table, filters.FilterConfig())
    assert said == ["1 negative ratings count like all others; `filter: {min_rating: 0}` drops them"]


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


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_byte_order_mark_within_a_file_is_refused(tmp_path: Path, name: str, header: bool) -> None:
    part = "\ufeff" + ("user_id,item_id\n" if header else "") + "1,10\n2,11\n"
    text = (part * 2).replace(",", "\t" if name == "a.tsv" else ",")
    columns = PAIRS if header else {"user": 1, "item": 2}
    said = complaint(tmp_path, name, text, columns, header=header)
    assert f"line {4 if header else 3}, column 'user': " in said
    assert "byte order mark" in said and "were files joined?" in said


# ------------------------------------------------------------------------------ Parquet


@pytest.mark.parametrize(
    "index", [["timestamp"], ["user_id"], ["user_id", "item_id"], ["item_id", "timestamp"]]
)
def test_columns_are_found_in_the_index_of_pandas(tmp_path: Path, index: list[str]) -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [10, 11, 10], "timestamp": [9, 2, 5]})
    frame.set_index(index).to_parquet(tmp_path / "a.parquet")
    table = read(own(tmp_path / "a.parquet"), Path("unused"))
    assert (table.users.tolist(), table.items.tolist()) == ([1, 1, 2], [10, 11, 10])
    assert table.times.tolist() == [9, 2, 5]


def test_a_range_in_the_metadata_is_a_column(tmp_path: Path) -> None:
    index = pd.RangeIndex(30, 0, -10, name="timestamp")
    pd.DataFrame({"user_id": [1, 1, 2], "item_id": [10, 11, 10]}, index=index).to_parquet(
        tmp_path / "a.parquet"
    )
    assert read(own(tmp_path / "a.parquet"), Path("unused")).times.tolist() == [30, 20, 10]


def parquet_of(folder: Path, **columns: Any) -> Path:
    rows = len(next(iter(columns.values())))
    plain = {"user_id": list(range(rows)), "item_id": list(range(rows)), "timestamp": list(range(rows))}
    pq.write_table(pa.table({**plain, **columns}), folder / "a.parquet")
    return folder / "a.parquet"


STAMPS = [1_600_000_000_000_000_005, 1_600_000_000_000_000_001, 1_600_000_000_000_000_003]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (pa.array([1500, 1250], pa.timestamp("ms")), [1.5, 1.25]),
        (pa.array([1500000, 1250000], pa.timestamp("us", tz="Asia/Tokyo")), [1.5, 1.25]),
        (pa.array([-1500, 0], pa.timestamp("s")), [-1500, 0]),
        (pa.array([2, 1], pa.date32()), [2 * DAY, DAY]),
        (pa.array([2 * 86400000, 86400000], pa.date64()), [2 * DAY, DAY]),
        (pa.array([1.5, -2.5]), [1.5, -2.5]),
        (pa.array(["1970-01-02", "1970-01-01"]).dictionary_encode(), [DAY, 0]),
        (pa.array(["7", "8"], pa.large_string()), [7, 8]),
    ],
)
def test_times_of_any_type_are_seconds(tmp_path: Path, times: pa.Array, seconds: list[float]) -> None:
    assert read(own(parquet_of(tmp_path, timestamp=times)), Path("unused")).times.tolist() == seconds


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")])
def test_times_in_nanoseconds_stay_apart(tmp_path: Path, kind: pa.DataType) -> None:
    times = read(own(parquet_of(tmp_path, timestamp=pa.array(STAMPS, kind))), Path("unused")).times
    assert np.argsort(times).tolist() == [1, 2, 0]
    assert len(set(times.tolist())) == 3


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1.0, 2.0]), [1, 2]),
        (pa.array([1.5, 2.0]), ["1.5", "2"]),
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([2**64 - 1, 1], pa.uint64()), [str(2**64 - 1), "1"]),
        (pa.array([2, 1], pa.uint64()), [2, 1]),
        (pa.array(["1", "1.0"]), [1, 1]),
        (pa.array(["a", " a"]).dictionary_encode(), ["a", "a"]),
        (pa.array([b"anna", b"bo"], pa.binary()), ["anna", "bo"]),
    ],
)
def test_ids_of_any_type_are_whole_numbers_or_texts(tmp_path: Path, ids: pa.Array, expected: list) -> None:
    assert read(own(parquet_of(tmp_path, user_id=ids)), Path("unused")).users.tolist() == expected


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"user_id": [True, False]}, "row 1, column 'user': the column holds bool"),
        ({"user_id": [1.0, 2.0**60]}, "row 2, column 'user': .* floats skip whole numbers"),
        ({"user_id": [1.0, np.inf]}, "row 2, column 'user': inf is not finite"),
        ({"user_id": pa.array([b"\xff\xfe"], pa.binary())}, "is not UTF-8"),
        ({"user_id": pa.array([1], pa.timestamp("s"))}, "holds timestamp"),
        ({"user_id": [[1], [2]]}, "holds list"),
        ({"user_id": pa.array([None, None])}, "row 1, column 'user': the value is missing; 2 rows"),
        ({"user_id": ["a", " "]}, "row 2, column 'user': the value is missing"),
        ({"timestamp": [True]}, "column 'time': the column holds bool"),
        ({"timestamp": [1.0, np.inf]}, "row 2, column 'time': inf is not finite"),
        ({"timestamp": ["2020-01-01", "x"]}, "row 2, column 'time': 'x' is not a date"),
    ],
)
def test_parquet_columns_that_cannot_be_meant_are_refused(
    tmp_path: Path, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.parquet, {why}|a\.parquet.*{why}"):
        read(own(parquet_of(tmp_path, **columns)), Path("unused"))


def test_rows_of_parquet_without_a_value_are_dropped(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user_id": pd.array([2**60 + 1, None, 3], dtype="Int64"), "item_id": ["a", "b", None]}
    )
    frame.assign(timestamp=pd.to_datetime(["2020-01-01", "2020-01-02", None])).to_parquet(
        tmp_path / "a.parquet"
    )
    table = read(own(tmp_path / "a.parquet", missing="drop"), Path("unused"))
    assert table.users.tolist() == [2**60 + 1]  # a data frame would have made it a float
    assert table.account.dropped == {"missing user": 1, "missing item": 1}


# -------------------------------------------------------------------------------- paths


def test_a_relative_path_is_looked_for_beside_the_yaml_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yaml = text_file(
        tmp_path / "config", "d.yaml", "name: d\npath: my clicks.csv\ncolumns: {user: u, item: i}\n"
    )
    absent = read_dataset(yaml, "d.yaml")
    with pytest.raises(DataError) as caught:
        read(absent, Path("unused"))
    for folder in ("config", "here"):
        assert f"no file {tmp_path / folder / 'my clicks.csv'}" in str(caught.value)
    for folder in ("here", "config"):  # the YAML's folder comes first
        place = text_file(tmp_path / folder, "my clicks.csv", "u,i\n1,2\n")
        assert read_dataset(yaml, "d.yaml").path == str(place)
        assert len(read(read_dataset(yaml, "d.yaml"), Path("unused"))) == 1


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    yaml = text_file(tmp_path, "d.yaml", "name: d\npath: ~/a.csv\ncolumns: {user: u, item: i}\n")
    assert read_dataset(yaml, "d.yaml").path == str(tmp_path / "a.csv")


def test_the_catalog_finds_a_file_beside_its_yaml(project: Path) -> None:
    folder = project / "config" / "datasets"
    text_file(folder, "a.csv", HEAD + "1,2,3\n")
    text_file(folder, "mine.yaml", "name: mine\npath: a.csv\ncolumns: {user: user_id, item: item_id}\n")
    assert Catalog(project).dataset("mine").path == str(folder / "a.csv")


# --------------------------------------------------------------------- other formats' rows


def test_blank_lines_of_netflix_files_are_counted_and_lines_named(tmp_path: Path) -> None:
    path = text_file(tmp_path, "n.txt", "7:\n\n5,3,2005-09-06\n6,5,2005-05-13\n")
    table = read_netflix(path, SourceFile(path="n.txt"))
    assert (table.users.tolist(), table.account.dropped) == ([5, 6], {"blank line": 1})
    assert table.account.rows_read == 2


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
    assert "line 2, column 'item'" in said and 'the quotes of "11" would be part of the id' in said
