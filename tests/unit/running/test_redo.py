"""What `make redo` forgets: what was named, all that was drawn from it, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog, check_texts, load_settings
from recspectra.config.model import RunConfig, TuneConfig
from recspectra.files import ArtifactError, write_json, write_npz, write_text
from recspectra.running import locks
from recspectra.running.command import Workflow
from recspectra.running.redo import redo

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
FAILS = Workflow(["false"])
HEAD = "dataset,model,variant,key,seed\n"
SEARCH = TuneConfig(
    model="ease", class_name="EASE", params={}, search={"regularization": [1.0]}, trials=2, seed=0
)
PLAIN = RunConfig(model="mf", class_name="MF", params={})
RUNS = {
    "popular": ("synthetic", RunConfig(model="popularity", class_name="Popularity", params={}), 0, "ok"),
    "mf-0": ("synthetic", PLAIN, 0, "timeout"),
    "mf-1": ("synthetic", PLAIN, 1, "ok"),
    "mf-both-0": ("synthetic", PLAIN.model_copy(update={"fit": "train+valid"}), 0, "skipped"),
    "tuned": ("synthetic", RunConfig(model="ease", class_name="EASE", params={}, tune=SEARCH), 0, "ok"),
    "elsewhere": ("ml-1m", PLAIN, 0, "ok"),
}
SOURCE = CATALOG.dataset("ml-1m").source
RAW = f"raw/{SOURCE.name}/{SOURCE.files[0].path}"
SHOWN = {"quickstart": ["popular", "mf-0", "mf-1", "mf-both-0", "tuned"], "mine": ["elsewhere", "popular"]}


def folder(name: str) -> Path:
    dataset, run, seed, _ = RUNS[name]
    return Path("results/runs") / dataset / run.model / run.key / f"seed-{seed}"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with six runs, of which two studies show some."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECSPECTRA_MIRROR", raising=False)
    place = Path("results")
    for name, (dataset, run, seed, status) in RUNS.items():
        record = {"config": run.model_dump(), "key": run.key, "seed": seed, "status": status}
        write_json(folder(name) / "run.json", record)
        write_npz(folder(name) / "rankings.npz", status=status)
        write_text(place / "checkpoints" / dataset / run.model / f"{run.key}-abc-{seed}" / "c", "")
    for dataset in ("synthetic", "ml-1m"):
        write_npz(place / "interactions" / f"{dataset}.npz", users=1)
        write_json(place / "data" / dataset / "stats.json", {})
        write_npz(place / "spectra" / dataset / "s.npz", values=1)
        write_text(place / "measured" / dataset / "s.csv", "")
    write_json(place / "tuning" / "synthetic" / "ease" / SEARCH.key / "best.json", {"status": "oom"})
    write_text(place / RAW, "raw")
    write_text(place / "datasets" / "datasets.csv", "")
    write_text(place / "reference" / "quickstart" / "metrics.csv", "")
    write_text(place / "report" / "index.html", "")
    for study, names in SHOWN.items():
        _write_study(place / "studies" / study, names)
    return place


def _write_study(place: Path, names: list[str]) -> None:
    for dataset in {RUNS[name][0] for name in names}:
        rows = [
            f"{d},{r.model},default,{r.key},{s}\n" for d, r, s, _ in (RUNS[n] for n in names) if d == dataset
        ]
        write_text(place / "parts" / f"{dataset}.csv", HEAD + "".join(rows))
        write_text(place / "per_user" / f"{dataset}.parquet", "")
    for name in ("metrics.csv", "runs.csv", "table-main.md", "fig-x.svg", "claims.csv", "audit.csv"):
        write_text(place / name, "")
    write_text(place / "notes.txt", "a note of the user")
    datasets = sorted({RUNS[name][0] for name in names})
    own = Path(f"{place.name}.yaml").resolve()  # of `quickstart` there is none: it is the project's
    if place.name == "mine":
        write_text(own, "name: mine\n")
    description = {"name": place.name, "datasets": datasets, "choice": {}, "origin": str(own)}
    write_json(place / "study.json", description)


def files() -> set[str]:
    return {str(p) for p in Path("results").rglob("*") if p.is_file() and p.name != locks.NAME}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A stand-in for Snakemake that writes down its words, and the first options."""
    script = tmp_path / "snakemake"
    script.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "with open('called', 'a') as stream: print(json.dumps(sys.argv[1:]), file=stream)\n"
    )
    script.chmod(0o755)
    return [str(script), "--cores", "1"]


