"""The same bytes on any number of cores, and no more threads than a rule has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from disturb import same_every_time
from harness import Finished

pytestmark = [pytest.mark.faults, pytest.mark.slow]
PROBE = Path(__file__).resolve().parent / "probe"
# CPU seconds beyond what its threads can give a job: reading files, starting up.
SLACK = 1.25


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_any_number_of_cores_gives_the_same_bytes(
    cores: int, finished: Finished, tmp_path: Path, figure: Callable
) -> None:
    done = finished.project.snakemake(tmp_path / "work", *finished.options, cores=cores)
    assert done.returncode == 0, done.stderr
    found, expected = (same_every_time(f / "results") for f in (tmp_path / "work", finished.folder))
    assert found == expected
    figure(f"{cores} cores: {len(found)} files with the same bytes")


def probed(finished: Finished, work: Path, folder: Path, *options: str) -> list[dict]:
    """Run the study and return what every job's process knew of its threads."""
    folder.mkdir()
    project = finished.project
    variables = {"RECSPECTRA_TEST_THREADS": str(folder)}
    paths = project.environment(PROBE)["PYTHONPATH"]
    done = project.snakemake(work, *finished.options, *options, PYTHONPATH=paths, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]


def most(job: dict) -> int:
    """Return the largest number of threads of any pool of a process."""
    return max([pool["num_threads"] for pool in job["pools"]] + [job["torch"] or 0])


def test_blas_and_torch_keep_to_the_threads_of_their_rule(
    finished: Finished, tmp_path: Path, figure: Callable
) -> None:
    jobs = probed(finished, tmp_path / "work", tmp_path / "threads")
    scripts = {job["script"] for job in jobs}
    assert {"prepare", "split", "spectrum", "tune", "fit", "evaluate", "collect", "draw", "report"} <= scripts
    assert {most(job) for job in jobs if job["pools"]} == {1}
    assert any(job["torch"] for job in jobs)
    busy = {job["script"]: job["cpu_seconds"] / job["seconds"] for job in jobs}
    assert max(busy.values()) <= SLACK, busy
    figure(f"{len(jobs)} jobs, no pool above 1 thread, at most {max(busy.values()):.2f} CPU seconds a second")


def test_a_rule_that_is_given_two_threads_uses_two(
    finished: Finished, tmp_path: Path, figure: Callable
) -> None:
    """The other side: the probe does see more than one."""
    jobs = probed(finished, tmp_path / "work", tmp_path / "threads", "--set-threads", "fit=2", "spectrum=2")
    threads = {script: {most(j) for j in jobs if j["script"] == script} for script in ("fit", "spectrum")}
    assert threads == {"fit": {2}, "spectrum": {2}}
    assert {most(job) for job in jobs if job["script"] not in threads and job["pools"]} == {1}
    figure("fits and spectra 2, all others 1")
