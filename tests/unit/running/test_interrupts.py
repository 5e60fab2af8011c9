"""What Snakemake says of jobs that an interrupt ended."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from recspectra.running import interrupts


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> tuple[logging.Logger, list[str]]:
    """A logger with the filter of a workflow, and what it let through."""
    said: list[str] = []
    logger = logging.Logger("workflow", logging.INFO)
    logger.addFilter(interrupts._lets_through)
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger.addHandler(handler)
    monkeypatch.setattr(interrupts, "_stopped", [])
    return logger, said


def watch_a_failure(workflow: logging.Logger) -> threading.Thread:
    """Start the thread that reports a dead job."""
    watcher = threading.Thread(target=workflow.error, args=["Error in rule fit"])
    watcher.start()
    return watcher


def test_a_job_that_dies_before_snakemake_hears_the_interrupt_is_no_failure(
    logger: tuple[logging.Logger, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "SECONDS_TO_HEAR", 60.0)
    said, watcher = logger[1], watch_a_failure(logger[0])
    time.sleep(0.05)
    interrupts._stopped.append(interrupts.STATUS)
    watcher.join(10)
    assert not watcher.is_alive() and said == []


def test_a_failure_without_an_interrupt_is_said(
    logger: tuple[logging.Logger, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "SECONDS_TO_HEAR", 0.05)
    workflow, said = logger
    watcher = watch_a_failure(workflow)
    watcher.join(10)
    workflow.info("goes on")
    assert said == ["Error in rule fit", "goes on"]


def test_timers_that_nothing_needs_hold_no_finished_workflow() -> None:
    timer = threading.Timer(60.0, pytest.fail)
    timer.start()
    interrupts.cancel_timers()
    timer.join(10.0)
    assert not timer.is_alive()
