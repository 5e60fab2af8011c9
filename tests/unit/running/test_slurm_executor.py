"""The Slurm executor while the controller is restarted, on a cluster without accounting."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from recspectra.running import slurm

JOB = SimpleNamespace(external_jobid="7", aux={})
PROGRAMS = {
    "scontrol": "test ! -e {folder}/restarting && echo 'MinJobAge = 300 sec'",
    "squeue": "echo '7|RUNNING'",
    "sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1",
}


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The installed executor with a Slurm of three scripts; the patch is undone afterwards."""
    pytest.importorskip(slurm.EXECUTOR, reason="the Slurm executor is not installed")
    module = importlib.import_module(slurm.EXECUTOR)
    monkeypatch.setattr(module, "get_min_job_age", module.get_min_job_age)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name, line in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line.format(folder=tmp_path)}\n")
        (tmp_path / name).chmod(0o755)
    return module


def jobs_in_sight(executor: ModuleType, folder: Path) -> list[list[SimpleNamespace]]:
    """Return the jobs that the executor still follows after a look before and one in a restart."""
    settings = SimpleNamespace(
        status_command="squeue", status_attempts=1, init_seconds_before_status_checks=20
    )
    counts = ("failures", "calls", "total_seconds", "min_seconds", "max_seconds")
    self = SimpleNamespace(
        workflow=SimpleNamespace(executor_settings=settings), logger=logging.getLogger("slurm"), run_uuid="u",
        get_status_command=lambda: settings.status_command, next_seconds_between_status_checks=20,
        status_rate_limiter=contextlib.nullcontext(), _status_query_cycle_rows=[],
        **{f"_status_query_{name}": 0 for name in counts},
    )  # fmt: skip

    async def look() -> list[SimpleNamespace]:
        return [job async for job in executor.Executor.check_active_jobs(self, [JOB])]

    before = asyncio.run(look())
    (folder / "restarting").touch()
    return [before, asyncio.run(look())]


def test_a_restart_of_the_controller_keeps_jobs_in_sight(executor: ModuleType, tmp_path: Path) -> None:
    slurm.keep_to_squeue()
    slurm.keep_to_squeue()  # a workflow is parsed more than once
    assert jobs_in_sight(executor, tmp_path) == [[JOB], [JOB]]


def test_the_executor_alone_loses_them(executor: ModuleType, tmp_path: Path) -> None:
    """Where this fails, the executor has learned it: delete `recspectra.running.slurm` and its call."""
    assert jobs_in_sight(executor, tmp_path) == [[JOB], []]


def test_the_last_answer_of_the_controller_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, 300, None, 600, None])
    executor = SimpleNamespace(get_min_job_age=lambda: next(answers))
    monkeypatch.setitem(slurm.sys.modules, slurm.EXECUTOR, executor)
    slurm.keep_to_squeue()
    assert [executor.get_min_job_age() for _ in range(5)] == [None, 300, 300, 600, 600]


def test_without_the_executor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(slurm.sys.modules, slurm.EXECUTOR, raising=False)
    slurm.keep_to_squeue()
    assert slurm.EXECUTOR not in slurm.sys.modules  # it is not loaded either


def test_an_executor_that_asks_by_another_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(slurm.sys.modules, slurm.EXECUTOR, SimpleNamespace())
    slurm.keep_to_squeue()
