"""Datasets in folds: names and studies, and what a table makes of the numbers of each fold."""

from __future__ import annotations

from pathlib import Path

import hand_made
import numpy as np
import pandas as pd
import pytest
import yaml
from hand_made import ROOT, Model, write

from recspectra.config import folds
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.scale import Choice
from recspectra.config.study import TableConfig
from recspectra.config.yaml_io import validate
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults
from recspectra.reporting.standings import with_costs
from recspectra.reporting.tables import build, layout

NAMES = ["mine.fold-1", "mine.fold-2", "mine.fold-3"]
TABLE = TableConfig(**hand_made.TABLE)


def dataset(recipe: str = "k-fold", **keys: object) -> DatasetConfig:
    source = {"name": "s", "licence": "l", "citation": "c"}
    given = {"name": "mine", "title": "Mine", "source": source, "reader": {"format": "synthetic"}}
    given |= {"ordered": True, "split": {"recipe": recipe, **keys}}
    return validate(DatasetConfig, given, "mine.yaml")


# --------------------------------------------------------------------------------- names


def test_folds_have_names_titles_and_numbers_of_their_own() -> None:
    assert folds.names_of(dataset(folds=3)) == NAMES
    assert folds.names_of(dataset("random")) == ["mine"]
    second = folds.as_fold(dataset(folds=3), 2)
    assert (second.name, second.title, second.split.fold) == ("mine.fold-2", "Mine, fold 2 of 3", 2)
    assert folds.title_of(second.title) == "Mine"
    assert folds.group([*NAMES, "other", "b.fold-x"]) == {"mine": NAMES}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dataset(folds=3), "dataset 'mine' has folds 1 to 3, not 4"),
        (dataset("random"), "dataset 'mine' has no folds: its split is 'random', not 'k-fold'"),
    ],
)
def test_a_fold_that_is_not_there_is_refused(given: DatasetConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        folds.as_fold(given, 4)


# ------------------------------------------------------------------------------- studies


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A project with a dataset in three folds."""
    (tmp_path / "config" / "datasets").mkdir(parents=True)
    for kind in ("models", "protocols", "scales"):
        (tmp_path / "config" / kind).symlink_to(ROOT / "config" / kind)
    text = yaml.safe_dump(dataset(folds=3).model_dump(exclude_unset=True))
    (tmp_path / "config" / "datasets" / "mine.yaml").write_text(text)
    plain = yaml.safe_load((ROOT / "config" / "datasets" / "synthetic.yaml").read_text())
    (tmp_path / "config" / "datasets" / "synthetic.yaml").write_text(yaml.safe_dump(plain))
    return Catalog(tmp_path)


def study_file(catalog: Catalog, **keys: object) -> str:
    table = {"name": "t", "title": "T", "metrics": ["ndcg"], "k": [10], "datasets": ["mine"]}
    given = {"name": "s", "title": "S", "datasets": ["synthetic", "mine"], "tables": [table]}
    given |= {"seeds": {"default": [0], "mine": [1, 2]}}
    given |= {"models": [{"model": "ease"}, {"model": "gfcf", "datasets": ["mine"], "group": "one"}]}
    path = catalog.root / "study.yaml"
    path.write_text(yaml.safe_dump(given | keys))
    return str(path)


def test_runs_of_a_study_fan_out_over_folds(catalog: Catalog) -> None:
    study = catalog.study(study_file(catalog))
    assert study.config.datasets == ["synthetic", *NAMES]
    assert study.config.tables[0].datasets == NAMES
    planned = [(r.dataset, r.run.model, r.seed) for r in study.runs]
    assert planned == [
        ("synthetic", "ease", 0), *[(name, "ease", seed) for name in NAMES for seed in (1, 2)],
        *[(name, "gfcf", seed) for name in NAMES for seed in (1, 2)],
    ]  # fmt: skip
    assert len({r.run.key for r in study.runs if r.run.model == "ease"}) == 1


@pytest.mark.parametrize(("asked", "expected"), [("mine", NAMES), ("mine.fold-2", NAMES[1:2])])
def test_all_folds_or_one_can_be_asked_for(catalog: Catalog, asked: str, expected: list[str]) -> None:
    study = catalog.study(study_file(catalog), choice=Choice(datasets=[asked], scale="laptop"))
    assert study.config.datasets == expected


def test_a_claim_on_folds_is_refused(catalog: Catalog) -> None:
    claim = {"name": "c", "title": "C", "kind": "gain", "model": "ease", "statement": "s"}
    with pytest.raises(ConfigError, match=r"claims\[0\].datasets: 'mine' is split into folds, and a claim"):
        catalog.study(study_file(catalog, claims=[claim]))
    study = catalog.study(study_file(catalog, claims=[claim | {"datasets": ["synthetic"]}]))
    assert study.config.claims[0].datasets == ["synthetic"]


# -------------------------------------------------------------------------------- tables


def of_fold(shift: float, noise: float = 0.0, **more: Model) -> dict[str, Model]:
    base = np.random.default_rng(0).gamma(0.5, 0.2, 80)[None] + shift
    other = base - 0.05 + np.random.default_rng(1).normal(0.0, noise, base.shape)
    return {"ease": Model(base, kind="closed-form"), "sgl": Model(other, kind="closed-form")} | more


@pytest.fixture
def files(tmp_path: Path) -> StudyResults:
    """Three folds, .1 apart; SGL is .05 below EASE in all of them."""
    made = write(tmp_path / "s", {name: of_fold(0.1 * i) for i, name in enumerate(NAMES)}, [])
    rows = pd.read_csv(made.folder / "datasets.csv", dtype=str)
    titles = [f"Mine, fold {i} of 3" for i in (1, 2, 3)]
    rows.assign(title=titles).to_csv(made.folder / "datasets.csv", index=False)
    return StudyResults(made.folder)


def test_a_table_has_the_mean_over_folds_and_how_far_they_lie_apart(files: StudyResults) -> None:
    frame = build(files, TABLE, Published(ROOT))
    assert set(frame["dataset"]) == {"mine"} and len(frame) == 2
    first = of_fold(0.0)["ease"].values.mean()
    ease = frame.set_index("row").loc["EASE"]
    assert (ease["mean"], ease["fold_low"], ease["fold_high"]) == pytest.approx(
        (first + 0.1, first, first + 0.2)
    )
    assert ease["folds"] == 3
    grid = layout(frame, files.titles)
    assert grid.columns[1].levels[0] == "Mine"
    assert grid.rows[0][1].note == f"folds {first:.4f} to {first + 0.2:.4f}"
    assert any(text.startswith("Mean over 3 folds") for text in grid.notes)


def test_seconds_and_memory_of_a_dataset_in_folds_are_those_of_a_fold(files: StudyResults) -> None:
    files.runs.loc[files.runs["dataset"] == NAMES[1], ["fit_seconds", "peak_memory_mb"]] = 9.0, 700.0
    keys = files.runs.loc[files.runs["dataset"] == NAMES[0], ["model", "variant", "key", "fit"]]
    costs = with_costs(files, keys.assign(dataset="mine"))
    usual = files.runs[["spectrum_seconds", "fit_seconds", "score_seconds"]].iloc[0].sum()
    assert costs["seconds"].tolist() == [usual, usual] and costs["memory"].tolist() == [700.0, 700.0]


def test_users_of_all_folds_make_one_interval(files: StudyResults) -> None:
    frame = build(files, TABLE, Published(ROOT)).set_index("row")
    assert frame["users_counted"].tolist() == [80, 80]
    assert frame["standing"].to_dict() == {"EASE": "best", "SGL": "below"}
    assert frame["behind"]["SGL"] == pytest.approx(0.05)
    spread = of_fold(0.0)["ease"].values.std() / np.sqrt(80)
    assert frame["high"]["EASE"] - frame["low"]["EASE"] == pytest.approx(4 * spread, rel=0.4)


def test_a_model_that_lacks_a_fold_has_no_mean_and_the_others_have(tmp_path: Path) -> None:
    made = {name: of_fold(0.1 * i) for i, name in enumerate(NAMES)}
    made[NAMES[1]]["sgl"] = Model(None, "oom", kind="closed-form")
    frame = build(write(tmp_path / "s", made, []), TABLE, Published(ROOT)).set_index("row")
    assert np.isnan(frame["mean"]["SGL"]) and frame["status"]["SGL"] == "oom"
    assert frame["low"].isna().to_dict() == {"EASE": False, "SGL": True}
    assert frame["folds"]["EASE"] == 3 and np.isnan(frame["fold_low"]["SGL"])


def test_one_fold_alone_is_a_dataset(tmp_path: Path) -> None:
    frame = build(write(tmp_path / "s", {NAMES[0]: of_fold(0.0)}, []), TABLE, Published(ROOT))
    assert set(frame["dataset"]) == {NAMES[0]} and frame["folds"].isna().all()
