"""Pieces of the tiny data set that most tests of models learn from."""

from __future__ import annotations

import pytest

from recspectra.data.interactions import Interactions


@pytest.fixture(scope="module")
def train(tiny: dict[str, Interactions]) -> Interactions:
    """Its training part."""
    return tiny["train"]


@pytest.fixture(scope="module")
def both(tiny: dict[str, Interactions]) -> Interactions:
    """Its training and validation parts."""
    return tiny["train"].merged(tiny["valid"])
