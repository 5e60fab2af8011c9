"""Which raw copies `make redo` removes: those that are wrong and can be got again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from redo_folder import (
    CATALOG,
    HEAD,
    PLAIN,
    called,
    forgets,
)

from recspectra.config.catalog import Catalog
from recspectra.files import write_json, write_text
from recspectra.running.command import Workflow
from recspectra.running.redo import redo


def raw(paths: set[str]) -> set[str]:
    """Those of some paths that are raw copies, by their place below that folder."""
    return {path.removeprefix("results/raw/") for path in paths if "/raw/" in path}


def test_a_raw_copy_that_equals_the_mirrors_file_or_is_the_only_one_is_kept(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    dataset = CATALOG.dataset("ml-100k.higsp")
    exchanged, equal, gone = (file.path for file in dataset.source.files)
    for name in (exchanged, equal, gone):
        write_text(results / "raw" / dataset.source.name / name, "as it was")
    write_text(tmp_path / "mirror" / exchanged, "another")
    write_text(tmp_path / "mirror" / equal, "as it was")
    assert raw(forgets(command, "ml-100k.higsp")) == set(), "without a mirror there is no other copy"
    given = {"mirror": str(tmp_path / "mirror")}
    assert raw(forgets(command, "ml-100k.higsp", given)) == {f"{dataset.source.name}/{exchanged}"}


@pytest.fixture
def downloaded(project: Path, results: Path) -> Callable[..., tuple[Catalog, Path]]:
    """A factory: a dataset of one file with some keys, and where its copy lies."""

    def make(**keys: str) -> tuple[Catalog, Path]:
        file = {"path": "rows.csv", **keys}
        source = {"name": "web", "licence": "-", "citation": "-", "files": [file]}
        reader = {"format": "delimited", "options": {"columns": "user,item"}}
        entry = {"name": "web", "title": "W", "ordered": False, "source": source, "reader": reader}
        write_json(project / "config/datasets/web.yaml", entry | {"split": {"recipe": "random"}})
        copy = results / "raw/web/rows.csv"
        write_text(copy, "1,2\n")
        return Catalog(project), copy

    return make


URL = "https://example.org/rows.csv"
RIGHT = {kind: hashlib.new(kind, b"1,2\n").hexdigest() for kind in ("sha256", "md5")}
WRONG = {kind: digest[::-1] for kind, digest in RIGHT.items()}
GIT = "d72f2010a822172de15795be5808b26d750dba36"  # git hash-object


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ({"url": URL}, True),
        ({"url": URL, "sha256": RIGHT["sha256"]}, True),
        ({"url": URL, "md5": RIGHT["md5"]}, True),
        ({"url": URL, "sha256": WRONG["sha256"]}, False),
        ({"url": URL, "md5": WRONG["md5"]}, False),
        ({"url": URL, "sha256": RIGHT["sha256"], "md5": WRONG["md5"]}, False),
        ({"sha256": WRONG["sha256"]}, True),
        ({"url": URL, "sha256": WRONG["sha256"], "git": GIT}, True),
        ({"url": URL, "sha256": WRONG["sha256"], "git": GIT[::-1]}, False),
    ],
)
@pytest.mark.parametrize("mirror", [False, True], ids=["no mirror", "a mirror without the file"])
def test_a_raw_copy_that_cannot_be_got_again_or_is_right_is_kept(
    downloaded: Callable, command: list[str], keys: dict[str, str], kept: bool, mirror: bool, tmp_path: Path
) -> None:
    catalog, copy = downloaded(**keys)
    workflow = Workflow(command, {"mirror": str(tmp_path / "mirror") if mirror else ""})
    assert redo("web", Path("results"), catalog, workflow) == 0
    assert copy.exists() == kept


def test_a_raw_copy_that_is_removed_is_fetched_before_the_studies_run(
    downloaded: Callable, results: Path, command: list[str]
) -> None:
    """An optional dataset takes part, and may be named, only where its files are."""
    catalog, copy = downloaded(url=URL, sha256=WRONG["sha256"])
    row = f"web,mf,default,{PLAIN.key},0\n"
    write_text(results / "studies/quickstart/parts/web.csv", HEAD + row)
    write_json(results / "studies/quickstart/study.json", {"datasets": ["web"]})
    assert redo("web", results, catalog, Workflow(command, {"datasets": "web"})) == 0
    fetched, study = called()
    assert fetched == ["--cores", "1", str(copy)]
    assert study == ["--cores", "1", "quickstart", "--config", "datasets=web"]
