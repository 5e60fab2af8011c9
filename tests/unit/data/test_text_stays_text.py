"""Keys, variants and names that look like numbers go through every file of a study and stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, RunConfig
from recspectra.config.planned import Study
from recspectra.config.settings import load_settings
from recspectra.data.interactions import Interactions
from recspectra.data.splits import statistics
from recspectra.evaluation.measure import measure
from recspectra.files import write_json
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import Inputs
from recspectra.fitting.tune import TuneJob, tune, write_tuning
from recspectra.paths import Paths
from recspectra.reporting.collect import collect
from recspectra.reporting.draw import draw
from recspectra.reporting.results import StudyResults
from recspectra.reporting.tables import read
from recspectra.reporting.user_values import user_values

DATASETS = ["1e3", "007", "NA", "true"]
VARIANTS = ["1e3", "NA", "007", "true", "0039929415", "1e400", "-0.0", "null", " x", ""]


def with_key(test: Any) -> float:
    """A value of EASE's regularisation for which the key passes a test."""
    config = Catalog(Path(__file__).resolve().parents[3]).model("ease")
    for value in range(1, 100_000):
        params = config.resolve({"regularization": float(value)})
        if test(RunConfig(model="ease", class_name=config.class_name, params=params, top=20).key):
            return float(value)
    raise AssertionError("no such key")


def digits_alone(key: str) -> bool:
    return key.isdecimal() and key.startswith("0")


def power_of_ten(key: str) -> bool:
    head, e, tail = key.partition("e")
    return bool(e) and head.isdecimal() and tail.isdecimal()


@pytest.fixture
def study(project: Path) -> Study:
    """EASE with keys that look like numbers, under variants that do, on datasets that do, one tuned."""
    made = yaml.safe_load((project / "config/datasets/synthetic.yaml").read_text())
    for name in DATASETS:
        (project / f"config/datasets/{name}.yaml").write_text(
            json.dumps({**made, "name": name, "expected": None})
        )
    values = [with_key(digits_alone), with_key(power_of_ten)]
    models = [
        {"model": "ease", "variant": variant, "params": {"regularization": values[i] if i < 2 else 2.0 + i}}
        for i, variant in enumerate(v for v in VARIANTS if v)
    ]
    models += [{"model": "ease", "tune": True, "group": "007"}, {"model": "popularity"}]
    table = {"title": "T", "metrics": ["recall"], "k": [10]}
    config = {
        "name": "1e5", "title": "1e5", "datasets": DATASETS, "models": models, "tuning": {"trials": 2},
        "top": 20, "tables": [table | {"name": "0e1"}, table | {"name": "tuned", "groups": ["007"]}],
    }  # fmt: skip
    path = project / "1e5.yaml"
    path.write_text(json.dumps(config))  # YAML with all texts in quotes
    return Catalog(project).study(str(path))


@pytest.fixture
def finished(study: Study, tiny: dict[str, Interactions], tmp_path: Path) -> Path:
    """The study's folder after every step on the tiny data."""
    results, inputs = tmp_path / "results", Inputs(tiny["train"], tiny["valid"], True, {})
    folder = results / "studies" / study.name
    for planned in study.runs:
        place, run = Paths(results).planned(planned), planned.run
        model, params = study.catalog.model(run.model), run.params
        if run.tune:
            job = TuneJob(planned.dataset, model, run.tune, "cpu", Budget())
            home = results / "tuning" / planned.dataset / run.model / run.tune.key
            write_tuning(job, tune(job, inputs, home / "trials.sqlite"), inputs, home)
            params = model.resolve({})
        if not (place / "run.json").exists():
            execute(Job(planned.dataset, model, run, params, 0, "cpu", 1, Budget(), "code"), inputs, place)
    for dataset in DATASETS:
        stats = statistics(study.catalog.dataset(dataset), tiny)
        write_json(results / "data" / dataset / "stats.json", stats)
        planned = [r for r in study.runs if r.dataset == dataset]
        found = measure(planned, [(p, study.views(p)) for p in study.protocols], tiny, results, inputs.digest)
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        found.rows.to_csv(folder / "parts" / f"{dataset}.csv", index=False)
        names = np.array([f"u{user}" for user in range(tiny["train"].n_users)])
        found.users.write(folder / "per_user" / f"{dataset}.parquet", names)
    collect(study, results)
    return folder


def test_a_study_of_names_like_numbers_loses_nothing(study: Study, finished: Path) -> None:
    files, keys = StudyResults(finished), {r.run.key for r in study.runs}
    assert any(map(digits_alone, keys))
    assert any(map(power_of_ten, keys))
    assert files.config.name == "1e5"
    for frame in (files.metrics, files.runs):
        assert set(frame["dataset"]) == set(DATASETS)
        assert set(frame["key"]) == keys
        assert set(frame["variant"]) == {r.variant for r in study.runs}
    assert set(files.runs["group"]) == {"main", "007"}
    assert set(files.tuning["dataset"]) == set(DATASETS)
    assert set(files.tuning["key"]) == {r.run.tune.key for r in study.runs if r.run.tune}
    assert set(files.datasets["dataset"]) == set(DATASETS)
    draw(finished, study.catalog.root)
    for name in ("0e1", "tuned"):
        table = read(finished, name)
        assert set(table["status"]) == {"ok"}
        assert table["mean"].notna().all()
    view = study.views(study.protocols[0])[0]
    point = {"protocol": "standard", "metric": "ndcg", "k": 10, "fit": "train", **view.model_dump()}
    values = user_values(files, "1e3", point)
    assert {one.shape[1] for one in values.values()} == {120}
    assert {name.split("\0")[2] for name in values} == keys


# ---------------------------------------------------------------------------------- YAML


@pytest.mark.parametrize("value", [7, 1000.0, True])
def test_a_dataset_on_the_command_line_that_looks_like_a_number_is_not_guessed(
    project: Path, value: object
) -> None:
    with pytest.raises(ConfigError, match=r"datasets: a name was read as .*write it in brackets"):
        load_settings(project, {"datasets": value})
    assert load_settings(project, {"datasets": ["007"]}).datasets == ["007"]
