"""What tests of studies share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from own_study import load

from recspectra.config.planned import Study


@pytest.fixture
def study(project: Path) -> Callable[..., Study]:
    """Write a study with some changes to a good one and load it."""
    return partial(load, project, project)
