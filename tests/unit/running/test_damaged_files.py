"""Finding damaged files and giving times back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recspectra.files import read_npz, write_json, write_npz
from recspectra.running import damage
from recspectra.running.command import Workflow

OLD = 10**18  # a time long past, in nanoseconds


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder below the working folder, with three files from long ago."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    write_npz(folder / "data" / "train.npz", x=np.arange(50))
    write_npz(folder / "spectra" / "s.npz", values=np.linspace(0, 1, 9), seconds=np.float64(1.5))
    write_json(folder / "runs" / "run.json", {"status": "ok"})
    for path in (p for p in folder.rglob("*") if p.is_file()):
        os.utime(path, ns=(OLD, OLD))
    return folder


def listed(results: Path) -> list[str]:
    return [str(path.relative_to(results)) for path, _ in damage.damaged(results)]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def test_a_file_of_another_run_is_damaged(results: Path) -> None:
    own, other = (results / "runs/tiny/ease" / key / "seed-3" for key in ("aa11", "bb22"))
    for folder in (own, other):
        write_npz(folder / "rankings.npz", key="aa11", seed=3)
        write_json(folder / "run.json", {"key": folder.parent.name, "seed": 3})
    assert listed(results) == ["runs/tiny/ease/bb22/seed-3/rankings.npz"]
    write_json(own / "run.json", {"key": "aa11", "seed": 4})
    found = [reason for path, reason in damage.damaged(results) if path.name == "run.json"]
    assert found == [f"{own / 'run.json'}: is of run aa11/seed-4; was it moved here?"]


# A stand-in for Snakemake: writes again what it is told to make.
AGAIN = """
import sys
import numpy as np
from recspectra.files import write_json, write_npz
for name in sys.argv[1:]:
    if name.endswith("s.npz"):
        write_npz(name, values=np.linspace(0, 1, 9), seconds=np.float64(2.5))
        write_npz("results/data/train.npz", x=np.arange(50))
    elif name.endswith("train.npz"):
        write_npz(name, x=np.arange(60))
    elif name.endswith("run.json"):
        write_json(name, {"status": "ok"})
"""


@pytest.fixture
def again(tmp_path: Path) -> Callable[[list[str]], int]:
    """What makes files again."""
    script = tmp_path / "again.py"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n{AGAIN}")
    script.chmod(0o755)
    return Workflow([str(script)]).build


def test_sound_files_are_not_listed(results: Path) -> None:
    assert listed(results) == []


@pytest.mark.parametrize("name", ["data/train.npz", "spectra/s.npz", "runs/run.json"])
def test_a_truncated_file_is_listed_alone_with_what_to_do(results: Path, name: str) -> None:
    truncate(results / name)
    ((path, reason),) = damage.damaged(results)
    assert path == results / name
    assert reason.startswith(f"results/{name}: truncated or corrupted") and "make redo WHAT=damaged" in reason


def test_raw_and_reference_files_and_unfinished_ones_are_left_alone(results: Path) -> None:
    for name in ("raw/source/reviews.json", "reference/run.json", "runs/.run.json.abc.tmp", "runs/.x.json"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("{")
    assert listed(results) == []


def test_what_killed_writers_left_is_found(results: Path) -> None:
    for name in ("runs/.run.json.abc.tmp", "data/.train.npz.damaged", "runs/a.tmp", "runs/.hidden"):
        (results / name).write_text("x")
    found = [str(path.relative_to(results)) for path in damage.half_written(results)]
    assert found == ["data/.train.npz.damaged", "runs/.run.json.abc.tmp"]


def test_data_and_spectra_that_come_back_keep_their_time(
    results: Path, again: Callable[[list[str]], int]
) -> None:
    """The spectrum took another second this time, and its job wrote a sound file as well."""
    truncate(results / "spectra/s.npz")
    os.utime(results / "spectra/s.npz", ns=(OLD, OLD))
    damage.rebuild(results, [results / "spectra/s.npz"], again)
    assert listed(results) == []
    for name in ("spectra/s.npz", "data/train.npz"):
        assert (results / name).stat().st_mtime_ns == OLD, name
    assert read_npz(results / "spectra/s.npz")["seconds"] == 2.5


def test_rankings_and_records_that_come_back_are_new(
    results: Path, again: Callable[[list[str]], int]
) -> None:
    truncate(results / "runs/run.json")
    os.utime(results / "runs/run.json", ns=(OLD, OLD))
    damage.rebuild(results, [results / "runs/run.json"], again)
    assert listed(results) == []
    assert (results / "runs/run.json").stat().st_mtime_ns > OLD


def test_a_file_that_cannot_be_rebuilt_stays_listed(results: Path) -> None:
    truncate(results / "runs/run.json")
    before = (results / "runs/run.json").read_bytes()
    damage.rebuild(results, [results / "runs/run.json"], Workflow(["false"]).build)
    assert (results / "runs/run.json").read_bytes() == before
    assert listed(results) == ["runs/run.json"]
    assert [p.name for p in (results / "runs").iterdir()] == ["run.json"]
