"""Claims about the settings of a sweep: which is best, and whether it matters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import LOO, Model, above, judged, write
from hypothesis import given, settings
from hypothesis import strategies as st
from own_study import load, refused

from recspectra.config.study import ClaimConfig
from recspectra.config.yaml_io import validate
from recspectra.reporting import claims
from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from recspectra.reporting.words import percent, signed

USERS = 300
BASE = np.random.default_rng(0).beta(1, 9, (1, USERS)) + 0.1
MEAN = float(BASE.mean())
OPTIMUM = {"name": "best", "title": "Best?", "statement": "c = 0.2 is best", "kind": "optimum",
           "model": "wpgrec", "protocol": "wpgrec", "paper": "mine", "place": "Figure 4",
           "settings": {"center": 0.2}}  # fmt: skip
FLAT = {name: value for name, value in OPTIMUM.items() if name != "settings"} | {
    "kind": "flat", "statement": "the centre matters little", "margin": 0.005,
}  # fmt: skip
CENTERS = (0.0, 0.2, 0.4)


def swept(gaps: dict[tuple[float, ...], float], names: tuple[str, ...] = ("center",), **more: Any) -> list:
    """A run for each setting, so far from the base."""
    found = []
    for i, (point, gap) in enumerate(gaps.items()):
        values = dict(zip(names, point, strict=True))
        variant = ",".join(f"{name}={value}" for name, value in values.items())
        own = {"kind": "closed-form", "swept": values, "variant": variant} | more.get(variant, {})
        found.append(Model(above(BASE, gap, i), **own))
    return found


def along(*gaps: float, **more: Any) -> list:
    return swept({(c,): gap for c, gap in zip(CENTERS, gaps, strict=True)}, **more)


def row_of(tmp_path: Path, models: list, claim: dict) -> pd.Series:
    rows = judged(write(tmp_path / "s", {LOO: {"wpgrec": models}}, [claim]))
    return rows[rows["scope"] == "claim"].iloc[0]


# ----------------------------------------------------------------------------- an optimum


@pytest.mark.parametrize(
    ("models", "expected", "reason"),
    [
        (along(-0.02, 0.0, -0.01), REPRODUCED, ""),
        (along(-0.02, 0.0, 0.02), NOT_REPRODUCED, ""),
        (along(-0.02, 0.0, 0.0005), CANNOT_TELL, "the interval holds 0"),
        (
            along(-0.02, 0.0, -0.01, **{"center=0.2": {"status": "capped"}}),
            CANNOT_TELL,
            "WPGRec (center=0.2): ended by a cap",
        ),
        (
            along(-0.02, 0.0, -0.01, **{"center=0.4": {"status": "capped"}}),
            CANNOT_TELL,
            "WPGRec (center=0.4): ended by a cap",
        ),
        (
            along(-0.02, 0.0, 0.02, **{"center=0.4": {"status": "capped"}}),
            NOT_REPRODUCED,
            "WPGRec (center=0.4): ended by a cap",
        ),
    ],
    ids=["above", "below", "tie", "claimed-capped", "other-capped-below", "other-capped-above"],
)
def test_a_claimed_setting_is_the_best_or_not(
    tmp_path: Path, models: list, expected: str, reason: str
) -> None:
    row = row_of(tmp_path, models, OPTIMUM)
    assert (row["verdict"], row["reason"]) == (expected, reason)
    assert row["subject"] == "WPGRec (center=0.2)" and row["ours"] == pytest.approx(MEAN)
    assert (row["paper"], row["place"], row["kind"]) == ("mine", "Figure 4", "optimum")
    assert (row["p"] <= 0.05) == (row["ci_low"] > 0 or row["ci_high"] < 0)
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]


GRID = {(a, s): -0.02 for a in (0.0, 0.1, 0.2) for s in (0.3, 0.4, 0.5)} | {(0.1, 0.4): 0.0}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"alpha_min": {"min": 0, "max": 0.1}, "sigma_max": [0.4, 0.5]}, REPRODUCED),
        ({"alpha_min": 0.1}, REPRODUCED),
        ({"sigma_max": {"max": 0.3}}, NOT_REPRODUCED),
        ({"alpha_min": {"min": 0.2}, "sigma_max": [0.4, 0.5]}, NOT_REPRODUCED),
        ({"alpha_min": [0, 0.2], "sigma_max": 0.4}, NOT_REPRODUCED),
    ],
    ids=["range-and-list", "one-of-two", "outside", "outside-both", "whole-numbers"],
)
def test_values_lists_and_ranges_name_settings_of_two_parameters(
    tmp_path: Path, settings: dict, expected: str
) -> None:
    models = swept(GRID, ("alpha_min", "sigma_max"))
    row = row_of(tmp_path, models, OPTIMUM | {"settings": settings})
    assert row["verdict"] == expected
    best = "WPGRec (alpha_min=0.1,sigma_max=0.4)"
    assert (row["subject"] if expected == REPRODUCED else row["rival"]) == best
    assert abs(row["difference"]) == pytest.approx(0.02)


def test_what_would_show_an_optimum_is_what_shows_the_hardest_of_its_pairs(tmp_path: Path) -> None:
    near = Model(above(BASE, 0.0, 1, 0.001), kind="closed-form", variant="center=0.6", swept={"center": 0.6})
    models = [*along(-0.001, 0.0, -0.001), near]
    rows = judged(write(tmp_path / "s", {LOO: {"wpgrec": models}}, [OPTIMUM]))
    pairs = rows[rows["scope"] == "rival"]["mde"]
    assert rows["mde"][0] == pairs.max() and pairs.max() > 1.2 * pairs.min()


def test_the_best_of_equal_settings_may_be_either_so_nothing_is_told(tmp_path: Path) -> None:
    models = swept({(c / 10,): 0.0 for c in range(8)}, noise=0)
    row = row_of(tmp_path, models, OPTIMUM | {"settings": {"center": [0.1, 0.5]}})
    assert row["verdict"] == CANNOT_TELL and row["ci_low"] < 0 < row["ci_high"]


def test_datasets_are_one_family(tmp_path: Path) -> None:
    one = {"wpgrec": along(-0.02, 0.0, -0.003)}
    alone = judged(write(tmp_path / "a", {LOO: one}, [OPTIMUM]))
    both = judged(write(tmp_path / "b", {LOO: one, "ml-1m.loo": one, "mine": one}, [OPTIMUM]))
    first = [rows[rows["scope"] == "claim"].iloc[0] for rows in (alone, both)]
    assert first[1]["ci_low"] < first[0]["ci_low"] and first[1]["difference"] == first[0]["difference"]


# --------------------------------------------------------------------------------- flatness


@pytest.mark.parametrize(
    ("models", "expected", "reason"),
    [
        (along(-0.0005, 0.0, -0.0005), REPRODUCED, ""),
        (along(-0.02, 0.0, 0.0), NOT_REPRODUCED, ""),
        (along(-0.005, 0.0, 0.0), CANNOT_TELL, claims.HOLDS_BOTH),
        (
            along(0.0, 0.0, 0.0, **{"center=0.0": {"status": "capped"}}),
            CANNOT_TELL,
            "WPGRec (center=0.0): ended by a cap",
        ),
        (
            along(-0.02, 0.0, 0.0, **{"center=0.0": {"status": "capped"}}),
            CANNOT_TELL,
            "WPGRec (center=0.0): ended by a cap",
        ),
    ],
    ids=["level", "apart", "at-the-margin", "capped-level", "capped-below"],
)
def test_settings_are_level_or_not(tmp_path: Path, models: list, expected: str, reason: str) -> None:
    row = row_of(tmp_path, models, FLAT)
    assert (row["verdict"], row["reason"]) == (expected, reason)
    assert row["ci_low"] <= row["difference"] <= row["ci_high"] <= 0.0
    assert row["gain_low"] <= row["gain"] <= row["gain_high"] <= 0.0
    means = {model.variant: model.values.mean() for model in models}
    assert row["ours"] == pytest.approx(min(means.values()))
    assert row["ours_rival"] == pytest.approx(max(means.values()))


def test_only_the_named_settings_must_be_level_but_with_the_best_of_all(tmp_path: Path) -> None:
    near = FLAT | {"settings": {"center": {"min": 0.2}}}
    row = row_of(tmp_path / "a", along(-0.05, 0.0, -0.0005), near)
    assert row["verdict"] == REPRODUCED and row["subject"] == "WPGRec (center=0.4)"
    row = row_of(tmp_path / "b", along(0.05, 0.0, -0.0005), near)  # the optimum lies elsewhere
    assert row["verdict"] == NOT_REPRODUCED and row["rival"] == "WPGRec (center=0.0)"
    capped = along(0.05, 0.0, -0.0005, **{"center=0.0": {"status": "capped"}})
    row = row_of(tmp_path / "c", capped, near)
    assert row["verdict"] == NOT_REPRODUCED
    low = along(-0.05, 0.0, -0.0005, **{"center=0.0": {"status": "capped"}})
    assert row_of(tmp_path / "d", low, near)["verdict"] == CANNOT_TELL  # more epochs may lift it


def test_settings_that_two_users_tell_apart_have_an_open_interval_which_is_said(tmp_path: Path) -> None:
    models = along(0.0, 0.0, -0.0005)
    models[0].values[:] = models[1].values
    models[0].values[0, :2] -= 0.01
    row = row_of(tmp_path, models, FLAT)
    why = "too few users tell WPGRec (center=0.0) from WPGRec (center=0.2)"
    assert row["ci_low"] == -np.inf and (row["verdict"], row["reason"]) == (CANNOT_TELL, why)
    assert (signed(-np.inf), percent(-np.inf), signed(-0.01)) == ("no bound", "no bound", "-0.0100")


def test_without_a_margin_it_is_a_share_of_the_best(tmp_path: Path) -> None:
    claim = {name: value for name, value in FLAT.items() if name != "margin"}
    gap = 0.1 * MEAN
    for i, (within, expected) in enumerate([(0.05, NOT_REPRODUCED), (0.2, REPRODUCED)]):
        row = row_of(tmp_path / str(i), along(-gap, 0.0, 0.0), claim | {"within": within})
        assert row["verdict"] == expected


@settings(max_examples=10)
@given(
    gaps=st.lists(st.sampled_from([-0.03, -0.01, -0.002, 0.0]), min_size=3, max_size=3),
    margins=st.tuples(st.floats(0.0005, 0.05), st.floats(0.0005, 0.05)),
    named=st.sampled_from([[0.0], [0.2], [0.0, 0.4], [0.2, 0.4]]),
)
def test_verdicts_never_contradict_each_other(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], margins: tuple[float, float], named: list
) -> None:
    rest = [c for c in CENTERS if c not in named]
    tight, wide = sorted(margins)
    listed = [
        OPTIMUM | {"name": "own", "settings": {"center": named}},
        OPTIMUM | {"name": "rest", "settings": {"center": rest}},
        FLAT | {"name": "tight", "margin": tight},
        FLAT | {"name": "wide", "margin": wide},
    ]
    folder = tmp_path_factory.mktemp("property") / "s"
    rows = judged(write(folder, {LOO: {"wpgrec": along(*gaps)}}, listed))
    found = rows[rows["scope"] == "claim"].set_index("claim")
    verdicts = found["verdict"]
    if verdicts["own"] == REPRODUCED:
        assert verdicts["rest"] == NOT_REPRODUCED
    assert not (verdicts["own"] == verdicts["rest"] == REPRODUCED)
    if verdicts["tight"] == REPRODUCED:
        assert verdicts["wide"] == REPRODUCED
    if verdicts["wide"] == NOT_REPRODUCED:
        assert verdicts["tight"] == NOT_REPRODUCED
    sure = (found["ci_low"] > 0) | (found["ci_high"] < 0)
    assert (sure == (found["p"] <= 0.05)).all()
    assert found["difference"]["own"] == pytest.approx(-found["difference"]["rest"])


# --------------------------------------------------------------------------- words, refusals


def test_both_kinds_are_told_and_laid_out(tmp_path: Path) -> None:
    files = write(
        tmp_path / "s", {LOO: {"wpgrec": along(-0.02, 0.0, -0.01)}}, [OPTIMUM, FLAT | {"name": "f"}]
    )
    claims.draw_claims(files, claims.Published(Path(__file__).resolve().parents[3]))
    frame = claims.read(files.folder)
    said = {}
    for claim in files.config.claims:
        rows = frame[frame["claim"] == claim.name]
        said[claim.kind] = " ".join(claims.tell(files, claim, rows))
        table = claims.layout(files, claim, rows)
        assert len(table.rows) == 2 and {"model", "set against", "verdict"} <= {
            c.title for c in table.columns
        }
    assert '"c = 0.2 is best": reproduced. WPGRec (center=0.2), the best of the claimed' in said["optimum"]
    assert '"the centre matters little": not reproduced. WPGRec (center=0.0), the lowest' in said["flat"]
    assert "level if it is less than 0.005 below it" in said["flat"]


def test_a_claim_without_any_run_is_not_told(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: {"bsarec": Model(BASE)}}, [OPTIMUM, FLAT | {"name": "f"}])
    rows = judged(files)
    assert list(rows["verdict"]) == [CANNOT_TELL] * 2
    assert list(rows["reason"]) == ["no run is of the claimed setting"] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"centre": 0.2}}, r"gsprec has no parameter 'centre'; it has rank, .*mean 'center'"),
        (
            {"settings": {"center": 0.3}},
            r"no run of gsprec in band on synthetic is of that setting \(center: 0.2, 0.8\); write one of th",
        ),
        ({"settings": {"center": [0.2, 0.8]}}, "there is no other setting of gsprec in band on synthetic"),
        ({"settings": {"phi": 0.5}}, "there is no other setting of gsprec in band on synthetic"),
        ({"groups": ["tuned"]}, "tuning chooses 'center' of gsprec in tuned on synthetic; give its values u"),
        ({"groups": ["one"], "kind": "flat"}, "there is no other setting of gsprec in one on synthetic"),
    ],
)
def test_settings_that_no_run_is_of_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    claim = OPTIMUM | {"model": "gsprec", "protocol": "standard", "groups": ["band"]} | change
    entries = [{"group": "band", "sweep": {"center": [0.2, 0.8]}},
               {"group": "tuned", "tune": True, "sweep": {"phi": [0.2, 0.8]}},
               {"group": "one", "params": {"center": 0.2}}]  # fmt: skip
    models = [{"model": "gsprec"} | entry for entry in entries]
    found = refused(tmp_path, tuning={"trials": 2}, models=models, claims=[claim])
    assert re.match(r"claims\[0\]\.settings: " + message, found), found


ALONG = {"name": "f", "title": "F", "kind": "sensitivity"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"claims": [OPTIMUM | {"model": "gsprec", "protocol": "standard", "groups": ["other"]}]},
         r"claims\[0\]\.groups: gsprec has no run in other; its groups: band"),
        ({"claims": [{"name": "a", "title": "A", "kind": "ablation", "paper": "gsprec", "model": "gsprec",
                      "groups": ["other"], "pairs": [{"better": "a", "worse": "b", "claim": "c"}]}]},
         r"claims\[0\]\.groups: gsprec has no run in other; its groups: band"),
        ({"figures": [ALONG | {"group": "band", "param": "centre"}]},
         r"figures\[0\]\.param: no entry of its group sweeps 'centre'; swept: center; did you mean 'center'"),
        ({"figures": [ALONG | {"group": "other", "param": "center"}]},
         r"figures\[0\]\.param: no entry of its group sweeps 'center'; swept: none"),
        ({"tables": [{"name": "t", "title": "T", "kind": "datasets", "published": "gsprec/table99"}]},
         r"tables\[0\]\.published: config/published/mapping.yaml has no 'gsprec/table99'; .* you mean 'gsp"),
    ],
    ids=["optimum", "ablation", "param", "group", "published"],
)  # fmt: skip
def test_what_would_stay_empty_is_refused_before_anything_runs(
    tmp_path: Path, more: dict, message: str
) -> None:
    models = [
        {"model": "gsprec", "group": "band", "sweep": {"center": [0.2, 0.8]}},
        {"model": "popularity", "group": "other"},
    ]
    assert re.match(message, refused(tmp_path, models=models, **more))


def test_a_study_on_disk_is_read_back() -> None:
    given = OPTIMUM | {"settings": {"a": 1, "b": [0.1, "x"], "c": {"min": 0}}}
    claim = validate(ClaimConfig, given, "study.yaml")
    again = validate(ClaimConfig, claim.model_dump(mode="json"), "study.json")
    assert again == claim and again.names_setting({"a": 1.0, "b": "x", "c": 3})
    assert not again.names_setting({"a": True, "b": "x", "c": 3})
    assert not again.names_setting({"a": 1, "b": "x", "c": "3"})


def test_two_settings_under_one_name_are_refused(tmp_path: Path) -> None:
    ranks = {"model": "gfcf", "sweep": {"rank": [8, 16]}}
    models = [
        ranks | {"group": group, "params": {"alpha": alpha}} for group, alpha in (("a", 0.0), ("b", 1.0))
    ]
    claim = {"name": "c", "title": "C?", "statement": "alpha = 1 is best", "kind": "optimum", "model": "gfcf",
             "groups": ["a", "b"], "settings": {"alpha": 1.0}}  # fmt: skip
    assert refused(tmp_path, models=models, claims=[claim]) == (
        "claims[0].groups: gfcf has other settings in b than in a under the same variant 'rank=8'; give one "
        "of them another `variant`"
    )
    models[1]["variant"] = "all-pass"
    load(tmp_path, models=models, claims=[claim])
