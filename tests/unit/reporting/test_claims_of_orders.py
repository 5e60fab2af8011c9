"""Claims of orders: by how much chance turns an order around, and the printed one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hand_made import BASE, LOO, ORDER, ROOT, Model, above, closed, judged, verdict, write

from recspectra.reporting import claims
from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from recspectra.reporting.published import Published


def ranked(gaps: list[float], noise: float, **more: object) -> dict[str, Model]:
    values = [above(BASE, gap, i, noise) for i, gap in enumerate(gaps)]
    return {f"m{i}": Model(one, kind="closed-form", **more) for i, one in enumerate(values)}


FALLING = [-0.01 * i for i in range(6)]


@pytest.mark.parametrize(
    ("second", "noise", "expected"),
    [(FALLING, 0.02, REPRODUCED), (FALLING[::-1], 0.02, NOT_REPRODUCED), (FALLING, 3.0, CANNOT_TELL)],
    ids=["same", "reversed", "noise"],
)
def test_an_order_is_judged_by_what_chance_does_to_it(
    tmp_path: Path, second: list[float], noise: float, expected: str
) -> None:
    data = {"one": ranked(FALLING, noise), "two": ranked(second, noise)}
    files = write(tmp_path / "s", data, [ORDER])
    rows = judged(files)
    settings = rows[rows["scope"] != "model"]
    assert list(settings["scope"]) == ["reference", "claim"] and list(settings["verdict"]) == ["", expected]
    row = settings.iloc[1]
    assert (row["p"] <= 0.05) == (row["ours"] < row["ci_low"]) == (expected == NOT_REPRODUCED)
    places = rows[(rows["scope"] == "model") & (rows["dataset"] == "one")]
    assert list(places["rank"]) == [1, 2, 3, 4, 5, 6]
    assert (places["rank_low"] <= places["rank"]).all() and (places["rank"] <= places["rank_high"]).all()
    wide = (places["rank_high"] - places["rank_low"]).mean()
    assert wide > 3 if noise > 1 else wide < 1
    if expected == CANNOT_TELL:
        assert "agree no better than" in row["reason"]


def test_places_count_models_that_have_a_number_everywhere(tmp_path: Path) -> None:
    one, two = ranked(FALLING, 0.02), ranked(FALLING, 0.02)
    two["m1"] = Model(None, status="oom")
    rows = judged(write(tmp_path / "s", {"one": one, "two": two}, [ORDER]))
    assert set(rows.loc[rows["scope"] == "model", "subject"]) == {"m0", "m2", "m3", "m4", "m5"}
    assert rows["rank"].max() == 5


@pytest.mark.parametrize("failed", ["one", "two"])
@pytest.mark.parametrize(("second", "expected"), [(FALLING, CANNOT_TELL), (FALLING[::-1], NOT_REPRODUCED)])
def test_an_order_does_not_come_out_where_a_model_has_no_number(
    tmp_path: Path, failed: str, second: list[float], expected: str
) -> None:
    data = {"one": ranked(FALLING, 0.02), "two": ranked(second, 0.02)}
    data[failed]["m1"] = Model(None, status="oom", kind="closed-form")
    found, why = verdict(write(tmp_path / "s", data, [ORDER]), "two")
    assert (found, why) == (expected, "m1: no number (oom)")


def test_a_model_that_failed_on_a_third_dataset_is_missed_by_all(tmp_path: Path) -> None:
    """What is compared has a number everywhere, so m1, which would refute `two`, is in no comparison."""
    moved = [FALLING[0], FALLING[-1] - 0.02, *FALLING[2:]]
    data = {"one": ranked(FALLING, 0.002), "two": ranked(moved, 0.002), "three": ranked(FALLING, 0.002)}
    assert verdict(write(tmp_path / "s", data, [ORDER]), "two")[0] == NOT_REPRODUCED
    data["three"]["m1"] = Model(None, status="oom", kind="closed-form")
    found, why = verdict(write(tmp_path / "t", data, [ORDER]), "two")
    assert found == CANNOT_TELL and "m1: no number (oom)" in why


def test_a_dataset_where_every_model_failed_has_a_verdict(tmp_path: Path) -> None:
    """It had no row: a reader did not learn that the order was asked for there."""
    failed = dict.fromkeys(ranked(FALLING, 0.02), Model(None, status="oom", kind="closed-form"))
    data = {"one": ranked(FALLING, 0.02), "two": failed, "three": ranked(FALLING, 0.02)}
    files = write(tmp_path / "s", data, [ORDER])
    assert verdict(files, "two") == (CANNOT_TELL, "m0, m1, m2, m3, m4, m5: no number (oom)")
    assert verdict(files, "three")[0] == REPRODUCED
    text = "\n".join(claims.tell(files, files.config.claims[0], judged(files)))
    assert "TWO, history train+valid, mask train+valid: cannot tell. Reason: m0, m1, m2" in text


def test_an_order_of_models_that_had_no_epochs_left_is_not_told(tmp_path: Path) -> None:
    data = {"one": ranked(FALLING, 0.02), "two": ranked(FALLING, 0.02, curve=[0.1, 0.2])}
    found, why = verdict(write(tmp_path / "s", data, [ORDER]), "two")
    assert found == CANNOT_TELL and "m0, m1, m2, m3, m4, m5: still gaining" in why


@pytest.mark.parametrize(
    ("second", "noise", "said"),
    [
        ([0, -0.02], 0.02, "in the same order as on ONE; two samples of users of one setting agree on which"),
        ([-0.02, 0], 0.02, "the other way round than on ONE; two samples of users of one setting agree"),
        ([0, -0.02], 3.0, "in the same order as on ONE (p 1.000)"),
    ],
    ids=["same", "reversed", "noise"],
)  # fmt: skip
def test_an_order_of_two_models_is_told_without_a_rank_correlation(
    tmp_path: Path, second: list[float], noise: float, said: str
) -> None:
    data = {"one": ranked([0, -0.02], 0.02), "two": ranked(second, noise)}
    files = write(tmp_path / "s", data, [ORDER])
    rows = judged(files)
    text = claims.tell(files, files.config.claims[0], rows)[1]
    assert f"The two models stand {said}" in text and "Kendall" not in text and "-1.00" not in text
    assert re.search(r"m[01] 0\.1038 \(place 1 to [12]\) is above m[01] 0\.0838 \(place [12] to 2\)\.", text)
    assert ("may disagree on which of the two models is above" in rows["reason"][3]) == (noise > 1)


def test_an_order_without_another_to_set_it_against_is_not_told(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {"one": ranked(FALLING, 0.02)}, [ORDER])
    rows = judged(files)
    assert set(rows["scope"]) == {"claim", "model"} and verdict(files, "one") == (
        CANNOT_TELL, "no other dataset or view has numbers to set this order against"
    )  # fmt: skip
    text = claims.tell(files, files.config.claims[0], rows)[0]
    assert text.startswith(
        "ONE, history train+valid, mask train+valid: cannot tell. Reason: no other dataset"
    )


def test_an_order_is_set_against_the_printed_one(tmp_path: Path) -> None:
    # printed on LastFM: WPGRec, WaveRec, ..., of these three WPGRec .0455
    column = Published(ROOT).values("wpgrec/table1").query("dataset == 'lastfm' and metric == 'ndcg@10'")
    printed = column.set_index("method")["value"]
    names = {"wpgrec": "WPGRec", "bsarec": "BSARec", "dgrec": "DGRec", "sgl": "SGL", "fearec": "FEARec"}
    order = sorted(names, key=lambda name: -printed[names[name]])
    same = {name: closed(-0.02 * i, i) for i, name in enumerate(order)} | {"ease": closed(0.3)}
    claim = ORDER | {"published": "wpgrec/table1"}
    rows = judged(write(tmp_path / "s", {LOO: same}, [claim]))
    assert rows["ours"][0] == pytest.approx(1.0) and rows["verdict"][0] == REPRODUCED
    assert rows["rival"][0] == "as printed" and set(rows["scope"]) == {"claim", "model"}
    assert "EASE" not in set(rows["subject"])
    turned = {name: closed(0.02 * i, i) for i, name in enumerate(order)}
    assert verdict(write(tmp_path / "t", {LOO: turned}, [claim]))[0] == NOT_REPRODUCED
    failed = Model(None, status="oom")  # EASE is not in the table
    assert verdict(write(tmp_path / "u", {LOO: same | {"ease": failed}}, [claim])) == (REPRODUCED, "")
    assert verdict(write(tmp_path / "v", {LOO: same | {"sgl": failed}}, [claim])) == (
        CANNOT_TELL, "SGL: no number (oom)"
    )  # fmt: skip
