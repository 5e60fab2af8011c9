"""Floor 5: published numbers are found by our names, and the audit finds what is known of them."""

from __future__ import annotations

from pathlib import Path

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


def findings(published: Published, table: str, rule: str) -> set[tuple[str, str]]:
    frame = audit(published, [table])
    frame = frame[frame["rule"] == rule]
    return set(zip(frame["dataset"], frame["method"], strict=True))


def test_audit_finds_what_is_known_of_gsprec(published: Published) -> None:
    falling = findings(published, "gsprec/table4", "mrr-decreases")
    assert len(falling) == 39
    assert not [pair for pair in falling if pair[1] in ("GSPRec", "Popularity")]
    assert ("amazon-beauty", "JGCF") not in falling
    assert ("ml-100k", "IMP-GCN") in findings(published, "gsprec/table4", "repeated-cell")


def test_audit_finds_what_is_known_of_sdiff_and_wpgrec(published: Published) -> None:
    odd = findings(published, "sdiff/table1", "recall-ratio")
    assert {("amazon-book", "DiffRec"), ("ml-1m", "LinkProp"), ("ml-1m", "BSPM"), ("ml-1m", "S-Diff")} <= odd
    assert ("ml-1m", "DiffRec") not in odd
    assert findings(published, "sdiff/table3", "misplaced-point") == {("ml-1m", "DDPM in Spectral")}
    impossible = findings(published, "wpgrec/table1", "one-target")
    assert len(impossible) == 19
    assert not [pair for pair in impossible if pair[1] == "BERT4Rec"]


def test_audit_of_the_study_covers_the_papers_it_refers_to(drawn: Path) -> None:
    assert set(read_audit(drawn)["table"]) == {"sdiff/table1", "sdiff/table3"}
