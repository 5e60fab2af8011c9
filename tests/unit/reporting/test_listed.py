"""Statements of papers, listed in a file: what may stand there, and how each is judged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hand_made import BASE, LOO, ROOT, Model, above, closed, write
from own_study import refused

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.statements import COLUMNS, STATEMENTS, Known, Statement, read_statements
from recspectra.config.study import ClaimConfig
from recspectra.config.yaml_io import validate
from recspectra.reporting import claims
from recspectra.reporting.claims import judge
from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from recspectra.reporting.pages import study
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults

LINE = {
    "paper": "p", "place": "Table 1", "statement": "EASE is above SGL", "kind": "gain", "subject": "ease",
    "rival": "sgl", "dataset": LOO, "metric": "ndcg", "k": "10", "protocol": "wpgrec", "published": "0.12",
    "published_rival": "0.10", "source": "its page",
}  # fmt: skip
VALUE = LINE | {"kind": "value", "rival": "", "published_rival": "", "statement": "EASE has 0.12"}
KNOWN = Known(["ease", "sgl"], [LOO], {"wpgrec": (["ndcg"], [10])})
CLAIM = {"name": "field", "title": "What is said?", "kind": "listed", "protocol": "wpgrec", "margin": 0.003}


def put(root: Path, *lines: dict[str, str]) -> Path:
    """Write the file of statements of a project folder."""
    (root / STATEMENTS).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(lines, columns=list(COLUMNS)).to_csv(root / STATEMENTS, index=False)
    return root


# ------------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": "eas"}, "line 3, column subject: unknown: 'eas'; did you mean 'ease'"),
        ({"rival": "slg"}, "line 3, column rival: unknown: 'slg'; did you mean 'sgl'"),
        ({"dataset": "lastfm"}, "line 3, column dataset: unknown: 'lastfm'; did you mean 'lastfm.loo'"),
        ({"protocol": "wpg"}, "line 3, column protocol: unknown: 'wpg'; did you mean 'wpgrec'"),
        ({"metric": "recall"}, "line 3, column metric: unknown: 'recall'"),
        ({"k": "20"}, "line 3, column k: unknown: '20'"),
        ({"k": "ten"}, "line 3, column k: 'ten' is no number"),
        ({"published": "12%"}, "line 3, column published: '12%' is no number"),
        ({"published": "0.09"}, "line 3, column published: must be above published_rival"),
        ({"published_rival": ""}, "line 3, column published_rival: a gain needs it"),
        ({"kind": "value"}, "line 3, column rival: a value has none"),
        ({"kind": "order"}, "line 3: kind: .*'gain' or 'value'"),
        ({"source": ""}, "line 3, column source: must not be empty"),
        ({"subject": "ease/other"}, "line 4: says the same as line 3"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_refused_with_its_number_and_column(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    wrong = LINE | {"place": "Table 2"} | change
    root = put(tmp_path, LINE, wrong, *([wrong] if "same" in message else []))
    with pytest.raises(ConfigError, match=f"^config/published/claims.csv: {message}"):
        read_statements(root, KNOWN)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    root = put(tmp_path, LINE)
    path = root / STATEMENTS
    text = path.read_text()
    path.write_text(text.replace("its page", "a, b"))
    with pytest.raises(ConfigError, match="line 2: has not as many cells as line 1"):
        read_statements(root)
    path.write_text(text.replace("protocol", "evaluator"))
    with pytest.raises(ConfigError, match="line 1: column protocol is missing"):
        read_statements(root)
    path.write_text("")
    with pytest.raises(ConfigError, match="line 1: column paper, place, .* is missing"):
        read_statements(root)
    path.write_text(text, encoding="utf-8-sig")
    assert len(read_statements(root)) == 1
    path.unlink()
    with pytest.raises(ConfigError, match=r"claims\.csv: cannot be read"):
        read_statements(root)


def test_the_shipped_statements_name_what_there_is() -> None:
    found = Catalog(ROOT).statements
    assert sum(one.kind == "gain" for one in found) >= 40
    by_paper = {paper: {one.dataset for one in found if one.paper == paper} for paper in ("bars", "wpgrec")}
    assert by_paper["bars"] == {"gowalla", "yelp2018"}
    assert by_paper["wpgrec"] == set(Catalog(ROOT).study("wpgrec").config.datasets)


def test_the_shipped_numbers_are_those_of_the_published_tables() -> None:
    """Where a table of `results.csv` prints what a statement says, both say the same."""
    published, checked = Published(ROOT), 0
    for one in Catalog(ROOT).statements:
        for table in ("papers/lightgcn-split", "bars/lightgcn-split", "reruns/lightgcn-split"):
            if one.paper == "bars" and not table.startswith("bars"):
                continue
            model, _, variant = one.subject.partition("/")
            there = published.lookup(table, one.dataset, model, one.metric, one.k, variant or "default")
            if there and (one.paper in ("bars", "gf-cf", "pgsp")):
                assert one.published == pytest.approx(there.value, abs=1.1e-4), one
                checked += 1
    assert checked >= 40


def test_what_wpgrec_says_of_its_gains_is_in_its_table() -> None:
    published = Published(ROOT)
    own = [one for one in Catalog(ROOT).statements if one.paper == "wpgrec"]
    assert len(own) == 9
    for one in own:
        for model, value in ((one.subject, one.published), (one.rival, one.published_rival)):
            found = published.lookup("wpgrec/table1", one.dataset, model, one.metric, one.k, printed="ml-1m")
            assert found is not None and found.value == value, one


def test_a_claim_about_a_paper_that_says_nothing_is_refused(tmp_path: Path) -> None:
    claim = {"name": "a", "title": "A", "kind": "listed", "protocol": "lightgcn", "papers": ["gfcf"]}
    found = refused(tmp_path, datasets=["gowalla"], protocols=["lightgcn"], claims=[claim])
    assert "claims[0].papers: nothing of 'gfcf'" in found and found.endswith("did you mean 'gf-cf'?")


# ---------------------------------------------------------------------------- the verdicts


def listed(tmp_path: Path, models: dict[str, Model], *lines: dict[str, str], **claim: object) -> pd.DataFrame:
    files = write(tmp_path / "study", {LOO: models}, [CLAIM | claim])
    published = Published(ROOT)
    published.statements = read_statements(put(tmp_path, *lines))
    return judge(files, published)


@pytest.mark.parametrize(
    ("rival", "verdict", "reason"),
    [
        (closed(-0.01), REPRODUCED, ""),
        (closed(0.01), NOT_REPRODUCED, ""),
        (closed(0.0), CANNOT_TELL, "the interval holds 0"),
        (closed(-0.01, status="capped"), CANNOT_TELL, "SGL: ended by a cap"),
        (closed(0.01, status="capped"), NOT_REPRODUCED, "SGL: ended by a cap"),
        (None, CANNOT_TELL, "sgl: no number (no run)"),
    ],
    ids=["below", "above", "equal", "capped-below", "capped-above", "absent"],
)
def test_a_statement_that_a_model_is_above_another(
    tmp_path: Path, rival: Model | None, verdict: str, reason: str
) -> None:
    models = {"ease": Model(BASE, kind="closed-form")} | ({"sgl": rival} if rival else {})
    row = listed(tmp_path, models, LINE).iloc[0]
    assert (row["verdict"], row["reason"]) == (verdict, reason)
    assert row["published_gain"] == pytest.approx(0.2)
    assert (row["paper"], row["kind"], row["scope"], row["k"]) == ("p", "gain", "listed", 10)
    if rival and verdict == REPRODUCED:
        assert row["share"] == pytest.approx(row["gain"] / 0.2)
        assert row["ci_low"] > 0 and row["p"] <= 0.05


@pytest.mark.parametrize(("off", "verdict"), [(0.001, REPRODUCED), (0.01, NOT_REPRODUCED)])
def test_a_statement_of_a_printed_value(tmp_path: Path, off: float, verdict: str) -> None:
    line = VALUE | {"published": f"{BASE.mean() + off:.4f}"}
    row = listed(tmp_path, {"ease": Model(BASE, kind="closed-form")}, line).iloc[0]
    assert row["verdict"] == verdict and row["difference"] == pytest.approx(-off, abs=1e-4)


def test_a_paper_is_a_family_and_others_change_nothing(tmp_path: Path) -> None:
    models = {"ease": Model(BASE, kind="closed-form"), "sgl": closed(-0.01)}
    models["dgrec"] = Model(above(BASE, -0.002, 9), kind="closed-form")
    mine = listed(tmp_path / "a", models, LINE).iloc[0]
    other = [LINE | {"paper": "q", "rival": name} for name in ("dgrec", "sgl")]
    both = listed(tmp_path / "b", models, other[0], LINE, other[1])
    same = both[both["paper"] == "p"].iloc[0]
    assert (same["ci_low"], same["p"]) == (mine["ci_low"], mine["p"])
    assert list(both["paper"]) == ["q", "p", "q"]  # the order of the file
    second = LINE | {"rival": "dgrec", "place": "Table 2"}
    wider = listed(tmp_path / "c", models, LINE, second).iloc[0]
    assert wider["ci_low"] < mine["ci_low"]  # the paper says more, so each interval is wider


def test_only_what_the_claim_is_about_is_judged(tmp_path: Path) -> None:
    lines = [LINE, LINE | {"paper": "q"}, LINE | {"dataset": "gowalla"}, LINE | {"protocol": "standard"}]
    models = {"ease": Model(BASE, kind="closed-form"), "sgl": closed(-0.01)}
    found = listed(tmp_path, models, *lines, papers=["p"])
    assert list(found["paper"]) == ["p"] and list(found["dataset"]) == [LOO]


def test_statements_are_counted_in_words_and_those_that_do_not_hold_stand_first(tmp_path: Path) -> None:
    lines = [LINE, LINE | {"rival": "dgrec", "statement": "EASE is above DGRec"}]
    models = {"ease": Model(BASE, kind="closed-form"), "sgl": closed(-0.01), "dgrec": closed(0.01)}
    rows = listed(tmp_path, models, *lines)
    files = StudyResults(tmp_path / "study")
    shown = study._claim(files, files.config.claims[0], rows).rows
    title = files.titles.get(LOO, LOO)
    assert [(row["title"], row["verdict"]) for row in shown] == [
        (f"{title}, EASE is above DGRec, ndcg@10", NOT_REPRODUCED),
        (f"{title}, EASE is above SGL, ndcg@10", REPRODUCED),
    ]
    told = claims.tell(files, files.config.claims[0], rows)
    assert "of 2 statements 1 reproduced, 1 not reproduced, 0 cannot tell." in told[0]
    assert "Not reproduced: EASE is above DGRec in ndcg@10 (p, " in told[0]
    assert "within 0.003 of it" in told[-1]
    table = claims.layout(files, files.config.claims[0], rows)
    header = [column.title for column in table.columns]
    assert {"claim", "paper", "metric", "gain", "printed gain", "verdict"} <= set(header)
    assert [row[header.index("printed gain")].text for row in table.rows] == ["+20.0%", "+20.0%"]


def test_a_study_on_disk_is_read_back(tmp_path: Path) -> None:
    """What a study keeps of a claim has every key, those too that were not given."""
    claim = validate(ClaimConfig, CLAIM, "study.yaml").model_dump()
    assert validate(ClaimConfig, claim, "study.json").margin == 0.003


def test_a_statement_knows_its_models() -> None:
    cells = {**LINE, "k": 10, "published": 0.12, "published_rival": 0.1, "subject": "ease/big"}
    assert validate(Statement, cells, "x").models == ["ease", "sgl"]
