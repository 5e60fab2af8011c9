"""Names of runs and searches in messages, and which fits save their model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.config.model import RunConfig
from recspectra.config.settings import load_settings
from recspectra.running.names import Names

STUDY: dict[str, Any] = {
    "name": "named", "title": "Names", "datasets": ["synthetic"], "tuning": {"trials": 2},
    "models": [
        {"model": "ease", "fit": ["train", "train+valid"], "keep": True},
        {"model": "gsprec", "sweep": {"center": [0.2, 0.4]}, "group": "center"},
        {"model": "gsprec", "variant": "narrow", "params": {"width": 0.3}},
        {"model": "gsprec", "variant": "narrow", "sweep": {"phi": [0.0]}, "params": {"width": 0.3}},
        {"model": "gfcf", "tune": True, "params": {"rank": 32}},
    ],
    "tables": [{"name": "main", "title": "Main", "metrics": ["recall"], "k": [10]}],
}  # fmt: skip


@pytest.fixture
def plan(small_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> planning.Plan:
    (tmp_path / "named.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    return planning.load(small_project, {"study": str(tmp_path / "named.yaml")}, [])


def named(plan: planning.Plan) -> list[str]:
    names = Names(plan)
    return [f"{names:fit {run.dataset} {run.run.model} {run.run.key}}" for run in plan.studies["named"].runs]


def test_a_run_is_called_by_titles_and_by_what_tells_it_apart(plan: planning.Plan) -> None:
    found = named(plan)
    where = " on Synthetic (embedded)"
    assert found[:5] == [
        f"EASE{where}", f"EASE (train+valid){where}", f"GSPRec (center 0.2){where}",
        f"GSPRec (center 0.4){where}", f"GSPRec (narrow){where}",
    ]  # fmt: skip
    assert found[5] == f"GSPRec (narrow, phi 0.0){where}"
    assert found[6] == f"GF-CF{where}"


def test_keys_are_hashed_once_whatever_the_number_of_messages(
    plan: planning.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run of all studies names a thousand fits of a thousand runs."""
    names, run, hashed, key = Names(plan), plan.studies["named"].runs[0].run, [], RunConfig.key.fget
    monkeypatch.setattr(RunConfig, "key", property(lambda self: hashed.append(self) or key(self)))
    said = {f"{names:fit synthetic ease {key(run)}}" for _ in range(5)}
    assert said == {"EASE on Synthetic (embedded)"}
    assert len(hashed) == sum(len(study.runs) for study in plan.studies.values())


def test_data_and_searches_have_names_too(plan: planning.Plan) -> None:
    names, tune = Names(plan), plan.studies["named"].runs[-1].run.tune
    assert f"{names:data synthetic}" == "Synthetic (embedded)"
    assert f"{names:tune synthetic gfcf {tune.key}}" == "GF-CF (rank 32) on Synthetic (embedded)"


@pytest.mark.parametrize("dataset", ["my-faq", "my-menu"])
def test_messages_know_datasets_whose_names_end_like_a_format_of_snakemake(dataset: str, root: Path) -> None:
    from snakemake.utils import format as filled_in  # as Snakemake fills in messages

    class Said:
        def __format__(self, spec: str) -> str:
            return spec.split()[1]

    rules = "".join(path.read_text() for path in sorted((root / "rules").glob("*.smk")))
    words = SimpleNamespace(dataset=dataset, study="s", operator="o", rank="8", model="m", key="0a", seed="0")
    messages = re.findall(r'^ +"(.*NAMES:.*)"$', rules, re.MULTILINE)
    assert len(messages) >= 6
    for message in messages:
        assert dataset in filled_in(message, NAMES=Said(), wildcards=words)


@pytest.mark.parametrize(("given", "expected"), [
    (1, True), ("1", True), ("true", True), (True, True),
    (0, False), ("0", False), ("", False), (None, False),
])  # fmt: skip
def test_keep_is_read_as_make_and_a_command_line_give_it(given: Any, expected: bool, root: Path) -> None:
    assert load_settings(root, {"keep": given}).keep is expected


def test_a_keep_that_is_neither_yes_nor_no_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="keep: .*boolean.*'maybe'|keep"):
        load_settings(root, {"keep": "maybe"})


def texts(plan: planning.Plan, record: dict[str, Any] | None, model_there: bool = False) -> tuple[str, str]:
    """What `planned_keep` says of a run that is to keep its model and of one that is not."""
    found = []
    for run in (plan.studies["named"].runs[0], plan.studies["named"].runs[2]):
        place = Path(f"results/runs/synthetic/{run.run.model}/{run.run.key}/seed-0")
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.rs").unlink(missing_ok=True)
        if record is not None:
            (place / "run.json").write_text(json.dumps(record))
        if model_there:
            (place / "model.rs").write_text("a model")
        found.append(plan.planned_keep("synthetic", run.run.model, run.run.key, "0"))
    return found[0], found[1]


def test_a_fit_runs_again_only_where_its_model_is_wanted_and_missing(plan: planning.Plan) -> None:
    assert texts(plan, None) == ("keep", "")
    done = {"status": "ok", "keep_text": ""}
    assert texts(plan, done) == ("keep", "")
    assert texts(plan, {"status": "ok", "keep_text": "keep"}, model_there=True) == ("keep", "keep")
    assert texts(plan, {"status": "ok", "keep_text": "keep"}) == ("keep again", "keep")
    assert texts(plan, {"status": "ok", "keep_text": "keep again"}) == ("keep", "keep again")
    assert texts(plan, {"status": "oom", "keep_text": ""}) == ("", "")  # it has no model to be saved
    assert texts(plan, {"status": "capped", "keep_text": ""}) == ("keep", "")


def test_ids_are_an_input_of_fits_that_save_their_model(plan: planning.Plan) -> None:
    first, other = plan.studies["named"].runs[0], plan.studies["named"].runs[2]
    assert plan.kept_ids("synthetic", "ease", first.run.key, "0") == ["results/data/synthetic/ids.parquet"]
    assert plan.kept_ids("synthetic", "gsprec", other.run.key, "0") == []
