"""Fixtures of the workflow tests; helpers are in harness.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import harness
import pytest
from harness import TINY, TINY_STUDY, Finished, Project
from warm import warm_python


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let the calls of a test of this folder, and their jobs, start warm."""
    harness.interpreter = warm_python


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Leave the tests of other folders a Python that starts cold: of faults and a cluster."""
    harness.interpreter = harness.cold_python


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny study, run to its report by one call of Snakemake; not to be changed."""
    place = tmp_path_factory.mktemp("finished")
    project = Project.copied(place / "checkout")
    shutil.copy(TINY / "dataset.yaml", project.root / "config" / "datasets" / "tiny.yaml")
    return Finished.run(project, place, place / "anywhere" / "my study.yaml", TINY_STUDY)


@pytest.fixture
def work(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished working folder that a test may change."""
    return finished.copy(tmp_path / "work")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all of this folder out of `make test-fast`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
