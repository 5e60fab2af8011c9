"""What a dataset, a table or a run is made with stands beside it, also where Snakemake forgot it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recspectra import code_hashes, planning
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.files import write_json, write_npz
from recspectra.planning import records

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Catalog(ROOT)
MF = {"epochs": 8, "eval_every": 2, "patience": 50}


@pytest.fixture
def project(small_project: Path) -> Path:
    return small_project


@pytest.fixture
def plan(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], planning.Plan]:
    """A factory: the plan of a study on an own file and on a dataset of a mirror, made anew at each call."""
    (project / "workflow").mkdir()
    (project / "workflow/scripts").symlink_to(Path(__file__).parents[2] / "workflow/scripts")
    (project / "clicks.csv").write_text("user,item\n1,2\n")
    own = {"name": "mine", "path": str(project / "clicks.csv"), "columns": {"user": "user", "item": "item"}}
    (project / "config/datasets/mine.yaml").write_text(json.dumps(own))
    study = {"name": "s", "title": "S", "datasets": ["mine", "ml-100k.higsp"]}
    study |= {"tuning": {"trials": 2}, "models": [{"model": "ease", "tune": True}]}
    (project / "s.yaml").write_text(json.dumps(study))
    monkeypatch.chdir(tmp_path)
    words = {"study": str(project / "s.yaml"), "mirror": str(tmp_path / "mirror")}
    return lambda: planning.load(project, words, [])


def test_what_prepare_depends_on_holds_the_content_of_an_own_file(
    plan: Callable[[], planning.Plan], project: Path
) -> None:
    before, path = plan().reader_params("mine"), project / "clicks.csv"
    times = path.stat()
    path.write_text("user,item\n1,3\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert plan().reader_params("mine") != before
    path.write_text("user,item\n1,2\n")
    assert plan().reader_params("mine") == before


def test_an_exchanged_file_of_the_mirror_is_named(plan: Callable[[], planning.Plan], tmp_path: Path) -> None:
    source = CATALOG.dataset("ml-100k.higsp").source
    theirs, ours = tmp_path / "mirror" / source.files[0].path, tmp_path / "results/raw" / source.name
    for path in (theirs, ours / source.files[0].path):
        path.parent.mkdir(parents=True)
        path.write_text("1 2 3\n")
    records.check_copies(plan())
    theirs.write_text("1 2 4\n")
    os.utime(theirs, (10**9, 10**9))
    with pytest.raises(ConfigError, match=r"make redo WHAT=ml-100k\.higsp") as error:
        records.check_copies(plan())
    assert str(theirs) in str(error.value) and f"results/raw/{source.name}" in str(error.value)


@pytest.mark.parametrize(
    ("words", "compared"),
    [
        (["quickstart"], False),
        (["datasets"], True),
        (["results/datasets/datasets.csv"], True),
        (["results/data/ml-100k.higsp/stats.json"], True),
        (["results/interactions/ml-100k.higsp.npz"], True),
        (["results/studies/s/metrics.csv"], True),
        (["results/studies/quickstart/metrics.csv", "results/data/synthetic/stats.json"], False),
    ],
)
def test_an_exchanged_file_is_named_whatever_asks_for_its_dataset(
    plan: Callable[..., planning.Plan], tmp_path: Path, words: list[str], compared: bool
) -> None:
    source = CATALOG.dataset("ml-100k.higsp").source
    for file in source.files:
        for place, text in (
            (tmp_path / "mirror", "1 2 4\n"),
            (tmp_path / "results/raw" / source.name, "1 2 3\n"),
        ):
            path = place / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    made = plan()
    made.requested = ["quickstart"]
    if not compared:
        records.check_copies(made, ["snakemake", *words])
        return
    with pytest.raises(ConfigError, match="make redo WHAT="):
        records.check_copies(made, ["snakemake", *words])


def test_targets_name_the_files_of_runs_and_searches(plan: Callable[[], planning.Plan]) -> None:
    """Snakemake does not miss what only jobs between need."""
    kept = plan().kept("s")
    run = plan().studies["s"].runs[0].run
    for name in ("rankings.npz", "run.json"):
        assert f"results/runs/mine/ease/{run.key}/seed-0/{name}" in kept
    assert f"results/tuning/mine/ease/{run.tune.key}/trials.csv" in kept


def test_a_checkout_that_moves_reruns_nothing(
    plan: Callable[[], planning.Plan], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs and parameters of an own file below the working folder do not hold where that folder lies."""
    monkeypatch.chdir(project)
    assert plan().raw_files("mine") == ["clicks.csv"]
    assert str(project) not in plan().reader_params("mine")


