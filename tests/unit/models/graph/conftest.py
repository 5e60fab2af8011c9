"""Graph models after two epochs on the tiny data."""

from __future__ import annotations

from typing import Any

import pytest
from graph_helpers import SMALL, Fitted

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.recommender import Recommender, Run, Task, create


@pytest.fixture
def fitted(catalog: Catalog, tiny: dict[str, Interactions]) -> Fitted:
    """A factory of models after two epochs on the tiny data."""

    def make(name: str, **changes: Any) -> Recommender:
        config = catalog.model(name)
        system = create(config, config.resolve(SMALL | changes))
        system.fit(Task(tiny["train"], None, True), Run(seed=0))
        return system

    return make
