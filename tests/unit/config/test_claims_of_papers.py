"""The claims of the three papers: enough of them, each about runs that its study has."""

from __future__ import annotations

from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.study import ClaimConfig

CATALOG = Catalog(Path(__file__).resolve().parents[3])
STUDIES = ("gsprec", "sdiff", "wpgrec")


@pytest.fixture(scope="module", params=[False, True], ids=["what is here", "every dataset"])
def studies(request: pytest.FixtureRequest) -> dict[str, Study]:
    present = CATALOG.names("datasets") if request.param else ()
    return {name: CATALOG.study(name, present) for name in STUDIES}


def said(study: Study, claim: ClaimConfig) -> set[tuple[str, ...]]:
    """Return what a claim says: a sentence, one for each pair, or each listed line."""
    if claim.kind == "ablation":
        return {(claim.name, pair.claim) for pair in claim.pairs}
    if claim.kind != "listed":
        return {(claim.name, claim.statement)}
    own = [one for one in CATALOG.statements if one.paper in claim.papers]
    own = [one for one in own if one.dataset in study.config.datasets and one.protocol == claim.protocol]
    return {(one.dataset, one.metric, str(one.k), one.subject, one.rival) for one in own}


def test_the_papers_have_forty_claims_and_more(studies: dict[str, Study]) -> None:
    counts = {n: sum(len(said(s, claim)) for claim in s.config.claims) for n, s in studies.items()}
    assert counts["sdiff"] >= 40 and counts["wpgrec"] >= 40, counts
    assert all(said(s, claim) for s in studies.values() for claim in s.config.claims)


@pytest.mark.parametrize("name", STUDIES)
def test_every_claim_is_about_runs_that_there_are(studies: dict[str, Study], name: str) -> None:
    study = studies[name]
    for claim in study.config.claims:
        for dataset in claim.datasets or study.config.datasets:
            runs = [r for r in study.runs if r.dataset == dataset and r.group in claim.groups]
            own = {r.variant for r in runs if r.run.model == claim.model and r.run.fit == claim.fit}
            asked = {variant for pair in claim.pairs for variant in (pair.better, pair.worse)}
            assert asked <= own, (claim.name, dataset)
            if claim.kind == "gain":
                assert claim.variant in own, (claim.name, dataset)
                assert set(claim.rivals) <= {r.run.model for r in runs}, (claim.name, dataset)
