"""Files that would fill the memory or never end: refused with a message, soon."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import REPO, ROOT, TINY_STUDY, write_yaml

from recspectra import planning
from recspectra.config import inter_files, yaml_io
from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig, read_dataset
from recspectra.config.model import ModelConfig, TuneConfig, tuning_spectra
from recspectra.config.yaml_io import read_yaml
from recspectra.data import parquet, text
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.readers import read
from recspectra.files import ArtifactError, read_json, read_npz, write_npz
from recspectra.running import cli, damage


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """No attack may last."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 60


# --------------------------------------------------------------------------------------- YAML

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)
BOMBS = {
    "open lists": ("a: " + "[" * 100_000, "nests more than 100 levels"),
    "lists": ("a: " + "[" * 100_000 + "]" * 100_000, "nests more than 100 levels"),
    "mappings": ("a: " + "{a: " * 50_000 + "}" * 50_000, "nests more than 100 levels"),
    "blocks": ("- " * 100_000 + "x", "nests more than 100 levels"),
    "laughs": (LAUGHS, "more than 100,000 values, those of its aliases counted"),
    "merged laughs": (MERGED, "more than 100,000 values, those of its aliases counted"),
    "values": ("a: [" + "1, " * 200_000 + "1]", "more than 100,000 values"),
    "bytes": ("a: b # " + "x" * 2**20, "larger than 1,048,576 bytes"),
    "itself": ("a: &a [*a]", "recursive"),
}


READ = """
import sys
from recspectra.config.yaml_io import ConfigError, read_yaml
for path in sys.argv[1:]:
    try:
        read_yaml(path)
    except ConfigError as error:
        print(error)
"""


