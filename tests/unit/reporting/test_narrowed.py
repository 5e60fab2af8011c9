"""A narrowed study: what its user left out is told on its page, in Markdown and in the reasons of claims."""

from __future__ import annotations

import json
from pathlib import Path

from hand_made import BASE, LOO, ROOT, Model, above, judged, write
from small_study import draw_numbers

from recspectra.config.catalog import Catalog
from recspectra.config.scale import Choice
from recspectra.reporting import claims
from recspectra.reporting.results import StudyResults
from recspectra.reporting.site import render

CLAIM = {"name": "best", "title": "Best?", "statement": "WPGRec is above every baseline", "kind": "gain",
         "model": "wpgrec", "protocol": "wpgrec", "rivals": ["bsarec", "dgrec"]}  # fmt: skip
OUT = {"by": "MODELS=wpgrec,bsarec", "models": {"dgrec": "DGRec", "ease": "EASE"},
       "runs": [["dgrec", "default"]], "figures": ["sens", "abl"], "claims": ["parts"]}  # fmt: skip
SAID = ('Narrowed by MODELS=wpgrec,bsarec: DGRec and EASE take no part; the figures "sens", "abl" and the '
        'claim "parts" are not shown.')  # fmt: skip


def narrowed(folder: Path, claim: dict = CLAIM) -> StudyResults:
    """Write a study of two models, whose third was left out by its user."""
    rival = Model(above(BASE, -0.02, 1), kind="closed-form")
    write(folder, {LOO: {"wpgrec": Model(BASE, kind="closed-form"), "bsarec": rival}}, [claim])
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"left_out": OUT}), "utf-8")
    return StudyResults(folder)


def test_a_rival_that_was_left_out_is_the_reason_and_stands_first(tmp_path: Path) -> None:
    files = narrowed(tmp_path / "s")
    rows = judged(files)
    assert (rows["verdict"][0], rows["reason"][0]) == (
        "cannot tell", "left out by MODELS=wpgrec,bsarec: DGRec"
    )  # fmt: skip
    text = claims.tell(files, files.config.claims[0], rows)[0]
    assert text.startswith(
        "LASTFM.LOO: cannot tell. Reason: left out by MODELS=wpgrec,bsarec: DGRec. WPGRec has"
    )


def test_rivals_of_a_printed_table_are_told_from_those_that_the_study_never_had(tmp_path: Path) -> None:
    rows = judged(narrowed(tmp_path / "s", CLAIM | {"rivals": [], "published": "wpgrec/table1"}))
    assert "left out by MODELS=wpgrec,bsarec: DGRec; not in this study: " in rows["reason"][0]


def test_page_and_markdown_say_what_is_not_shown(tmp_path: Path) -> None:
    files = narrowed(tmp_path / "s")
    draw_numbers(files.folder)
    assert (files.folder / "claims.md").read_text("utf-8").startswith(SAID)
    page = render([files.folder], ROOT)["study-hand.html"]
    assert page.index("Narrowed by MODELS=wpgrec,bsarec") < page.index("Claims</h2>")


def test_the_catalog_finds_what_is_left_out(tmp_path: Path) -> None:
    whole = Catalog(ROOT).study("quickstart")
    part = Catalog(ROOT).study("quickstart", choice=Choice(models=["popularity", "ease"]))
    assert not whole.left_out.by and not whole.left_out.runs
    out, has = part.left_out, {item.name for item in part.config.figures}
    assert out.by == "MODELS=popularity,ease" and out.models["gfcf"] == "GF-CF" and "ease" not in out.models
    assert out.figures == [f.name for f in whole.config.figures if f.name not in has] != []
    assert not Catalog(ROOT).study("quickstart", choice=Choice(models=["no-such"])).left_out.by
