"""Levels of effort of a study: trials, seeds and limits of hyperparameters."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog, Study
from recspectra.planning import load as load_plan
from recspectra.reporting.footnotes import effort_notes, tuning_notes

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "name": "e", "title": "E", "datasets": ["synthetic"], "seeds": [0], "tuning": {"trials": 30},
    "efforts": {
        "cpu": {"trials": 4, "seeds": [0, 1], "limits": {"epochs": 40}},
        "paper": {"seeds": [0, 1, 2]},
    },
    "systems": [
        {"model": "mf", "tune": True},
        {"model": "sdiff", "params": {"epochs": 10}},
        {"model": "ials", "variant": "fixed"},
        {"model": "lightgcn", "seeds": [7]},
    ],
}  # fmt: skip


def load(folder: Path, level: str, **changes: object) -> Study:
    path = folder / "e.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return Catalog(ROOT).study(str(path), effort=level)


def test_an_effort_sets_trials_and_seeds_of_systems_without_their_own(tmp_path: Path) -> None:
    study = load(tmp_path, "cpu")
    assert study.config.tuning.trials == 4
    assert [r.seed for r in study.runs if r.run.model == "mf"] == [0, 1]
    assert [r.seed for r in study.runs if r.run.model == "lightgcn"] == [7]
    assert [r.run.tune.trials for r in study.runs if r.run.tune] == [4, 4]


def test_limits_lower_what_is_larger_and_leave_what_is_smaller(tmp_path: Path) -> None:
    runs = {r.run.model: r.run for r in load(tmp_path, "cpu").runs}
    assert runs["lightgcn"].params["epochs"] == 40
    assert runs["sdiff"].params["epochs"] == 10
    assert runs["ials"].params["epochs"] == 16  # its default
    assert runs["mf"].tune.params == {"epochs": 40}


def test_another_effort_gives_other_runs(tmp_path: Path) -> None:
    cpu, paper = (load(tmp_path, effort) for effort in ("cpu", "paper"))
    assert paper.config.tuning.trials == 30
    assert paper.config.limits == {}
    key = {s.config.effort: {r.run.key for r in s.runs if r.run.model == "mf"} for s in (cpu, paper)}
    assert not key["cpu"] & key["paper"]


def test_a_study_without_efforts_is_the_same_at_any(tmp_path: Path) -> None:
    cpu, paper = (load(tmp_path, effort, efforts={}) for effort in ("cpu", "paper"))
    assert [r.run.key for r in cpu.runs] == [r.run.key for r in paper.runs]
    assert cpu.config.effort == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"efforts": {"paper": {}}}, "no effort 'cpu'; it has paper"),
        ({"effort": "cpu"}, "chosen by `--config effort"),
        ({"efforts": {"cpu": {"limits": {"epoch": 3}}}}, "no system of the study has a parameter 'epoch'"),
    ],
)
def test_what_an_effort_cannot_be(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "cpu", **changes)


def test_an_effort_may_have_datasets_of_its_own_unless_others_are_asked_for(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo", "amazon-beauty.loo"],
        "efforts": {"cpu": {"datasets": ["lastfm.loo"]}},
        "systems": [
            {"model": "popularity"},
            {"model": "ease", "group": "other", "datasets": ["amazon-beauty.loo"]},
        ],
        "tables": [{"name": "o", "title": "O", "metrics": ["recall"], "k": [10], "groups": ["other"]}],
    }
    study = load(tmp_path, "cpu", **changes)
    assert study.config.datasets == ["lastfm.loo"]
    assert study.config.tables == []  # its systems take no part
    asked = Catalog(ROOT).study(str(tmp_path / "e.yaml"), datasets=["amazon-beauty.loo"])
    assert {(r.dataset, r.run.model) for r in asked.runs} == {
        ("amazon-beauty.loo", "popularity"),
        ("amazon-beauty.loo", "ease"),
    }
    other = Catalog(ROOT).study(str(tmp_path / "e.yaml"), datasets=["ml-1m.diffrec"])
    assert other.config.datasets == ["lastfm.loo"]  # a study that has none of them keeps its own


def test_datasets_are_asked_for_on_the_command_line(capsys: pytest.CaptureFixture) -> None:
    plan = load_plan(ROOT, {"datasets": "lastfm.loo,amazon-beauty.loo"}, ["snakemake", "anchors"])
    assert plan.studies["anchors"].config.datasets == ["amazon-beauty.loo", "lastfm.loo"]
    assert plan.study_options("anchors") == "--datasets amazon-beauty.loo lastfm.loo"
    with pytest.raises(ConfigError, match=r"'last' takes part in none of: anchors .* did you mean"):
        load_plan(ROOT, {"datasets": ["last"]}, ["snakemake", "anchors"])


def test_limits_of_a_dataset_and_of_an_entry_take_the_place_of_the_studys(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"],
        "efforts": {
            "cpu": {"limits": {"epochs": 40}, "limits_on": {"lastfm.loo": {"epochs": 5}}},
            "paper": {},
        },
        "systems": [
            {"model": "mf"},
            {"model": "lightgcn", "tune": True, "limits": {"cpu": {"epochs": 7}}},
            {
                "model": "jgcf",
                "limits": {"cpu": {"epochs": 7}},
                "limits_on": {"cpu": {"lastfm.loo": {"epochs": 3}}},
            },
        ],
    }
    runs = load(tmp_path, "cpu", **changes).runs
    assert {r.dataset: r.run.params["epochs"] for r in runs if r.run.model == "mf"} == {
        "synthetic": 40,
        "lastfm.loo": 5,
    }
    assert {r.run.tune.params["epochs"] for r in runs if r.run.tune} == {7}
    assert {r.dataset: r.run.params["epochs"] for r in runs if r.run.model == "jgcf"} == {
        "synthetic": 7,
        "lastfm.loo": 3,
    }
    assert {
        r.run.tune.params.get("epochs") for r in load(tmp_path, "paper", **changes).runs if r.run.tune
    } == {None}


def test_what_an_effort_spends_is_said_with_the_datasets_where_it_differs(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"],
        "efforts": {
            "cpu": {
                "seeds": [1, 2], "seeds_on": {"lastfm.loo": [1]}, "trials": 4,
                "limits": {"epochs": 40}, "limits_on": {"lastfm.loo": {"epochs": 5}},
            },
        },
        "systems": [
            {"model": "mf", "limits": {"cpu": {"epochs": 7}}},
            {"model": "jgcf", "limits_on": {"cpu": {"lastfm.loo": {"epochs": 3}}}},
            {"model": "sgl", "limits": {"cpu": {"epochs": 9}}, "datasets": ["synthetic"]},
        ],
    }  # fmt: skip
    files = SimpleNamespace(config=load(tmp_path, "cpu", **changes).config, study={})
    (note,) = effort_notes(files, ["main"], changes["datasets"])
    assert note == (
        "Effort cpu: 4 tuning trials, 2 seeds (lastfm.loo: 1), epochs at most 40 (synthetic), 5 "
        "(lastfm.loo). "
        "mf: epochs at most 7. jgcf: epochs at most 3 (lastfm.loo). sgl: epochs at most 9 (synthetic)."
    )


def test_what_an_effort_spends_is_said_of_the_systems_and_datasets_of_a_table(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"],
        "efforts": {"cpu": {"seeds_on": {"lastfm.loo": [1]}, "limits": {"epochs": 40}}},
        "systems": [
            {"model": "mf", "limits": {"cpu": {"epochs": 7}}},
            {"model": "mf", "group": "other", "limits": {"cpu": {"epochs": 65}}},
            {"model": "sgl", "limits": {"cpu": {"epochs": 9}}, "datasets": ["lastfm.loo"]},
        ],
    }  # fmt: skip
    files = SimpleNamespace(config=load(tmp_path, "cpu", **changes).config, study={})
    (note,) = effort_notes(files, ["main"], ["synthetic"])
    assert note.endswith("epochs at most 40. mf: epochs at most 7.")
    assert "lastfm" not in note
    (note,) = effort_notes(files, ["other"], ["synthetic", "lastfm.loo"])
    assert note.endswith("mf: epochs at most 65.")


def test_trials_are_said_of_the_datasets_of_a_table(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"], "tuning": {"trials": 9},
        "efforts": {"cpu": {"trials": 3, "trials_on": {"lastfm.loo": 0}}},
        "systems": [{"model": "ease", "tune": True}, {"model": "mf", "tune": True, "group": "other"}],
    }  # fmt: skip
    about = {"ease": {"search": {"regularization": [1, 3]}}, "mf": {"search": {"dimensions": [64]}}}
    files = SimpleNamespace(config=load(tmp_path, "cpu", **changes).config, study={"models": about})
    (whole,) = tuning_notes(files, SimpleNamespace(groups=["main"], datasets=None))
    assert "3 trials for each system and dataset (lastfm.loo: none" in whole
    assert whole.endswith("Searched: ease: regularization in {1, 3}.")
    (part,) = tuning_notes(files, SimpleNamespace(groups=["other"], datasets=["synthetic"]))
    assert "3 trials for each system and dataset (fewer" in part
    assert part.endswith("Searched: mf: dimensions in {64}.")
    assert tuning_notes(files, SimpleNamespace(groups=["main"], datasets=["lastfm.loo"])) == []


@pytest.mark.parametrize(
    ("models", "said"),
    [(["ials", "mf"], "1 seed, epochs at most 40 (other"), (["ials"], "1 seed (other")],
)
def test_limits_are_said_of_datasets_on_which_a_system_is_trained(
    tmp_path: Path, models: list[str], said: str
) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"], "seeds": [0],
        "efforts": {
            "cpu": {"trials": 2, "limits": {"epochs": 40}, "limits_on": {"lastfm.loo": {"epochs": 5}}},
            "paper": {},
        },
        "systems": [{"model": m, "datasets": ["synthetic"] if m == "mf" else None} for m in models],
    }  # fmt: skip
    about = {"ials": {"kind": "closed-form"}, "mf": {"kind": "trained"}}
    files = SimpleNamespace(config=load(tmp_path, "cpu", **changes).config, study={"models": about})
    (note,) = effort_notes(files, ["main"], changes["datasets"])
    assert note.startswith(f"Effort cpu: 2 tuning trials, {said} level")


def test_an_entry_may_have_fewer_datasets_at_an_effort_and_a_dataset_more_seeds(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo"], "more_seeds": {"lastfm.loo": [1, 2, 3]},
        "efforts": {
            "cpu": {"seeds": [5]}, "paper": {}, "smoke": {"seeds": [5], "seeds_on": {"synthetic": [7]}},
        },
        "systems": [{"model": "popularity"}, {"model": "ease", "datasets_at": {"cpu": ["lastfm.loo"]}}],
    }  # fmt: skip
    found = {
        e: [(r.dataset, r.run.model, r.seed) for r in load(tmp_path, e, **changes).runs]
        for e in ("cpu", "paper", "smoke")
    }
    assert [(dataset, seed) for dataset, _, seed in found["smoke"]] == [
        ("synthetic", 7), ("lastfm.loo", 5), ("synthetic", 7), ("lastfm.loo", 5),
    ]  # fmt: skip
    assert found["cpu"] == [
        ("synthetic", "popularity", 5),
        ("lastfm.loo", "popularity", 5),
        ("lastfm.loo", "ease", 5),
    ]
    assert [seed for dataset, _, seed in found["paper"] if dataset == "lastfm.loo"] == [1, 2, 3, 1, 2, 3]
    assert [seed for dataset, _, seed in found["paper"] if dataset == "synthetic"] == [0, 0]


def test_a_dataset_may_have_other_trials_or_none_at_all(tmp_path: Path) -> None:
    changes = {
        "datasets": ["synthetic", "lastfm.loo", "ml-1m.loo"], "tuning": {"trials": 9},
        "efforts": {"cpu": {"trials": 3, "trials_on": {"lastfm.loo": 5, "ml-1m.loo": 0}}, "paper": {}},
        "systems": [{"model": "ease", "tune": True, "after": {"regularization": 7.0}}],
    }  # fmt: skip
    found = {e: {r.dataset: r.run for r in load(tmp_path, e, **changes).runs} for e in ("cpu", "paper")}
    assert {d: run.tune.trials for d, run in found["paper"].items()} == dict.fromkeys(changes["datasets"], 9)
    cpu = found["cpu"]
    assert (cpu["synthetic"].tune.trials, cpu["lastfm.loo"].tune.trials, cpu["ml-1m.loo"].tune) == (
        3,
        5,
        None,
    )
    assert cpu["ml-1m.loo"].params["regularization"] == 7.0
    changes["systems"] = [{"model": "sgl", "tune": True}]
    changes["efforts"]["cpu"]["trials_on"]["amazon-beauty.loo"] = 0
    changes["datasets"].append("amazon-beauty.loo")
    sgl = {r.dataset: r.run.params for r in load(tmp_path, "cpu", **changes).runs}
    assert (sgl["ml-1m.loo"]["dimensions"], sgl["amazon-beauty.loo"]["dimensions"]) == (64, 128)
    assert sgl["amazon-beauty.loo"]["loss"] == "bpr"  # is not searched
    files = SimpleNamespace(config=load(tmp_path, "cpu", **changes).config, study={"models": {}})
    said = (
        "3 tuning trials (lastfm.loo: 5; ml-1m.loo, amazon-beauty.loo: none, known settings or the defaults)"
    )
    assert said in effort_notes(files, ["main"], changes["datasets"])[0]
    changes["efforts"]["cpu"]["trials_on"] = {"lastfm": 5}
    with pytest.raises(ConfigError, match="efforts.cpu.trials_on.*lastfm"):
        load(tmp_path, "cpu", **changes)


def test_an_entry_may_have_other_seeds_at_an_effort(tmp_path: Path) -> None:
    changes = {
        "efforts": {"cpu": {"seeds": [5, 6]}, "paper": {}}, "seeds": [7],
        "systems": [
            {"model": "popularity", "seeds": [1, 2], "seeds_at": {"cpu": [3]}},
            {"model": "ease", "seeds_at": {"cpu": [6]}}, {"model": "ials"},
        ],
    }  # fmt: skip
    found = {e: [(r.run.model, r.seed) for r in load(tmp_path, e, **changes).runs] for e in ("cpu", "paper")}
    assert found["cpu"] == [("popularity", 3), ("ease", 6), ("ials", 5), ("ials", 6)]
    assert found["paper"] == [("popularity", 1), ("popularity", 2), ("ease", 7), ("ials", 7)]
    changes["systems"][1]["seeds_at"] = {"cqu": [6]}
    with pytest.raises(ConfigError, match="no effort 'cqu'; it has cpu, paper"):
        load(tmp_path, "cpu", **changes)


@pytest.mark.parametrize("dataset", ["ml-1m.head", "amazon-beauty.higsp-ordered"])
def test_limits_of_trained_systems_are_right_where_none_takes_part(dataset: str) -> None:
    study = Catalog(ROOT).study("gsprec", datasets=[dataset])
    assert {r.dataset for r in study.runs} == {dataset}
    assert not {"mf", "lightgcn"} & {r.run.model for r in study.runs}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"systems": [{"model": "mf", "limits": {"gpu": {"epochs": 3}}}]}, "the study has no effort 'gpu'"),
        ({"systems": [{"model": "mf", "limits": {"cpu": {"epoch": 3}}}]}, "parameter 'epoch'; did you mean"),
        ({"systems": [{"model": "mf", "limits_on": {"gpu": {}}}]}, "the study has no effort 'gpu'"),
        (
            {"systems": [{"model": "mf", "limits_on": {"cpu": {"nowhere": {"epochs": 3}}}}]},
            "unknown dataset 'nowhere'",
        ),
        (
            {"systems": [{"model": "mf", "limits_on": {"cpu": {"synthetic": {"epoch": 3}}}}]},
            "limits_on.cpu.synthetic: no system of the study has a parameter 'epoch'",
        ),
        ({"efforts": {"cpu": {"datasets": ["nowhere"]}}}, "'nowhere' is not among the study's datasets"),
        ({"efforts": {"cpu": {"limits_on": {"synthetic": {"epoch": 3}}}}}, "parameter 'epoch'"),
        ({"more_seeds": {"nowhere": [1]}}, "unknown dataset 'nowhere'"),
        ({"efforts": {"cpu": {"seeds_on": {"nowhere": [1]}}}}, "unknown dataset 'nowhere'"),
    ],
)
def test_limits_of_what_is_not_there_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "cpu", **changes)


def test_what_has_no_runs_at_an_effort_is_not_drawn(tmp_path: Path) -> None:
    table = {"title": "T", "metrics": ["ndcg"], "k": [10]}
    changes = {
        "datasets": ["synthetic", "lastfm.loo"], "efforts": {"cpu": {}, "paper": {}},
        "systems": [
            {"model": "popularity"},
            {"model": "ease", "group": "some", "datasets_at": {"cpu": ["lastfm.loo"]}},
            {"model": "gfcf", "group": "none", "datasets_at": {"cpu": []}},
        ],
        "tables": [
            table | {"name": "main"}, table | {"name": "some", "groups": ["some"]},
            table | {"name": "none", "groups": ["none"]},
            table | {"name": "both", "groups": ["none", "some"]},
        ],
        "figures": [{"name": "none", "title": "N", "kind": "timing", "group": "none"}],
    }  # fmt: skip

    def drawn(effort: str) -> list[tuple]:
        config = load(tmp_path, effort, **changes).config
        return [(t.name, t.datasets, t.groups) for t in config.tables] + [f.name for f in config.figures]

    assert drawn("cpu") == [
        ("main", None, ["main"]), ("some", ["lastfm.loo"], ["some"]), ("both", ["lastfm.loo"], ["some"]),
    ]  # fmt: skip
    assert drawn("paper") == [
        ("main", None, ["main"]), ("some", None, ["some"]), ("none", None, ["none"]),
        ("both", None, ["none", "some"]), "none",
    ]  # fmt: skip
    changes["tables"][1]["groups"] = ["soem"]
    with pytest.raises(ConfigError, match="no system is in group 'soem'"):
        load(tmp_path, "cpu", **changes)
    changes["tables"][1] |= {"groups": ["some"], "datasets": ["lastfm"]}
    with pytest.raises(ConfigError, match="'lastfm' is not among the study's datasets"):
        load(tmp_path, "cpu", **changes)