def test_yaml_neither_nests_nor_grows_without_end(tmp_path: Path) -> None:
    """In a process of its own: the old code ended it by SIGSEGV, or never."""
    for name, (content, _) in BOMBS.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    command = [sys.executable, "-c", READ, *(f"{name}.yaml" for name in BOMBS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    for line, (name, (_, said)) in zip(done.stdout.splitlines(), BOMBS.items(), strict=True):
        assert line.startswith(f"{name}.yaml: ") and said in line


def test_yaml_of_everyday_size_is_read(tmp_path: Path) -> None:
    shared = "base: &base {a: 1}\nmore: {<<: *base, b: [*base, *base]}\n"
    (tmp_path / "x.yaml").write_text(shared + f"deep: {'[' * 50}{']' * 50}\n")
    assert read_yaml(tmp_path / "x.yaml")["more"] == {"a": 1, "b": [{"a": 1}, {"a": 1}]}
    largest = max((ROOT / "config").rglob("*.yaml"), key=lambda path: path.stat().st_size)
    assert largest.stat().st_size * 10 < yaml_io.MOST_BYTES


def test_json_does_not_nest_without_end(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="truncated or corrupted"):
        read_json(tmp_path / "x.json")


def test_json_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.json").write_text('"' + "x" * 100 + '"')
    assert read_json(tmp_path / "x.json") == "x" * 100
    monkeypatch.setattr("recspectra.files.MOST_JSON", 100)
    with pytest.raises(ArtifactError, match="is larger than 100 bytes"):
        read_json(tmp_path / "x.json")


# ------------------------------------------------------------------------------------- studies


def _planned(tmp_path: Path, **system: Any) -> planning.Plan:
    kept = {k: v for k, v in TINY_STUDY.items() if k not in ("figures", "tables", "claims")}
    study = kept | {"name": "mine", "datasets": ["synthetic"], "models": [{"model": "ease", **system}]}
    return planning.load(ROOT, {"study": str(write_yaml(tmp_path / "mine.yaml", study))}, [])


def test_a_sweep_has_an_end(tmp_path: Path) -> None:
    values = [float(i + 1) for i in range(100)]
    sweep = {"regularization": values}
    assert len(_planned(tmp_path, sweep=sweep).studies["mine"].runs) == 100
    sweep |= dict.fromkeys(("a", "b", "c"), values)
    with pytest.raises(ConfigError, match=r"models\[0\]: asks for 100,000,000 runs"):
        _planned(tmp_path, sweep=sweep)
    with pytest.raises(ConfigError, match=r"models\[0\]: asks for 20,000 runs"):
        _planned(
            tmp_path, sweep={"regularization": values, "memory_gb": values}, fit=["train", "train+valid"]
        )


def _model(**changes: Any) -> ModelConfig:
    whole = {"type": "int", "default": 8, "ge": 1}
    plain = {
        "name": "hill", "class_name": "Hill", "title": "H", "kind": "closed-form",
        "paper": {"title": "none", "venue": "-", "citation": "-"},
        "params": dict.fromkeys(("rank", "a", "b", "c"), whole),
        "spectra": [{"operator": "item-similarity", "rank": "{rank}"}],
    }  # fmt: skip
    return ModelConfig.model_validate(plain | changes)


@pytest.mark.parametrize(
    "text",
    ["{rank:>2000000000}", "{rank:0100000000d}", "{rank!r:>9}", "{rank!s}", "{rank:{a}}", "{rank:}"],
)
@pytest.mark.parametrize("key", ["operator", "rank"])
def test_a_template_has_no_widths(key: str, text: str) -> None:
    need = {"operator": "item-similarity", "rank": "{rank}"}
    assert _model(spectra=[need])
    with pytest.raises(ValueError, match="cannot be filled in"):
        _model(spectra=[need | {key: text}])


def test_a_search_has_spectra_that_somebody_can_wait_for() -> None:
    values = list(range(1, 101))
    model = _model(
        spectra=[{"operator": "x{a}-{b}-{c}", "rank": "{rank}"}], search=dict.fromkeys("abc", values)
    )
    job = TuneConfig(model="hill", params={}, search=model.search, trials=2, seed=0)
    with pytest.raises(ConfigError, match="names 1,000,000 spectra"):
        tuning_spectra(model, job)


@pytest.mark.parametrize(
    "options",
    [
        {"users": 10**9}, {"items": 10**18}, {"interactions": 10**12}, {"communities": 10**12},
        {"communities": 0}, {"successors": 10**8}, {"successors": 0}, {"users": -1}, {"items": 0},
        {"min_length": -1}, {"seed": -1}, {"exponent": 1e300}, {"loyalty": 5.0}, {"follow": -0.1},
    ],
    ids=str,
)  # fmt: skip
def test_synthetic_data_have_sizes_that_a_machine_holds(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"reader\.options\.{next(iter(options))}: .* is not between"):
        read(_source("", "synthetic", options), Path())


# ---------------------------------------------------------------------------------------- data


def _source(path: str, reader: str, options: dict[str, Any] | None = None, **file: str) -> DatasetConfig:
    files = [{"path": path, **file}] if path else []
    source = {"name": "s", "licence": "l", "citation": "c", "files": files}
    return DatasetConfig.model_validate(
        {"name": "d", "title": "D", "source": source, "reader": {"format": reader, "options": options or {}},
         "split": {"recipe": "random-user"}, "ordered": False}
    )  # fmt: skip


def _own(path: Path) -> DatasetConfig:
    return read_dataset(write_yaml(path.parent / "own.yaml", {"name": "own", "path": str(path)}), "own.yaml")


def test_a_line_without_end(tmp_path: Path) -> None:
    with (tmp_path / "x.csv").open("wb") as stream:
        stream.write(b"user,item\n")
        stream.truncate(2**36)  # a hole: 64 GB that take no disk
    (tmp_path / "y.csv").write_bytes(b"user,item\n" + b"a" * 2**22)
    with pytest.raises(DataError, match="line 2: a NUL byte"):
        read(_own(tmp_path / "x.csv"), tmp_path)
    with pytest.raises(DataError, match=r"y\.csv: a line of more than 1,048,576 bytes"):
        read(_own(tmp_path / "y.csv"), tmp_path)


def test_a_history_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.txt").write_bytes(b"1 " + b"2 " * 2**21)
    assert len(read(_source("x.txt", "sequences"), tmp_path)) == 2**21
    monkeypatch.setattr(text, "LONGEST_HISTORY", 2**20)
    with pytest.raises(DataError, match="a line of more than"):
        list(text.lines_of(tmp_path / "x.txt", None))


@pytest.mark.parametrize("place", ["header", "second line"])
def test_columns_without_end(place: str, tmp_path: Path) -> None:
    many = "," * 10**6 if place == "header" else ""
    rows = "1,2" + many + "\n" if many else ("1" + "," * 10**5 + "\n") * 100
    (tmp_path / "x.csv").write_text(f"user,item{many}\n{rows}")
    with pytest.raises(DataError, match=r"line \d: 1[0-9,]+ columns; at most 10,000"):
        read(_own(tmp_path / "x.csv"), tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "zip", "inter"])
def test_what_unpacks_without_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "HARMLESS", 2**22)
    rows = b"1,2\n" * 2**18
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("m", rows * 16)
        (tmp_path / "x.zip").write_bytes(packed.getvalue())
        dataset = _source("x.zip", "delimited", {"columns": "user,item"}, member="m")
    else:
        name = "x.csv.gz" if kind == "gzip" else "x.inter.gz"
        (tmp_path / name).write_bytes(
            gzip.compress(b"user,item\n" + (rows if kind == "gzip" else b"\n" * 2**20) * 16)
        )
        dataset = _own(tmp_path / name)
    with pytest.raises(DataError, match="unpacks to more than 200 times"):
        read(dataset, tmp_path)


