"""What `make redo` forgets: what was named, all that was drawn from it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redo_folder import (
    CATALOG,
    CHOICE,
    CHOSEN,
    FAILS,
    RAW,
    ROOT,
    SEARCH,
    called,
    files,
    folder,
    forgets,
    mine,
    run_files,
    shown,
)
from snakemake.cli import parse_config

from recspectra.config.base import ConfigError
from recspectra.config.settings import check_texts, load_settings
from recspectra.files import ArtifactError, write_json, write_text
from recspectra.running import locks
from recspectra.running.command import Workflow
from recspectra.running.redo import redo

QUICKSTART = ["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]
SEARCHED = f"results/tuning/synthetic/ease/{SEARCH.key}"
MADE = ("data/ml-1m/stats.json", "measured/ml-1m/s.csv", "datasets/datasets.csv", RAW,
        "interactions/ml-1m.npz", "spectra/ml-1m/s.npz")  # fmt: skip
TAKEN: dict[str, tuple[str, list[str], list[str]]] = {  # what is named, runs, other files
    "a seed takes its refit": (str(folder("mf-0")), ["mf-0", "mf-both-0"], []),
    "a key takes its seeds": (str(folder("mf-0").parent), ["mf-0", "mf-1", "mf-both-0"], []),
    "a model takes its searches": ("ease", ["tuned"], [f"{SEARCHED}/best.json"]),
    "a status takes its runs": ("timeout", ["mf-0", "mf-both-0"], []),
    "another status": ("skipped", ["mf-both-0"], []),
    "a status takes searches that found nothing for it": ("oom", ["tuned"], [f"{SEARCHED}/best.json"]),
    "a search takes the runs that it chose for": (SEARCHED, ["tuned"], [f"{SEARCHED}/best.json"]),
    "a dataset takes what was made from it": ("ml-1m", ["elsewhere"], [f"results/{name}" for name in MADE]),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_named_goes_with_all_that_was_drawn_from_it(
    case: str, results: Path, command: list[str]
) -> None:
    what, runs, others = TAKEN[case]
    drawn = shown("mine", "ml-1m") if what == "ml-1m" else shown("quickstart", "synthetic")
    assert forgets(command, what) == run_files(*runs) | {*others} | drawn
    assert called()[-1:] == [QUICKSTART if what != "ml-1m" else mine()]


def test_a_run_that_was_deleted_by_hand_is_still_known_by_the_studies(
    results: Path, command: list[str]
) -> None:
    for name in ("run.json", "rankings.npz"):
        (folder("popular") / name).unlink()
    gone = forgets(command, str(folder("popular")))
    assert shown("quickstart", "synthetic") | shown("mine", "synthetic") <= gone
    assert called() == [mine(), QUICKSTART]


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
        assert redo(what, results, CATALOG, Workflow(command), dry=True) == 0
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
