"""A study as an RO-Crate: every file listed with its digest, every reference leads somewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import ROOT, study_json, write_study
from study_rows import change_study

from recspectra.reporting.crate import write_crate
from recspectra.reporting.draw import draw


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("crate") / "results"
    folder = write_study(results / "studies" / "fixture")
    change_study(folder, digests={"tiny": "ab12"}, figures=study_json()["figures"][:1])
    draw(folder, ROOT)
    record = results / "runs" / "tiny" / "ease" / "ease-7" / "seed-0" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}\n")
    return write_crate(folder, ROOT, results / "crates" / "fixture").parent


@pytest.fixture(scope="module")
def entities(crate: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    found = {one["@id"]: one for one in graph}
    assert len(found) == len(graph)
    return found


def references(value: Any) -> Iterator[str]:
    """Yield what a value refers to."""
    if isinstance(value, dict):
        yield from [value["@id"]] if set(value) == {"@id"} else []
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_file_is_listed_with_its_digest(crate: Path, entities: dict) -> None:
    files = {p.relative_to(crate).as_posix(): p for p in crate.rglob("*") if p.is_file()}
    files.pop("ro-crate-metadata.json")
    assert {one["@id"] for one in entities["./"]["hasPart"]} == set(files)
    for name, path in files.items():
        assert entities[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"runs.csv", "claims.md", "fig-sweep.svg", "Snakefile"} - set(files) == {"claims.md"}


def test_every_reference_leads_to_an_entity_or_the_web(entities: dict) -> None:
    for entity in entities.values():
        for value in entity.values():
            assert all(name in entities or name.startswith("http") for name in references(value))


def test_every_run_is_an_action_with_its_command_and_its_end(entities: dict) -> None:
    fits = {name: one for name, one in entities.items() if name.startswith("#fit/")}
    assert len(fits) == 12
    done = fits["#fit/tiny/ease/ease-7/seed-0"]
    assert done["result"] == [{"@id": "runs/tiny/ease/ease-7/seed-0/run.json"}]
    assert {"@id": "#data-tiny"} in done["object"]
    assert done["description"].startswith("make redo WHAT=results/runs/tiny/ease/ease-7/seed-0 STUDY=fixture")
    failed = [one for one in fits.values() if one["actionStatus"].endswith("FailedActionStatus")]
    assert sorted(one["error"] for one in failed) == ["diverged: why diverged", "oom: why oom"]


def test_the_same_study_gives_the_same_crate(crate: Path, entities: dict) -> None:
    before = (crate / "ro-crate-metadata.json").read_bytes()
    again = write_crate(crate.parents[1] / "studies" / "fixture", ROOT, crate)
    assert again.read_bytes() == before


def test_the_crate_is_valid(crate: Path) -> None:
    command = shutil.which("rocrate-validator")
    if not command:
        pytest.skip("no rocrate-validator (it needs rich 13, not ours); uv tool install roc-validator")
    done = subprocess.run(
        [command, "-y", "validate", "--profile-identifier", "provenance-run-crate", str(crate)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "URLError" in done.stdout + done.stderr:
        pytest.skip("rocrate-validator reads the contexts from the network, and there is none")
    assert done.returncode == 0, done.stdout + done.stderr
