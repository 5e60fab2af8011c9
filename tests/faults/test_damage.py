"""Damaged files: each is named, and exactly what is broken is made again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disturb import check, repaired, same_every_time, unmake
from harness import Finished, finished_jobs, snapshot

pytestmark = [pytest.mark.faults, pytest.mark.slow]
AFTER_FITS = ["evaluate", "collect", "draw", "draw", "report", "all"]
SPECTRUM = "results/spectra/tiny/item-similarity@train-r16.npz"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def run_of(work: Path, model: str) -> Path:
    """Return the folder of the first run of a model."""
    return min((work / "results/runs/tiny" / model).glob("*/seed-0"))


def kinds(printed: str) -> list[str]:
    """Return the first word of each job that was run, in alphabetical order."""
    return sorted(words.split()[0].rstrip(":") for words in finished_jobs(printed))


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_ranking_is_named_and_made_again_alone(
    damage: Callable, finished: Finished, work: Path, figure: Callable
) -> None:
    rankings = run_of(work, "ease") / "rankings.npz"
    name = str(rankings.relative_to(work))
    damage(rankings)
    unmake(work / "results")
    kept = snapshot(work / "results" / "runs")
    done = finished.project.snakemake(work, *finished.options)
    assert done.returncode != 0
    assert f"error: {name}: truncated or corrupted" in done.stderr and "make redo WHAT=damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(work / "results" / "runs") == kept, "a job may not delete what it cannot read"

    listed = check(finished.project, work)
    assert listed.returncode == 1 and listed.stdout.splitlines()[-1] == "results: 1 damaged file(s)"
    assert listed.stdout.startswith(f"{name}: truncated or corrupted")
    assert snapshot(work / "results" / "runs") == kept, "`make check` only looks"

    mended = repaired(finished, work)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert kinds(mended.stderr) == ["fit"]
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    assert kinds(again.stderr) == sorted(AFTER_FITS)
    assert same_every_time(work / "results") == same_every_time(finished.folder / "results")
    figure("1 fit made again, then the jobs behind it")


@pytest.mark.parametrize("rots", [True, False], ids=["rots", "changes"])
@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_spectrum_is_made_again_without_the_fits_made_from_it(
    damage: Callable, rots: bool, finished: Finished, work: Path, figure: Callable
) -> None:
    """A file that rots keeps its time; one that changes has a new one, and Snakemake starts again from it."""
    before = (work / SPECTRUM).stat()
    damage(work / SPECTRUM)
    if rots:
        os.utime(work / SPECTRUM, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.rmtree(run_of(work, "sdiff"))
    unmake(work / "results")
    done = finished.project.snakemake(work, *finished.options)
    assert done.returncode != 0
    assert f"error: {SPECTRUM}: truncated or corrupted" in done.stderr and "Traceback" not in done.stderr
    mended = repaired(finished, work)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert kinds(mended.stderr) == ["spectrum"]
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    fits = ["fit"] if rots else ["fit", "fit"]
    assert kinds(again.stderr) == sorted([*fits, "gather", *AFTER_FITS])
    assert same_every_time(work / "results") == same_every_time(finished.folder / "results")
    figure(f"1 spectrum, and {len(fits)} fits of the 2 made from it, one of which was missing")


@pytest.mark.parametrize(
    ("name", "job", "then"),
    [
        ("results/data/tiny/train.npz", "split", []),
        ("results/data/tiny/test.npz", "split", []),
        ("results/data/tiny/stats.json", "split", []),
        ("results/interactions/tiny.npz", "prepare", []),
        # The seconds of a fit are in its record, so the tables of the study are made again.
        ("results/runs/tiny/gfcf/*/seed-0/run.json", "fit", ["all", "evaluate", "collect", "draw", "report"]),
        ("results/tuning/tiny/gsprec/*/best.json", "tune", []),
        ("results/studies/whole/study.json", "collect", ["all", "draw", "report"]),
    ],
)
def test_any_damaged_file_of_a_finished_study_is_made_again_alone(
    name: str, job: str, then: list[str], finished: Finished, work: Path, figure: Callable
) -> None:
    (path,) = work.glob(name)
    truncate(path)
    mended = repaired(finished, work)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert kinds(mended.stderr) == [job]
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    assert set(kinds(again.stderr)) <= set(then)
    assert same_every_time(work / "results") == same_every_time(finished.folder / "results")
    figure(f"{path.name}: 1 {job}, then {len(kinds(again.stderr))} jobs")


def test_everything_damaged_at_once_is_listed_and_made_again(
    finished: Finished, work: Path, figure: Callable
) -> None:
    broken = [p for p in sorted((work / "results").rglob("*")) if p.suffix in (".npz", ".json")]
    for path in broken:
        truncate(path)
    listed = check(finished.project, work)
    assert listed.stdout.splitlines()[-1] == f"results: {len(broken)} damaged file(s)"
    mended = repaired(finished, work)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    assert same_every_time(work / "results") == same_every_time(finished.folder / "results")
    figure(f"{len(broken)} files, {len(finished_jobs(mended.stderr))} jobs")


def test_a_damaged_search_is_named(finished: Finished, work: Path, figure: Callable) -> None:
    """The SQLite file of the trials is no output of a rule: it says so itself."""
    (folder,) = (work / "results/tuning/tiny/gsprec").iterdir()
    (trials,) = folder.glob("*.sqlite")
    trials.write_bytes(b"no database" * 1000)
    (folder / "best.json").unlink()
    target = str((folder / "best.json").relative_to(work))
    done = finished.project.snakemake(work, target, *finished.options)
    assert done.returncode != 0
    assert "error: the SQLite file of this search's trials" in done.stderr
    assert "delete it" in done.stderr and "Traceback" not in done.stderr
    trials.unlink()
    done = finished.project.snakemake(work, target, *finished.options)
    assert done.returncode == 0, done.stderr
    whole = next((finished.folder / "results/tuning/tiny/gsprec").glob("*/best.json"))
    assert json.loads((folder / "best.json").read_text()) == json.loads(whole.read_text())
    figure("named; its trials were made again with the same choice")
