"""Helpers of the workflow tests; an attack leaves a file if it is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "workflow"), str(TESTS / "unit" / "reporting")]


@pytest.fixture
def harmed(tmp_path: Path) -> Path:
    """The file that a command leaves if anything runs it."""
    return tmp_path / "harmed"
