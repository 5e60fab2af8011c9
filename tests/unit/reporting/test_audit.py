"""The audit of published numbers finds what is wrong with them."""

from __future__ import annotations

import pandas as pd
import pytest

from recspectra.reporting.audit import audit
from recspectra.reporting.published import Published


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


def test_audit_finds_ndcg_that_does_not_grow_as_in_other_rows(audited: pd.DataFrame) -> None:
    rows = found(audited, "sdiff/table1", "ndcg-ratio")
    assert ("yelp", "S-Diff") in set(zip(rows["dataset"], rows["method"], strict=True))


def test_claims_name_rows_that_are_printed(published: Published) -> None:
    known = set(zip(published.rows["id"], published.rows["method"], published.rows["metric"], strict=True))
    for claim in published.claims.itertuples(index=False):
        assert (claim.id, claim.method, claim.metric) in known
        assert not claim.over or (claim.id, claim.over, claim.metric) in known
        float(claim.value)


def test_rows_that_stand_for_others_exist(published: Published) -> None:
    for table_id, table in published.tables.items():
        for method in table.same:
            assert method in table.methods
            origin, name = published.origin(table_id, method)
            assert name in published.tables[origin].methods and origin != table_id
