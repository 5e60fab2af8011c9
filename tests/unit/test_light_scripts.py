"""A job starts with no library that it does not use: each would cost every job of its kind a while."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
HEAVY = {"torch", "sklearn", "matplotlib", "optuna", "pandas", "pyarrow", "requests", "jinja2"}
TABLES = {"pandas", "pyarrow"}
USED = {  # by whom; all others load none of them
    "prepare split preview evaluate collect gather datasets export import_lists reference worlds": TABLES,
    "tune": {"optuna"} | TABLES,
    "crate draw report results": {"matplotlib", "jinja2"} | TABLES,
}
JOBS = "fetch prepare split spectrum fit measure gather evaluate collect draw report import_lists"
OF_THE_WORKFLOW = {"psutil", "filelock"}  # for its own processes and locks, and for jobs that take a GPU
GROUPS = [(names.split(), libraries) for names, libraries in USED.items()]
LIGHT = {path.stem for path in SCRIPTS.glob("*.py")} - {name for names, _ in GROUPS for name in names}


def loaded_by(scripts: list[str]) -> set[str]:
    """The heavy libraries that some scripts have loaded once all of them could begin."""
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {', '.join(scripts)}; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()} & (HEAVY | OF_THE_WORKFLOW)


@pytest.mark.parametrize(
    ("scripts", "libraries"),
    [(sorted(LIGHT), set()), *GROUPS],
    ids=lambda given: "-".join(sorted(given)) or "none",
)
def test_scripts_load_what_they_use(scripts: list[str], libraries: set[str]) -> None:
    """Scripts that may load the same start in one process: if one of them loads more, all have it."""
    assert loaded_by(scripts) & HEAVY <= libraries


def test_jobs_do_not_load_what_watches_over_them() -> None:
    assert not loaded_by(JOBS.split()) & OF_THE_WORKFLOW
