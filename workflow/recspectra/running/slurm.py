"""What the Slurm executor of Snakemake would lose sight of jobs for."""

from __future__ import annotations

import sys
from collections.abc import Callable

EXECUTOR = "snakemake_executor_plugin_slurm"


def keep_to_squeue() -> None:
    """Make the executor remember how long the controller keeps finished jobs.

    The executor (2.1.0 to 2.8.0, its newest) asks for it before every look at the queue. Without an
    answer, as while the controller is restarted, it takes `sacct` for that look, whatever
    `--slurm-status-command` says. Where there is no accounting, `sacct` fails as often as it is tried,
    and then the executor forgets its jobs: they are neither running nor finished for good. A test tries
    the installed executor without this; where it keeps its jobs, this module can go.
    """
    executor = sys.modules.get(EXECUTOR)
    ask = getattr(executor, "get_min_job_age", None)
    if ask is not None and not hasattr(ask, "remembers"):
        executor.get_min_job_age = _remembering(ask)  # type: ignore[union-attr]


def _remembering(ask: Callable[[], int | None]) -> Callable[[], int | None]:
    """Return a function that gives the last answer where there is none."""
    last: list[int] = []

    def answer() -> int | None:
        found = ask()
        if found is not None:
            last[:] = [found]
        return last[0] if last else None

    answer.remembers = True  # type: ignore[attr-defined]
    return answer
