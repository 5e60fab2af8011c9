"""Scales: what they cap, single values in their place, datasets and models that narrow what runs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from recspectra.code_hashes import fit_code
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.scale import Caps, Choice, Scale, caps_text
from recspectra.config.settings import load_settings
from recspectra.planning import load as load_plan
from recspectra.planning import records
from recspectra.reporting.footnotes import spent, tuned
from recspectra.reporting.results import aggregate, joint_status
from recspectra.reporting.words import paragraphs

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
STUDY = {
    "name": "e", "title": "E", "datasets": ["synthetic"], "seeds": [5, 6, 7], "tuning": {"trials": 30},
    "models": [
        {"model": "mf", "tune": True},
        {"model": "sdiff", "params": {"epochs": 10}},
        {"model": "ials", "variant": "fixed"},
        {"model": "lightgcn", "seeds": [9]},
    ],
}  # fmt: skip


def load(folder: Path, choice: Choice | None, **changes: object) -> Study:
    path = folder / "e.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return CATALOG.study(str(path), choice=choice)


def own(folder: Path, content: dict[str, Any]) -> str:
    """Write a scale of the user's and return its path."""
    path = folder / "my-scale.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


# -------------------------------------------------------------------------------- schema


def test_shipped_scales() -> None:
    assert CATALOG.names("scales") == ["laptop", "paper"]
    laptop, paper = (CATALOG.scale(Choice(scale=name)) for name in ("laptop", "paper"))
    assert (laptop.trials, laptop.seeds, laptop.minutes) == (4, 2, 10.0)
    assert laptop.epochs.model_dump() == {"light": 200, "medium": 100, "heavy": 40}
    assert paper == Scale(name="paper")
    assert load_settings(ROOT, {}).scale == "laptop"


def test_a_file_of_the_users_is_a_scale(tmp_path: Path) -> None:
    scale = CATALOG.scale(Choice(scale=own(tmp_path, {"seeds": 1, "epochs": {"heavy": 3}})))
    assert (scale.name, scale.seeds, scale.trials, scale.epochs.heavy) == ("my-scale", 1, None, 3)
    assert scale.epochs.medium is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"trials": 0}, r"trials: .*greater than or equal to 1 \(given: 0\)"),
        ({"seed": 1}, "seed: unknown key; allowed: trials, seeds, epochs, minutes; did you mean 'seeds'"),
        ({"epochs": {"huge": 1}}, "epochs.huge: unknown key; allowed: light, medium, heavy"),
        ({"epochs": 20}, r"epochs: must be a mapping such as `\{light"),
        ({"minutes": "ten"}, "minutes: .*number"),
    ],
)
def test_what_a_scale_cannot_be(tmp_path: Path, content: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        CATALOG.scale(Choice(scale=own(tmp_path, content)))
    assert str(caught.value).startswith(f"{tmp_path}/my-scale.yaml: ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("labtop", "unknown scale 'labtop'; known: laptop, paper .*did you mean 'laptop'"),
        ("no/such.yaml", "no/such.yaml: file not found; scales of config/scales: laptop, paper"),
    ],
)
def test_a_scale_that_is_not_there_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CATALOG.scale(Choice(scale=name))


def test_a_name_that_makes_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my scale.yaml").write_text("seeds: 1\n")
    with pytest.raises(ConfigError, match="my scale.yaml: results are kept under its name; rename it"):
        CATALOG.scale(Choice(scale=str(tmp_path / "my scale.yaml")))


# ---------------------------------------------------------------------------- what it caps


def test_trials_and_seeds_of_a_study_are_upper_values(tmp_path: Path) -> None:
    runs = load(tmp_path, Choice(scale="laptop")).runs
    assert [r.seed for r in runs if r.run.model == "mf"] == [5, 6]
    assert [r.seed for r in runs if r.run.model == "lightgcn"] == [9]
    assert {r.run.tune.trials for r in runs if r.run.tune} == {4}
    more = load(tmp_path, Choice(scale="laptop", seeds=9, trials=99)).runs
    assert [r.seed for r in more if r.run.model == "mf"] == [5, 6, 7]
    assert {r.run.tune.trials for r in more if r.run.tune} == {30}


