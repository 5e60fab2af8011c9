"""What is broken or meant to break ends in one message that says where, never in a traceback."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import REPO, write_yaml

from recspectra.config.dataset import DatasetConfig
from recspectra.data.interactions import DataError
from recspectra.data.readers import read
from recspectra.running import cli

# ---------------------------------------------------------------------------------------- data


def _dataset(reader: str, options: dict[str, Any] | None = None, **file: str) -> DatasetConfig:
    source = {"name": "s", "licence": "l", "citation": "c", "files": [{"path": "x", **file}]}
    return DatasetConfig.model_validate(
        {"name": "d", "title": "D", "source": source, "reader": {"format": reader, "options": options or {}},
         "split": {"recipe": "random-user"}, "ordered": False}
    )  # fmt: skip


def _zip(method: int | None = None, encrypted: bool = False, damaged: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("m", "1,2\n")
    content = bytearray(packed.getvalue())
    central = content.find(b"PK\x01\x02")
    if method is not None:
        content[8] = content[central + 10] = method
    if encrypted:
        content[6] |= 1
        content[central + 8] |= 1
    if damaged:
        content[31] ^= 5
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_zip(encrypted=True), "member 'm' is encrypted; unpack the archive"),
        (_zip(method=99), "no readable zip archive"),
        (_zip(damaged=True), "no readable zip archive"),
        (_zip()[:40], "no readable zip archive"),
        (b"", "no readable zip archive"),
    ],
    ids=["encrypted", "unknown method", "wrong CRC", "cut", "empty"],
)
def test_archives(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(_dataset("delimited", {"columns": "user,item"}, member="m"), tmp_path)


@pytest.mark.parametrize("reader", ["delimited", "table", "sequences", "netflix", "inter"])
@pytest.mark.parametrize(
    "content", [b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc", b"\x1f\x8b\x08\0" + b"\0" * 40]
)
def test_gzip_that_is_cut(content: bytes, reader: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="the gzip file is truncated or damaged"):
        read(_dataset(reader), tmp_path)


HEADERS = {
    "open bracket": "{'descr': '<i8'",
    "brackets": "(" * 9000,
    "product": "{'descr': '<i8', 'fortran_order': False, 'shape': (10**13, 2), }",
    "no dictionary": "[]",
    "kinds": "{'descr': 1, 'fortran_order': 0, 'shape': 'x', }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }",
    "huge field": "{'descr': [('a', '<i8', (1000000000,))], 'fortran_order': False, 'shape': (1, 2), }",
    "code": "__import__('os').model('touch harmed')",
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_npy(header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = HEADERS[header].encode() + b"\n"
    (tmp_path / "x").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(DataError, match="no readable npy array"):
        read(_dataset("pairs-npy"), tmp_path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x09\x00", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", b"PK\x03\x04"]
)
def test_starts_of_npy(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="no readable npy array|found an npz"):
        read(_dataset("pairs-npy"), tmp_path)


def test_a_user_column_that_is_the_item_column(tmp_path: Path) -> None:
    table = pa.table({"user": pa.array([1, 2]), "item": pa.array([1, 2])})
    pq.write_table(table, tmp_path / "x.parquet")
    dataset = _dataset("table", {"user_column": "user", "item_column": "user"})
    file = dataset.source.files[0].model_copy(update={"path": "x.parquet"})
    source = dataset.source.model_copy(update={"files": [file]})
    with pytest.raises(DataError, match="column 'user' is named for user and for item"):
        read(dataset.model_copy(update={"source": source}), tmp_path)
    (tmp_path / "x").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match="column 'user' is named for user and for item"):
        read(dataset, tmp_path)


OPTIONS = [
    ("delimited", {"columns": 5}, "reader.options.columns: 5 is not text"),
    ("delimited", {"separator": 5}, "reader.options.separator: 5 is not text"),
    ("delimited", {"header": "x"}, "reader.options.header: 'x' is not true or false"),
    ("delimited", {"columns": "user,item,user"}, "must name user and item, each once"),
    ("table", {"user_column": 0, "item_column": 1, "header": False}, "numbers from 1; user is 0"),
    ("table", {"user_column": -1, "item_column": 1, "header": False}, "numbers from 1; user is -1"),
    ("table", {"user_column": "x", "item_column": 1, "header": False}, "numbers from 1; user is 'x'"),
    ("table", {"user_column": 9, "item_column": 1, "header": False}, "no column 9"),
    ("table", {"user_column": True}, "reader.options.user_column: True is not text or a whole number"),
    ("inter", {"separator": 1.5}, "reader.options.separator: 1.5 is not text"),
    ("nothing", {}, "unknown reader 'nothing'"),
]


@pytest.mark.parametrize(("reader", "options", "said"), OPTIONS, ids=range(len(OPTIONS)))
def test_options_of_readers(reader: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match=said):
        read(_dataset(reader, options), tmp_path)


@pytest.mark.parametrize("options", [{"users": "x"}, {"users": 1.5}, {"users": True}])
def test_options_of_synthetic_data(options: dict[str, Any]) -> None:
    dataset = _dataset("synthetic", options)
    source = dataset.source.model_copy(update={"files": []})
    with pytest.raises(DataError, match=r"reader\.options\.users: .* is not a whole number"):
        read(dataset.model_copy(update={"source": source}), Path())


@pytest.mark.parametrize("option", ["separator", "columns"])
def test_an_empty_separator(option: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        _dataset("delimited", {option: ""})


NUMBERS = [
    ("delimited", "1,2," + "9" * 5000 + ",3\n", "is not finite"),
    ("delimited", "9" * 5000 + ",2,3,3\n", "an id of 5,000 characters"),
    ("delimited", "9" * 400 + ",2,3,3\n", "is too large"),
    ("delimited", "1,2,3,99999999999999999999-01-01\n", "is not a number or a date"),
    ("sequences", "1 " + "9" * 5000 + "\n", "line 1: a number is too large"),
    ("sequences", "9" * 30 + " 1\n", "line 1: a number is too large"),
    ("netflix", "1:\n" + "9" * 5000 + ",3,2020-01-01\n", "line 2: expected user,rating"),
    ("netflix", "1:\n1,1e999,2020-01-01\n", "line 2: expected user,rating"),
    ("netflix", "1:\n1,2,9999-99-99\n", "line 2: expected user,rating"),
    ("netflix", "1:\n1,2,2020-01-01,3,4,5,6\n", "x: |line 2"),
]


@pytest.mark.parametrize(("reader", "content", "said"), NUMBERS, ids=range(len(NUMBERS)))
def test_huge_numbers(reader: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(content)
    with pytest.raises(DataError, match=said):
        read(_dataset(reader), tmp_path)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read .No such file"):
        read(_dataset("delimited"), tmp_path)
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match="cannot be read .Is a directory"):
        read(_dataset("delimited"), tmp_path)


# ------------------------------------------------------------------------------------- records


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", '{"paths": 3}', '{"ease": 3}', '{"ease": {"paths": [3]}}']
)
def test_records_of_redo(content: str, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".redo.json").write_text(content)
    done = REPO.script("redo", tmp_path, "--what", "ease", "--dry")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", '"x"', '{"datasets": 3}', '{"name": "x", "digests": []}']
)
@pytest.mark.parametrize("what", ["report", "reference"])
def test_records_of_a_study(what: str, content: str, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "studies" / "x"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(content)
    words = ["--output", "x.html", folder] if what == "report" else ["compare", folder]
    done = REPO.script(what, tmp_path, *words)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert "study.json" in done.stderr


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"made_with": 3}', '{"digests": 3}', '{"digests": {"fit": []}}']
)
def test_records_of_a_dataset(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "results" / "data" / "synthetic"
    folder.mkdir(parents=True)
    (folder / "stats.json").write_text(content)
    done = REPO.snakemake(tmp_path / "work", "--dry-run")
    assert "Traceback" not in done.stderr + done.stdout and "AttributeError" not in done.stderr
    assert "split" in done.stdout + done.stderr or "configuration error: dataset 'synthetic'" in done.stderr


def test_what_the_model_refuses_names_the_file(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        cli.main(lambda: (tmp_path / "nothing").read_text())
    assert capsys.readouterr().err == f"error: {tmp_path / 'nothing'}: No such file or directory\n"
    write_yaml(tmp_path / "x.yaml", {"a": json.dumps("b")})
