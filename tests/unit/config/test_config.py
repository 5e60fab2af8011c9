"""Floor 1: a wrong configuration is refused with the file, the path and the nearest match."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recspectra.config.base import ConfigError, nearest
from recspectra.config.catalog import Catalog, Study, load_settings, variant_label
from recspectra.config.model import RANK_LADDER, RunConfig, spectra_of
from recspectra.config.scale import Choice
from recspectra.config.yaml_io import canonical_json, read_yaml, validate
from recspectra.running import command

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
MODELS = CATALOG.names("models")
MakeStudy = Callable[..., Study]


@pytest.fixture
def study(project: Path) -> MakeStudy:
    """Write a study with some changes to a good one and load it."""

    def load(**changes: Any) -> Study:
        good = {"name": "mine", "title": "Mine", "datasets": ["synthetic"], "models": [{"model": "ease"}]}
        path = project / "mine.yaml"
        path.write_text(yaml.safe_dump(good | changes), encoding="utf-8")
        return Catalog(project).study(str(path))

    return load


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------------- keys and types


def test_unknown_key_names_file_path_allowed_keys_and_nearest(study: MakeStudy) -> None:
    with pytest.raises(ConfigError) as caught:
        study(models=[{"model": "ease"}, {"model": "gfcf", "varient": "x"}])
    message = str(caught.value)
    assert "mine.yaml: models[1].varient: unknown key" in message
    assert all(key in message for key in ("use_best", "sweep", "group"))
    assert "did you mean 'variant'?" in message


def test_unknown_key_at_the_top_level_lists_the_keys_of_the_top_level(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match=r"dataset: unknown key; allowed: name, .*did you mean 'datasets'"):
        study(dataset=["synthetic"])


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"top": "50"}, "top"),
        ({"top": 50.5}, "top"),
        ({"top": True}, "top"),
        ({"top": 0}, "top"),
        ({"seeds": [0, "one"]}, "seeds[1]"),
        ({"seeds": []}, "seeds"),
        ({"datasets": "synthetic"}, "datasets"),
        ({"title": 3}, "title"),
        ({"models": []}, "models"),
        ({"models": [{"model": "ease", "use_best": "yes"}]}, "models[0].use_best"),
        ({"models": [{"model": "ease", "fit": ["test"]}]}, "models[0].fit[0]"),
        ({"views": [{"history": "train+valid", "mask": "train"}]}, "views[0]"),
    ],
)
def test_wrong_type_or_value_names_its_path(study: MakeStudy, changes: dict, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(**changes)
    assert f"mine.yaml: {where}: " in str(caught.value)


def test_missing_key_is_named(study: MakeStudy) -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]\.model: this key is required"):
        study(models=[{"variant": "x"}])


def test_all_problems_are_named_at_once(study: MakeStudy) -> None:
    with pytest.raises(ConfigError) as caught:
        study(top="x", title=3)
    assert {line.split(": ")[1] for line in str(caught.value).splitlines()} == {"top", "title"}


def test_settings_refuse_an_unknown_key_of_the_command_line() -> None:
    with pytest.raises(ConfigError, match=r"devise: unknown key; .*did you mean 'device'"):
        load_settings(ROOT, {"devise": "cpu"})


def test_command_line_values_override_the_settings_file() -> None:
    assert load_settings(ROOT, {"study": "sdiff"}).study == "sdiff"
    assert load_settings(ROOT, {}).study == "quickstart"


def test_infinite_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budget\.minutes"):
        load_settings(ROOT, {"budget": {"minutes": float("inf")}})


# --------------------------------------------------------------------------------- YAML


def test_a_key_that_is_written_twice_is_refused(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\n")
    with pytest.raises(ConfigError, match=r"some\.yaml.*'c' is written twice \(line 4\)"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch HACKED']",
        "a: !!python/name:os.system",
        "a: !mine 3",
    ],
)
def test_yaml_tags_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(yaml_file(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "\ta: 1", "a: \x00", "a: 2023-13-45", "? [a]\n: 1", "- 1\n- 2", "", "just text"],
)
def test_what_is_no_mapping_in_yaml_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"some\.yaml: "):
        read_yaml(yaml_file(tmp_path, text))


def test_a_missing_file_and_bytes_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: file not found"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1e3", 1000.0), ("-2E-3", -0.002), ("1.5e+2", 150.0), ("1.0e-4", 1e-4), ("7", 7)],
)
def test_numbers_with_an_exponent_are_numbers(tmp_path: Path, text: str, value: float) -> None:
    found = read_yaml(yaml_file(tmp_path, f"a: {text}"))["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1e-4x", "e5", "d2-a1e-4"])
def test_words_with_an_exponent_inside_stay_words(tmp_path: Path, text: str) -> None:
    assert read_yaml(yaml_file(tmp_path, f"a: {text}")) == {"a": text}


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


# --------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": [{"model": "gsprek"}]}, "models[0]: unknown model 'gsprek'.*did you mean 'gsprec'"),
        ({"datasets": ["syntetic"]}, "datasets: unknown dataset 'syntetic'.*did you mean 'synthetic'"),
        ({"protocols": ["standart"]}, "protocols: unknown protocol 'standart'.*did you mean 'standard'"),
        ({"models": [{"model": "../models/ease"}]}, "unknown model '../models/ease'"),
        (
            {"models": [{"model": "ease", "datasets": ["synthetik"]}]},
            "models[0].datasets: 'synthetik' is not among .*did you mean 'synthetic'",
        ),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(study: MakeStudy, changes: dict, problem: str) -> None:
    pattern = re.escape(problem).replace(r"\.\*", ".*")
    with pytest.raises(ConfigError, match=pattern):
        study(**changes)


def table(**changes: Any) -> dict[str, Any]:
    good = {"name": "t", "title": "T", "protocol": "standard", "metrics": ["ndcg"], "k": [10]}
    return good | changes


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"protocol": "standart"}, "did you mean 'standard'"),
        ({"metrics": ["ndgc"]}, "did you mean 'ndcg'"),
        ({"groups": ["mein"]}, "did you mean 'main'"),
        ({"datasets": ["ml-1m.diffrec"]}, "not among the study's datasets"),
    ],
)
def test_table_that_refers_to_nothing_is_refused(study: MakeStudy, changes: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"tables\[0\].*{problem}"):
        study(tables=[table(**changes)])


def test_sensitivity_figure_of_an_unknown_group_is_refused(study: MakeStudy) -> None:
    figure = {"name": "f", "title": "F", "kind": "sensitivity", "group": "centre", "param": "center"}
    with pytest.raises(ConfigError, match=r"figures\[0\].*no model is in group 'centre'"):
        study(figures=[figure])


def test_unknown_metric_of_a_protocol_is_refused(project: Path) -> None:
    path = project / "config" / "protocols" / "standard.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("mrr, hr", "mrr, ndcg_hits"))
    with pytest.raises(ConfigError, match=r"standard\.yaml: .*'ndcg_hits'.*did you mean 'ndcg_hit'"):
        Catalog(project).protocol("standard")


def test_unknown_study_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown study 'quickstar'.*did you mean 'quickstart'"):
        CATALOG.study("quickstar")


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", ".hidden", "", "a b", "a\n", "x" * 65])
def test_names_that_are_no_plain_file_names_are_refused(study: MakeStudy, name: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: name: "):
        study(name=name)
    with pytest.raises(ConfigError, match=r"tables\[0\]\.name: "):
        study(tables=[table(name=name)])


@pytest.mark.parametrize("path", ["../up.txt", "/etc/passwd", "a/../../b", "a b.txt", "a;rm"])
def test_raw_files_must_stay_inside_the_mirror(dataset_config: Callable[..., Any], path: str) -> None:
    source = {"name": "s", "licence": "-", "citation": "-", "files": [{"path": path, "sha256": "0" * 64}]}
    with pytest.raises(ConfigError, match=r"source\.files\[0\]"):
        dataset_config(source=source)


@pytest.mark.parametrize("path", ["a" * 300, "deep/" + "a" * 201 + "/b.csv"])
def test_names_of_raw_files_that_no_file_system_takes_are_refused(
    dataset_config: Callable[..., Any], path: str
) -> None:
    source = {"name": "s", "licence": "-", "citation": "-", "files": [{"path": path}]}
    with pytest.raises(ConfigError, match=r"source\.files\[0\].*path: the name .* letters; 200 are the most"):
        dataset_config(source=source)


@pytest.mark.parametrize("path", ["a" * 300, "x/" * 3000 + "a.csv", "/" + "a" * 300 + "/b.csv"])
def test_a_path_that_no_file_system_takes_names_its_yaml(project: Path, path: str) -> None:
    entry = f"name: mine\npath: {path}\ncolumns: {{user: u, item: i}}\n"
    (project / "config" / "datasets" / "mine.yaml").write_text(entry, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"datasets/mine\.yaml: path: .* cannot be looked for \(File name"):
        Catalog(project).dataset("mine")


UNUSED = [
    (
        "leave-one-out",
        {"test": 0.5, "valid": 0.4, "exchange": True},
        "valid, test, exchange: .* no other key",
    ),
    ("leave-one-out", {"seed": 0}, "seed: recipe 'leave-one-out' does not use this key"),
    ("shipped", {"test": 0.2}, r"test: .* \(it uses exchange, valid, seed\)"),
    ("shipped", {"valid": 0.1, "exchange": True}, "exchange: there is nothing to exchange"),
    ("shipped", {"valid": 0.0}, "valid: a share above 0"),
    ("shipped", {"seed": 1}, "seed: nothing is drawn; give `valid`"),
    ("random", {"exchange": False}, r"exchange: .* \(it uses valid, test, valid_of, seed\)"),
    ("random-user", {"exchange": True}, "exchange: "),
    ("temporal", {"seed": 1}, r"seed: .* \(it uses valid, test, valid_of\)"),
    ("temporal-user", {"seed": 1, "exchange": True}, "seed, exchange: "),
]


@pytest.mark.parametrize(("recipe", "keys", "said"), UNUSED)
def test_a_key_that_the_recipe_of_a_split_does_not_use_is_refused(
    dataset_config: Callable[..., Any], recipe: str, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"split: {said}"):
        dataset_config(split={"recipe": recipe, **keys})


def test_a_file_whose_name_says_otherwise_is_refused(project: Path) -> None:
    folder = project / "config" / "protocols"
    (folder / "other.yaml").write_text((folder / "standard.yaml").read_text(encoding="utf-8"))
    with pytest.raises(ConfigError, match=r"name is 'standard' .*, but must be the file's name 'other'"):
        Catalog(project).protocol("other")


def test_nearest_is_silent_without_a_near_word() -> None:
    assert nearest("zzzz", ["alpha", "beta"]) == ""


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
    for wanted in (1, 16, 17, 200, 2048, 3000):
        run = RunConfig(model="gfcf", params=model.resolve({"rank": wanted}))
        [(operator, asked[wanted])] = spectra_of(model, run)
        assert operator == "item-similarity@train"
    assert asked == {1: 16, 16: 16, 17: 32, 200: 256, 2048: 2048, 3000: 3000}
    assert list(RANK_LADDER) == sorted(RANK_LADDER)


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


# ------------------------------------------------------ what tables and figures show is measured

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
    project: Path, changes: dict, where: str
) -> None:
    study = {"name": "mine", "title": "M", "datasets": ["synthetic"], "models": [{"model": "ease"}]}
    path = project / "mine.yaml"
    path.write_text(json.dumps(study | changes))
    with pytest.raises(ConfigError) as caught:
        Catalog(project).study(str(path))
    assert f"{where}: no model of the study is 'eaze'; it has ease; did you mean 'ease'?" in str(caught.value)


@pytest.mark.parametrize("cores", ["0", "-1", "two", "", "1.5"])
def test_cores_that_snakemake_would_wait_for_are_refused(cores: str) -> None:
    with pytest.raises(ConfigError, match="CORES: must be a whole number from 1, or all"):
        command.start(cores, "0")


def test_an_operator_with_two_names_is_computed_once(catalog: Catalog) -> None:
    """S-Diff's user exponent of .5 is the similarity that GF-CF takes."""
    sdiff, gfcf = catalog.model("sdiff"), catalog.model("gfcf")
    runs = [RunConfig(model=m.name, params=m.resolve({"rank": 64})) for m in (sdiff, gfcf)]
    assert spectra_of(sdiff, runs[0]) == spectra_of(gfcf, runs[1])


@pytest.mark.parametrize(("old", "now"), [("systems", "models"), ("findings", "claims")])
def test_a_key_of_an_earlier_version_is_told_its_name_of_today(tmp_path: Path, old: str, now: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"name: s\ntitle: S\ndatasets: [synthetic]\nmodels: [{{model: ease}}]\n{old}: []\n")
    with pytest.raises(ConfigError, match=rf"{old}: unknown key; .*it is called '{now}' now"):
        Catalog(ROOT).study(str(file))