def called() -> list[list[str]]:
    path = Path("called")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def mine() -> list[str]:
    """The call that runs the user's own study again: with its file and all of its datasets."""
    words = [f"study={Path('mine.yaml').resolve()}", "datasets=[ml-1m,synthetic]"]
    return ["--cores", "1", "mine", "--config", *words]


def forgets(command: list[str], what: str, config: dict[str, str] | None = None, **options: Any) -> set[str]:
    """Redo something; return the files that are gone."""
    before = files()
    assert redo(what, Path("results"), CATALOG, Workflow(command, config or {}), **options) == 0
    return before - files()


def run_files(*names: str) -> set[str]:
    """The files of some runs and their checkpoints."""
    found = set()
    for name in names:
        dataset, run, seed, _ = RUNS[name]
        found |= {str(folder(name) / file) for file in ("run.json", "rankings.npz")}
        found.add(f"results/checkpoints/{dataset}/{run.model}/{run.key}-abc-{seed}/c")
    return found


def shown(study: str, *datasets: str) -> set[str]:
    """What a study that showed a run of some datasets loses."""
    names = [f"parts/{d}.csv" for d in datasets] + [f"per_user/{d}.parquet" for d in datasets]
    names += [
        "metrics.csv",
        "runs.csv",
        "table-main.md",
        "fig-x.svg",
        "claims.csv",
        "audit.csv",
        "study.json",
    ]
    return {f"results/studies/{study}/{name}" for name in names} | {"results/report/index.html"}


