"""Positions and the ids of the user's file, in what people read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.data.ids import Ids
from recspectra.evaluation.per_user import LABELS, Members, PerUser

NAMES = np.array(["007", "7", "Zoë Ünal"])
HEAD = dict.fromkeys(LABELS, "x") | {"seed": 0}


def test_per_user_values_carry_the_ids_of_the_file(tmp_path: Path) -> None:
    values, found = PerUser(), np.array([2, 0])
    for metric in ("recall", "ndcg"):
        values.add(HEAD, Members(found, found >= 0, found), {(metric, 10): np.array([0.5, 0.25])})
    values.write(tmp_path / "values.parquet", NAMES)
    back = pd.read_parquet(tmp_path / "values.parquet")
    assert back["user_id"].tolist() == ["Zoë Ünal", "007"] * 2
    assert back["user"].tolist() == [2, 0] * 2
    assert back["metric"].tolist() == ["recall", "recall", "ndcg", "ndcg"]


def test_values_of_no_user_stay_empty(tmp_path: Path) -> None:
    PerUser().write(tmp_path / "values.parquet", NAMES)
    assert pd.read_parquet(tmp_path / "values.parquet").empty


def test_ids_in_another_order_have_another_digest() -> None:
    one, other = (Ids(np.array(users), np.arange(2)) for users in (["7", "007"], ["007", "7"]))
    assert one.digest != other.digest
    assert one.digest == Ids(np.array(["7", "007"]), np.array(["0", "1"])).digest
