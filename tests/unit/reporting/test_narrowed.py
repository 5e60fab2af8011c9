"""A narrowed study: what its user left out is told on its page, in Markdown and in the reasons of claims."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hand_made import BASE, LOO, ROOT, Model, above, judged, write
from hand_made import GAIN as CLAIM
from own_study import load
from small_study import draw_numbers
from study_rows import change_study

from recspectra.config.catalog import Catalog
from recspectra.config.narrowed import LeftOut, words_of
from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.reporting import claims
from recspectra.reporting.results import StudyResults
from recspectra.reporting.site import render

OUT = {"by": "MODELS=wpgrec,bsarec", "models": {"dgrec": "DGRec", "ease": "EASE"},
       "runs": [["dgrec", "default"]], "figures": ["sens", "abl"], "claims": ["parts"],
       "of_claims": {"best": {LOO: [["dgrec", "default"]]}}}  # fmt: skip
SAID = ('Narrowed by MODELS=wpgrec,bsarec: DGRec and EASE take no part; the figures "sens", "abl" and the '
        'claim "parts" are not shown.')  # fmt: skip


def narrowed(folder: Path, claim: dict = CLAIM, gap: float = -0.02) -> StudyResults:
    """Write a study of two models, whose third was left out by its user."""
    rival = Model(above(BASE, gap, 1), kind="closed-form")
    write(folder, {LOO: {"wpgrec": Model(BASE, kind="closed-form"), "bsarec": rival}}, [claim])
    return change_study(folder, left_out=OUT)


def test_a_study_narrowed_to_many_models_names_a_few() -> None:
    """Every claim repeated the fourteen names that took part."""
    models = ["popularity", "ease", "gfcf", "bspm", "pgsp", "sgfcf", "slim"]
    choice = Choice(models=models, datasets=["ml-1m"])
    said = words_of(choice, ["models", "datasets"])
    assert said == "DATASETS=ml-1m MODELS=popularity,ease,gfcf and 4 more"


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


def test_a_model_below_a_rival_that_took_part_is_below_whatever_the_others_have(tmp_path: Path) -> None:
    files = narrowed(tmp_path / "s", CLAIM | {"published": "wpgrec/table1"}, gap=0.02)
    rows = judged(files)
    assert (rows["verdict"][0], rows["reason"][0]) == (
        "not reproduced", "WPGRec is below BSARec, which took part; left out by MODELS=wpgrec,bsarec: DGRec"
    )  # fmt: skip
    text = claims.tell(files, files.config.claims[0], rows)[0]
    assert "BSARec, the best rival that took part, 0." in text


@pytest.mark.parametrize("gap", [-0.02, 0.02])
def test_a_gain_over_those_that_took_part_is_no_share_of_the_printed_one(tmp_path: Path, gap: float) -> None:
    files = narrowed(tmp_path / "s", CLAIM | {"published": "wpgrec/table1"}, gap)
    rows = judged(files)
    assert rows["published_gain"][0] > 0 and pd.isna(rows["share"][0])
    files.left_out = LeftOut()
    assert pd.notna(judged(files)["share"][0])


def test_without_named_rivals_those_that_were_left_out_bar_a_gain_as_well(tmp_path: Path) -> None:
    rows = judged(narrowed(tmp_path / "s", CLAIM | {"rivals": []}))
    assert (rows["verdict"][0], rows["reason"][0]) == (
        "cannot tell", "left out by MODELS=wpgrec,bsarec: DGRec"
    )  # fmt: skip
    assert rows["ci_low"][0] > 0.0


@pytest.mark.parametrize("kind", ["order", "optimum", "flat"])
def test_what_was_left_out_bars_orders_and_settings(kind: str, tmp_path: Path) -> None:
    claim = {name: CLAIM[name] for name in ("name", "title", "statement", "protocol")} | {"kind": kind}
    claim |= {"model": "wpgrec", "settings": {"center": 0.2}} if kind != "order" else {}
    centers = [
        Model(above(BASE, -center / 10, 1), kind="closed-form", variant=f"center={center}",
              swept={"center": center})
        for center in (0.2, 0.4, 0.6, 0.8)
    ]  # fmt: skip
    places = {name: {"wpgrec": centers} for name in ([LOO, "ml-1m"] if kind == "order" else [LOO])}
    files = write(tmp_path / "s", places, [claim])
    last = list(places)[-1]

    def told() -> tuple[str, str]:
        rows = judged(files)
        return rows.loc[(rows["scope"] == "claim") & (rows["dataset"] == last), ["verdict", "reason"]].iloc[0]

    assert told()["verdict"] == "reproduced"
    lost = {"by": "MODEL_GROUPS=a", "of_claims": {"best": {last: [["wpgrec", "center=0.0"]]}}}
    files.left_out = validate(LeftOut, lost, "here")
    verdict, reason = told()
    assert (verdict, reason) == ("cannot tell", "left out by MODEL_GROUPS=a: WPGRec (center=0.0)")


def test_the_catalog_finds_what_each_claim_has_lost(tmp_path: Path) -> None:
    models = [{"model": "ease"}, {"model": ["popularity", "itemknn"]},
              {"model": "gfcf", "group": "low", "sweep": {"rank": [8, 16]}},
              {"model": "gfcf", "group": "high", "sweep": {"rank": [32, 64]}}]  # fmt: skip
    said = {"title": "?", "statement": "it is so"}
    of_models = said | {"name": "best", "kind": "gain", "model": "ease"}
    of_ranks = said | {"name": "rank", "kind": "optimum", "model": "gfcf", "groups": ["low", "high"],
                       "settings": {"rank": 64}}  # fmt: skip

    def lost(**choice: list[str]) -> dict:
        chosen = Choice(**choice)
        return load(tmp_path, choice=chosen, models=models, claims=[of_models, of_ranks]).left_out.of_claims

    assert lost() == {}
    assert lost(models=["ease", "itemknn"]) == {"best": {"synthetic": [["popularity", "default"]]}}
    assert lost(groups=["low"]) == {"rank": {"synthetic": [["gfcf", "rank=32"], ["gfcf", "rank=64"]]}}


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
