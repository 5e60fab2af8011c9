"""What tests on real data share: a data set read and split straight from the mirror, and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog
from recspectra.data import filters
from recspectra.data.interactions import Interactions
from recspectra.data.readers import read
from recspectra.data.splits import check_counts, split, statistics

CATALOG = Catalog(Path(__file__).resolve().parents[2])
Pieces = dict[str, Interactions]


def need(name: str, mirror: Path) -> None:
    """Skip a test if the mirror lacks a file of a data set."""
    missing = [f.path for f in CATALOG.dataset(name).source.files if not (mirror / f.path).is_file()]
    if missing:
        pytest.skip(f"the mirror {mirror} lacks {', '.join(missing)}")


def prepared(name: str, mirror: Path) -> Pieces:
    """Read, filter and split a data set; its counts are those of its YAML."""
    need(name, mirror)
    config = CATALOG.dataset(name)
    table, _ = filters.apply(read(config, mirror), config.filter)
    pieces, _ = split(table, config)
    check_counts(config, statistics(config, pieces))
    return pieces
