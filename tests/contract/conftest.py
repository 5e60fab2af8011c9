"""Trained models are left out of `make test-fast`, all but the quickest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog

CATALOG = Catalog(Path(__file__).resolve().parents[2])
QUICKEST = "mf"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    trained = {n for n in CATALOG.names("models") if CATALOG.model(n).kind == "trained"} - {QUICKEST}
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if item.path.parent == Path(__file__).parent and given.get("name") in trained:
            item.add_marker(pytest.mark.slow)