def test_without_a_scale_nothing_is_capped(tmp_path: Path) -> None:
    plain, paper = load(tmp_path, None), load(tmp_path, Choice(scale="paper"))
    assert [(r.run.key, r.seed) for r in plain.runs] == [(r.run.key, r.seed) for r in paper.runs]
    assert len(plain.runs) == 10


def test_caps_on_epochs_are_no_part_of_the_key_of_a_run(tmp_path: Path) -> None:
    few, many = (load(tmp_path, Choice(epochs=epochs, minutes=1.5)).runs for epochs in (2, 90))
    plain = [(r.run.model, r.run.key) for r in few if not r.run.tune]
    assert plain == [(r.run.model, r.run.key) for r in many if not r.run.tune]
    params = {r.run.model: r.run.params.get("epochs") for r in few if not r.run.tune}
    assert params == {"sdiff": 10, "ials": 16, "lightgcn": 300}


def test_a_search_holds_the_cap_on_epochs_only_where_it_binds(tmp_path: Path) -> None:
    runs = {epochs: load(tmp_path, Choice(epochs=epochs)).runs[0].run.tune for epochs in (40, 300, 301, None)}
    assert [tune.epochs for tune in runs.values()] == [40, None, None, 100]
    assert runs[300].key == runs[301].key
    assert "epochs" not in runs[300].model_dump()
    assert len({tune.key for tune in runs.values()}) == 3
    search = {"epochs": [5, 40]}
    model = CATALOG.model("mf").model_copy(update={"search": search})
    tune = runs[300].model_copy(update={"search": search})
    assert [Scale(epochs={"medium": n}).caps_of(model, tune).epochs for n in (39, 299, 300)] == [
        39,
        299,
        None,
    ]


def test_caps_of_a_fit_follow_the_cost_of_its_model_where_they_bind(tmp_path: Path) -> None:
    study = load(tmp_path, Choice(scale="laptop"))
    caps = {r.run.model: study.scale.caps_of(CATALOG.model(r.run.model), r.run) for r in study.runs}
    assert caps == {
        "mf": Caps(epochs=100, minutes=10.0),  # medium; of a search, up to its default
        "sdiff": Caps(minutes=10.0),  # has ten epochs
        "ials": Caps(),  # is not trained
        "lightgcn": Caps(epochs=40, minutes=10.0),
    }


def test_caps_are_written_as_one_word() -> None:
    for caps in (Caps(), Caps(epochs=1_234_567), Caps(minutes=2.5), Caps(epochs=4, minutes=10.0)):
        assert Caps.read(caps.text) == caps
    assert (Caps().text, Caps(epochs=40, minutes=10.0).text) == ("none", "epochs=40,minutes=10")


@pytest.mark.parametrize(
    ("capped", "made", "now", "again"),
    [
        ("", "epochs=2", "epochs=9", False),
        ("epochs", "epochs=2", "epochs=2", False),
        ("epochs", "epochs=2", "epochs=9", True),
        ("epochs", "epochs=2", "none", True),
        ("epochs", "epochs=9", "epochs=2", False),
        ("epochs", "epochs=2,minutes=1", "epochs=2,minutes=5", False),
        ("minutes", "epochs=2,minutes=1", "epochs=2,minutes=5", True),
        ("minutes", "epochs=2,minutes=1", "epochs=2", True),
        ("minutes", "epochs=2,minutes=1", "epochs=9,minutes=1", False),
    ],
)
def test_a_fit_is_made_again_only_where_the_cap_that_ended_it_is_higher(
    capped: str, made: str, now: str, again: bool
) -> None:
    record = {"capped": capped, "caps": made, "caps_text": "epochs=7,minutes=3"}
    text = caps_text(record, Caps.read(now))
    assert text == (Caps.read(now).text if again else "epochs=7,minutes=3")


def test_a_fit_without_a_record_is_known_by_its_caps() -> None:
    assert caps_text({}, Caps(epochs=3)) == caps_text({"status": "ok"}, Caps(epochs=3)) == "epochs=3"


