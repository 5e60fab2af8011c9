"""The two data sets on which most figures are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from from_mirror import Pieces, prepared


@pytest.fixture(scope="session")
def ml100k(mirror: Path) -> Pieces:
    """Parts of HiGSP's ML-100K."""
    return prepared("ml-100k.higsp", mirror)


@pytest.fixture(scope="session")
def ml1m(mirror: Path) -> Pieces:
    """Parts of DiffRec's ML-1M, as shipped."""
    return prepared("ml-1m.diffrec", mirror)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all of this folder out of `make test-fast`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
