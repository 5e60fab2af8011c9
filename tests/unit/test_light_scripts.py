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
    "crate draw report results summary": {"matplotlib", "jinja2"} | TABLES,
}
ALLOWED = {name: libraries for names, libraries in USED.items() for name in names.split()}


def loaded_by(script: str) -> set[str]:
    """The heavy libraries that a script has loaded once it could begin."""
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {script}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()} & HEAVY


def test_scripts_that_may_load_more_are_there() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} > set(ALLOWED)


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_a_script_loads_what_it_uses(script: str) -> None:
    assert loaded_by(script) <= ALLOWED.get(script, set())