# --------------------------------------------------- results that Snakemake has no record of


def recorded(path: str) -> Path:
    """Where Snakemake keeps what made a file."""
    return Path(".snakemake/metadata", base64.urlsafe_b64encode(path.encode()).decode())


def test_a_dataset_made_with_another_configuration_is_refused_where_snakemake_forgot_it(
    plan: Callable[[], planning.Plan], project: Path
) -> None:
    stats, made = "results/data/mine/stats.json", plan().made_with("mine")
    write_json(stats, {"made_with": made})
    records.check_results(plan(), ["snakemake"])
    text = (project / "config/datasets/mine.yaml").read_text()
    for change in ({"split": {"recipe": "random"}}, {"filter": {"k_core_users": 2}}):
        (project / "config/datasets/mine.yaml").write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(ConfigError, match="dataset 'mine'.*`make redo WHAT=mine`"):
            records.check_results(plan(), ["snakemake"])
    (project / "config/datasets/mine.yaml").write_text(text)
    (project / "clicks.csv").write_text("user,item\n1,3\n")
    with pytest.raises(ConfigError, match="was made with another configuration"):
        records.check_results(plan(), ["snakemake"])
    recorded(stats).parent.mkdir(parents=True)
    recorded(stats).touch()
    records.check_results(plan(), ["snakemake"])  # Snakemake sees by its record that it must be made again


def test_a_run_of_other_code_or_data_is_refused_where_snakemake_forgot_it(
    plan: Callable[[], planning.Plan], project: Path
) -> None:
    made = plan()
    planned = next(r for r in made.studies["s"].runs if r.dataset == "mine")
    write_json("results/data/mine/stats.json", {"made_with": made.made_with("mine"), "digests": {"fit": "d"}})
    place = f"results/runs/mine/ease/{planned.run.key}/seed-{planned.seed}/run.json"
    code = code_hashes.fit_code("ease", project / "workflow/scripts/fit.py")
    for found, fine in (({"code": code, "data": "d"}, True), ({"code": code, "data": "e"}, False),
                        ({"code": "x", "data": "d"}, False)):  # fmt: skip
        write_json(place, found)
        if fine:
            records.check_results(plan(), ["snakemake"])
        else:
            with pytest.raises(ConfigError, match=r"runs/mine/ease/.*`make redo WHAT=ease`"):
                records.check_results(plan(), ["snakemake"])
    recorded(place).parent.mkdir(parents=True)
    recorded(place).touch()
    records.check_results(plan(), ["snakemake"])


def test_a_path_to_a_file_that_is_not_there_is_no_other_name_of_what_was_read(
    plan: Callable[[], planning.Plan], project: Path
) -> None:
    write_json("results/data/mine/stats.json", {"made_with": plan().made_with("mine")})
    write_npz("results/interactions/mine.npz", users=np.zeros(1))
    (project / "clicks.csv").unlink()
    plan()  # what was read is still there
    text = (project / "config/datasets/mine.yaml").read_text()
    (project / "config/datasets/mine.yaml").write_text(text.replace("clicks.csv", "others.csv"))
    with pytest.raises(ConfigError, match=r"there is no file .*others\.csv"):
        plan()
