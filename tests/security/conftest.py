"""Helpers of the workflow tests; an attack leaves a file if it is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "workflow"), str(TESTS / "unit"), str(TESTS / "unit" / "reporting")]

import harness  # noqa: E402
from warm import warm_python  # noqa: E402


@pytest.fixture(autouse=True)
def _warm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts start warm, but for those whose memory is what is tested."""
    if request.path.stem != "test_attack_resources":
        monkeypatch.setattr(harness, "interpreter", warm_python)


@pytest.fixture
def harmed(tmp_path: Path) -> Path:
    """The file that a command leaves if anything runs it."""
    return tmp_path / "harmed"