def test_a_fit_that_was_made_again_with_less_goes_on_as_well() -> None:
    """Its caps were lowered, its code changed: Snakemake still knows it by the higher cap."""
    record = {"capped": "epochs", "caps": "epochs=2", "caps_text": "epochs=9"}
    text = caps_text(record, Caps(epochs=9))
    assert text != "epochs=9"
    assert caps_text({"capped": "", "caps": "epochs=9", "caps_text": text}, Caps(epochs=9)) == text


# ------------------------------------------------------------------------------ settings


def test_numbers_are_taken_as_texts_too(tmp_path: Path) -> None:
    """make hands them on so."""
    given = load_settings(ROOT, {"trials": "3", "seeds": "1", "epochs": "20", "minutes": "2.5"})
    assert (given.trials, given.seeds, given.epochs, given.minutes) == (3, 1, 20, 2.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": "many"}, r"epochs: .*integer \(given: 'many'\)"),
        ({"epochs": 0}, r"epochs: .*\(given: 0\)"),
        ({"trials": 2.5}, r"trials: .*\(given: 2.5\)"),
        ({"minutes": "inf"}, "minutes: .*finite"),
        ({"seeds": -1}, r"seeds: .*\(given: -1\)"),
        ({"models": "ease,"}, r"models: 'ease,' has a comma with no name beside it"),
        ({"models": 7}, r"models: a name was read as 7; write it in brackets"),
        ({"effort": "cpu"}, "effort: unknown key"),
    ],
)
def test_wrong_words_are_refused(given: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(ROOT, given)


def test_a_wrong_scale_is_refused_when_the_plan_is_made() -> None:
    with pytest.raises(ConfigError, match="unknown scale 'big'"):
        load_plan(ROOT, {"scale": "big"}, ["snakemake"])


def test_models_and_datasets_are_asked_for_on_the_command_line() -> None:
    given = {"datasets": "lastfm.loo,amazon-beauty.loo", "models": ["gfcf"]}
    plan = load_plan(ROOT, given, ["snakemake", "anchors"])
    assert plan.studies["anchors"].config.datasets == ["amazon-beauty.loo", "lastfm.loo"]
    assert {r.run.model for r in plan.studies["anchors"].runs} == {"gfcf"}
    choice = json.loads(plan.choice_json("anchors"))
    assert choice == {"scale": "laptop", "datasets": ["amazon-beauty.loo", "lastfm.loo"], "models": ["gfcf"]}
    assert json.loads(plan.choice_json("anchors", "lastfm.loo"))["datasets"] == ["lastfm.loo"]
    with pytest.raises(ConfigError, match=r"datasets: 'last' takes part in none of: anchors .* did you mean"):
        load_plan(ROOT, {"datasets": ["last"]}, ["snakemake", "anchors"])
    with pytest.raises(ConfigError, match=r"models: 'gfc' takes part in none of: anchors .* mean 'gfcf'"):
        load_plan(ROOT, {"models": ["gfc"]}, ["snakemake", "anchors"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "ml-1m",
            r"'ml-1m' of gsprec needs ml-1m\.zip, which is neither in the mirror .* nor in ",
        ),
        ("./my.yaml", r"'\./my\.yaml' takes part in none of: gsprec .*goes to config/datasets/NAME\.yaml"),
    ],
)
def test_a_dataset_that_cannot_take_part_is_told_what_to_do(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        load_plan(ROOT, {"study": "gsprec", "datasets": [name], "mirror": str(tmp_path)}, [])


def test_the_plan_gives_a_fit_its_caps_and_the_text_that_it_was_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    plan = load_plan(ROOT, {"study": str(path), "epochs": 7}, ["snakemake"])
    runs = {r.run.model: r for r in plan.studies["e"].runs}
    key = runs["lightgcn"].run.key
    assert plan.caps("lightgcn", key).text == "epochs=7,minutes=10"
    assert plan.planned_caps("synthetic", "lightgcn", key, "9") == "epochs=7,minutes=10"
    assert plan.planned_caps("synthetic", "ials", runs["ials"].run.key, "5") == "none"
    record = tmp_path / f"results/runs/synthetic/lightgcn/{key}/seed-9/run.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"capped": "", "caps": "epochs=3", "caps_text": "epochs=3"}))
    assert plan.planned_caps("synthetic", "lightgcn", key, "9") == "epochs=3"
    record.write_text(json.dumps({"capped": "epochs", "caps": "epochs=3", "caps_text": "epochs=3"}))
    assert plan.planned_caps("synthetic", "lightgcn", key, "9") == "epochs=7,minutes=10"
    record.write_text("{")
    assert plan.planned_caps("synthetic", "lightgcn", key, "9") == "epochs=7,minutes=10"
    tune = runs["mf"].run.tune
    assert plan.planned_tune_caps("synthetic", "mf", tune.key) == "minutes=10"


def test_a_capped_run_that_snakemake_knows_nothing_of_is_refused_under_a_higher_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"models": [{"model": "lightgcn"}], "seeds": [0]}))

    def plan(epochs: int) -> Any:
        return load_plan(ROOT, {"study": str(path), "epochs": epochs}, ["snakemake"])

    (run,) = plan(3).studies["e"].runs
    record = tmp_path / f"results/runs/synthetic/lightgcn/{run.run.key}/seed-0/run.json"
    record.parent.mkdir(parents=True)
    code = fit_code("lightgcn", ROOT / "workflow/scripts/fit.py")
    caps = {"capped": "epochs", "caps": "epochs=3,minutes=10", "caps_text": "epochs=3,minutes=10"}
    record.write_text(json.dumps({"code": code, "data": "d", **caps}))
    records.check_results(plan(3))
    with pytest.raises(ConfigError, match="ended by a cap that is higher now.*make redo WHAT=results/runs"):
        records.check_results(plan(4))


