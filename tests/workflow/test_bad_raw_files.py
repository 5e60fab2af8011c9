"""Bad raw files end with one error that names file, line and what to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import (
    REPO,
    digests,
    files_below,
    one_error,
    write_yaml,
)

ROWS = [f"{user},{item},5,{100 * user + item}" for user in range(8) for item in range(user, user + 12)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project folder with one dataset of text rows, and a mirror that has them."""
    dataset = {
        "name": "rows",
        "title": "Rows",
        "source": {
            "name": "rows", "licence": "none", "citation": "none",
            "fetch": "the archive at its authors' page",
            "files": [{"path": "deep/ratings.csv", "sha256": "0" * 64}],
        },
        "reader": {"format": "delimited"},
        "split": {"recipe": "temporal-user"},
        "ordered": True,
    }  # fmt: skip
    put_rows(tmp_path, "\n".join(ROWS), dataset)
    return tmp_path


def put_rows(place: Path, text: str, dataset: dict[str, Any] | None = None) -> None:
    """Write the mirror's file and the checksum that the dataset's YAML expects."""
    file = place / "mirror" / "deep" / "ratings.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
    config = place / "config" / "datasets" / "rows.yaml"
    dataset = dataset or yaml.safe_load(config.read_text(encoding="utf-8"))
    dataset["source"]["files"][0]["sha256"] = digests(file.parent)["ratings.csv"]
    write_yaml(config, dataset)


def fetch(place: Path, *options: str) -> subprocess.CompletedProcess:
    arguments = ["--dataset", "rows", "--path", "deep/ratings.csv", "--output", "raw/rows/deep/ratings.csv"]
    return REPO.script("fetch", place, *arguments, *options, RECSPECTRA_ROOT=str(place))


def prepare(place: Path) -> subprocess.CompletedProcess:
    shutil.copytree(place / "mirror", place / "raw" / "rows", dirs_exist_ok=True)
    arguments = ["--dataset", "rows", "--raw", "raw", "--output", "made/rows.npz"]
    return REPO.script("prepare", place, *arguments, RECSPECTRA_ROOT=str(place))


def split(place: Path) -> subprocess.CompletedProcess:
    arguments = ["--dataset", "rows", "--interactions", "made/rows.npz", "--folder", "data/rows"]
    return REPO.script("split", place, *arguments, RECSPECTRA_ROOT=str(place))


def test_good_rows_pass(place: Path) -> None:
    done = fetch(place, "--mirror", "mirror")
    assert done.returncode == 0, done.stderr
    assert digests(place / "raw/rows") == digests(place / "mirror")
    assert prepare(place).returncode == 0
    done = split(place)
    assert done.returncode == 0, done.stderr
    parts = [f"rows/{part}.npz" for part in ("train", "valid", "test")]
    assert set(files_below(place / "data")) == {"rows/stats.json", "rows/ids.parquet", *parts}


def test_missing_file_says_what_to_get_and_where_to_put_it(place: Path) -> None:
    shutil.rmtree(place / "mirror" / "deep")
    for options in (["--mirror", "mirror"], []):
        done = fetch(place, *options)
        one_error(done, "'rows'", "'deep/ratings.csv'", "the archive at its authors' page")
        assert "MIRROR/deep/ratings.csv" in done.stderr and "--config mirror=/path/to/mirror" in done.stderr
    assert not (place / "raw").exists() or files_below(place / "raw") == {}


@pytest.mark.parametrize("damage", ["truncated", "another version"])
def test_wrong_checksum_is_refused(place: Path, damage: str) -> None:
    file = place / "mirror" / "deep" / "ratings.csv"
    content = file.read_bytes()
    file.write_bytes(content[:-20] if damage == "truncated" else content.replace(b"5", b"4", 1))
    done = fetch(place, "--mirror", "mirror")
    one_error(done, "'rows'", "'deep/ratings.csv'", "sha256", "fetch it again")
    assert digests(file.parent)["ratings.csv"] in done.stderr
    assert files_below(place / "raw") == {}


def test_snakemake_shows_what_is_missing_from_the_mirror(tmp_path: Path) -> None:
    target = "results/raw/higsp/higsp/ml100k/train.txt"
    (tmp_path / "mirror").mkdir()
    done = REPO.snakemake(tmp_path / "work", target, "--config", f"mirror={tmp_path / 'mirror'}")
    assert done.returncode != 0
    log = (tmp_path / "work/results/logs/fetch/higsp/higsp/ml100k/train.txt.log").read_text(encoding="utf-8")
    for text in (done.stderr, log):
        assert "dataset 'ml-100k.higsp' needs the file 'higsp/ml100k/train.txt'" in text
        assert str(tmp_path / "mirror" / "higsp/ml100k/train.txt") in text
        assert "github.com/Yaveng/HiGSP" in text
        assert "Where to put it: MIRROR/higsp/ml100k/train.txt" in text
        assert "Traceback" not in text
    assert files_below(tmp_path / "work/results/raw") == {}
