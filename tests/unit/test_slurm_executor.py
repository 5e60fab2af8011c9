"""The executor's question to a controller that is being restarted."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from recspectra import slurm


def test_an_answer_of_the_controller_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, 300, None, 600, None])
    executor = SimpleNamespace(get_min_job_age=lambda: next(answers))
    monkeypatch.setitem(slurm.sys.modules, slurm.EXECUTOR, executor)
    slurm.keep_to_squeue()
    slurm.keep_to_squeue()  # a workflow is parsed more than once
    assert [executor.get_min_job_age() for _ in range(5)] == [None, 300, 300, 600, 600]


def test_without_the_executor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(slurm.sys.modules, slurm.EXECUTOR, raising=False)
    slurm.keep_to_squeue()
    assert slurm.EXECUTOR not in slurm.sys.modules  # it is not loaded either


def test_the_executor_still_asks_by_that_name() -> None:
    pytest.importorskip(slurm.EXECUTOR, reason="the Slurm executor is not installed")
    executor = importlib.import_module(slurm.EXECUTOR)
    assert "get_min_job_age" in executor.Executor.check_active_jobs.__code__.co_names
