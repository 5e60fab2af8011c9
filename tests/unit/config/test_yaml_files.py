"""YAML without surprises: what two readers understand differently is refused, with what to write."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from own_study import load, refused

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.scale import Choice
from recspectra.config.settings import check_texts, load_settings
from recspectra.config.study import StudyConfig
from recspectra.config.yaml_io import read_yaml, validate

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = [*sorted((ROOT / "config").rglob("*.yaml")), *sorted((ROOT / "config").rglob("*.example"))]
STUDY = {
    "name": "mine",
    "title": "Mine",
    "datasets": ["synthetic"],
    "models": [{"model": "popularity"}],
    "tables": [{"name": "main", "title": "All", "metrics": ["recall"], "k": [10]}],
}


def written(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(text: str, folder: Path) -> Any:
    """Return the value that a file has for the key `a`."""
    return read_yaml(written(folder, f"a: {text}\n"))["a"]


@pytest.mark.parametrize(
    "text",
    [
        "010", "-010", "007", "08", "0o10", "0x1F", "0b11", "1_000", "1_000.5", "1:30", "1:30.5", "12:30:45",
        "yes", "Off", "no", "ON", "2020-01-01", "2020-01-01 10:00:00", ".inf", "-.INF", ".nan",
    ],
)  # fmt: skip
def test_a_spelling_with_two_meanings_is_refused_where_it_stands(text: str, tmp_path: Path) -> None:
    for place, key in (("b: [1, {place}]", r"b\[1\]"), ("b: {{c: {place}}}", r"b\.c")):
        path = tmp_path / "some.yaml"
        path.write_text("a: 1\n" + place.format(place=text) + "\n", encoding="utf-8")
        said = (
            rf"some\.yaml: {key} \(line 2\): {re.escape(text)} means .*; write \"{re.escape(text)}\" for the"
        )
        with pytest.raises(ConfigError, match=said):
            read_yaml(path)
    assert read(json.dumps(text), tmp_path) == text


def test_all_unclear_values_of_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read("[010, {b: 1:30}, no]", tmp_path)
    assert [line.split(" ")[1] for line in str(caught.value).splitlines()] == ["a[0]", "a[1].b", "a[2]"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-7", -7), ("+7", 7), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0),
        ("1.5e3", 1500.0),
        ("1e-4", 1e-4), ("-2E-3", -0.002), ("1.5e+2", 150.0), ("1.0e-4", 1e-4), ("1e-4x", "1e-4x"),
        ("e5", "e5"), ("d2-a1e-4", "d2-a1e-4"),
        ("true", True), ("FALSE", False), ("~", None), ("null", None), ("", None), ("=", "="), ("y", "y"),
        ("N", "N"), ("norway", "norway"), ("1-2", "1-2"), ("0.1.2", "0.1.2"), ("a:1", "a:1"),
        ("v010", "v010"),
        ("'010'", "010"), ("!!str 010", "010"), ("2020-1", "2020-1"), ("_1", "_1"),
        ("&x [1, *x]", ConfigError), ("!!int 010", ConfigError), ("!!timestamp 2020-01-01", ConfigError),
        ("!!binary aGk=", ConfigError), ("!!set {b}", ConfigError), ("1e999", ConfigError),
        ("!unclear 3", ConfigError), ("{1: b}", ConfigError), ("{true: b}", ConfigError),
        ("{~: b}", ConfigError), ("!!python/object/apply:os.system ['touch HACKED']", ConfigError),
        ("!!python/name:os.system", ConfigError), ("!mine 3", ConfigError), ('!!bool "x"', ConfigError),
        ("!!map [a]", ConfigError), ("!!seq {a: b}", ConfigError), ("!!str {a: b}", ConfigError),
        ("{[a]: b}", ConfigError), ("*nowhere", ConfigError),
    ],
)  # fmt: skip
def test_what_has_one_meaning_is_read_as_that(text: str, value: Any, tmp_path: Path) -> None:
    if value is ConfigError:
        with pytest.raises(ConfigError, match=r"(?s)some\.yaml: not valid YAML: .*line 1"):
            read(text, tmp_path)
        return
    found = read(text, tmp_path)
    assert found == value and type(found) is type(value)


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("b: &b {c: 1, d: 2}\na: {<<: *b, d: 3}\ne: *b\n", encoding="utf-8")
    assert read_yaml(path) == {"b": {"c": 1, "d": 2}, "a": {"c": 1, "d": 3}, "e": {"c": 1, "d": 2}}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_the_shipped_files_mean_what_they_meant(path: Path) -> None:
    """PyYAML reads the same, but for numbers such as 1e-4, which it takes for text."""

    def number(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: number(item) for key, item in value.items()}
        if isinstance(value, list):
            return [number(item) for item in value]
        is_number = (
            isinstance(value, str) and "e" in value and value.replace("e", "").strip("+-.0123456789") == ""
        )
        return float(value) if is_number and value[0] != "e" else value

    old = number(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))  # ten times as fast
    assert json.dumps(read_yaml(path)) == json.dumps(old)


def test_a_key_that_is_written_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\n")
    with pytest.raises(ConfigError, match=r"some\.yaml.*'c' is written twice \(line 4\)"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: [1", "a: b: c", "\ta: 1", "a: \x00", "a: 2023-13-45", "? [a]\n: 1", "- 1\n- 2", "", "just text",
        "a: " + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_mapping_in_yaml_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"some\.yaml: "):
        read_yaml(written(tmp_path, text))


def test_a_missing_file_and_bytes_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: file not found"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read"):
        read_yaml(tmp_path / "latin.yaml")


# ------------------------------------------------------------------------------- values

TABLE = STUDY["tables"][0]
TIMING = {"name": "times", "title": "T", "kind": "timing"}
ORDER = {"name": "order", "title": "T", "kind": "order", "statement": "the order is kept"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": [-1]}, "seeds[0]: .*greater than or equal to 0 (given: -1)"),
        ({"seeds": [2**63]}, "seeds: 9223372036854775808 is too large"),
        ({"seeds": [3, 1, 3]}, "seeds: 3 is written twice (entries 1 and 3)"),
        ({"seeds": {"default": [0], "synthetic": [-1]}}, "seeds.synthetic[0]: .*(given: -1)"),
        ({"seeds": {"default": [0], "synthetic": [1, 1]}}, "seeds: 'synthetic': 1 is written twice"),
        ({"seeds": {"synthetic": [1]}}, "seeds: by dataset they need `default`"),
        ({"seeds": {"default": [0], "synthetik": [1]}}, "seeds: unknown dataset 'synthetik'.*did you mean"),
        ({"seeds": 3}, "seeds: .*valid list (given: 3)"),
        ({"datasets": ["synthetic", "synthetic"]}, "datasets: synthetic is written twice"),
        ({"optional_datasets": ["synthetic"]}, "optional_datasets: 'synthetic' is among `datasets`"),
        ({"datasets": [123]}, "datasets[0]: must be text, not the number 123: write it in quotes"),
        ({"datasets": [True]}, "datasets[0]: must be text, not the truth value true: write it in quotes"),
        ({"datasets": [None]}, "datasets[0]: must be text, not nothing"),
        ({"name": 7}, "name: must be text, not the number 7: write it in quotes"),
        ({"title": ""}, "title: must not be empty"),
        ({"title": None}, "title: must be text, not nothing"),
        ({"seeds": None}, "seeds: .*(nothing is given; leave the key out or give it a value)"),
        ({"protocols": ["standard", "standard"]}, "protocols: standard is written twice"),
        ({"views": [{"history": "train", "mask": "train"}] * 2}, "views: the same is written twice"),
        ({"models": [{"model": "ease"}, {"model": "ease"}]}, "models: the same is written twice"),
        (
            {"models": [{"model": "ease"}, {"model": "ease", "params": {"regularization": 300}}]},
            "models: 'ease' stands twice with the variant 'default' in group 'main'",
        ),
        ({"models": [{"model": "ease", "variant": 1e3}]}, "models[0].variant: must be text, not the num"),
        ({"models": [{"model": "ease", "variant": ""}]}, "models[0].variant: must not be empty"),
        ({"models": [{"model": "ease", "group": ""}]}, "models[0].group: must not be empty"),
        ({"models": [{"model": "ease", "fit": ["train", "train"]}]}, "models[0].fit: train is written"),
        ({"models": [{"model": "ease", "seeds": [0, 0]}]}, "models[0].seeds: 0 is written twice"),
        ({"models": [{"model": []}]}, "models[0].model: must not be empty"),
        ({"models": [{"model": ["ease", "ease"]}]}, "models[0].model: ease is written twice"),
        ({"models": [{"model": ["ease", 7]}]}, "models[0].model[1]: must be text, not the number 7"),
        (
            {"models": [{"model": "ease", "sweep": {"regularization": [1, 2, 1.0]}}]},
            "models[0].sweep: 'regularization': 1.0 is written twice (entries 1 and 3)",
        ),
        ({"tables": [TABLE | {"k": [10, 10]}]}, "tables[0].k: 10 is written twice"),
        ({"tables": [TABLE | {"k": [0]}]}, "tables[0].k[0]: .*(given: 0)"),
        ({"tables": [TABLE | {"metrics": ["recall"] * 2}]}, "tables[0].metrics: recall is written twice"),
        ({"tables": [TABLE | {"groups": ["main"] * 2}]}, "tables[0].groups: main is written twice"),
        ({"tables": [TABLE | {"datasets": ["synthetic"] * 2}]}, "tables[0].datasets: synthetic is"),
        ({"tables": [TABLE, TABLE | {"title": "B"}]}, "tables: name main is written twice (entries 1 and 2)"),
        ({"tables": [TABLE, TABLE | {"name": "MAIN"}]}, "tables: name main is written twice"),
        ({"figures": [TIMING, TIMING | {"title": "B"}]}, "figures: name times is written twice"),
        ({"figures": [TIMING | {"k": 0}]}, "figures[0].k: .*(given: 0)"),
        ({"claims": [ORDER, ORDER | {"title": "B"}]}, "claims: name order is written twice"),
        ({"top": 9}, "only top: 9 are kept; raise `top`"),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_would_fail_late_are_refused_first(changes: dict, expected: str, tmp_path: Path) -> None:
    assert load(tmp_path, **STUDY).name == "mine"
    message = refused(tmp_path, **STUDY | changes)
    for part in expected.split(".*"):
        assert part in message


@pytest.mark.parametrize("name", Catalog(ROOT).names("studies"))
def test_what_a_finished_study_keeps_of_itself_can_be_read_again(name: str) -> None:
    catalog = Catalog(ROOT)
    config = catalog.study(name, catalog.names("datasets"), Choice(scale="paper")).config
    assert validate(StudyConfig, json.loads(config.model_dump_json()), "study.json") == config


# ------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("word", "read_as", "expected"),
    [
        ("study=007", 7, "'007' would be read as 7; write study='./007'"),
        ("mirror=True", True, "'True' would be read as True"),
        ("mirror=/data/my #1", "/data/my", "'/data/my #1' would be read as '/data/my'; rename"),
        ("mirror=/data/a: b", {"/data/a": "b"}, "would be read as"),
        ("datasets=123", 123, "write datasets='[123]'"),
        ("models=123", 123, "write models='[123]'"),
        ("scale=1e3", 1000.0, "'1e3' would be read as 1000.0; write scale='./1e3'"),
        ("mirror=/a`x`", "/a`x`", "holds a backtick"),
        ("mirror=/a$(x)", "/a$(x)", "holds $("),
        ("mirror=/a\\b", "/a\\b", "holds a backslash"),
        ("mirror=/a\nb", "/a\nb", "holds a control character"),
        ("study=/a\x1b[31m.yaml", "/a\x1b[31m.yaml", "holds a control character"),
        ("study=/a'b\".yaml", "/a'b\".yaml", "holds both kinds of quotes"),
        ("study=/a'b$HOME.yaml", "/a'b$HOME.yaml", "holds a quote and a $"),
        ("study=-x.yaml", "-x.yaml", "holds a - at the start"),
    ],
)
def test_texts_that_do_not_reach_a_job_unchanged_are_refused(word: str, read_as: Any, expected: str) -> None:
    key = word.partition("=")[0]
    with pytest.raises(ConfigError, match=f"--config {key}: ") as caught:
        check_texts({key: read_as}, ["snakemake", "--config", word])
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["/a b/c", "/a{x}/{{b}}", "/it's/x", '/the "x"', "/a$b", "~/x", "/é;&|*?", "a,b"]
)
def test_texts_that_reach_a_job_unchanged_are_taken(text: str) -> None:
    check_texts({"mirror": text}, ["snakemake", "--config", f"mirror={text}"])


def test_nothing_given_on_the_command_line_is_nothing() -> None:
    assert load_settings(ROOT, {"mirror": None, "scale": None, "trials": None}) == load_settings(ROOT, {})
    with pytest.raises(ConfigError, match=r"datasets: a is written twice"):
        load_settings(ROOT, {"datasets": "a,a"})


# ----------------------------------------------------------------- files of studies and data


def test_a_home_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RECSPECTRA_MIRROR", raising=False)
    (tmp_path / "my {study}.yaml").write_text(json.dumps(STUDY), encoding="utf-8")
    plan = planning.load(ROOT, {"study": "~/my {study}.yaml", "mirror": "~/my mirror"}, [])
    assert (plan.default, plan.mirror) == ("mine", str(tmp_path / "my mirror"))


def test_a_path_that_is_not_there_names_the_nearest_study() -> None:
    with pytest.raises(ConfigError, match=r"first-ligth\.yaml: file not found; .*did you mean 'first-light'"):
        Catalog(ROOT).study("first-ligth.yaml")


def test_two_files_with_one_name_are_both_named(project: Path, tmp_path: Path) -> None:
    def copied(kind: str, name: str) -> None:
        folder = project / "config" / kind
        (folder / "copy.yaml").write_bytes((folder / f"{name}.yaml").read_bytes())

    copied("datasets", "synthetic")
    with pytest.raises(ConfigError) as caught:
        Catalog(project).dataset("copy")
    assert "config/datasets/copy.yaml: name is 'synthetic' (config/datasets/synthetic.yaml" in str(
        caught.value
    )
    own = tmp_path / "own.yaml"
    own.write_text(json.dumps(STUDY | {"name": "quickstart"}), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        planning.load(project, {"study": str(own)}, [])
    assert str(own) in str(caught.value) and "config/studies/quickstart.yaml" in str(caught.value)
    copied("studies", "quickstart")
    with pytest.raises(ConfigError) as caught:
        planning.load(project, {}, [])
    assert "config/studies/copy.yaml: name is 'quickstart' (config/studies/quickstart.yaml" in str(
        caught.value
    )


def test_a_tab_and_a_mapping_that_is_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("split:\n\trecipe: random\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: not valid YAML.*line 2.*tab, write blanks"):
        read_yaml(path)
    given = {"name": "a", "path": "b.csv", "split": "leave-one-out"}
    with pytest.raises(ConfigError, match=r"split: must be a mapping such as `\{recipe: \.\.\.\}`"):
        validate(DatasetConfig, given, "a.yaml")
    with pytest.raises(ConfigError, match="did you mean 'leave-one-out'"):
        validate(DatasetConfig, given | {"split": {"recipe": "leave_one_out"}}, "a.yaml")


@pytest.mark.parametrize("text", [r'"a\0b"', r'["x", {"k": "\0"}]', r'{"\0": 1}'])
def test_what_is_no_text_is_refused(text: str, tmp_path: Path) -> None:
    """A path that holds NUL ended in a traceback."""
    with pytest.raises(ConfigError, match=r"some\.yaml: .*'\\0' belongs into no text .line 1"):
        read(text, tmp_path)
