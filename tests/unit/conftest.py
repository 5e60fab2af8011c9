"""Pieces of the tiny data set that most tests of models learn from, and which modules are slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from recspectra.data.interactions import Interactions

# Each takes 2 to 35 seconds of a core, for searches, eigenpairs, drawn studies, plans and many processes.
SLOW = (
    "test_tune test_eigen test_report test_first_page test_claims test_claims_of_settings test_made_from "
    "test_bands test_scale test_mutate test_redo test_preview test_where_fits_run test_tables "
    "test_figure_kinds test_drawn_study test_simultaneous test_text_stays_text test_notebook "
    "test_published test_crate test_orders test_validation test_gpu_table test_device_ranking test_compared "
    "test_made_with test_redo_continues test_scheduler_requests test_light_scripts test_standings "
    "test_open_rows test_programme test_listed test_shown test_examples test_claims_of_values "
    "test_claims_of_orders test_download test_lists_come_back test_synthetic test_registry test_kept "
    "test_intervals test_worlds_told test_planted_faults"
)


def is_slow(path: Path) -> bool:
    """Whether `make test-fast` leaves a module out."""
    return path.stem in SLOW.split() and Path(__file__).parent in path.parents


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read slow modules where none of their tests would run: that takes seconds."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow modules."""
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def train(tiny: dict[str, Interactions]) -> Interactions:
    """Its training part."""
    return tiny["train"]


@pytest.fixture(scope="module")
def both(tiny: dict[str, Interactions]) -> Interactions:
    """Its training and validation parts."""
    return tiny["train"].merged(tiny["valid"])