def test_a_seed_of_a_run_takes_its_refit_along(results: Path, command: list[str]) -> None:
    gone = forgets(command, str(folder("mf-0")))
    assert gone == run_files("mf-0", "mf-both-0") | shown("quickstart", "synthetic")
    assert called() == [["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]]


def test_a_key_takes_all_its_seeds(results: Path, command: list[str]) -> None:
    gone = forgets(command, str(folder("mf-0").parent))
    assert gone == run_files("mf-0", "mf-1", "mf-both-0") | shown("quickstart", "synthetic")


def test_a_model_takes_its_runs_searches_and_checkpoints(results: Path, command: list[str]) -> None:
    gone = forgets(command, "ease")
    search = {f"results/tuning/synthetic/ease/{SEARCH.key}/best.json"}
    assert gone == run_files("tuned") | search | shown("quickstart", "synthetic")


def test_a_dataset_takes_all_that_was_made_from_it(results: Path, command: list[str]) -> None:
    gone = forgets(command, "ml-1m")
    made = {"data/ml-1m/stats.json", "measured/ml-1m/s.csv", "datasets/datasets.csv", RAW}
    made |= {"interactions/ml-1m.npz", "spectra/ml-1m/s.npz"}
    assert gone == {f"results/{name}" for name in made} | run_files("elsewhere") | shown("mine", "ml-1m")


@pytest.mark.parametrize(
    ("status", "names"), [("timeout", ["mf-0", "mf-both-0"]), ("skipped", ["mf-both-0"])]
)
def test_a_status_takes_all_runs_that_ended_so(
    status: str, names: list[str], results: Path, command: list[str]
) -> None:
    assert forgets(command, status) == run_files(*names) | shown("quickstart", "synthetic")


def test_a_status_takes_searches_that_found_nothing_for_it(results: Path, command: list[str]) -> None:
    search = {f"results/tuning/synthetic/ease/{SEARCH.key}/best.json"}
    assert forgets(command, "oom") == run_files("tuned") | search | shown("quickstart", "synthetic")


def test_a_search_takes_the_runs_that_it_chose_values_for(results: Path, command: list[str]) -> None:
    search = f"results/tuning/synthetic/ease/{SEARCH.key}"
    assert forgets(command, search) == run_files("tuned") | {f"{search}/best.json"} | shown(
        "quickstart", "synthetic"
    )


def test_a_run_that_was_deleted_by_hand_is_still_known_by_the_studies(
    results: Path, command: list[str]
) -> None:
    for name in ("run.json", "rankings.npz"):
        (folder("popular") / name).unlink()
    gone = forgets(command, str(folder("popular")))
    assert shown("quickstart", "synthetic") | shown("mine", "synthetic") <= gone
    assert called() == [mine(), ["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]]


CHOICE = {"scale": "paper", "trials": 3, "minutes": 2.5, "models": ["mf", "007"]}
CHOSEN = ["scale=paper", "trials=3", "minutes=2.5", "datasets=[synthetic]", "models=[mf,007]"]


def test_each_study_runs_with_its_own_datasets_and_choices(results: Path, command: list[str]) -> None:
    description = {"name": "quickstart", "datasets": ["synthetic"], "choice": CHOICE}
    write_json(results / "studies/quickstart/study.json", description)
    forgets(command, "mf")
    assert called() == [mine(), ["--cores", "1", "quickstart", "--config", *CHOSEN]]
    given = load_settings(ROOT, parse_config(CHOSEN))
    assert (given.trials, given.minutes, given.models) == (3, 2.5, ["mf", "007"])


def test_another_scale_takes_the_place_of_the_values_that_were_set_on_the_old(
    results: Path, command: list[str]
) -> None:
    write_json(results / "studies/quickstart/study.json", {"datasets": ["synthetic"], "choice": CHOICE})
    forgets(command, "timeout", {"scale": "laptop"})
    (words,) = called()
    assert words[words.index("--config") + 1 :] == ["datasets=[synthetic]", "models=[mf,007]", "scale=laptop"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"scale": "papr"}, "unknown scale 'papr'.*did you mean 'paper'"),
        ({"trials": 0}, r"trials: .*\(given: 0\)"),
    ],
)
def test_a_wrong_choice_that_was_kept_is_refused_before_anything_is_removed(
    choice: dict[str, Any], said: str, results: Path, command: list[str]
) -> None:
    write_json(results / "studies/quickstart/study.json", {"datasets": ["synthetic"], "choice": choice})
    before = files()
    with pytest.raises(ConfigError, match=said):
        redo("timeout", results, CATALOG, Workflow(command))
    assert files() == before and not called()


def test_what_the_user_gave_comes_first(results: Path, command: list[str]) -> None:
    forgets(command, "timeout", {"mirror": "/a b", "datasets": "x", "scale": ""})
    assert called() == [["--cores", "1", "quickstart", "--config", "datasets=x", "mirror=/a b"]]


def test_a_dataset_that_looks_like_a_number_is_named_as_a_text(results: Path, command: list[str]) -> None:
    """Snakemake reads `datasets=007` as the number 7, and the project refuses it."""
    description = {"name": "quickstart", "datasets": ["007", "1e3"]}
    write_json(results / "studies/quickstart/study.json", description)
    forgets(command, "mf")
    word = called()[1][-1]
    assert word == "datasets=[007,1e3]"
    overrides = parse_config([word])
    check_texts(overrides, ["snakemake", word])
    assert load_settings(ROOT, overrides).datasets == ["007", "1e3"]


def test_a_study_whose_file_has_gone_is_refused_or_named(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    """No study is left without its numbers."""
    before = files()
    Path("mine.yaml").unlink()
    with pytest.raises(ConfigError, match=r"study 'mine' shows it.*STUDY=/path/mine\.yaml"):
        redo("popularity", results, CATALOG, Workflow(command))
    assert files() == before and called() == []
    own = tmp_path / "my studies" / "mine.yaml"
    write_text(own, "name: mine\n")
    forgets(command, "popularity", study=str(own))
    words = [f"study={own}", "datasets=[ml-1m,synthetic]"]
    assert [call[2] for call in called()] == ["mine", "quickstart"]
    assert called()[0] == ["--cores", "1", "mine", "--config", *words]


def test_a_preview_removes_nothing(results: Path, command: list[str], capsys: pytest.CaptureFixture) -> None:
    assert forgets(command, "timeout", dry=True) == set()
    said = capsys.readouterr().out
    assert f"forget {folder('mf-0')}" in said and "forget results/studies/quickstart/audit.csv" in said
    assert "nothing was removed; then: quickstart" in said
    assert called() == []


def test_a_failed_workflow_is_a_failure(results: Path) -> None:
    assert redo("timeout", results, CATALOG, FAILS) == 1


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("", "datasets: ml-1m, synthetic; models: ease, mf, popularity; statuses: ok, skipped, timeout"),
        ("sythetic", "did you mean 'synthetic'"),
        ("time-out", "did you mean 'timeout'"),
        ("damage", "did you mean 'damaged'"),
        ("ok", "is no dataset, model, status or run folder"),
        ("results", "is no dataset"),
        ("a b", "'a b' is no dataset"),
        ("results/../outside", "is not in results"),
        ("results/runs/../../outside", "is not in results"),
        ("/etc/passwd", "is not in results"),
        ("../results/runs", "is not in results"),
        ("results/reference/quickstart", "results/reference is kept"),
        ("results/data/synthetic", "is no run folder"),
        ("results/runs", "is no run folder"),
        ("results/runs/synthetic/mf/0123456789", "there is no run"),
        ("results/tuning/synthetic/ease/0123456789", "is no run folder"),
    ],
)
def test_what_names_nothing_is_refused(what: str, said: str, results: Path, command: list[str]) -> None:
    before = files()
    with pytest.raises(ConfigError) as error:
        redo(what, results, CATALOG, Workflow(command))
    assert said in str(error.value)
    assert files() == before and called() == []


