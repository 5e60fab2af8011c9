"""Floor 5: published numbers are found by our names, and the audit finds what is known of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.study import ClaimConfig
from recspectra.reporting.audit import audit, read_audit
from recspectra.reporting.published import Published, PublishedValues

# ---------------------------------------------------------------------------- published


def test_every_published_method_and_dataset_is_mapped(published: Published) -> None:
    for table_id, table in published.tables.items():
        values = published.values(table_id)
        assert set(values["method"]) == set(table.methods)
        assert set(table.datasets) <= set(values["dataset"])
        named = {method for entry in table.evaluators for method in entry.methods}
        assert named <= set(table.methods)
        assert not table.metrics or named == set(table.methods)
    assert set(published.rows["id"]) == set(published.tables)


@pytest.mark.parametrize(
    ("question", "value", "same"),
    [
        (("sdiff/table1", "ml-1m.diffrec", "diffrec", "recall", 10), 0.1058, True),
        (("sdiff/table1", "ml-1m.diffrec", "diffrec", "recall_min", 10), 0.1058, False),
        (("sdiff/table1", "yelp.diffrec", "linkprop", "ndcg", 20), 0.0485, True),
        (("sdiff/table1", "ml-1m.diffrec", "linkprop", "recall", 20), 0.1509, None),
        (("sdiff/table1", "ml-1m.diffrec", "giffcf", "recall", 10), 0.1108, True),
        (("sdiff/table1", "ml-1m.diffrec", "giffcf", "recall_min", 20), 0.1977, False),
        (("giffcf/readme", "ml-1m.diffrec", "giffcf", "recall_min", 10), 0.1308, True),
        (("giffcf/readme", "ml-1m.diffrec", "giffcf", "recall", 20), 0.2024, False),
        (("giffcf/readme", "ml-1m.diffrec", "giffcf", "ndcg", 20, "first"), 0.1221, True),
        (("gsprec/table4", "ml-100k.higsp", "higsp", "ndcg", 10), 0.7021, False),
        (("gsprec/table4", "ml-100k.higsp", "higsp", "ndcg_set", 10), 0.7021, True),
        (("gsprec/table4", "amazon-beauty.higsp", "popularity", "ndcg_hit", 20), 0.0256, True),
        (("gsprec/table4", "amazon-beauty.higsp", "jgcf", "mrr", 5), 0.0535, None),
        (("sdiff/table3", "ml-1m.diffrec", "sdiff", "ndcg", 10, "schedule=ve"), 0.0942, True),
        (("papers/lightgcn-split", "gowalla", "bspm", "recall", 20), 0.1920, True),
        (("papers/lightgcn-split", "gowalla", "bspm", "recall", 20, "late"), 0.1901, True),
        (("papers/lightgcn-split", "gowalla", "svdae", "recall_min", 10), 0.1440, True),
        (("bars/lightgcn-split", "yelp2018", "ease", "hr", 20), 0.3966, True),
        (("reruns/lightgcn-split", "gowalla", "popularity", "ndcg", 20), 0.0317, True),
    ],
)
def test_lookup(published: Published, question: tuple, value: float, same: bool | None) -> None:
    found = published.lookup(*question)
    assert found is not None
    assert (found.value, found.same_definition) == (value, same)


def test_lookup_of_what_was_not_published(published: Published) -> None:
    assert published.lookup("sdiff/table1", "ml-1m.diffrec", "ease", "recall", 10) is None
    assert published.lookup("sdiff/table1", "tiny", "sdiff", "recall", 10) is None
    assert published.lookup("sdiff/table1", "ml-1m.diffrec", "sdiff", "mrr", 10) is None
    assert published.lookup("sdiff/table3", "ml-1m.diffrec", "sdiff", "ndcg", 10) is None
    with pytest.raises(ConfigError, match=r"sdiff/table9.*did you mean 'sdiff/table"):
        published.lookup("sdiff/table9", "ml-1m.diffrec", "sdiff", "recall", 10)


def test_the_printed_gain_is_over_the_rivals_of_the_claim(published: Published) -> None:
    text = {"name": "c", "title": "C", "kind": "gain", "model": "sdiff", "statement": "It is above",
            "published": "sdiff/table1", "metric": "recall", "k": 20}  # fmt: skip
    gains = [
        PublishedValues(published, ClaimConfig(**text, rivals=rivals)).gain("ml-1m.diffrec")
        for rivals in ([], ["linkprop", "bspm"], ["ease", "bspm"], ["spectral_ridge"])
    ]
    assert [(g.rival, g.value) if g else None for g in gains] == [
        ("Giff", 0.1977), ("BSPM", 0.1740), ("BSPM", 0.1740), None
    ]  # fmt: skip


# -------------------------------------------------------------------------------- audit


@pytest.fixture(scope="module")
def audited(published: Published) -> pd.DataFrame:
    return audit(published, ["gsprec/table4", "sdiff/table1", "wpgrec/table1"])


def found(audited: pd.DataFrame, table: str, rule: str) -> pd.DataFrame:
    return audited[(audited["rule"] == rule) & (audited["table"] == table)]


def test_audit_finds_cells_of_other_models(audited: pd.DataFrame) -> None:
    rows = found(audited, "gsprec/table5", "repeated-across-tables").set_index("method")["detail"]
    assert set(rows.index) == {"GSPRec-NB", "GSPRec-NL"}
    assert "ndcg@10=0.6042 is HiGSP's ndcg@10 in gsprec/table4" in rows["GSPRec-NL"]
    assert "mrr@10=0.5229 is FaGSP's mrr@10 in gsprec/table4" in rows["GSPRec-NL"]
    assert "ndcg@10=0.5769 is HiGSP's ndcg@20 in gsprec/table4" in rows["GSPRec-NB"]


def test_audit_recomputes_improvements(audited: pd.DataFrame) -> None:
    rows = found(audited, "gsprec/table4", "improvement")
    assert list(rows["dataset"]) == ["ml-1m", "all", "all"]
    assert rows["detail"].iloc[0] == "the printed cells give +1.90% over JGCF; it is the gain over FaGSP"
    assert "it is the gain on ml-100k alone" in rows["detail"].iloc[1]
    assert "+12.73%" in rows["detail"].iloc[2]
    assert found(audited, "wpgrec/table1", "improvement").empty
    assert found(audited, "gsprec/table6", "improvement").empty


def test_audit_finds_one_model_with_two_values(audited: pd.DataFrame) -> None:
    rows = found(audited, "sdiff/table3", "differs-across-tables")
    assert list(rows["cells"]) == ["recall@10=0.1255"]
    for table in ("gsprec/table5", "gsprec/table6", "wpgrec/table3"):
        assert found(audited, table, "differs-across-tables").empty


def test_audit_sees_that_a_row_has_an_evaluator_of_its_own(audited: pd.DataFrame) -> None:
    rows = found(audited, "gsprec/table4", "ndcg-mrr-ratio")
    own = rows[rows["method"] == "GSPRec"]
    assert set(own["dataset"]) == {"ml-100k", "ml-1m", "netflix", "amazon-beauty"}
    assert not set(rows["method"]) & {"HiGSP", "GF-CF", "PGSP", "FaGSP", "LightGCN", "SimpleX"}


def pairs(audited: pd.DataFrame, table: str, rule: str) -> set[tuple[str, str]]:
    rows = found(audited, table, rule)
    return set(zip(rows["dataset"], rows["method"], strict=True))


def test_audit_finds_what_is_known_of_gsprec(audited: pd.DataFrame) -> None:
    falling = pairs(audited, "gsprec/table4", "mrr-decreases")
    assert len(falling) == 39
    assert not [pair for pair in falling if pair[1] in ("GSPRec", "Popularity")]
    assert ("amazon-beauty", "JGCF") not in falling
    assert ("ml-100k", "IMP-GCN") in pairs(audited, "gsprec/table4", "repeated-cell")


def test_audit_finds_what_is_known_of_sdiff_and_wpgrec(audited: pd.DataFrame) -> None:
    odd = pairs(audited, "sdiff/table1", "recall-ratio")
    assert {("amazon-book", "DiffRec"), ("ml-1m", "LinkProp"), ("ml-1m", "BSPM"), ("ml-1m", "S-Diff")} <= odd
    assert ("ml-1m", "DiffRec") not in odd
    assert pairs(audited, "sdiff/table3", "misplaced-point") == {("ml-1m", "DDPM in Spectral")}
    assert ("yelp", "S-Diff") in pairs(audited, "sdiff/table1", "ndcg-ratio")
    impossible = pairs(audited, "wpgrec/table1", "one-target")
    assert len(impossible) == 19
    assert not [pair for pair in impossible if pair[1] == "BERT4Rec"]


def test_audit_of_the_study_covers_the_papers_it_refers_to(drawn: Path) -> None:
    assert set(read_audit(drawn)["table"]) == {"sdiff/table1", "sdiff/table3"}


def test_claims_name_rows_that_are_printed(published: Published) -> None:
    known = set(zip(published.rows["id"], published.rows["method"], published.rows["metric"], strict=True))
    for claim in published.improvements.itertuples(index=False):
        assert (claim.id, claim.method, claim.metric) in known
        assert not claim.over or (claim.id, claim.over, claim.metric) in known
        float(claim.value)


def test_rows_that_stand_for_others_exist(published: Published) -> None:
    for table_id, table in published.tables.items():
        for method in table.same:
            assert method in table.methods
            origin, name = published.origin(table_id, method)
            assert name in published.tables[origin].methods and origin != table_id
