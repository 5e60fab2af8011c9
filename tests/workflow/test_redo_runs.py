"""Results do not survive a change of what they were made from; `make redo` forgets what it is told to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import (
    TINY_STUDY,
    Finished,
    Job,
    Project,
    by_rule,
    edited,
    files_below,
    finished_jobs,
    fitted,
    one_error,
    write_yaml,
)
from warm import warm_python

from recspectra.config.catalog import Catalog
from recspectra.data.synthetic import generate
from recspectra.files import read_json, write_json

AFTER_FITS = ["evaluate", "collect", "draw_tables_tiny-study", "draw_figures_tiny-study", "report", "all"]
FILE = "folder/rows.csv"
RAW = f"results/raw/mirrored/{FILE}"
STATS = "results/data/mirrored/stats.json"


def rows_of(seed: int) -> str:
    """Lines `user,item,time` of planted data."""
    table = generate(users=80, items=60, interactions=1600, communities=4, seed=seed)
    triples = zip(table.users, table.items, table.times, strict=True)
    return "".join(f"{user},{item},{time:.0f}\n" for user, item, time in triples)


# ----------------------------------------------------------- in the finished tiny study


def planned(finished: Finished, work: Path | None = None) -> list[Job]:
    return finished.project.planned(work or finished.folder, *finished.options)


def seeds_of(folder: Path, model: str) -> list[Path]:
    return sorted(folder.glob(f"results/runs/tiny/{model}/*/seed-0"))


def test_a_run_that_was_deleted_by_hand_is_made_again(finished: Finished, work: Path) -> None:
    shutil.rmtree(seeds_of(work, "ease")[0])
    jobs = planned(finished, work)
    assert fitted(jobs) == {"ease": 1}
    assert sorted(by_rule(jobs)) == sorted(["fit", *AFTER_FITS])


def test_another_class_is_another_run(finished: Finished) -> None:
    with edited(finished.project.root / "config/models/ease.yaml", "class_name: EASE", "class_name: Other"):
        jobs = planned(finished)
    assert fitted(jobs) == {"ease": 2}
    keys = {path.parent.name for path in seeds_of(finished.folder, "ease")}
    assert not keys & {job.wildcards["key"] for job in jobs if job.rule == "fit"}


def test_a_default_of_a_models_yaml_reruns_that_model(finished: Finished) -> None:
    file = finished.project.root / "config/models/gfcf.yaml"
    with edited(file, "alpha: {type: float, default: 0.3", "alpha: {type: float, default: 0.4"):
        assert fitted(planned(finished)) == {"gfcf": 1}


def test_redo_of_a_run_makes_it_again_and_what_shows_it(finished: Finished, work: Path) -> None:
    """As `make redo` does: the study's own words, found by itself where it is one of the project's."""
    run = seeds_of(work, "popularity")[0]
    command = finished.project.command(work, python=warm_python())
    words = ["--what", f"{run.relative_to(work)}/", "--study", finished.study]
    before = files_below(work / "results")
    done = finished.project.script("redo", work, *words, "--dry", "--command", *command)
    assert done.returncode == 0, done.stderr
    assert f"forget {run.relative_to(work)}/ (2 files)" in done.stdout
    assert files_below(work / "results") == before
    done = finished.project.script("redo", work, *words, "--command", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(words.split()[0].rstrip(":") for words in finished_jobs(done.stderr)) == sorted(
        ["fit", "evaluate", "collect", "gather", "gather", "draw", "draw", "report", "tiny-study"]
    )
    name = "results/studies/tiny-study/metrics.csv"
    assert (work / name).read_bytes() == (finished.folder / name).read_bytes()


def test_files_that_were_moved_from_another_split_are_refused(finished: Finished, work: Path) -> None:
    """Snakemake goes by time: by hand, files of two splits can come to lie side by side."""
    stats = work / "results/data/tiny/stats.json"
    sound = read_json(stats)
    arguments = [
        "--study",
        finished.study,
        "--dataset",
        "tiny",
        "--output",
        "m.csv",
        "--per-user",
        "u.parquet",
        "--notes",
        "notes.json",
    ]

    def evaluated(**digests: str) -> None:
        write_json(stats, sound | {"digests": sound["digests"] | digests})
        one_error(
            finished.project.script("evaluate", work, *arguments), "make redo WHAT=", "not of this split"
        )
        assert not (work / "m.csv").exists()

    evaluated(fit="0" * 64)  # the rankings are of another
    evaluated(test="0" * 64)  # test.npz is of another


# -------------------------------------------------- own files, and files of a mirror


@dataclass(frozen=True)
class Place:
    """A checkout with a dataset of one's own and one of a mirror, and where they were prepared."""

    project: Project
    folder: Path
    own: Path
    mirror: Path
    study: Path

    @property
    def best(self) -> str:
        """The file that the search on the own dataset wrote."""
        tune = Catalog(self.project.root).study(str(self.study)).runs[0].run.tune
        return f"results/tuning/mine/ease/{tune.key}/best.json"

    def options(self, *targets: str) -> list[str]:
        return [*targets, "--config", f"study={self.study}", f"mirror={self.mirror}"]

    def run(self, *targets: str) -> None:
        done = self.project.snakemake(self.folder, *self.options(*targets))
        assert done.returncode == 0, done.stdout + done.stderr

    def planned(self, *targets: str) -> list[Job]:
        return self.project.planned(self.folder, *self.options(*targets))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Both datasets are split, and a search has run on the own one."""
    root = tmp_path_factory.mktemp("redo")
    project = Project.copied(root / "checkout")
    mirror, own = root / "mirror", root / "clicks.csv"
    own.write_text("user,item,time\n" + rows_of(1), encoding="utf-8")
    (mirror / "folder").mkdir(parents=True)
    (mirror / "folder/rows.csv").write_text(rows_of(2), encoding="utf-8")
    config = project.root / "config/datasets"
    columns = {"user": "user", "item": "item", "time": "time"}
    write_yaml(config / "mine.yaml", {
        "name": "mine", "path": str(own), "columns": columns, "split": {"recipe": "temporal-user"},
    })  # fmt: skip
    write_yaml(config / "mirrored.yaml", {
        "name": "mirrored", "title": "Mirrored", "ordered": True, "split": {"recipe": "temporal-user"},
        "source": {"name": "mirrored", "licence": "-", "citation": "-", "files": [{"path": FILE}]},
        "reader": {"format": "delimited", "options": {"columns": "user,item,time"}},
    })  # fmt: skip
    study = write_yaml(root / "both.yaml", {
        "name": "both", "title": "Both", "datasets": ["mine", "mirrored"], "tuning": {"trials": 2},
        "models": [{"model": "ease", "tune": True, "datasets": ["mine"]}, {"model": "popularity"}],
        "tables": TINY_STUDY["tables"],
    })  # fmt: skip
    place = Place(project, root / "work", own, mirror, study)
    place.run(place.best, STATS)
    return place


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """A copy whose results may be changed."""
    shutil.copytree(made.folder, tmp_path / "work")
    return Place(made.project, tmp_path / "work", made.own, made.mirror, made.study)


@pytest.fixture
def own_file(made: Place) -> Iterator[Path]:
    """The own file, put back with its times."""
    before, times = made.own.read_bytes(), made.own.stat()
    yield made.own
    made.own.write_bytes(before)
    os.utime(made.own, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def mirror_file(made: Place) -> Iterator[Path]:
    """The file of the mirror, put back."""
    path = made.mirror / "folder/rows.csv"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def test_nothing_reruns_without_a_change(made: Place) -> None:
    assert made.planned(made.best, STATS) == []


def test_trials_of_another_split_are_made_anew(place: Place) -> None:
    """Old validation items may be new test items."""
    best, folder = place.folder / place.best, (place.folder / place.best).parent
    old, table = read_json(best), (folder / "trials.csv").read_text(encoding="utf-8")
    (database,) = folder.glob("*.sqlite")
    kept = database.read_bytes()
    recipe = "recipe: temporal-user"
    with edited(place.project.root / "config/datasets/mine.yaml", recipe, "recipe: temporal"):
        jobs = place.planned(place.best)
        assert set(by_rule(jobs)) == {"split", "tune"}
        place.run(place.best)
    new = read_json(best)
    assert new["data"] != old["data"] and new["code"] == old["code"] and new["key"] == old["key"]
    assert new["data"] == read_json(place.folder / "results/data/mine/stats.json")["digests"]["fit"]
    assert new["value"] != old["value"] and (folder / "trials.csv").read_text(encoding="utf-8") != table
    assert len(list(folder.glob("*.sqlite"))) == 2 and database.read_bytes() == kept
    # Back on the first split its trials are there still: nothing is computed twice.
    place.run(place.best)
    assert {k: read_json(best)[k] for k in ("data", "value", "params")} == {
        k: old[k] for k in ("data", "value", "params")
    }
    assert (folder / "trials.csv").read_text(encoding="utf-8") == table


def test_values_chosen_on_another_split_are_refused(place: Place) -> None:
    run = Catalog(place.project.root).study(str(place.study)).runs[0].run
    write_json(place.folder / place.best, read_json(place.folder / place.best) | {"data": "0" * 64})
    words = ["--data", "results/data/mine", "--run", json.dumps(run.model_dump()), "--folder", "run"]
    done = place.project.script("fit", place.folder, *words, "--tuned", place.best)
    one_error(done, place.best, f"make redo WHAT={Path(place.best).parent}")
    assert not (place.folder / "run").exists()


def test_an_own_file_of_equal_size_and_time_is_noticed(made: Place, own_file: Path) -> None:
    before, times = own_file.read_text(encoding="utf-8"), own_file.stat()
    user, rest = before.split("\n")[1].split(",", 1)
    other = next(c for c in "123456789" if c != user[0])
    own_file.write_text(
        before.replace(f"\n{user},{rest}\n", f"\n{other}{user[1:]},{rest}\n", 1), encoding="utf-8"
    )
    os.utime(own_file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert own_file.stat().st_size == times.st_size
    assert set(by_rule(made.planned(made.best))) == {"prepare", "split", "tune"}


def test_an_exchanged_file_of_the_mirror_stops_the_workflow_until_redo(
    place: Place, mirror_file: Path
) -> None:
    mirror_file.write_text(rows_of(4), encoding="utf-8")
    os.utime(mirror_file, (10**9, 10**9))
    only_mirror = ["--config", f"mirror={place.mirror}"]  # the study is quickstart, without that dataset
    for words in (place.options(STATS), [STATS, *only_mirror], ["datasets", *only_mirror]):
        stopped = place.project.snakemake(place.folder, *words, "--dry-run", profile=False)
        said = stopped.stdout + stopped.stderr
        assert stopped.returncode != 0
        assert str(mirror_file) in said and RAW in said and "make redo WHAT=mirrored" in said
    unlocked = place.project.snakemake(place.folder, *place.options(), "--unlock", profile=False)
    assert unlocked.returncode == 0, unlocked.stdout + unlocked.stderr
    words = ["--what", "mirrored", "--mirror", place.mirror, "--command", "false"]
    done = place.project.script("redo", place.folder, *words)
    assert done.returncode == 0 and f"forget {RAW}" in done.stdout, done.stdout + done.stderr
    assert (place.folder / "results/data/mine/stats.json").exists()
    assert set(by_rule(place.planned(STATS))) == {"fetch", "prepare", "split"}


def test_a_checksum_in_a_datasets_yaml_reruns_that_dataset(made: Place) -> None:
    line = "- path: folder/rows.csv\n"
    with edited(made.project.root / "config/datasets/mirrored.yaml", line, f"{line}    sha256: {'a' * 64}\n"):
        assert set(by_rule(made.planned(STATS, made.best))) == {"fetch", "prepare", "split"}
