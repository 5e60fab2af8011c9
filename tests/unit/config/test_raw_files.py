"""Files that datasets share: every checksum that one of them states holds for all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.files import write_json
from recspectra.planning import records

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
ROWS = "".join(f"{user},{item},{user + item}\n" for user in range(8) for item in range(12)).encode()
RIGHT = {kind: hashlib.new(kind, ROWS).hexdigest() for kind in ("sha256", "md5")}
WRONG = {"sha256": "0" * 64, "md5": "0" * 32}
Write = Callable[..., None]


@pytest.fixture
def project(small_project: Path) -> Path:
    return small_project


@pytest.fixture
def write(project: Path) -> Write:
    """Write a dataset whose only file is that of the others; give what it says of the file."""

    def write(name: str, **file: Any) -> None:
        source = {"name": "shared", "licence": "-", "citation": "-", "files": [{"path": "a.csv", **file}]}
        entry = {"name": name, "title": name, "source": source, "ordered": True}
        rest = {
            "reader": {"format": "delimited", "options": {"columns": "user,item,time"}},
            "split": {"recipe": "temporal-user"},
        }
        write_json(project / f"config/datasets/{name}.yaml", entry | rest)

    (project / "mirror").mkdir()
    (project / "mirror" / "a.csv").write_bytes(ROWS)
    return write


def script(project: Path, name: str, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *words]
    return subprocess.run(
        command, cwd=project, env={"RECSPECTRA_ROOT": str(project)}, capture_output=True, text=True
    )


def fetch(project: Path, dataset: str) -> subprocess.CompletedProcess:
    words = ["--dataset", dataset, "--path", "a.csv", "--mirror", "mirror"]
    return script(project, "fetch", *words, "--output", "results/raw/shared/a.csv")


@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("asking", ["xa", "xb"])
def test_fetch_checks_what_any_dataset_of_the_file_states(
    write: Write, project: Path, kind: str, asking: str
) -> None:
    write("xa")
    write("xb", **{kind: WRONG[kind]})
    done = fetch(project, asking)
    assert done.returncode == 1 and f"{kind} {RIGHT[kind]}, expected {WRONG[kind]}" in done.stderr
    assert not (project / "results/raw/shared/a.csv").exists()
    write("xb", **{kind: RIGHT[kind]})
    done = fetch(project, asking)
    assert done.returncode == 0 and "warning" not in done.stderr
    assert (project / "results/raw/shared/a.csv").read_bytes() == ROWS


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_checksums_that_contradict_each_other_stop_the_workflow(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(project)
    write("xa", **{kind: RIGHT[kind]})
    write("xb")
    write("xc", **{kind: WRONG[kind]})
    for dataset in ("xa", "xb", "xc"):
        plan = planning.load(project, {}, ["snakemake"])
        with pytest.raises(ConfigError, match=rf"'shared', file 'a\.csv': its {kind} is .*xa\.yaml but .*xc"):
            records.check_copies(plan, [f"results/data/{dataset}/stats.json"])
    records.check_copies(planning.load(project, {}, ["snakemake"]), ["quickstart"])  # it has none of them
    done = fetch(project, "xb")
    assert done.returncode == 1 and "xa.yaml" in done.stderr and "xc.yaml" in done.stderr