@pytest.mark.parametrize(
    "place", ["runs/synthetic", "runs/synthetic/mf", "studies/quickstart", "data/synthetic"]
)
def test_a_link_that_leads_out_is_not_followed(
    place: str, results: Path, command: list[str], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (results / place).rename(outside)
    (results / place).symlink_to(outside)
    before = set(outside.rglob("*"))
    with pytest.raises(ConfigError, match="a link leads out of it: nothing was forgotten"):
        redo("synthetic", results, CATALOG, Workflow(command))
    assert set(outside.rglob("*")) == before and folder("mf-0").exists()


def test_a_results_folder_that_is_itself_a_link_is_fine(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    results.rename(tmp_path / "disk")
    results.symlink_to(tmp_path / "disk")
    assert run_files("mf-0") <= forgets(command, "timeout")


def test_a_word_that_names_two_things_is_asked_back(results: Path, command: list[str]) -> None:
    write_text(results / "data" / "ease" / "stats.json", "{}")
    with pytest.raises(ConfigError, match="write WHAT=dataset:ease or WHAT=model:ease"):
        redo("ease", results, CATALOG, Workflow(command))
    assert forgets(command, "dataset:ease") >= {"results/data/ease/stats.json"}
    assert folder("tuned").exists()
    assert run_files("tuned") <= forgets(command, "model:ease")


def test_an_unknown_study_is_refused_before_anything_is_removed(results: Path, command: list[str]) -> None:
    before = files()
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        redo("timeout", results, CATALOG, Workflow(command), study="quickstrat")
    assert files() == before


def test_nothing_is_forgotten_while_a_workflow_runs(
    results: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files()
    monkeypatch.setattr(locks, "busy", lambda folder: True)
    for what in ("timeout", "damaged"):
        with pytest.raises(ArtifactError, match="nothing was forgotten"):
            redo(what, results, CATALOG, Workflow(command))
    assert files() == before and called() == []


def test_the_folder_is_held_while_files_are_removed_and_free_for_the_workflow(
    results: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    holder: Callable = locks._holder
    remove = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda p, **o: seen.append(holder(results / locks.NAME) is not None) or remove(p, **o)
    )
    forgets(command, "timeout")
    assert seen and seen[0]
    assert holder(results / locks.NAME) is None and called()


# -------------------------------------------------------------------------------- raw files


def raw(paths: set[str]) -> set[str]:
    """Those of some paths that are raw copies, by their place below that folder."""
    return {path.removeprefix("results/raw/") for path in paths if "/raw/" in path}


def test_a_raw_copy_that_equals_the_mirrors_file_or_is_the_only_one_is_kept(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    dataset = CATALOG.dataset("ml-100k.higsp")
    exchanged, equal, gone = (file.path for file in dataset.source.files)
    for name in (exchanged, equal, gone):
        write_text(results / "raw" / dataset.source.name / name, "as it was")
    write_text(tmp_path / "mirror" / exchanged, "another")
    write_text(tmp_path / "mirror" / equal, "as it was")
    assert raw(forgets(command, "ml-100k.higsp")) == set(), "without a mirror there is no other copy"
    given = {"mirror": str(tmp_path / "mirror")}
    assert raw(forgets(command, "ml-100k.higsp", given)) == {f"{dataset.source.name}/{exchanged}"}


@pytest.fixture
def downloaded(project: Path, results: Path) -> Callable[..., tuple[Catalog, Path]]:
    """A factory: a dataset of one file with some keys, and where its copy lies."""

    def make(**keys: str) -> tuple[Catalog, Path]:
        file = {"path": "rows.csv", **keys}
        source = {"name": "web", "licence": "-", "citation": "-", "files": [file]}
        reader = {"format": "delimited", "options": {"columns": "user,item"}}
        entry = {"name": "web", "title": "W", "ordered": False, "source": source, "reader": reader}
        write_json(project / "config/datasets/web.yaml", entry | {"split": {"recipe": "random"}})
        copy = results / "raw/web/rows.csv"
        write_text(copy, "1,2\n")
        return Catalog(project), copy

    return make


URL = "https://example.org/rows.csv"
RIGHT = {kind: hashlib.new(kind, b"1,2\n").hexdigest() for kind in ("sha256", "md5")}
WRONG = {kind: digest[::-1] for kind, digest in RIGHT.items()}
GIT = "d72f2010a822172de15795be5808b26d750dba36"  # git hash-object


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ({"url": URL}, True),
        ({"url": URL, "sha256": RIGHT["sha256"]}, True),
        ({"url": URL, "md5": RIGHT["md5"]}, True),
        ({"url": URL, "sha256": WRONG["sha256"]}, False),
        ({"url": URL, "md5": WRONG["md5"]}, False),
        ({"url": URL, "sha256": RIGHT["sha256"], "md5": WRONG["md5"]}, False),
        ({"sha256": WRONG["sha256"]}, True),
        ({"url": URL, "sha256": WRONG["sha256"], "git": GIT}, True),
        ({"url": URL, "sha256": WRONG["sha256"], "git": GIT[::-1]}, False),
    ],
)
@pytest.mark.parametrize("mirror", [False, True], ids=["no mirror", "a mirror without the file"])
def test_a_raw_copy_that_cannot_be_got_again_or_is_right_is_kept(
    downloaded: Callable, command: list[str], keys: dict[str, str], kept: bool, mirror: bool, tmp_path: Path
) -> None:
    catalog, copy = downloaded(**keys)
    workflow = Workflow(command, {"mirror": str(tmp_path / "mirror") if mirror else ""})
    assert redo("web", Path("results"), catalog, workflow) == 0
    assert copy.exists() == kept


def test_a_raw_copy_that_is_removed_is_fetched_before_the_studies_run(
    downloaded: Callable, results: Path, command: list[str]
) -> None:
    """An optional dataset takes part, and may be named, only where its files are."""
    catalog, copy = downloaded(url=URL, sha256=WRONG["sha256"])
    row = f"web,mf,default,{PLAIN.key},0\n"
    write_text(results / "studies/quickstart/parts/web.csv", HEAD + row)
    write_json(results / "studies/quickstart/study.json", {"datasets": ["web"]})
    assert redo("web", results, catalog, Workflow(command, {"datasets": "web"})) == 0
    fetched, study = called()
    assert fetched == ["--cores", "1", str(copy)]
    assert study == ["--cores", "1", "quickstart", "--config", "datasets=web"]


# -------------------------------------------------------------------------------- damage


def test_damaged_files_are_listed_and_made_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    broken = folder("mf-0") / "run.json"
    sound = broken.read_text()
    broken.write_text(sound[:-9])
    left = folder("mf-0") / ".run.json.abc.tmp"
    left.write_text("half")
    assert redo("damaged", results, CATALOG, FAILS, dry=True) == 0
    assert left.exists() and f"{broken}: truncated or corrupted" in capsys.readouterr().out
    assert redo("damaged", results, CATALOG, FAILS) == 1
    assert not left.exists()
    again = tmp_path / "again"
    again.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write({sound!r})\n")
    again.chmod(0o755)
    assert redo("damaged", results, CATALOG, Workflow([str(again)])) == 0
    assert broken.read_text() == sound


# --------------------------------------------------------------------- the same command continues


def test_what_failed_goes_on_with_the_same_studies_and_settings(
    results: Path, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    """What is forgotten is all that said which studies to run again."""
    write_json(results / "studies/quickstart/study.json", {"datasets": ["synthetic"], "choice": CHOICE})
    assert redo("timeout", results, CATALOG, FAILS) == 1
    assert redo("timeout", results, CATALOG, FAILS) == 1
    capsys.readouterr()
    write_json(folder("mf-0") / "run.json", {"status": "timeout"})  # made again, with the same end
    assert forgets(command, "timeout", dry=True) == set()
    assert "then: quickstart" in capsys.readouterr().out and called() == []
    assert forgets(command, "timeout") == {"results/.redo.json"}, "nothing is forgotten twice"
    assert called() == [["--cores", "1", "quickstart", "--config", *CHOSEN]]
    said = capsys.readouterr().out
    assert "goes on: nothing else is forgotten" in said and "no finished study" not in said
    assert str(folder("mf-0") / "run.json") in forgets(command, "timeout"), "it has ended: this is a new one"


def test_another_redo_says_what_is_not_finished_and_leaves_it(
    results: Path, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert redo("timeout", results, CATALOG, FAILS) == 1
    assert run_files("elsewhere") <= forgets(command, "ml-1m")
    assert "not finished yet: make redo WHAT=timeout" in capsys.readouterr().out
    forgets(command, "timeout")
    assert called()[-1] == ["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]
    assert not (results / ".redo.json").exists()


def test_removing_that_was_interrupted_goes_on(
    results: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []

    def interrupted(path: Path) -> None:
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        shutil.rmtree(path)

    before = files()
    with monkeypatch.context() as patch:
        patch.setattr("recspectra.running.redo._remove_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            redo("timeout", results, CATALOG, Workflow(command))
    assert 0 < len(before - files()) < len(run_files("mf-0", "mf-both-0")) and called() == []
    forgets(command, "timeout")
    assert before - files() == run_files("mf-0", "mf-both-0") | shown("quickstart", "synthetic")
    assert called() == [["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]]


def test_a_note_that_leads_out_of_the_results_removes_nothing(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    write_text(tmp_path / "outside", "")
    for path in (str(tmp_path / "outside"), "results/../outside"):
        write_json(results / ".redo.json", {"timeout": {"paths": [path], "studies": {}}})
        with pytest.raises(ConfigError, match="nothing was forgotten"):
            redo("timeout", results, CATALOG, Workflow(command))
    write_json(results / ".redo.json", {"timeout": {"path": "x"}})
    with pytest.raises(ConfigError, match=r"results/\.redo\.json: timeout"):
        redo("timeout", results, CATALOG, Workflow(command))
    write_json(results / ".redo.json", ["timeout"])
    with pytest.raises(ArtifactError, match=r"results/\.redo\.json: .*delete it"):
        redo("timeout", results, CATALOG, Workflow(command))
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize(("key", "value"), [("scale", "papr"), ("trials", "many"), ("epochs", "0")])
def test_a_wrong_word_is_refused_before_anything_is_removed(
    key: str, value: str, results: Path, command: list[str]
) -> None:
    before = files()
    with pytest.raises(ConfigError, match=key):
        redo("timeout", results, CATALOG, Workflow(command, {key: value}))
    assert files() == before


# A workflow that needs a second to end in order.
SLOW = """
import signal, sys, time
from pathlib import Path
def end(number, frame):
    time.sleep(1)
    with open("ended", "a") as stream: print("in order", file=stream)
    sys.exit(130)
signal.signal(signal.SIGINT, end)
with open("called", "a") as stream: print(sys.argv[1:], file=stream)
print("started", flush=True)
time.sleep(60)
"""


def script(*words: str, **options: Any) -> subprocess.Popen:
    """Start `redo.py` in the working folder."""
    command = [sys.executable, str(ROOT / "workflow/scripts/redo.py"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


@pytest.mark.parametrize("what", ["mf", "damaged"])
def test_an_interrupt_waits_for_the_workflow_and_the_same_command_continues(
    what: str, results: Path, tmp_path: Path
) -> None:
    """Snakemake that is killed leaves lock and jobs behind. Of two studies the second is not begun."""
    write_json(results / "studies/anchors/study.json", {})
    write_text(
        results / "studies/anchors/runs.csv", (results / "studies/quickstart/parts/synthetic.csv").read_text()
    )
    broken = folder("popular") / "run.json"
    broken.write_text("{")
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW)
    for time in (1, 2):
        process = script("--what", what, "--command", sys.executable, str(slow), start_new_session=True)
        while "started" not in (line := process.stdout.readline()):
            assert line, "it ended before"
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130 and said == ""
        assert Path("ended").read_text() == "in order\n" * time
    calls = Path("called").read_text().splitlines()
    assert len(calls) == 2 and calls[0] == calls[1]
    assert broken.read_text() == "{"


def test_a_command_that_has_ended_leaves_interrupts_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert Workflow(["true"]).build([]) == 0 and Workflow(["false"]).build([]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_script_calls_snakemake_with_cores_gpus_and_what_was_given(results: Path, tmp_path: Path) -> None:
    """A package of that name stands before Snakemake."""
    text = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"
    write_text(tmp_path / "first/snakemake/__init__.py", "")
    write_text(tmp_path / "first/snakemake/__main__.py", text)
    paths = os.pathsep.join([str(tmp_path / "first"), *filter(None, sys.path)])
    words = [
        "--cores",
        "3",
        "--gpus",
        "2",
        "--mirror",
        "/a b",
        "--scale",
        "paper",
        "--datasets",
        "",
        "--epochs",
        "5",
    ]
    process = script("--what", "timeout", *words, env=os.environ | {"PYTHONPATH": paths})
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    (call,) = (json.loads(line) for line in said.splitlines() if line.startswith("["))
    assert call == [
        "--profile", "workflow/profiles/default", "--resources", "gpu=2", "--cores", "3", "quickstart",
        "--config", "datasets=[synthetic]", "mirror=/a b", "scale=paper", "epochs=5",
    ]  # fmt: skip
