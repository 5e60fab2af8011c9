"""Ids and times as people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_files import COLUMNS, DAY, HEAD, complaint, own, table_of

from recspectra.data import filters
from recspectra.data.readers import read

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
        (["2020-01-01", "1577836800"], "line 3, column 'timestamp' (time): '1577836800' is a number, the"),
        (["1577836800", "2020-01-01"], "line 3, column 'timestamp' (time): '2020-01-01' is a date, the"),
        (["2020-01-01", "2020-01-01 10:00:00"], "is a date with time, the values above it are dates"),
        (["2020-01-01 10:00", "2020-01-01 10:00Z"], "is a date with time and zone"),
        (["01/02/2020"], "may mean different days; write dates as 2020-01-31"),
        (["1/2/20 10:00"], "may mean different days"),
        (["2020-01-01", "01.02.2020"], "line 3, column 'timestamp' (time): '01.02.2020'"),
        (["2020-02-28", "2020-02-30"], "line 3, column 'timestamp' (time): '2020-02-30' is no date of"),
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
