"""Claims: the table of verdicts by hand-made studies, what is compared, what is said."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import (
    BASE,
    BOTH,
    GAIN,
    LOO,
    ORDER,
    ROOT,
    USERS,
    VALUE,
    Model,
    above,
    closed,
    gaps_with,
    judged,
    verdict,
    write,
)
from small_study import draw_numbers

from recspectra.config.base import ConfigError
from recspectra.config.study import ClaimConfig
from recspectra.config.yaml_io import validate
from recspectra.evaluation.simultaneous import Pair, Panel, compare
from recspectra.files import write_json
from recspectra.reporting import claims
from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from recspectra.reporting.draw import draw
from recspectra.reporting.results import StudyError, StudyResults
from recspectra.reporting.site import render
from recspectra.reporting.user_values import user_values


def three(**rivals: Model) -> dict[str, Model]:
    """WPGRec and two rivals, each below it unless another is given."""
    models = {
        "wpgrec": Model(BASE, kind="closed-form"),
        "bsarec": Model(above(BASE, -0.02, 1), kind="closed-form"),
        "dgrec": Model(above(BASE, -0.01, 2), kind="closed-form"),
    }
    return models | rivals


# ------------------------------------------------------------------- the table of verdicts


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, REPRODUCED, ""),
        ({"dgrec": closed(0.01)}, NOT_REPRODUCED, ""),
        ({"dgrec": closed(0.0005)}, CANNOT_TELL, "the interval holds 0"),
        ({"wpgrec": Model(BASE, status="capped")}, CANNOT_TELL, "WPGRec: ended by a cap"),
        (
            {"wpgrec": Model(BASE, curve=[0.1, 0.2, 0.3])},
            CANNOT_TELL,
            "WPGRec: still gaining on validation when its epochs ran out",
        ),
        ({"wpgrec": Model(BASE, curve=[0.3, 0.2])}, REPRODUCED, "too few seeds"),
        ({"wpgrec": Model(BASE, cosine="0.81")}, CANNOT_TELL, "approximate gradients (cosine 0.81)"),
        ({"wpgrec": Model(BASE, cosine="0.93")}, REPRODUCED, "too few seeds"),
        ({"wpgrec": Model(None, status="oom")}, CANNOT_TELL, "WPGRec: no number (oom)"),
        ({"dgrec": closed(0.01, status="capped")}, NOT_REPRODUCED, ""),
        ({"dgrec": closed(-0.01, status="capped")}, CANNOT_TELL, "DGRec: ended by a cap"),
        ({"dgrec": closed(-0.01, curve=[0.1, 0.2])}, CANNOT_TELL, "DGRec: still gaining"),
        ({"dgrec": closed(-0.01, cosine="0.5")}, REPRODUCED, ""),
        ({"dgrec": Model(None, status="timeout")}, CANNOT_TELL, "DGRec: no number (timeout)"),
        (
            {"dgrec": Model(None, status="timeout"), "bsarec": closed(0.02)},
            NOT_REPRODUCED,
            "DGRec: no number (timeout)",
        ),
        ({"wpgrec": Model(BASE, status="capped"), "dgrec": closed(0.01)}, CANNOT_TELL, "ended by a cap"),
    ],
    ids=[
        "above", "below", "tie", "subject-capped", "subject-gaining", "subject-converged",
        "subject-approximate", "subject-nearly-exact", "subject-missing", "rival-capped-above",
        "rival-capped-below", "rival-gaining", "rival-approximate", "rival-missing",
        "rival-missing-other-above", "subject-capped-and-below",
    ],
)  # fmt: skip
def test_verdicts(tmp_path: Path, changes: dict, expected: str, reason: str) -> None:
    found, why = verdict(write(tmp_path / "s", {LOO: three(**changes)}, [GAIN]))
    assert found == expected
    assert reason in why if reason else not why


@pytest.mark.parametrize(
    ("gaining", "expected"), [("wpgrec", CANNOT_TELL), ("dgrec", CANNOT_TELL), ("", REPRODUCED)]
)
def test_a_refit_of_a_run_that_was_still_gaining_is_no_more_told_than_that(
    tmp_path: Path, gaining: str, expected: str
) -> None:
    """It learns for as many epochs as did best, which were all there were."""
    both = {
        name: [replace(one, kind="trained", curve=[0.1, 0.2] if name == gaining else [0.2, 0.1]),
               replace(one, kind="trained", fit="train+valid", key=f"{name}-refit")]
        for name, one in three().items()
    }  # fmt: skip
    found, why = verdict(write(tmp_path / "s", {LOO: both}, [GAIN | {"fit": "train+valid"}]))
    assert found == expected and ("still gaining on validation when its epochs ran out" in why) == bool(
        gaining
    )


def test_a_number_that_lists_do_not_give_says_why(tmp_path: Path) -> None:
    """The run itself is ok."""
    files = write(tmp_path / "s", {LOO: three(dgrec=Model(None, kind="closed-form"))}, [GAIN])
    path = files.folder / "metrics.csv"
    frame = pd.read_csv(path)
    frame.loc[frame["model"] == "dgrec", "status"] = "partial lists"
    frame.to_csv(path, index=False)
    assert verdict(StudyResults(files.folder)) == (CANNOT_TELL, "DGRec: no number (partial lists)")


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (BASE, 0 * BASE, "0.0000: a difference of"),
        (0 * BASE, 0 * BASE, "A true difference of 0.0000 would be found"),
        (BASE[:, :2], BASE[:, :2] / 2, "cannot tell. Reason: too few users tell WPGRec from EASE."),
    ],
    ids=["rival-zero", "both-zero", "two-users"],
)
def test_what_has_no_ratio_or_no_interval_is_told_without(
    tmp_path: Path, ours: np.ndarray, theirs: np.ndarray, said: str
) -> None:
    models = {
        name: Model(values, kind="closed-form") for name, values in (("wpgrec", ours), ("ease", theirs))
    }
    files = write(tmp_path / "s", {LOO: models}, [GAIN | {"rivals": []}])
    text = claims.tell(files, files.config.claims[0], judged(files))[0]
    assert said in text and ": ," not in text and "(+inf)" not in text and " inf " not in text


def test_a_model_without_a_run_is_not_told(tmp_path: Path) -> None:
    models = three()
    del models["wpgrec"]
    found, why = verdict(write(tmp_path / "s", {LOO: models}, [GAIN]))
    assert (found, why) == (CANNOT_TELL, "wpgrec: no number (no run)")
    only = {"wpgrec": Model(BASE)}
    found, why = verdict(write(tmp_path / "t", {LOO: only}, [GAIN]))
    assert found == CANNOT_TELL and "not in this study: bsarec, dgrec; no rival has a number" in why


def test_seeds_that_are_many_count_and_few_are_told(tmp_path: Path) -> None:
    random = np.random.default_rng(4)

    def trained(gap: float, seeds: int) -> Model:
        return Model(random.normal(1, 0.05, (seeds, 1)) * above(BASE, gap, 5))

    few = {name: trained(gap, 1) for name, gap in (("wpgrec", 0.0), ("bsarec", -0.004), ("dgrec", -0.01))}
    rows = judged(write(tmp_path / "few", {LOO: few}, [GAIN]))
    assert "too few seeds (0 degrees of freedom, 10 are needed)" in rows["reason"][0]
    many = {name: trained(gap, 5) for name, gap in (("wpgrec", 0.0), ("bsarec", -0.004), ("dgrec", -0.01))}
    rows = judged(write(tmp_path / "many", {LOO: many}, [GAIN]))
    assert "seeds" not in rows["reason"][0] and (rows["df"][0], rows["seeds"][0]) == (12, 5)
    fixed = {
        name: Model(m.values.mean(axis=0, keepdims=True), kind="closed-form") for name, m in many.items()
    }
    plain = judged(write(tmp_path / "fixed", {LOO: fixed}, [GAIN]))
    assert plain["difference"][0] == pytest.approx(rows["difference"][0])
    assert plain["mde"][0] < rows["mde"][0]


def test_models_that_a_claim_does_not_name_change_no_verdict(tmp_path: Path) -> None:
    alone = judged(write(tmp_path / "s", {LOO: three()}, [GAIN]))
    crowd = three() | {f"m{i}": closed(0.001 * i, i) for i in range(9)}
    crowd |= {"ease": Model(above(np.repeat(BASE, 3, 0) * [[1.0], [1.3], [0.7]], 0.05, 9))}
    more = judged(write(tmp_path / "t", {LOO: crowd}, [GAIN]))
    assert (more["outside"][0], more["ours_outside"][0]) == ("EASE", pytest.approx(BASE.mean() + 0.05))
    pd.testing.assert_frame_equal(
        alone.drop(columns=["outside", "ours_outside"]), more.drop(columns=["outside", "ours_outside"])
    )


def test_other_users_are_refused(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: three()}, [GAIN])
    path = files.folder / "per_user" / f"{LOO}.parquet"
    frame = pd.read_parquet(path)
    frame[~((frame["model"] == "dgrec") & (frame["user"] == 3))].to_parquet(path, index=False)
    with pytest.raises(StudyError, match="different users; delete it and evaluate again"):
        judged(files)
    path.unlink()
    with pytest.raises(StudyError, match=r"per_user/lastfm\.loo\.parquet: file not found"):
        judged(files)


def test_values_of_an_earlier_version_are_to_be_made_again(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: three()}, [GAIN])
    path = files.folder / "per_user" / f"{LOO}.parquet"
    frame = pd.read_parquet(path)
    frame.assign(metric="recall").to_parquet(path, index=False)
    with pytest.raises(StudyError, match="holds no ndcg@10 of protocol wpgrec, which a comparison needs; d"):
        judged(files)


def test_users_that_only_one_protocol_has_are_refused(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {"ml-100k.higsp": two_metrics()}, [EVALUATOR], PROTOCOLS)
    path = files.folder / "per_user" / "ml-100k.higsp.parquet"
    frame = pd.read_parquet(path)
    frame[~((frame["metric"] == "ndcg_set") & (frame["user"] == 3))].to_parquet(path, index=False)
    with pytest.raises(StudyError, match="two protocols were measured on different users"):
        judged(files)


# ----------------------------------------------------------------------------- the family


def test_rows_hold_the_simultaneous_comparison_of_all_datasets(tmp_path: Path) -> None:
    data = {LOO: three(), "ml-1m.loo": three(dgrec=Model(above(BASE, -0.002, 7), kind="closed-form"))}
    rows = judged(write(tmp_path / "s", data, [GAIN]))
    panels = [Panel(d, {"\0".join(("wpgrec", "ndcg", n, "default", f"{n}-default")): m.values
                        for n, m in models.items()}) for d, models in data.items()]  # fmt: skip
    pairs = [Pair(p.dataset, list(p.values)[0], name) for p in panels for name in list(p.values)[1:]]
    expected = compare(panels, pairs)
    rivals = rows[rows["scope"] == "rival"]
    np.testing.assert_allclose(rivals["ci_low"], [one.low for one in expected])
    np.testing.assert_allclose(rivals["p"], [one.p for one in expected])
    np.testing.assert_allclose(rivals["mde"], [one.mde for one in expected])
    for _, part in rows.groupby("dataset"):
        whole, parts = part[part["scope"] == "claim"].iloc[0], part[part["scope"] == "rival"]
        assert whole["ci_low"] == parts["ci_low"].min() and whole["ci_high"] == parts["ci_high"].min()
        assert whole["difference"] == parts["difference"].min()


def test_near_ties_of_two_datasets_are_judged_together(tmp_path: Path) -> None:
    """Each difference is shown by itself; together none is."""

    def study(name: str, family: dict[str, dict[str, float]]) -> pd.DataFrame:
        ours = np.linspace(0.4, 0.6, 60)[None]
        data = {dataset: {"wpgrec": Model(ours, kind="closed-form")} for dataset in family}
        for dataset, rivals in family.items():
            for i, (rival, p) in enumerate(rivals.items()):
                data[dataset][rival] = Model(ours - gaps_with(p, i), kind="closed-form")
        rows = judged(write(tmp_path / name, data, [GAIN | {"rivals": []}]))
        return rows[rows["scope"] == "claim"]

    together = study("s", {"one": {"a": 0.02, "b": 0.03}, "two": {"a": 0.04}})
    assert list(together["verdict"]) == [CANNOT_TELL] * 2
    assert list(study("t", {"one": {"a": 0.02}})["verdict"]) == [REPRODUCED]
    assert list(study("u", {"two": {"a": 0.04}})["verdict"]) == [REPRODUCED]
    sure = study("v", {"one": {"a": 0.001, "b": 0.002}, "two": {"a": 0.003}})
    assert list(sure["verdict"]) == [REPRODUCED] * 2


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("protocol", "sdiff"), ("fit", "train+valid"), ("history", "train"), ("mask", "train"),
        ("metric", "recall"), ("k", 20),
    ],
)  # fmt: skip
def test_values_of_users_are_those_that_the_claim_names(tmp_path: Path, column: str, other: object) -> None:
    """Rows that differ in one thing alone stand in the same file, with other values."""
    files = write(tmp_path / "s", {LOO: three()}, [GAIN])
    point = {"protocol": "wpgrec", "metric": "ndcg", "k": 10, "fit": "train", **BOTH}
    before = user_values(files, LOO, point)
    assert {values.shape for values in before.values()} == {(1, USERS)} and len(before) == 3
    path = files.folder / "per_user" / f"{LOO}.parquet"
    frame = pd.read_parquet(path)
    changed = frame.assign(value=frame["value"] + 0.3, **{column: other})
    pd.concat([changed, frame, changed]).to_parquet(path, index=False)
    after = user_values(files, LOO, point)
    assert all((after[name] == before[name]).all() for name in before)
    found = user_values(files, LOO, point | {column: other})
    assert all(np.allclose(found[name], before[name] + 0.3) for name in before)


# -------------------------------------------------------------------------- printed values


def test_our_gain_is_a_share_of_a_printed_one_of_the_same_definition(tmp_path: Path) -> None:
    claim = GAIN | {"published": "wpgrec/table1", "rivals": []}
    files = write(tmp_path / "s", {LOO: three()}, [claim])
    row = judged(files).iloc[0]
    printed = 0.0532 / 0.0495 - 1
    assert (row["paper"], row["place"], row["printed_rival"]) == ("wpgrec", "Table 1", "DGRec")
    assert row["published_gain"] == pytest.approx(printed)
    assert row["share"] == pytest.approx(row["gain"] / printed)
    assert row["share_low"] == pytest.approx(row["gain_low"] / printed)
    assert row["verdict"] == CANNOT_TELL  # rivals that the paper has and the study lacks
    assert "not in this study: BERT4Rec, SGL, WaveRec, FEARec, TGSRec" in row["reason"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metric": "recall", "k": 20}, "another protocol"),
        ({"printed": {"mine": "lastfm"}, "datasets": ["mine"]}, "other files (lastfm)"),
    ],
)
def test_printed_values_of_other_files_or_protocols_are_marked_and_not_compared(
    tmp_path: Path, change: dict, why: str
) -> None:
    claim = GAIN | {"published": "wpgrec/table1", "rivals": []} | change
    protocol = "standard" if "metric" in change else "wpgrec"
    claim |= {"protocol": protocol}
    measure = {"protocol": protocol, "metric": claim.get("metric", "ndcg"), "k": claim.get("k", 10)}
    models = {name: Model(m.values, kind="closed-form", **measure) for name, m in three().items()}
    known = {protocol: {"title": "S", "why": "w", "target": "test", "metrics": ["ndcg", "recall"],
                        "k": [10, 20], "views": [BOTH]}}  # fmt: skip
    row = judged(write(tmp_path / "s", {claim.get("datasets", [LOO])[0]: models}, [claim], known)).iloc[0]
    assert f"printed values are not compared with ours: {why}" in row["reason"]
    assert pd.isna(row["share"]) and row["published"] > 0


# ------------------------------------------------------------------- rows of two evaluators

EVALUATOR = {
    "name": "evaluator", "title": "Evaluator?", "statement": "the gain remains", "kind": "gain",
    "model": "gsprec", "protocol": "gsprec", "metric": "ndcg_hit", "rival_protocol": "higsp",
    "rival_metric": "ndcg_set", "published": "gsprec/table4",
}  # fmt: skip
PROTOCOLS = {
    name: {"title": name, "why": "w", "target": "test", "metrics": [metric], "k": [10], "views": [BOTH]}
    for name, metric in (("gsprec", "ndcg_hit"), ("higsp", "ndcg_set"))
}


def two_metrics(**more: tuple[float, float]) -> dict[str, list[Model]]:
    means = {"gsprec": (0.76, 0.69), "gfcf": (0.75, 0.68), "higsp": (0.77, 0.70), "ease": (0.9, 0.9)} | more
    base = BASE - BASE.mean()
    return {
        name: [Model(above(base, mean, i), kind="closed-form", protocol=p, metric=m)
               for mean, p, m in zip(pair, ("gsprec", "higsp"), ("ndcg_hit", "ndcg_set"), strict=True)]
        for i, (name, pair) in enumerate(means.items())
    }  # fmt: skip


def test_a_gain_is_taken_by_each_rows_own_metric_and_by_one_for_all(tmp_path: Path) -> None:
    rows = judged(write(tmp_path / "s", {"ml-100k.higsp": two_metrics()}, [EVALUATOR], PROTOCOLS))
    whole = rows[rows["scope"].isin(["claim", "reading"])].set_index("reading")
    assert list(whole.index) == ["", "each row by its own metric", "ndcg_set for all"]
    assert list(whole["rival"]) == ["higsp"] * 3
    np.testing.assert_allclose(whole["ours"], [0.76, 0.76, 0.69])
    np.testing.assert_allclose(whole["ours_rival"], [0.77, 0.70, 0.70])
    np.testing.assert_allclose(whole["gain"], [0.76 / 0.77 - 1, 0.76 / 0.70 - 1, 0.69 / 0.70 - 1])
    assert list(whole["verdict"]) == [NOT_REPRODUCED, "", ""]
    own = whole.loc["each row by its own metric"]
    assert (own["metric"], own["rival_metric"]) == ("ndcg_hit", "ndcg_set")
    assert own["share"] == pytest.approx((0.76 / 0.70 - 1) / (0.7572 / 0.7092 - 1))
    assert "EASE" not in set(rows["rival"]) and "ease" not in set(rows["rival"])


def test_a_printed_value_of_another_definition_is_marked_wherever_it_stands(tmp_path: Path) -> None:
    claim = validate(ClaimConfig, EVALUATOR, "claim")
    files = write(tmp_path / "s", {"ml-100k.higsp": two_metrics()}, [EVALUATOR], PROTOCOLS)
    rows = judged(files)
    told, table = claims.tell(files, claim, rows), claims.layout(files, claim, rows)
    (sentence,) = (text for text in told if "The paper prints" in text)
    assert re.search(
        r"prints 0\.\d{4} against 0\.\d{4} \[another definition \(ndcg_set\)\] of FaGSP", sentence
    )
    printed = [column.title for column in table.columns].index("printed of that")
    marked = {row[printed].text[-1:] for row in table.rows if row[printed].text}
    assert "\u2020" in marked
    assert "\u2020 another definition (ndcg_set): not compared with ours." in table.notes


# -------------------------------------------------------------------------------- ablations


def variants(**gaps: float) -> list[Model]:
    return [closed(gap, i, variant=name) for i, (name, gap) in enumerate(gaps.items())]


ABLATION = {
    "name": "parts", "title": "Parts?", "kind": "ablation", "model": "wpgrec", "protocol": "wpgrec",
    "pairs": [{"better": "full", "worse": name, "claim": f"{name} helps"} for name in ("a", "b", "c", "d")],
}  # fmt: skip


def test_an_ablation_has_a_row_and_a_verdict_a_pair(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: {"wpgrec": variants(full=0, a=-0.02, b=0.0, c=0.02)}}, [ABLATION])
    rows = judged(files)
    assert list(rows["verdict"]) == [REPRODUCED, CANNOT_TELL, NOT_REPRODUCED, CANNOT_TELL]
    assert list(rows["statement"]) == ["a helps", "b helps", "c helps", "d helps"]
    assert rows["reason"].tolist()[3] == "WPGRec (d): no number (no run)"
    assert set(rows["scope"]) == {"claim"}
    text = " ".join(claims.tell(files, files.config.claims[0], rows))
    assert '"a helps": reproduced. WPGRec (full) has' in text
    assert "A true difference of 0." in text and ") would be found in 80 % of such tests." in text


def test_what_cannot_be_told_has_a_reason_in_its_row_and_the_row_has_its_history(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: three(dgrec=closed(0.0005))}, [GAIN])
    rows = judged(files)
    untold = rows[rows["verdict"] == CANNOT_TELL]
    assert len(untold) == 2 and set(untold["reason"]) == {"the interval holds 0"}
    table = claims.layout(files, files.config.claims[0], rows)
    assert [line[1].text for line in table.rows] == ["train+valid"] * 2
    old = rows.assign(reason=["", "", "", *["x"] * (len(rows) - 3)][: len(rows)])
    again = claims.give_reasons(claims.give_reasons(old))
    assert (again["reason"] == rows["reason"]).all(), "files of earlier versions get them, once"


# ------------------------------------------------------------------------ words and files


def test_a_reader_gets_verdict_number_interval_and_then_the_caveat(tmp_path: Path) -> None:
    crowd = three(dgrec=closed(0.01, curve=[0.1, 0.2]), ease=closed(0.03))
    claim = GAIN | {
        "published": "wpgrec/table1",
        "caption": "A caption.",
        "rivals": ["bsarec", "dgrec", "sgl"],
    }
    files = write(tmp_path / "s", {LOO: crowd}, [claim])
    names = draw_numbers(files.folder)
    assert {"claims.csv", "claims.md"} <= set(names)
    text = claims.tell(files, files.config.claims[0], claims.read(files.folder))[0]
    parts = ["LASTFM.LOO: not reproduced.", "WPGRec has 0.", "DGRec, the best rival", "(-0.0",
             "The paper prints 0.0532 against 0.0495", "Note: not in this study: sgl.",
             "EASE, which the claim does not name, has 0."]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    html = "\n".join(render([files.folder], ROOT).values())
    for part in ('<strong class="verdict not-reproduced">not reproduced</strong> LASTFM.LOO', "A caption.",
                 "Claim: WPGRec is above every baseline.", "When a claim counts as reproduced",
                 "results/studies/hand/claims.csv"):  # fmt: skip
        assert part in html
    assert html.index("Claims</h2>") < html.index("What is measured</h3>")
    again = write(tmp_path / "t", {LOO: crowd}, [claim])
    assert draw_numbers(again.folder) == names
    for name in ("claims.csv", "claims.md"):
        assert (again.folder / name).read_bytes() == (files.folder / name).read_bytes()


def test_every_kind_is_told_and_laid_out(tmp_path: Path) -> None:
    data = {LOO: three() | {"wpgrec": [Model(BASE, kind="closed-form"), *variants(full=0, a=-0.02)]}}
    listed = [GAIN, ABLATION, ORDER, VALUE]
    files = write(tmp_path / "s", data, listed)
    draw_numbers(files.folder)
    frame = claims.read(files.folder)
    for claim in files.config.claims:
        rows = frame[frame["claim"] == claim.name]
        told, table = claims.tell(files, claim, rows), claims.layout(files, claim, rows)
        assert len(told) >= 2 and told[-1].startswith("Measured: ndcg@10, protocol wpgrec")
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
        assert not any("nan" in part.lower().split() for part in told)


@pytest.mark.parametrize(
    ("leaky", "by", "before"),
    [("wpgrec", -0.01, REPRODUCED), ("dgrec", -0.01, REPRODUCED), ("dgrec", 0.01, NOT_REPRODUCED)],
)
def test_lists_that_may_know_the_test_part_decide_nothing(
    leaky: str, by: float, before: str, tmp_path: Path
) -> None:
    """A list that held the test items made a claim "reproduced"; only a note below a table said so."""
    files = write(tmp_path / "s", {LOO: three(dgrec=closed(by, 2))}, [GAIN])
    key = files.runs.loc[files.runs["model"] == leaky, "key"].iloc[0]
    lists = {"dataset": LOO, "model": leaky, "key": key, "seed": 0, "history": "train", "doubts": []}
    assert verdict(files)[0] == before
    files.study["elsewhere"] = [lists | {"leaks": ["they begin with the test items"]}]
    found, reason = verdict(files)
    assert found == CANNOT_TELL and "not compared: they begin with the test items" in reason
    write_json(files.folder / "study.json", files.study)
    draw_numbers(files.folder)
    summary = (files.folder / "summary.txt").read_text(encoding="utf-8")
    assert f"on {LOO.upper()}: they begin with the test items" in summary


def test_a_claim_without_any_run_says_so(tmp_path: Path) -> None:
    listed = [{**c, "groups": ["nobody"]} for c in (GAIN, ABLATION, ORDER, VALUE)]
    files = write(tmp_path / "s", {LOO: three()}, listed)
    draw_numbers(files.folder)
    frame = claims.read(files.folder)
    judged = (frame["scope"] == "claim") & (frame["verdict"] == "cannot tell")
    summary = (files.folder / "summary.txt").read_text(encoding="utf-8")
    assert f"Judged statements: 0 reproduced, 0 not reproduced, {judged.sum()} cannot tell (" in summary
    said = [" ".join(claims.tell(files, c, frame[frame["claim"] == c.name])) for c in files.config.claims]
    assert "LASTFM.LOO: cannot tell." in said[0] and "WPGRec: no number (no run)" in said[0]
    assert "WPGRec (full): no number (no run); WPGRec (a): no number (no run)" in said[1]
    assert said[2] == "No run of this study belongs to this claim, so nothing can be said."
    assert "WPGRec has no number, 0.0532 is printed." in said[3]


def test_a_study_without_claims_writes_none(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: three()}, [])
    assert draw(files.folder, ROOT) == ["standings.csv", "standings.svg", "summary.txt", "audit.csv"]


OPTIMUM = GAIN | {"kind": "optimum", "rivals": [], "settings": {"center": 0.2}}


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (GAIN | {"kind": "ablation", "rivals": []}, "needs `pairs`"),
        (GAIN | {"kind": "value", "rivals": []}, "needs `published`"),
        (GAIN | {"kind": "value"}, "'value' does not use `rivals`; it takes model, variant, statement, "),
        (GAIN | {"rival_metric": "ndcg_set"}, "`rival_metric` and `rival_protocol` are given together"),
        (GAIN | {"rival_metric": "ndcg", "rival_protocol": "standard"}, "`rival_metric` needs `published`"),
        (GAIN | {"kind": "best"}, "kind"),
        ({k: v for k, v in GAIN.items() if k != "statement"}, "a claim of kind gain needs `statement`"),
        (ORDER | {"papers": ["p"]}, "kind 'order' does not use `papers`; it takes"),
        (OPTIMUM | {"settings": {}}, "a claim of kind optimum needs `settings`"),
        (OPTIMUM | {"settings": {"center": {}}}, "settings.center: needs `min`, `max` or both"),
        (OPTIMUM | {"settings": {"center": {"min": 1, "max": 0}}}, "`min` must not be above `max`"),
        (OPTIMUM | {"settings": {"center": []}}, "settings.center"),
        (OPTIMUM | {"settings": {"center": {"from": 1}}}, "settings.center.from: unknown key"),
        (ABLATION | {"settings": {"center": 0.2}}, "does not use `settings`; it takes"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_refused(claim: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ClaimConfig, claim, "study.yaml")


def test_old_studies_are_read_without_claims(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: three()}, [GAIN])
    path = files.folder / "study.json"
    path.write_text(path.read_text().replace('"claims"', '"findings"'))
    assert StudyResults(files.folder).config.claims == []
