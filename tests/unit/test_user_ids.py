"""Positions and the ids of the user's file, in what people read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.data.ids import Ids
from recspectra.evaluation.measure import name_users


def test_per_user_values_carry_the_ids_of_the_file(tmp_path: Path) -> None:
    ids = Ids(np.array(["007", "7", "Zoë Ünal"]), np.arange(2))
    values = pd.DataFrame({"user": np.array([2, 0, 2], dtype=np.int32), "value": [0.1, 0.2, 0.3]})
    name_users(values, ids).to_parquet(tmp_path / "values.parquet", index=False)
    back = pd.read_parquet(tmp_path / "values.parquet")
    assert back["user_id"].tolist() == ["Zoë Ünal", "007", "Zoë Ünal"]
    assert back["user"].tolist() == [2, 0, 2]


def test_values_of_no_user_stay_empty() -> None:
    assert name_users(pd.DataFrame(), Ids(np.arange(2), np.arange(2))).empty


def test_ids_in_another_order_have_another_digest() -> None:
    one, other = (Ids(np.array(users), np.arange(2)) for users in (["7", "007"], ["007", "7"]))
    assert one.digest != other.digest
    assert one.digest == Ids(np.array(["7", "007"]), np.array(["0", "1"])).digest
