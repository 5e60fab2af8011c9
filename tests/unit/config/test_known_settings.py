"""What authors print, or their programs have, stands in the YAMLs; what differs in code is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recspectra.config.catalog import Catalog

CATALOG = Catalog(Path(__file__).resolve().parents[3])

AUTHORS: dict[tuple[str, str], dict[str, Any]] = {
    ("bert4rec", "amazon-beauty.loo"): {"mask_ratio": 0.6, "dropout": 0.5, "batch_size": 256},
    ("fearec", "lastfm.loo"): {"global_ratio": 0.6, "spatial_ratio": 0.1, "dropout": 0.5},
    ("fearec", "ml-1m.loo"): {"global_ratio": 0.6, "spatial_ratio": 0.1, "dropout": 0.1},
    ("jgcf", "ml-1m.pairs"): {"a": 2.0, "b": 1.0, "layers": 2, "sign": "flipped", "gain": "official"},
    ("ultragcn", "ml-1m.pairs"): {
        "dimensions": 128, "negatives": 200, "negative_weight": 200.0, "w1": 1e-7, "w3": 1e-7,
        "item_weight": 1e-3, "regularization": 1e-4, "penalty": "all", "batch_size": 1024,
    },
}  # fmt: skip
SEARCHED = [
    ("simplex", "item_bias", True),
    ("jgcf", "sign", "flipped"),
    ("jgcf", "gain", "official"),
    ("sgfcf", "row_sums", "signed"),
]


@pytest.mark.parametrize("place", AUTHORS, ids="-".join)
def test_settings_of_authors_are_known(place: tuple[str, str]) -> None:
    model, dataset = place
    best = CATALOG.model(model).best[dataset]
    assert {name: best.get(name) for name in AUTHORS[place]} == AUTHORS[place]


@pytest.mark.parametrize(("model", "name", "value"), SEARCHED, ids=str)
def test_what_authors_programs_do_otherwise_is_searched(model: str, name: str, value: Any) -> None:
    config = CATALOG.model(model)
    assert {value, config.params[name].default} <= set(config.search[name])


def test_diffrec_is_not_searched_at_rates_that_train_nothing() -> None:
    config = CATALOG.model("diffrec")
    assert config.search["learning_rate"].low == 1e-4
    assert config.best["yelp.diffrec"]["learning_rate"] == 1e-5  # tried first there all the same


@pytest.mark.parametrize("study", ["gsprec", "sdiff", "standard"])
def test_linkprop_multi_stands_beside_linkprop_with_the_same_exponents(study: str) -> None:
    runs = [r for r in CATALOG.study(study).runs if r.run.model == "linkprop"]
    searches = {
        v: {(r.dataset, r.run.tune.key) for r in runs if r.variant == v} for v in ("default", "multi")
    }
    assert searches["default"] == searches["multi"] != set()
    assert {r.run.params.get("rounds") for r in runs if r.variant == "multi"} == {1}


def test_the_authors_row_of_sdiff_does_not_scale_its_signals() -> None:
    runs = [r.run for r in CATALOG.study("sdiff").runs if r.group == "authors" and r.run.model == "sdiff"]
    assert runs
    assert {r.params["standardize"] for r in runs} == {False}


@pytest.mark.parametrize("study", ["gsprec", "standard", "wpgrec"])
def test_authors_settings_are_known_wherever_a_study_asks_for_them(study: str) -> None:
    """Without an entry for the dataset the defaults would run under the name of the authors' settings.

    S-Diff's defaults are its authors' on the files of its study.
    """
    config = CATALOG.study(study, CATALOG.names("datasets")).config
    entries = [entry for entry in config.models if getattr(entry, "use_best", False)]
    asked = {(m, d) for entry in entries for m in entry.models for d in entry.datasets or config.datasets}
    known = {name: CATALOG.model(name).best for name, _ in asked}
    assert [pair for pair in sorted(asked) if known[pair[0]] and pair[1] not in known[pair[0]]] == []
