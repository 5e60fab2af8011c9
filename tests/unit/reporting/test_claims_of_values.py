"""Claims of printed values: whether ours come out, and what bars the comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import BASE, BOTH, LOO, VALUE, Model, judged, write

from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED


def at(mean: float, seeds: tuple[float, ...] = (0.0,), **more: object) -> Model:
    values = np.stack([BASE[0] - BASE.mean() + mean + shift for shift in seeds])
    return Model(values, **more)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (at(0.0532, kind="closed-form"), REPRODUCED),
        (at(0.0550, kind="closed-form"), REPRODUCED),
        (at(0.0600, kind="closed-form"), NOT_REPRODUCED),
        (at(0.0532, tuple(np.linspace(-0.0001, 0.0001, 11))), REPRODUCED),
        (at(0.0532, tuple(np.linspace(-0.02, 0.02, 11))), CANNOT_TELL),
        (at(0.0900, tuple(np.linspace(-0.001, 0.001, 11))), NOT_REPRODUCED),
        (at(0.0532, status="capped"), CANNOT_TELL),
    ],
    ids=["equal", "within", "beyond", "sure", "unsure", "surely-not", "capped"],
)
def test_a_printed_value_comes_out_or_not(tmp_path: Path, model: Model, expected: str) -> None:
    rows = judged(write(tmp_path / "s", {LOO: {"wpgrec": model}}, [VALUE]))
    assert list(rows["verdict"]) == [expected]
    assert rows["published"][0] == 0.0532
    assert rows["difference"][0] == pytest.approx(rows["ours"][0] - 0.0532)
    assert (rows["p"][0] <= 0.05) == (rows["ci_low"][0] > 0 or rows["ci_high"][0] < 0)


def test_one_seed_of_every_model_gives_a_printed_value_no_interval(tmp_path: Path) -> None:
    rows = judged(write(tmp_path / "s", {LOO: {"wpgrec": at(0.09), "bsarec": at(0.04)}}, [VALUE]))
    assert rows["verdict"][0] == CANNOT_TELL
    assert rows[["ci_low", "ci_high", "p"]].isna().all(axis=None)
    assert "too few seeds (0 degrees of freedom, 10 are needed)" in rows["reason"][0]


def test_a_printed_value_of_another_definition_is_not_compared(tmp_path: Path) -> None:
    claim = VALUE | {"model": "gsprec", "protocol": "standard", "published": "gsprec/table4"}
    models = {"gsprec": at(0.7572, protocol="standard", kind="closed-form")}
    known = {"standard": {"title": "S", "why": "w", "target": "test", "metrics": ["ndcg"], "k": [10],
                          "views": [BOTH]}}  # fmt: skip
    rows = judged(write(tmp_path / "s", {"ml-100k.higsp": models}, [claim], known))
    assert rows["verdict"][0] == CANNOT_TELL and pd.isna(rows["difference"][0])
    assert rows["reason"][0] == "printed values are not compared with ours: another definition (ndcg_hit)"


def test_all_printed_values_of_a_table_are_looked_at_without_a_model(tmp_path: Path) -> None:
    models = {
        "wpgrec": at(0.0532, kind="closed-form"),
        "bsarec": at(0.09, kind="closed-form"),
        "ease": at(0.1),
    }
    rows = judged(write(tmp_path / "s", {LOO: models}, [VALUE | {"model": ""}]))
    assert dict(zip(rows["subject"], rows["verdict"], strict=True)) == {
        "WPGRec": REPRODUCED, "BSARec": NOT_REPRODUCED
    }  # fmt: skip
