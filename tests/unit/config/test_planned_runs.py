"""The runs of a study: their parameters, keys, labels, lists and spectra."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.model import RANK_LADDER, RunConfig, spectra_of
from recspectra.config.planned import Study
from recspectra.config.study import variant_label
from recspectra.config.yaml_io import canonical_json, validate

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
MakeStudy = Callable[..., Study]


# --------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"rank": 0}, "0 is out of bounds: must be >= 1"),
        ({"rank": 2.5}, "2.5 is not of type int"),
        ({"rank": True}, "True is not of type int"),
        ({"width": 0.0}, "0.0 is out of bounds: must be > 0"),
        ({"phi": 1.01}, "1.01 is out of bounds: must be <= 1"),
        ({"decay": 1}, "1 is out of bounds: must be < 1"),
        ({"decay": "0.4"}, "'0.4' is not of type float"),
        ({"eq8": "literall"}, "did you mean 'literal'?"),
        ({"centre": 0.2}, "did you mean 'center'?"),
    ],
)
def test_bad_parameter_is_refused(study: MakeStudy, params: dict, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(models=[{"model": "gsprec", "params": params}])
    assert "mine.yaml: models[0]: " in str(caught.value)
    assert problem in str(caught.value)


def test_sweep_value_out_of_bounds_is_refused(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]\.sweep: parameter 'center' .*1\.5 .*<= 1"):
        study(models=[{"model": "gsprec", "sweep": {"center": [0.5, 1.5]}}])


def test_sweep_of_an_unknown_parameter_is_refused(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match=r"sweep: unknown parameter 'ranks' .*did you mean 'rank'"):
        study(models=[{"model": "gsprec", "sweep": {"ranks": [16]}}])


@pytest.mark.parametrize("entry", [{"sweep": {"rank": []}}, {"fit": []}, {"seeds": []}, {"datasets": []}])
def test_an_entry_that_would_run_nothing_is_refused(study: MakeStudy, entry: dict) -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]"):
        study(models=[{"model": "gsprec", **entry}])


def test_a_whole_number_for_a_float_parameter_becomes_a_float() -> None:
    params = CATALOG.model("ease").resolve({"regularization": 300})
    assert params == CATALOG.model("ease").resolve({})
    assert isinstance(params["regularization"], float)


def test_a_default_out_of_bounds_is_refused(project: Path) -> None:
    path = project / "config" / "models" / "ease.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("default: 300.0", "default: -3.0"))
    with pytest.raises(ConfigError, match=r"models/ease\.yaml: .*regularization\.default: -3\.0"):
        Catalog(project).model("ease")


@pytest.mark.parametrize("block", ["search", "best"])
def test_bad_search_and_best_values_are_refused(project: Path, block: str) -> None:
    path = project / "config" / "models" / "ease.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data[block] = {"regularization": [1.0, -1.0]} if block == "search" else {"synthetic": {"lambda": 1.0}}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"models/ease\.yaml: "):
        Catalog(project).model("ease")


# --------------------------------------------------------------------------------- keys


def a_run(**changes: Any) -> RunConfig:
    return RunConfig(**({"model": "ease", "params": {"a": 1.0, "b": "x"}} | changes))


def test_key_is_ten_hex_digits_and_independent_of_the_order_of_keys() -> None:
    assert re.fullmatch("[0-9a-f]{10}", a_run().key)
    assert a_run(params={"b": "x", "a": 1.0}).key == a_run().key


@pytest.mark.parametrize(
    "changes", [{"params": {"a": 1.5, "b": "x"}}, {"fit": "train+valid"}, {"top": 51}, {"model": "gfcf"}]
)
def test_key_differs_with_what_is_run(changes: dict) -> None:
    assert a_run(**changes).key != a_run().key


def test_key_does_not_depend_on_labels(study: MakeStudy) -> None:
    plain = study().runs[0]
    named = study(name="other", models=[{"model": "ease", "variant": "mine", "group": "g"}]).runs[0]
    written = study(models=[{"model": "ease", "params": {"regularization": 300}}]).runs[0]
    assert plain.run.key == named.run.key == written.run.key


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(min_size=1, max_size=8),
)


@settings(max_examples=20)
@given(st.dictionaries(st.text(min_size=1, max_size=6), SCALARS, max_size=5))
def test_a_run_survives_its_json_with_the_same_key(params: dict) -> None:
    run = a_run(params=params)
    again = validate(RunConfig, json.loads(canonical_json(run.model_dump())), "--run")
    assert (again, again.key) == (run, run.key)


# -------------------------------------------------------------------------------- studies


def test_a_sweep_expands_into_labelled_runs(study: MakeStudy) -> None:
    entry = {"model": "gsprec", "sweep": {"center": [0.0, 0.5], "phi": [0.1, 0.3]}, "fit": ["train"]}
    runs = study(models=[entry], seeds=[0, 1]).runs
    assert [r.variant for r in runs[::2]] == [f"center={c},phi={p}" for c in (0.0, 0.5) for p in (0.1, 0.3)]
    assert [r.seed for r in runs] == [0, 1] * 4
    assert len({r.run.key for r in runs}) == 4
    assert all(r.run.params["center"] == r.swept["center"] for r in runs)


def test_labels_of_sweeps_keep_the_name_of_the_variant() -> None:
    assert variant_label("default", {"c": 0.2, "w": 0.1}) == "c=0.2,w=0.1"
    assert variant_label("tuned", {"c": 0.2}) == "tuned[c=0.2]"
    assert variant_label("tuned", {}) == "tuned"


def test_best_settings_are_those_of_the_dataset_and_params_override_them(study: MakeStudy) -> None:
    entry = {"model": "gfcf", "use_best": True, "params": {"alpha": 0.7}}
    runs = study(datasets=["synthetic", "ml-1m.diffrec"], models=[entry]).runs
    assert [r.run.params for r in runs] == [{"rank": 256, "alpha": 0.7}, {"rank": 128, "alpha": 0.7}]


def test_one_label_for_two_configurations_is_refused(study: MakeStudy) -> None:
    models = [{"model": "ease"}, {"model": "ease", "params": {"regularization": 5.0}}]
    with pytest.raises(ConfigError, match="two different configurations of 'ease'.*variant 'default'"):
        study(models=models)
    for seed, entry in enumerate(models):  # else a table would show the mean over both as one model
        entry["seeds"] = [seed]
    with pytest.raises(ConfigError, match="two different configurations of 'ease'.*variant 'default'"):
        study(models=models)
    models[1]["variant"] = "lambda=5"
    assert len(study(models=models).runs) == 2


def test_a_cut_off_deeper_than_the_lists_is_refused(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match="k=20 and needs 20 items, but only top: 19"):
        study(top=19)
    assert study(top=20).runs[0].run.top == 20


def test_a_target_that_shares_its_place_may_lie_twice_as_deep(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match="equal scores sharing places and needs 40 items, but only top: 39"):
        study(top=39, protocols=["wpgrec"])
    assert study(top=40, protocols=["wpgrec"]).runs[0].run.top == 40


def test_views_of_the_study_widen_test_protocols_alone(study: MakeStudy) -> None:
    views = [{"history": "train", "mask": "train"}, {"history": "train", "mask": "train+valid"}]
    loaded = study(protocols=["standard", "validation"], views=views)
    found = [[v.model_dump() for v in loaded.views(p)] for p in loaded.protocols]
    assert found == [views, views[:1]]


# -------------------------------------------------------------------------------- spectra


def test_spectra_are_asked_for_on_the_rank_ladder() -> None:
    model = CATALOG.model("gfcf")
    asked = {}
    for wanted in (1, 16, 17, 200, 1267, 2048, 3000):
        run = RunConfig(model="gfcf", params=model.resolve({"rank": wanted}))
        [(operator, asked[wanted])] = spectra_of(model, run)
        assert operator == "item-similarity@train"
    assert asked == {1: 16, 16: 16, 17: 32, 200: 256, 1267: 1280, 2048: 2048, 3000: 3000}
    assert list(RANK_LADDER) == sorted(RANK_LADDER)


def test_a_spectrum_is_asked_for_only_with_the_values_that_need_it() -> None:
    model = CATALOG.model("svdae")
    for triplets, count in (("exact", 1), ("randomised", 0)):
        run = RunConfig(model="svdae", params=model.resolve({"triplets": triplets}))
        assert len(spectra_of(model, run)) == count


def test_every_rank_that_is_searched_has_a_bound() -> None:
    """Trials went to ranks above the number of items, which no graph of these items has."""
    for model in map(CATALOG.model, CATALOG.names("models")):
        for name in model.search:
            if name.startswith("rank"):
                assert model.params[name].below in ("items", "nodes"), model.name


def test_spectra_carry_the_parameters_of_the_operator_and_the_data() -> None:
    model = CATALOG.model("gsprec")
    params = model.resolve({"depth": 3, "decay": 0.25, "rank": 40})
    run = RunConfig(model="gsprec", params=params, fit="train+valid")
    assert spectra_of(model, run) == [("unified-d3-a0.25@train_valid", 64)]


def test_spectra_depend_on_the_run_alone(study: MakeStudy) -> None:
    """Whatever else a study asks for, and whichever study asks."""
    alone = study(models=[{"model": "gfcf", "params": {"rank": 20}}])
    crowd = study(models=[{"model": "gfcf", "params": {"rank": 20}}, {"model": "sdiff"}], seeds=[4])
    first, second = alone.runs[0].run, crowd.runs[0].run
    assert spectra_of(alone.catalog.model("gfcf"), first) == [("item-similarity@train", 32)]
    assert spectra_of(crowd.catalog.model("gfcf"), second) == [("item-similarity@train", 32)]


def test_an_operator_with_two_names_is_computed_once(catalog: Catalog) -> None:
    """S-Diff's user exponent of .5 is the similarity that GF-CF takes."""
    sdiff, gfcf = catalog.model("sdiff"), catalog.model("gfcf")
    runs = [RunConfig(model=m.name, params=m.resolve({"rank": 64})) for m in (sdiff, gfcf)]
    assert spectra_of(sdiff, runs[0]) == spectra_of(gfcf, runs[1])