# ------------------------------------------------------------------- parts of a study


def test_seeds_may_differ_by_dataset(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"], "seeds": {"default": [1], "lastfm.loo": [1, 2, 3]},
        "models": [{"model": "ease"}, {"model": "gfcf", "seeds": [8]}],
    }  # fmt: skip
    found = [(r.run.model, r.dataset, r.seed) for r in load(tmp_path, Choice(scale="laptop"), **changes).runs]
    assert found == [
        ("ease", "synthetic", 1), ("ease", "lastfm.loo", 1), ("ease", "lastfm.loo", 2),
        ("gfcf", "synthetic", 8), ("gfcf", "lastfm.loo", 8),
    ]  # fmt: skip


def test_an_entry_may_name_several_models(tmp_path: Path) -> None:
    entries = [{"model": ["ease", "gfcf"], "group": "g"}, {"model": "popularity"}]
    runs = load(tmp_path, None, models=entries, seeds=[0]).runs
    assert [(r.run.model, r.group) for r in runs] == [("ease", "g"), ("gfcf", "g"), ("popularity", "main")]
    with pytest.raises(ConfigError, match=r"models\[0\]: unknown model 'eas'.*did you mean 'ease'"):
        load(tmp_path, None, models=[{"model": ["gfcf", "eas"]}])


NARROW = {
    "datasets": ["synthetic", "lastfm.loo"], "seeds": [0],
    "models": [
        {"model": ["popularity", "ease"]},
        {"model": "gfcf", "group": "some", "datasets": ["lastfm.loo"]},
        {"model": "gsprec", "group": "none"},
    ],
    "tables": [
        {"name": name, "title": "T", "metrics": ["ndcg"], "k": [10], "groups": groups}
        for name, groups in (
            ("main", ["main"]), ("some", ["some"]), ("none", ["none"]), ("both", ["none", "some"]),
        )
    ],
    "figures": [
        {"name": "none", "title": "N", "kind": "timing", "group": "none"},
        {"name": "one", "title": "O", "kind": "frequency-response", "model": "gsprec"},
        {"name": "all", "title": "A", "kind": "timing"},
    ],
    "claims": [
        {"name": name, "title": "B", "statement": "S", "kind": "gain", "model": "ease", "rivals": rivals}
        for name, rivals in (("a", ["popularity", "gsprec"]), ("b", ["gsprec"]), ("c", []))
    ],
}  # fmt: skip


