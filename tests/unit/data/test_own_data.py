"""A user's own file: what is read, and what is refused with file and line."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig, SourceFile
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import DataError
from recspectra.data.readers import read, read_netflix

GOOD = "user_id,item_id,timestamp\n1,10,5\n1,11,6\n2,10,7\n"
COLUMNS = {"user": "user_id", "item": "item_id", "time": "timestamp"}


def own(path: Path, columns: dict[str, str] | None = None, **more: object) -> DatasetConfig:
    data = {"name": "my-data", "path": str(path), **more}
    data |= {"columns": COLUMNS if columns is None else columns}
    return validate(DatasetConfig, data, "config/datasets/my-data.yaml")


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def triples(path: Path, **more: object) -> list[tuple]:
    table = read(own(path, **more), Path("unused"))
    return list(zip(table.users.tolist(), table.items.tolist(), table.times.tolist(), strict=True))


EXPECTED = [(1, 10, 5.0), (1, 11, 6.0), (2, 10, 7.0)]


def test_path_and_columns_are_enough(tmp_path: Path) -> None:
    config = own(written(tmp_path, "clicks.csv", GOOD))
    assert config.split.recipe == "temporal-user"
    assert config.ordered
    untimed = own(tmp_path / "x.csv", {"user": "user_id", "item": "item_id"})
    assert (untimed.split.recipe, untimed.ordered) == ("random-user", False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD),
        ("a.tsv", GOOD.replace(",", "\t")),
        ("crlf.csv", GOOD.replace("\n", "\r\n")),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("more.csv", "x,user_id,item_id,y,timestamp\na,1,10,b,5\nc,1,11,d,6\ne,2,10,f,7\n"),
    ],
)
def test_text_files_are_read(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert triples(written(tmp_path, name, content)) == EXPECTED


def test_parquet_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(EXPECTED, columns=["user_id", "item_id", "timestamp"])
    frame.to_parquet(tmp_path / "a.parquet")
    assert triples(tmp_path / "a.parquet") == EXPECTED


def test_recbole_files_are_read_as_they_are(tmp_path: Path) -> None:
    text = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t5\n1\t11\t3\t6\n2\t10\t1\t7\n"
    )
    path = written(tmp_path, "ml.inter", text)
    assert triples(path, columns={}) == EXPECTED


def test_ids_may_be_words_or_very_large(tmp_path: Path) -> None:
    text = f"user_id,item_id,timestamp\nanna,<script>,5\nbo,{2**63},6\n"
    table = read(own(written(tmp_path, "a.csv", text)), Path("unused"))
    dense, users, items = table.densified()
    assert users.tolist() == ["anna", "bo"]
    assert set(items.tolist()) == {"<script>", str(2**63)}
    assert dense.users.tolist() == [0, 1]


def test_whole_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\n9,2,1\n10,10,2\n"
    _, users, items = read(own(written(tmp_path, "a.csv", text)), Path("unused")).densified()
    assert (users.tolist(), items.tolist()) == ([9, 10], [2, 10])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id,item,timestamp\n1,2,3\n", "no column 'item_id' for item.*did you mean 'item'"),
        (GOOD + "3,12,soon\n", "line 5, column 'time': 'soon' is not a number"),
        (GOOD + "3,12,nan\n", "line 5, column 'time': 'nan' is not finite"),
        (GOOD + "3,12,\n", "line 5, column 'time': the value is missing"),
        (GOOD + ",12,9\n", "line 5, column 'user': the value is missing"),
        (GOOD + "3,12\n", "line 5: 2 columns, expected 3"),
        (GOOD + "3,12,9,1\n", "line 5: 4 columns, expected 3"),
        ("", "the file is empty"),
        ("user_id,item_id,timestamp\n", "a header and no rows"),
        (GOOD.encode() + b"3,\xff\xfe,9\n", "line 5: not UTF-8"),
    ],
)
def test_bad_text_names_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, "clicks.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        read(own(path), Path("unused"))
    assert str(path) in str(caught.value)


def test_truncated_gzip_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * 7},{i}\n" for i in range(5000))
    packed = gzip.compress(("user_id,item_id,timestamp\n" + rows).encode())
    path = written(tmp_path, "a.csv.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match="gzip file is truncated or damaged"):
        read(own(path), Path("unused"))


def test_missing_value_in_parquet_names_the_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [3, 4], "timestamp": [5.0, np.nan]})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="row 2, column 'time': the value is missing; 1 row has"):
        read(own(tmp_path / "a.parquet"), Path("unused"))


def test_unknown_column_role_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown 'stars'"):
        own(tmp_path / "a.csv", {"user": "u", "item": "i", "stars": "r"})


def test_zip_member_is_read_in_place_and_nothing_leaves_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../evil.txt", "outside")
        archive.writestr("ml/ratings.dat", "1::10::4::5\n1::11::3::6\n2::10::5::7\n")
    data = {
        "name": "z", "title": "z", "ordered": True, "split": {"recipe": "random"},
        "source": {"name": "z", "licence": "-", "citation": "-",
                   "files": [{"path": "a.zip", "member": "ml/ratings.dat"}]},
        "reader": {"format": "delimited", "options": {"separator": "::"}},
    }  # fmt: skip
    table = read(validate(DatasetConfig, data, "z.yaml"), tmp_path)
    assert table.items.tolist() == [10, 11, 10]
    assert sorted(p.name for p in tmp_path.parent.rglob("evil.txt")) == []


def test_netflix_files_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "n.txt", "7:\n5,3,2005-09-06\n6,5,2005-05-13\n8:\n5,4,2005-10-19\n")
    table = read_netflix(path, SourceFile(path="n.txt"))
    assert table.items.tolist() == [7, 7, 8]
    assert table.users.tolist() == [5, 6, 5]
    assert table.times[0] == pd.Timestamp("2005-09-06").timestamp()


def test_bad_netflix_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "n.txt", "7:\n5,3,2005-09-06\n6,five,2005-05-13\n")
    with pytest.raises(DataError, match="line 3: expected user,rating"):
        read_netflix(path, SourceFile(path="n.txt"))
