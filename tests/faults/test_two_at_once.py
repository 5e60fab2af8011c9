"""Two workflows on one results folder, and the locks that a kill leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disturb import jobs, kill_group, printed, same_every_time, started, unlock, unmake
from harness import TINY_STUDY, Finished, Project, rows, wait_for, write_yaml

pytestmark = [pytest.mark.faults, pytest.mark.slow]
STARTS = 6


@pytest.fixture(scope="module")
def long_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one fit that lasts until it is killed."""
    endless = TINY_STUDY["models"][4]["params"] | {"epochs": 1_000_000, "patience": 1_000_000}
    models = [{"model": "popularity"}, {"model": "sdiff", "params": endless | {"eval_every": 1000}}]
    kept = {k: v for k, v in TINY_STUDY.items() if k not in ("tables", "figures", "claims")}
    return write_yaml(
        tmp_path_factory.mktemp("long") / "long.yaml", kept | {"name": "long", "models": models}
    )


@pytest.fixture
def running(project: Project, long_study: Path, finished: Finished, tmp_path: Path) -> Iterator:
    """A workflow in the middle of its long fit, and the folder that it works in."""
    folder = finished.copy(tmp_path / "work")
    logs = folder / "results/logs/fit/tiny/sdiff"
    known = set(logs.iterdir())
    process = started(project, folder, "long", "--config", f"study={long_study}")
    wait_for(lambda: set(logs.iterdir()) - known and "fit" in jobs(process.pid).values(), process)
    yield process, folder
    kill_group(process)


def test_the_second_workflow_is_told_that_the_first_runs(
    running: tuple, project: Project, long_study: Path, figure: Callable
) -> None:
    first, folder = running
    began = time.monotonic()
    second = project.snakemake(folder, "long", "--config", f"study={long_study}")
    seconds = time.monotonic() - began
    assert second.returncode != 0
    assert f"another workflow works in this folder (process {first.pid})" in second.stderr
    assert "make unlock" not in second.stderr and "Traceback" not in second.stderr
    assert first.poll() is None and "fit" in jobs(first.pid).values()
    figure(f"the second ended after {seconds:.1f} s, the first went on")


def test_unlocking_is_refused_while_a_workflow_runs(
    running: tuple, project: Project, long_study: Path, figure: Callable
) -> None:
    first, folder = running
    done = unlock(project, folder, "--config", f"study={long_study}")
    assert done.returncode == 1 and f"process {first.pid}" in done.stderr
    assert list((folder / ".snakemake" / "locks").iterdir())
    figure("refused, the lock is still there")


def test_a_lock_that_a_kill_left_is_explained_and_cleared(
    running: tuple, project: Project, long_study: Path, finished: Finished, figure: Callable
) -> None:
    first, folder = running
    before = same_every_time(folder / "results")
    kill_group(first)
    refused = project.snakemake(folder, "long", "--config", f"study={long_study}")
    assert refused.returncode != 0
    assert "the lock is left from one that was killed" in refused.stderr
    assert "make unlock" in refused.stderr and "Traceback" not in refused.stderr
    assert unlock(project, folder, "--config", f"study={long_study}").returncode == 0
    again = project.snakemake(folder, *finished.options)
    assert again.returncode == 0, again.stderr
    found = same_every_time(folder / "results")
    assert {name: found.get(name) for name in before} == before
    figure(f"explained, cleared; {len(before)} files that were finished are unchanged")


def test_jobs_that_outlive_their_workflow_are_named_and_waited_for(
    running: tuple, project: Project, long_study: Path, figure: Callable
) -> None:
    first, folder = running
    first.kill()  # Snakemake alone: its fit lives on
    first.wait()
    (pid,) = [pid for pid, script in jobs(first.pid).items() if script == "fit"]
    done = unlock(project, folder, "--config", f"study={long_study}")
    assert done.returncode == 1 and f"fit.py (process {pid})" in done.stderr
    # Who unlocks without asking is stopped as well.
    options = ["--config", f"study={long_study}"]
    assert project.snakemake(folder, "--unlock", *options).returncode == 0
    again = project.snakemake(folder, "long", *options)
    assert again.returncode != 0 and f"fit.py (process {pid})" in again.stderr + again.stdout
    kill_group(first)
    assert unlock(project, folder, *options).returncode == 0
    figure("the fit that lived on was named; nothing started beside it")


@pytest.mark.parametrize("options", [[], ["--nolock"]], ids=["both locks", "without Snakemake's"])
def test_of_two_that_start_in_the_same_moment_one_goes_on(
    options: list[str], project: Project, finished: Finished, tmp_path: Path, figure: Callable
) -> None:
    whole = rows(finished.folder / "results/studies/whole/metrics.csv")
    words = []
    for turn in range(STARTS // 2):
        folder = finished.copy(tmp_path / str(turn))
        unmake(folder / "results")
        two = [started(project, folder, *finished.options, *options) for _ in range(2)]
        assert sorted(bool(process.wait(timeout=300)) for process in two) == [False, True], printed(folder)
        assert "works in this folder" in printed(folder), printed(folder)
        words.append("LockException" in printed(folder))
        assert rows(folder / "results/studies/whole/metrics.csv") == whole
    figure(f"{len(words)} times one went on and one was told why, {sum(words)} times by Snakemake's lock")


def test_what_runs_beside_a_workflow_does_not_open_its_lock(
    running: tuple, project: Project, long_study: Path, finished: Finished, figure: Callable
) -> None:
    """Snakemake lets a workflow without common files in, which then takes all locks away."""
    first, folder = running
    dry = project.snakemake(folder, *finished.options, "--dry-run")
    assert dry.returncode == 0 and "Nothing to be done" in dry.stderr
    locked = list((folder / ".snakemake").glob("locks/*"))
    beside = project.snakemake(folder, *finished.options)
    figures = project.snakemake(folder, "figures", *finished.options)
    assert figures.returncode != 0 and f"process {first.pid}" in figures.stderr
    left = list((folder / ".snakemake").glob("locks/*"))
    second = project.snakemake(folder, "long", "--config", f"study={long_study}")
    assert second.returncode != 0 and f"process {first.pid}" in second.stderr
    assert first.poll() is None and "fit" in jobs(first.pid).values()
    figure(
        f"dry runs are let in, a call with nothing to do ends with {beside.returncode}, `figures` stops; "
        f"of Snakemake's {len(locked)} lock files {len(left)} are left, and a second start is still stopped"
    )