def drawn(study: Study) -> list[tuple]:
    items = [(t.name, t.datasets, t.groups) for t in study.config.tables]
    return [*items, *(f.name for f in study.config.figures)]


def test_what_has_no_runs_is_not_drawn(tmp_path: Path) -> None:
    whole = load(tmp_path, None, **NARROW)
    assert drawn(whole) == [
        ("main", None, ["main"]), ("some", ["lastfm.loo"], ["some"]), ("none", None, ["none"]),
        ("both", None, ["none", "some"]), "none", "one", "all",
    ]  # fmt: skip
    few = load(tmp_path, Choice(models=["popularity", "ease", "gfcf"]), **NARROW)
    assert drawn(few) == [
        ("main", None, ["main"]), ("some", ["lastfm.loo"], ["some"]), ("both", ["lastfm.loo"], ["some"]),
        "all",
    ]  # fmt: skip
    # A rival that takes no part stays one: without its number the claim cannot be called reproduced.
    assert [(c.name, c.rivals) for c in few.config.claims] == [("a", ["popularity", "gsprec"]), ("c", [])]
    one = load(tmp_path, Choice(datasets=["synthetic"], models=["ease", "gfcf"]), **NARROW)
    assert {(r.dataset, r.run.model) for r in one.runs} == {("synthetic", "ease")}
    assert drawn(one) == [("main", None, ["main"]), "all"]


def test_one_group_of_a_model_runs_without_its_others(tmp_path: Path) -> None:
    entries = [
        {"model": ["ease", "gfcf"], "group": "a"},
        {"model": "ease", "group": "b", "params": {"regularization": 9}},
    ]
    tables = [{"name": n, "title": "T", "metrics": ["ndcg"], "k": [10], "groups": [n]} for n in "ab"]
    study = {"datasets": ["synthetic"], "seeds": [0], "models": entries, "tables": tables}
    one = load(tmp_path, Choice(groups=["a"], models=["ease"]), **study)
    assert [(r.run.model, r.group) for r in one.runs] == [("ease", "a")]
    assert [t.name for t in one.config.tables] == ["a"]
    assert Choice(groups="a,b").words["groups"] == "[a,b]"


def test_a_study_that_has_none_of_what_is_asked_for_keeps_its_own(tmp_path: Path) -> None:
    other = load(tmp_path, Choice(datasets=["ml-1m.diffrec"], models=["sgl"]), **NARROW)
    assert drawn(other) == drawn(load(tmp_path, None, **NARROW))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"groups": ["soem"]}, "no model is in group 'soem'"),
        ({"datasets": ["lastfm"]}, "'lastfm' is not among the study's datasets"),
    ],
)
def test_wrong_names_are_refused_also_where_a_study_is_narrowed(
    tmp_path: Path, place: dict, said: str
) -> None:
    tables = [NARROW["tables"][0] | place]
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, Choice(models=["ease"]), **(NARROW | {"tables": tables}))


def test_models_of_drawings_are_checked_against_the_whole_study(tmp_path: Path) -> None:
    figures = [{"name": "one", "title": "O", "kind": "frequency-response", "model": "gsprc"}]
    with pytest.raises(ConfigError, match="no model of the study is 'gsprc'"):
        load(tmp_path, Choice(models=["ease"]), **(NARROW | {"figures": figures}))


@pytest.mark.parametrize("name", CATALOG.names("studies"))
def test_every_study_has_runs_for_each_of_its_models_alone(name: str) -> None:
    """Each model under one of the two scales, by turns."""
    whole = {scale: CATALOG.study(name, choice=Choice(scale=scale)).runs for scale in ("laptop", "paper")}
    models = sorted({r.run.model for r in whole["paper"]})
    assert models == sorted({r.run.model for r in whole["laptop"]})
    for model, scale in zip(models, itertools.cycle(whole), strict=False):
        part = CATALOG.study(name, choice=Choice(scale=scale, models=[model])).runs
        assert {r.run.model for r in part} == {model}
        assert {r.run.key for r in part} == {r.run.key for r in whole[scale] if r.run.model == model}


