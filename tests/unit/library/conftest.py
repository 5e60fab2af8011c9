"""Data as a user has them: a frame with ids of its own."""

from __future__ import annotations

import pandas as pd
import pytest

import recspectra as rs
from recspectra.data.tables import InteractionTable


@pytest.fixture(scope="session")
def clicks(tiny_table: InteractionTable) -> pd.DataFrame:
    """`tiny_table` as a log: users u0, u1, ..., items "film 0", ..., times."""
    return pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in tiny_table.users],
            "item_id": [f"film {item}" for item in tiny_table.items],
            "timestamp": tiny_table.times,
        }
    )


@pytest.fixture(scope="session")
def data(clicks: pd.DataFrame) -> rs.Data:
    """The log, read and split."""
    return rs.read(clicks, user="user_id", item="item_id", time="timestamp", name="clicks")


@pytest.fixture(scope="session")
def ease(data: rs.Data) -> rs.Model:
    return rs.fit("ease", data, regularization=20)
