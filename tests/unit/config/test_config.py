"""Floor 1: a wrong configuration is refused with the file, the path and the nearest match."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_study import refused

from recspectra.config.base import ConfigError, check_known, nearest
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.settings import load_settings
from recspectra.running import command

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
MakeStudy = Callable[..., Study]


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


@pytest.mark.parametrize("minutes", [float("inf"), "1_0", "\u0663"])  # three, in Arabic digits
def test_a_budget_that_is_no_number_is_refused(minutes: object) -> None:
    with pytest.raises(ConfigError, match=r"budget\.minutes"):
        load_settings(ROOT, {"budget": {"minutes": minutes}})


@pytest.mark.parametrize(
    ("given", "meant"), [("dim", "dimensions"), ("reg", "regularization"), ("rnk", "rank")]
)
def test_a_word_that_begins_one_known_word_means_that(given: str, meant: str) -> None:
    assert f"'{meant}'" in nearest(given, ["sigma", "rank", "dimensions", "regularization"])


# --------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": [{"model": "gsprek"}]}, "models[0]: unknown model 'gsprek'.*did you mean 'gsprec'"),
        (
            {"datasets": ["syntetic"]},
            "datasets: unknown dataset 'syntetic'.*did you mean 'synthetic'.*stands in config/datasets/",
        ),
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
    with pytest.raises(ConfigError, match=r"source\.name: "):
        dataset_config(source=source | {"name": path, "files": []})


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


@pytest.mark.parametrize("cores", ["0", "-1", "two", "", "1.5"])
def test_cores_that_snakemake_would_wait_for_are_refused(cores: str) -> None:
    with pytest.raises(ConfigError, match="CORES: must be a whole number from 1, or all"):
        command.start(cores, "0")


@pytest.mark.parametrize(("old", "now"), [("systems", "models"), ("findings", "claims")])
def test_a_key_of_an_earlier_version_is_told_its_name_of_today(tmp_path: Path, old: str, now: str) -> None:
    found = refused(tmp_path, **{old: []})
    assert f"{old}: unknown key; " in found and f"it is called '{now}' now" in found


@pytest.mark.parametrize("name", ["{known}", "{name}", r"\1"])
def test_a_name_with_braces_is_said_as_it_is(name: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_known([name], ["ease", "{name}s"], "no model '{name}'; there are {known}")
    assert str(refusal.value).startswith(f"no model '{name}'; there are ease, {{name}}s")
