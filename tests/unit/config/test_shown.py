"""What tables, figures and claims show is measured, and is of models that there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_study import refused

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.scale import Choice
from recspectra.config.study import PairConfig

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
MakeStudy = Callable[..., Study]


TABLE = {"name": "t", "title": "T", "metrics": ["recall"], "k": [10]}
FIGURE = {"name": "f", "title": "F", "kind": "sensitivity", "param": "regularization", "metric": "recall"}
FOREST = {"name": "f", "title": "F", "kind": "forest", "metric": "recall"}
HEATMAP = FIGURE | {"kind": "heatmap", "other_param": "memory_gb"}
CLAIM = {"name": "g", "title": "G", "statement": "it is best", "kind": "gain", "model": "ease",
         "metric": "recall", "k": 20}  # fmt: skip
SWEPT = [{"model": "ease", "sweep": {"regularization": [1.0, 10.0], "memory_gb": [4.0, 8.0]}}]
VALUE = CLAIM | {"kind": "value", "published": "sdiff/table1", "k": 10}


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        ("tables", TABLE | {"k": [10, 15]}, "k: 15 is not measured by protocol 'standard' (5, 10, 20)"),
        (
            "tables",
            TABLE | {"k": [5], "protocol": "sdiff"},
            "k: 5 is not measured by protocol 'sdiff' (10, 20)",
        ),
        ("figures", FIGURE | {"k": 50}, "k: 50 is not measured by protocol 'standard' (5, 10, 20)"),
        ("figures", HEATMAP | {"k": 1}, "k: 1 is not measured by protocol 'standard' (5, 10, 20)"),
        ("figures", FOREST | {"k": 7}, "k: 7 is not measured by protocol 'standard' (5, 10, 20)"),
        ("claims", VALUE | {"k": 7}, "k: 7 is not measured by protocol 'standard' (5, 10, 20)"),
        (
            "claims",
            VALUE | {"k": 5, "protocol": "sdiff"},
            "k: 5 is not measured by protocol 'sdiff' (10, 20)",
        ),
    ],
)
def test_a_cut_off_that_the_protocol_lacks_is_refused(
    kind: str, item: dict, said: str, study: MakeStudy
) -> None:
    protocols = ["standard", "sdiff"]
    with pytest.raises(ConfigError) as caught:
        study(protocols=protocols, models=SWEPT, **{kind: [item]})
    assert f"mine.yaml: {kind}[0].{said}" in str(caught.value)
    study(protocols=protocols, models=SWEPT, **{kind: [item | {"k": [10] if kind == "tables" else 10}]})


def test_a_metric_that_the_protocol_lacks_is_refused_with_the_place_to_add_it(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match="metric 'map' is not measured by protocol 'standard'") as caught:
        study(protocols=["standard"], tables=[TABLE | {"metrics": ["map"]}])
    assert str(caught.value).endswith("hr; add it in config/protocols/standard.yaml: `metrics`")
    with pytest.raises(ConfigError) as caught:
        study(protocols=["standard"], tables=[TABLE | {"metrics": ["recal"]}])
    assert str(caught.value).endswith("hr; did you mean 'recall'?")


def test_the_message_says_what_to_write_for_another_cut_off(study: MakeStudy) -> None:
    with pytest.raises(ConfigError) as caught:
        study(tables=[TABLE | {"k": [15]}])
    expected = "write one of these, or add it in config/protocols/standard.yaml: `k: [5, 10, 15, 20]`"
    assert expected in str(caught.value)


def test_an_ablation_is_set_against_a_variant_that_there_is(study: MakeStudy) -> None:
    models = [{"model": "ease", "variant": name, "params": {"regularization": r}} for name, r in
              (("full", 1.0), ("weak", 2.0))]  # fmt: skip
    figure = FOREST | {"kind": "ablation"}
    study(models=models, figures=[figure | {"reference": "full"}])
    with pytest.raises(
        ConfigError, match=r"figures\[0\].reference: no run is of the variant 'ful'.*full, weak"
    ):
        study(models=models, figures=[figure | {"reference": "ful"}])


PAIRED = CLAIM | {"kind": "ablation", "model": "ease"}
PAIRED = {key: value for key, value in PAIRED.items() if key not in ("rivals", "published")}


@pytest.mark.parametrize(
    ("better", "worse", "said"),
    [
        ("full", "weak", ""),
        ("full", "regularization=9.0", ""),  # a point of a sweep
        (
            "full",
            "no-band",
            r"pairs\[0\].worse: ease has no variant 'no-band' in main; it has full, weak, reg",
        ),
        ("ful", "weak", r"pairs\[0\].better: ease has no variant 'ful' .*did you mean 'full'"),
        ("full", "other", r"pairs\[0\].worse: ease has no variant 'other' in main"),  # of another group
        ("full", "regularization=7.0", "has no variant 'regularization=7.0'"),
    ],
)
def test_an_ablation_is_between_variants_that_there_are(
    study: MakeStudy, better: str, worse: str, said: str
) -> None:
    entries = (("full", "main", 1.0), ("weak", "main", 2.0), ("other", "side", 3.0))
    models = [{"model": "ease", "variant": name, "group": group, "params": {"regularization": r}}
              for name, group, r in entries]  # fmt: skip
    models.append({"model": "ease", "sweep": {"regularization": [8.0, 9.0]}})
    claim = PAIRED | {"pairs": [{"better": better, "worse": worse, "claim": "it helps"}]}
    if not said:
        study(models=models, claims=[claim])
        return
    with pytest.raises(ConfigError, match=rf"claims\[0\].*{said}"):
        study(models=models, claims=[claim])


def test_a_gain_is_of_a_variant_that_there_is(study: MakeStudy) -> None:
    models = [{"model": "ease", "variant": "mine"}, {"model": "popularity"}]
    claim = PAIRED | {"kind": "gain", "statement": "s"}
    study(models=models, claims=[claim | {"variant": "mine"}])
    with pytest.raises(ConfigError, match=r"claims\[0\].variant: ease has no variant 'min' in main.*'mine'"):
        study(models=models, claims=[claim | {"variant": "min"}])


def test_a_model_is_not_its_own_rival(study: MakeStudy) -> None:
    claim = PAIRED | {"kind": "gain", "statement": "s"}
    with pytest.raises(ConfigError, match=r"claims\[0\]: ease cannot be its own rival; leave it out of"):
        study(models=[{"model": ["ease", "popularity"]}], claims=[claim | {"rivals": ["ease"]}])


@pytest.mark.parametrize("kind", [{"kind": "gain", "statement": "s"}, {"kind": "order", "model": ""}])
def test_a_claim_is_of_parts_that_its_groups_are_fitted_to(study: MakeStudy, kind: dict) -> None:
    claim, models = PAIRED | kind | {"fit": "train+valid"}, [{"model": ["ease", "popularity"]}]
    with pytest.raises(ConfigError, match=r"claims\[0\].fit: no run of .* in main is .* only to train; "):
        study(models=models, claims=[claim])
    study(models=[models[0] | {"fit": ["train", "train+valid"]}], claims=[claim])


def test_the_protocol_of_a_claims_rivals_is_named_by_its_key(study: MakeStudy) -> None:
    claim = CLAIM | {"rival_protocol": "sdiff", "rival_metric": "recall", "published": "sdiff/table1"}
    with pytest.raises(ConfigError, match=r"claims\[0\].rival_protocol: 'sdiff' is not among"):
        study(claims=[claim])
    study(claims=[claim], protocols=["standard", "sdiff"])


@pytest.mark.parametrize("key", ["view", "views"])
def test_a_view_that_is_not_measured_is_refused(key: str, study: MakeStudy) -> None:
    view = {"history": "train", "mask": "train"}
    kind, item = ("tables", TABLE) if key == "views" else ("figures", FIGURE)
    given = [view] if key == "views" else view
    with pytest.raises(ConfigError, match=rf"{kind}\[0\]: history train, mask train is not measured under"):
        study(models=SWEPT, **{kind: [item | {key: given}]})
    study(views=[view], models=SWEPT, **{kind: [item | {key: given}]})


@pytest.mark.parametrize("name", CATALOG.names("studies"))
def test_every_study_shows_what_it_measures(name: str) -> None:
    present = CATALOG.names("datasets")
    assert all(Catalog(ROOT).study(name, present, Choice(scale=scale)).runs for scale in ("laptop", "paper"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"figures": [{"name": "f", "title": "F", "kind": "tuning", "model": "eaze"}]}, "figures[0].model"),
        (
            {"tables": [{"name": "t", "title": "T", "kind": "runtime", "reference": "eaze"}]},
            "tables[0].reference",
        ),
        (
            {"claims": [CLAIM | {"model": "eaze"}]},
            "claims[0].model",
        ),
        ({"claims": [CLAIM | {"rivals": ["eaze"]}]}, "claims[0].rivals"),
    ],
)
def test_a_drawing_of_a_model_that_the_study_lacks_is_refused(
    tmp_path: Path, changes: dict, where: str
) -> None:
    said = f"{where}: no model of the study is 'eaze'; it has ease; did you mean 'ease'?"
    assert said in refused(tmp_path, **changes)


def test_a_variant_is_not_compared_with_itself() -> None:
    with pytest.raises(ValueError, match="both 'full'; name two variants"):
        PairConfig(better="full", worse="full", claim="it helps")


def test_worlds_are_of_what_a_figure_or_a_comparison_shows_alone(study: MakeStudy) -> None:
    named = [("popularity", "main"), ("markov", "shown"), ("ease", "judged"), ("mf", "valued"), ("gfcf", "x")]
    models = [{"model": model, "group": group} for model, group in named]
    figure = {"name": "w", "title": "W", "kind": "worlds"}
    claims = [CLAIM | {"groups": ["judged"]}, VALUE | {"name": "v", "model": "mf", "groups": ["valued"]}]
    made = study(models=models, figures=[figure, figure | {"name": "x", "group": "shown"}], claims=claims)
    found = [run.run.model for run in made.compared_in_worlds(made.config.datasets[0])]
    assert found == ["popularity", "markov", "ease"] and made.compared_in_worlds("synthetic.none") == []
