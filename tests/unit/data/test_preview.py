"""`make preview`: what is understood of a file, and what will be made of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import read_dataset
from recspectra.config.settings import load_settings
from recspectra.data.interactions import DataError
from recspectra.data.preview import describe
from recspectra.files import write_json
from recspectra.planning import load
from recspectra.reporting import datasets

ROWS = [f"u{user},{item},{3 + item % 3},{100 * item + user}" for user in range(5) for item in range(10)]
# A user whose one row is the newest of all: cold under a split by time.
FILE = "\n".join(
    ["user;item;stars;time", *(row.replace(",", ";") for row in ROWS), "late;3;5;9999", "u1;4;;7", ""]
)
YAML = """
name: mine
path: clicks.csv
separator: ";"
columns: {user: user, item: item, rating: stars, time: time}
missing: drop
filter: {min_rating: 4}
split: {recipe: temporal}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "clicks.csv").write_text(FILE)
    (tmp_path / "mine.yaml").write_text(YAML)
    return tmp_path


def test_a_preview_says_what_will_be_made(place: Path) -> None:
    said = "\n".join(describe(read_dataset(place / "mine.yaml", "mine.yaml"), Path("unused")))
    for words in (
        f"file        {place}/clicks.csv",
        "separator ';'",
        "user = user (column 1), item = item (column 2), rating = stars (column 3), time = time (column 4)",
        "u0    0     3.0     0 (1970-01-01 00:00:00 UTC)",
        "u0    2     5.0     200 (1970-01-01 00:03:20 UTC)",
        "52 in the source: 51 read, 1 dropped (1 missing rating)",
        "51 interactions of 6 users with 10 items",
        "dropped 20 interactions: rating below 4.0",
        "kept 31 interactions of 6 users with 7 items",
        "temporal, test 0.2, valid 0.1",
        "train 22, valid 3, test 6",
        "test users  6: 5 warm, 1 cold",
    ):
        assert words in said


def test_a_preview_says_what_it_understood_before_an_error(place: Path) -> None:
    (place / "mine.yaml").write_text(YAML.replace("min_rating: 4", "k_core_users: 99"))
    lines = describe(read_dataset(place / "mine.yaml", "mine.yaml"), Path("unused"))
    said = []
    with pytest.raises(DataError, match="the filter leaves no interactions"):
        said.extend(lines)
    assert any(line.startswith("first rows") for line in said)


def test_files_that_are_not_there_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"there is no file {tmp_path}/ml-100k/u.data; .*MIRROR="):
        list(describe(Catalog(root).dataset("ml-100k"), tmp_path))


@pytest.mark.parametrize("given", ["mine.yaml", "synthetic"])
def test_the_command_takes_a_yaml_or_a_name(place: Path, root: Path, given: str) -> None:
    command = [sys.executable, str(root / "workflow/scripts/preview.py"), given]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "test users" in done.stdout
    assert sorted(p.name for p in place.iterdir()) == ["clicks.csv", "mine.yaml"]


@pytest.mark.parametrize("given", ["nothing", "./nothing.yaml", "bad.yaml"])
def test_the_command_prints_errors_as_one_line(place: Path, root: Path, given: str) -> None:
    (place / "bad.yaml").write_text("name: bad\npath: clicks.csv\ncolumns: {user: user, item: item}\n")
    command = [sys.executable, str(root / "workflow/scripts/preview.py"), given]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_study_of_an_own_file_that_is_not_there_is_refused_before_anything_runs(
    small_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project
    monkeypatch.chdir(project)
    (project / "config/datasets/mine.yaml").write_text(YAML)
    study = (project / "config/studies/quickstart.yaml").read_text().replace("[synthetic]", "[mine]", 1)
    (project / "s.yaml").write_text(study.replace("name: quickstart", "name: of-mine"))
    with pytest.raises(
        ConfigError, match=r"mine\.yaml: there is no file .*config/datasets/clicks\.csv and no"
    ):
        load(project, {"study": "s.yaml"}, ["snakemake"])
    load(project, {}, ["snakemake"])  # a study without it is not its business
    (project / "clicks.csv").write_text(FILE)
    assert load(project, {"study": "s.yaml"}, ["snakemake"]).raw_files("mine") == ["clicks.csv"]


@pytest.mark.parametrize(("old", "new"), [("missing: drop", ""), ('";"', '"|"'), ("rating: stars, ", "")])
def test_prepare_runs_again_where_reading_changes(small_project: Path, old: str, new: str) -> None:
    project = small_project
    assert load_settings(project, {})
    (project / "config/datasets/clicks.csv").write_text(FILE)
    (project / "config/datasets/mine.yaml").write_text(YAML)
    before = load(project, {}, ["snakemake"]).reader_params("mine")
    (project / "config/datasets/mine.yaml").write_text(YAML.replace(old, new))
    assert load(project, {}, ["snakemake"]).reader_params("mine") != before


def test_the_table_of_datasets_says_what_was_dropped_and_unified(project: Path, tmp_path: Path) -> None:
    (project / "config/datasets/mine.yaml").write_text(YAML)
    stats = {
        "users": 6, "items": 6, "interactions": 31, "density": 0.5, "mean_length": 5.0,
        "rows_in": 54, "rows_read": 51, "rows_dropped": {"missing rating": 1, "blank line": 2},
        "rows_filtered": {"rating below 4.0": 20}, "ids_unified": 3,
    }  # fmt: skip
    write_json(tmp_path / "data" / "mine" / "stats.json", stats)
    table = datasets.write(Catalog(project), ["mine", "synthetic"], tmp_path)
    words = "2 blank line, 1 missing rating; 20 rating below 4.0; 3 spellings of ids unified"
    row = next(line for line in table.splitlines() if line.startswith("mine"))
    assert words in row and " 51 " in row
    written = (tmp_path / "datasets/datasets.csv").read_text().splitlines()
    assert 'mine,6,6,31,50,5,,,,,54,51,"2 blank line, 1 missing rating",20 rating below 4.0,3,' in written[1]