def test_the_look_at_names_ends(tmp_path: Path) -> None:
    """The configuration is read before any job."""
    (tmp_path / "x.inter").write_text("\n" * 2000 + "user_id:token\titem_id:token\ttimestamp:float\n")
    assert not inter_files.has_times(tmp_path / "x.inter")
    (tmp_path / "x.inter").write_text("\n" * 20 + "user_id:token\titem_id:token\ttimestamp:float\n")
    assert inter_files.has_times(tmp_path / "x.inter")


def test_parquet_rows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 10**6
    table = pa.table({"user": pa.array(np.zeros(rows, np.int64)), "item": pa.array(np.zeros(rows, np.int64))})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 2**16
    monkeypatch.setattr(parquet, "machine_memory", lambda: 2**23)
    with pytest.raises(DataError, match=r"x\.parquet: 1,000,000 rows take .* GB, more memory"):
        read(_own(tmp_path / "x.parquet"), tmp_path)
    monkeypatch.setattr(parquet, "machine_memory", lambda: 2**25)
    assert len(read(_own(tmp_path / "x.parquet"), tmp_path)) == rows


def _npy(path: Path, shape: str) -> None:
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


@pytest.mark.parametrize("shape", ["(10000000000000, 2)", "(10000000000000000000000, 2)", "(-1, 2)"])
def test_an_npy_that_says_more_than_it_holds(shape: str, tmp_path: Path) -> None:
    _npy(tmp_path / "x.npy", shape)
    with pytest.raises(DataError, match="no readable npy array"):
        read(_source("x.npy", "pairs-npy"), tmp_path)


def test_an_npz_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results" / "data" / "x.npz"
    write_npz(path, a=np.zeros(2**20))
    assert path.stat().st_size < 2**14
    assert list(damage.damaged(tmp_path / "results")) == []
    monkeypatch.setattr("recspectra.files.machine_memory", lambda: 2**20)
    with pytest.raises(ArtifactError, match="its arrays take"):
        read_npz(path)
    ((found, why),) = damage.damaged(tmp_path / "results")
    assert found == path and "of memory" in why


ROWS = {
    "beyond": [0, 10**12, 4], "back": [0, 3, 1, 4], "negative": [0, -(10**12), 4], "start": [1, 2, 4],
    "end": [0, 2, 10**12], "short": [0, 2, 3], "none": [], "floats": [0.0, 2.0, 4.0], "deep": [[0, 4]],
}  # fmt: skip


@pytest.mark.parametrize("rows", ROWS)
def test_rows_that_lead_beyond_their_items(rows: str, tmp_path: Path) -> None:
    """Compiled code would read memory that is not theirs."""
    path = tmp_path / "train.npz"
    items, shape = np.array([0, 1, 2, 0], dtype=np.int32), np.array([2, 3])
    write_npz(path, indptr=np.array([0, 2, 4]), items=items, shape=shape)
    assert Interactions.load(path).nnz == 4
    write_npz(path, indptr=np.array(ROWS[rows]), items=items, shape=shape)
    with pytest.raises(ArtifactError, match=r"train\.npz: .*do not follow each other"):
        Interactions.load(path)


# --------------------------------------------------------------------------------------- memory


def test_a_job_that_needs_more_than_is_free_says_so(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv = ['/x/{cli.LIMITED[0]}.py']\nfrom recspectra.running import cli\n"
        "cli._free_gb = lambda: 1.0\nimport numpy\ncli.main(lambda: numpy.ones(2**30).sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 1 and done.stderr.startswith(
        "error: out of memory: this needs more than the 1.0 GB"
    )
    assert "Traceback" not in done.stderr
    assert all((ROOT / "workflow" / "scripts" / f"{name}.py").is_file() for name in cli.LIMITED)


def test_parquet_words_that_repeat_end_as_out_of_memory(tmp_path: Path) -> None:
    """A hundred kilobytes that are texts of a hundred gigabytes."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 10**5, pa.int32()), pa.array(["x" * 10**6]))
    pq.write_table(pa.table({"user": words, "item": words}), tmp_path / "x.parquet")
    (tmp_path / "own.yaml").write_text("name: own\npath: x.parquet\n")
    done = REPO.script("preview", tmp_path, "./own.yaml")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and "memory" in done.stderr.lower() + "malloc"


def test_what_is_free_is_less_than_what_there_is() -> None:
    assert 0 < cli._free_gb() <= cli.machine_memory() / 2**30
    assert json.dumps(cli._free_gb())
