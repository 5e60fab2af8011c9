"""What fits stop by and searches choose by: recall@20, or NDCG@10 where an entry says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import own_study
import pandas as pd
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, RunConfig, TuneConfig
from recspectra.config.planned import Study
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.hits import compare
from recspectra.evaluation.measure import learning_curves
from recspectra.evaluation.metrics import ndcg
from recspectra.fitting.fit import learn
from recspectra.fitting.scoring import Inputs
from recspectra.fitting.tune import TuneJob, chosen, tune
from recspectra.fitting.validation import mean_ndcg, validator
from recspectra.recommender import Run, create

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)


@pytest.fixture
def inputs(tiny: dict[str, Interactions]) -> Inputs:
    return Inputs(tiny["train"], tiny["valid"], True, {})


def load(folder: Path, *entries: dict[str, Any]) -> Study:
    return own_study.load(folder, CATALOG, tuning={"trials": 2}, models=list(entries))


def test_ndcg_on_validation_is_that_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    lists = np.stack([rng.permutation(30)[:10] for _ in range(40)]).astype(np.int32)
    lists[3, 4:] = -1
    users, items = np.nonzero(rng.random((40, 30)) < 0.2)
    truth = from_pairs(users, items, None, (40, 30))
    expected = ndcg(compare(lists, truth), [10])[:, 0]
    assert mean_ndcg(lists, truth) == pytest.approx(expected.mean(), abs=1e-12)


def test_the_validator_measures_what_it_is_asked_for(inputs: Inputs) -> None:
    scores = np.random.default_rng(1).random(inputs.train.shape).astype(np.float32)
    found = {by: validator(inputs, by=by)(lambda users, _: scores[users]) for by in ("recall@20", "ndcg@10")}
    assert validator(inputs)(lambda users, _: scores[users]) == found["recall@20"]
    order = np.argsort(-np.where(inputs.train.matrix.toarray() > 0, -1.0, scores), axis=1, kind="stable")
    assert found["ndcg@10"] == pytest.approx(mean_ndcg(order[:, :10].astype(np.int32), inputs.valid))
    assert found["ndcg@10"] != found["recall@20"]


def test_another_metric_is_another_run_and_search_and_the_usual_one_no_part_of_keys(tmp_path: Path) -> None:
    plain, usual, other, closed = (
        load(tmp_path, {"model": name, "tune": True, **more}).runs[0].run
        for name, more in (("mf", {}), ("mf", {"validate_by": "recall@20"}),
                           ("mf", {"validate_by": "ndcg@10"}), ("ease", {"validate_by": "ndcg@10"}))
    )  # fmt: skip
    assert "validate_by" not in plain.model_dump() and "validate_by" not in plain.tune.model_dump()
    assert (usual.key, usual.tune.key) == (plain.key, plain.tune.key)
    assert other.key != plain.key and other.tune.key != plain.tune.key
    assert other.model_dump()["validate_by"] == other.tune.model_dump()["validate_by"] == "ndcg@10"
    assert closed.validate_by == "recall@20" and closed.tune.validate_by == "ndcg@10"  # nothing stops it
    for config in (plain, other):
        assert RunConfig(**json.loads(json.dumps(config.model_dump()))) == config
    with pytest.raises(ConfigError, match=r"models\[0\]\.validate_by"):
        load(tmp_path, {"model": "mf", "validate_by": "ndcg@5"})


def test_a_metric_that_nothing_is_chosen_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\[0\]\.validate_by: of ease nothing is searched or train"):
        load(tmp_path, {"model": "ease", "validate_by": "ndcg@10"})
    assert load(tmp_path, {"model": ["ease", "mf"], "validate_by": "ndcg@10"}).runs


def test_a_fit_stops_by_its_metric(inputs: Inputs) -> None:
    config = CATALOG.model("mf")
    system = create(config, config.resolve({"epochs": 2, "eval_every": 1, "dimensions": 8}))
    log = learn(system, inputs, "train", Run(0), "ndcg@10")
    values = dict(map(tuple, log["validation_curve"]))
    assert max(values.values()) == validator(inputs, by="ndcg@10")(system.score)
    assert max(values.values()) != validator(inputs)(system.score)


def test_a_search_chooses_by_its_metric_and_says_so(inputs: Inputs, tmp_path: Path) -> None:
    model = CATALOG.model("ease")
    by: dict[str, dict[str, Any]] = {}
    for metric in ("recall@20", "ndcg@10"):
        search = {"regularization": [1.0, 300.0]}
        config = TuneConfig(model="ease", params={}, search=search, trials=3, seed=0, validate_by=metric)
        job = TuneJob("tiny", model, config, "cpu", Budget())
        by[metric] = chosen(job, tune(job, inputs, tmp_path / f"{metric}.sqlite"))
        assert by[metric]["metric"] == f"{metric} on validation"
    assert by["recall@20"]["value"] != by["ndcg@10"]["value"]


def test_learning_curves_have_the_name_of_their_metric(tmp_path: Path) -> None:
    runs = load(tmp_path, {"model": "mf"}, {"model": "mf", "variant": "n", "validate_by": "ndcg@10"}).runs
    for r in runs:
        folder = tmp_path / "runs" / r.dataset / r.run.model / r.run.key / f"seed-{r.seed}"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"log": {"validation_curve": [[1, 0.5]]}}))
    frame: pd.DataFrame = learning_curves(runs, tmp_path)
    assert frame["curve"].tolist() == ["recall@20", "ndcg@10"]