def test_lines_of_studies_can_be_read() -> None:
    for name in CATALOG.names("studies"):
        lines = (ROOT / "config" / "studies" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) <= 110, name
    assert len((ROOT / "config/studies/wpgrec.yaml").read_text(encoding="utf-8").splitlines()) <= 132


# ------------------------------------------------------------------------------- words


def described(study: Study, statuses: list[str]) -> SimpleNamespace:
    """A stand-in for the files of a finished study, with runs of these statuses."""
    head = {"model": "mf", "variant": "default", "fit": "train", "title": "MF", "group": "main", "seed": 0}
    runs = pd.DataFrame([head | {"dataset": "synthetic", "key": "k", "status": s} for s in statuses])
    about = {"mf": {"search": {"dimensions": [64]}}, "ease": {"search": {"regularization": [1, 3]}}}
    record = {"scale": study.scale.model_dump(), "about": about}
    return SimpleNamespace(config=study.config, study=record, runs=runs, folder=Path("studies/e"))


def notes(files: SimpleNamespace) -> list[str]:
    nothing = {
        "reached": {},
        "ending": {},
        "told": [],
        "seeds": {},
        "alone": [],
        "published": [],
        "bound": None,
    }
    shown = files, ["main"], ["synthetic"]
    found = {"spent": spent(*shown), "tuned": tuned(*shown), "elsewhere": None}
    return paragraphs("footnotes.j2", **found, **nothing)


def test_one_sentence_says_which_caps_were_met(tmp_path: Path) -> None:
    study = load(tmp_path, Choice(scale="laptop"))
    assert notes(described(study, ["ok", "capped", "oom"]))[0] == (
        "Scale laptop: 4 of 30 tuning trials, 2 of 3 seeds, 1 of 3 fits ended by a cap on epochs or minutes."
    )
    free = load(tmp_path, Choice(scale="paper"))
    assert notes(described(free, ["ok"]))[0] == "Scale paper: no cap was met."
    assert not any(note.startswith("Scale") for note in notes(described(load(tmp_path, None), ["ok"])))


def test_trials_under_a_table_are_those_that_were_made(tmp_path: Path) -> None:
    study = load(tmp_path, Choice(scale="laptop"), models=[{"model": ["mf", "ease"], "tune": True}])
    note = notes(described(study, ["ok"]))[-1]
    assert "4 trials for each model and dataset" in note
    assert note.endswith("Searched: mf: dimensions in {64}; ease: regularization in {1, 3}.")


@pytest.mark.parametrize(
    ("statuses", "joint"),
    [
        (["ok", "ok"], "ok"),
        (["capped", "capped"], "capped"),
        (["ok", "ok", "capped"], "ok (1/3 capped)"),
        (["ok", "capped", "oom"], "ok (1/3 capped, 1/3 oom)"),
        (["capped", "oom"], "capped (1/2 oom)"),
        (["oom", "timeout"], "oom+timeout"),
    ],
)
def test_statuses_of_seeds_are_said_together(statuses: list[str], joint: str) -> None:
    assert joint_status(statuses) == joint


def test_numbers_of_capped_runs_count() -> None:
    rows = pd.DataFrame({"name": ["a"] * 3, "value": [0.1, 0.3, 0.9], "status": ["ok", "capped", "oom"]})
    (row,) = aggregate(rows, ["name"]).to_dict("records")
    assert (row["mean"], row["seeds"], row["status"]) == (pytest.approx(0.2), 2, "ok (1/3 capped, 1/3 oom)")


@pytest.mark.parametrize(
    "record",
    [
        {"caps_text": "none; touch pwned #"},
        {"caps_text": "epochs=4 --folder /tmp"},
        {"caps_text": "none", "capped": "epochs"},
        {"caps_text": "epochs=4", "capped": "epochs", "caps": "bad"},
        {"caps_text": "epochs=4", "capped": "seeds", "caps": "epochs=4"},
        {"caps_text": ["none"]},
    ],
)
def test_a_record_that_no_run_wrote_says_nothing(record: dict) -> None:
    assert caps_text(record, Caps(epochs=7)) == "epochs=7"
