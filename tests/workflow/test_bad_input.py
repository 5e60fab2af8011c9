"""Wrong configuration, wrong files, full disks: one clear message, nothing half-written."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import (
    REPO,
    ROOT,
    TINY,
    TINY_STUDY,
    Finished,
    changed,
    files_below,
    one_error,
    rows,
    write_yaml,
)

from recspectra import runtime
from recspectra.code_hashes import spectrum_code
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.data import splits
from recspectra.data.readers import read
from recspectra.identity import data_digest
from recspectra.planning.place import check_checkout
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build

SHIPPED = TINY_STUDY | {"name": "mine", "datasets": ["synthetic"]}


# ------------------------------------------------------------------------------ studies


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["study={file}"],
            ["{file}", "models[0]", "unknown model 'poplarity'", "did you mean 'popularity'?"],
        ),
        (
            ["miror=/data", "budget={{minutes: none}}"],
            ["miror: unknown key; allowed: ", "study, mirror", "did you mean 'mirror'?", "budget.minutes"],
        ),
    ],
)
def test_snakemake_shows_the_message_and_writes_nothing(
    options: list[str], expected: list[str], tmp_path: Path
) -> None:
    wrong = changed(SHIPPED, lambda s: s["models"][0].update(model="poplarity"))
    file = write_yaml(tmp_path / "mine.yaml", wrong)
    done = REPO.snakemake(tmp_path / "work", "--config", *(option.format(file=file) for option in options))
    assert done.returncode != 0
    for part in expected:
        assert part.format(file=file) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 8
    assert not (tmp_path / "work" / "results").exists()


@pytest.mark.parametrize(
    ("options", "profile"), [(["--cores", "1"], True), (["--dry-run"], False), (["--lint"], False)]
)
def test_our_messages_come_without_a_frame(profile: bool, options: list[str], tmp_path: Path) -> None:
    done = REPO.snakemake(tmp_path / "work", *options, "--config", "study=quickstrat", profile=profile)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("configuration error: unknown study 'quickstrat'; known: anchors, ")
    assert last.endswith("did you mean 'quickstart'?")
    assert "common.smk" not in done.stderr and "Error in" not in done.stderr


@pytest.mark.parametrize("profile", [True, False], ids=["profile", "plain"])
def test_a_target_that_is_not_there_names_the_nearest(profile: bool, tmp_path: Path) -> None:
    done = REPO.snakemake(tmp_path / "work", "quickstrat", profile=profile)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: there is no study or target 'quickstrat'; studies: anchors, first-light, ")
    assert last.endswith("targets: all, datasets, figures, report; did you mean 'quickstart'?")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda path: path.symlink_to("/nowhere"),
            "error: 'results' is a link to '/nowhere', where nothing is",
        ),
        (lambda path: path.write_text("a file"), "error: 'results' is a file, not a folder"),
    ],
    ids=["dangling link", "file"],
)
def test_results_that_are_no_folder_are_named(make: Callable, expected: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    make(tmp_path / "work" / "results")
    done = REPO.snakemake(tmp_path / "work", profile=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(expected)


def test_a_folder_that_snakemake_takes_for_a_pattern_is_refused() -> None:
    check_checkout(Path("/it's a place/x{"))
    for name in ("a{b}", "a<b>"):
        with pytest.raises(ConfigError, match="move it"):
            check_checkout(Path("/home") / name / "recspectra")


# ------------------------------------------------------------------------------ artefacts


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the tiny dataset, split, and one spectrum, made in this process."""
    place = tmp_path_factory.mktemp("prepared")
    shutil.copytree(ROOT / "config", place / "config")
    shutil.copy(TINY / "dataset.yaml", place / "config" / "datasets" / "tiny.yaml")
    config = DatasetConfig.model_validate(yaml.safe_load((TINY / "dataset.yaml").read_text(encoding="utf-8")))
    table = read(config, place)
    table.save(place / "results" / "interactions" / "tiny.npz")
    pieces, ids, _ = splits.split_with_ids(table, config)
    stats = splits.statistics(config, pieces)
    stats["digests"]["ids"] = ids.digest
    splits.save(pieces, stats, place / "results" / "data" / "tiny")
    ids.save(place / "results" / "data" / "tiny" / "ids.parquet")
    spectrum = leading(build("item-similarity", pieces["train"]), 16)
    spectrum.save(
        place / "results" / "spectra" / "tiny" / "item-similarity@train-r16.npz",
        data_digest(pieces["train"]),
        spectrum_code(ROOT / "workflow" / "scripts" / "spectrum.py"),
    )
    return place


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder that a test may damage."""
    return Path(shutil.copytree(prepared, tmp_path / "project"))


def fit(place: Path, folder: Path | str = "run", model: str = "gfcf", top: int = 50, **kwargs: Any) -> Any:
    params = {"rank": 16} if model == "gfcf" else {}
    run = json.dumps({"model": model, "params": params, "top": top})
    arguments = ["--data", "results/data/tiny", "--run", run, "--folder", folder]
    return REPO.script("fit", place, *arguments, RECSPECTRA_ROOT=str(place), **kwargs)


ARGUMENTS = {
    "split": ["--dataset", "tiny", "--interactions", "results/interactions/tiny.npz", "--folder", "made"],
    "spectrum": [
        "--data", "results/data/tiny", "--operator", "item-similarity@train", "--rank", "16",
        "--output", "made/spectrum.npz",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("script", "file"),
    [
        ("split", "results/interactions/tiny.npz"),
        ("spectrum", "results/data/tiny/train.npz"),
        ("fit", "results/data/tiny/valid.npz"),
        ("fit", "results/spectra/tiny/item-similarity@train-r16.npz"),
    ],
)
def test_truncated_artefact_is_named(data: Path, script: str, file: str) -> None:
    content = (data / file).read_bytes()
    (data / file).write_bytes(content[: len(content) // 2])
    if script == "fit":
        done = fit(data, "made")
    else:
        done = REPO.script(script, data, *ARGUMENTS[script], RECSPECTRA_ROOT=str(data))
    one_error(done, file, "truncated or corrupted", "delete it and run again")
    assert not (data / "made").exists() or files_below(data / "made") == {}


def test_truncated_rankings_are_named(data: Path) -> None:
    study = SHIPPED | {
        "datasets": ["tiny"],
        "models": [{"model": "popularity"}],
        "tables": [],
        "figures": [],
        "claims": [],
    }
    file = write_yaml(data / "mine.yaml", study)
    catalog = Catalog(data)
    run = catalog.study(str(file)).runs[0].run
    folder = f"results/runs/tiny/popularity/{run.key}/seed-0"
    assert fit(data, folder, "popularity").returncode == 0
    arguments = ["--study", file, "--dataset", "tiny", "--output", "out/m.csv", "--per-user", "out/u.parquet",
                 "--notes", "out/notes.json"]  # fmt: skip
    good = REPO.script("evaluate", data, *arguments, RECSPECTRA_ROOT=str(data))
    assert good.returncode == 0, good.stderr
    shutil.rmtree(data / "out")
    rankings = data / folder / "rankings.npz"
    rankings.write_bytes(rankings.read_bytes()[:-100])
    done = REPO.script("evaluate", data, *arguments, RECSPECTRA_ROOT=str(data))
    one_error(done, f"{folder}/rankings.npz", "truncated or corrupted")
    assert not (data / "out").exists() or files_below(data / "out") == {}


# ------------------------------------------------------------------------------ full disk


def test_file_size_limit_leaves_no_rankings(data: Path) -> None:
    """The same without root: the model refuses files above a few KiB."""
    limit = 8 * 1024
    code = (
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    script = str(ROOT / "workflow" / "scripts" / "fit.py")
    run = json.dumps({"model": "popularity", "params": {}, "top": 50})
    command = [sys.executable, "-c", code, script, "--data", "results/data/tiny", "--run", run]
    variables = REPO.environment(RECSPECTRA_ROOT=str(data))
    done = subprocess.run(
        [*command, "--folder", "run"], cwd=data, env=variables, capture_output=True, text=True, check=False
    )
    one_error(done, "run/rankings.npz", "File too large")
    assert set(files_below(data / "run")) == {"run.json"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


# ------------------------------------------------------------------------- failed as a result


def test_the_time_limit_is_not_lost_where_errors_are_swallowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Progress is written with all errors suppressed; an alarm that falls there must come again."""
    monkeypatch.setenv("RECSPECTRA_PROGRESS", str(tmp_path))
    monkeypatch.setattr(runtime, "write_json", lambda path, value: time.sleep(0.2))
    progress = runtime.Progress("slow disk", 10)
    started = time.monotonic()
    with pytest.raises(runtime.OutOfTime), runtime.time_budget(0.05):
        progress.update(1)
        assert time.monotonic() - started < 0.19, "the alarm did not fall into the writing"
        time.sleep(3.0)


def test_a_run_out_of_time_is_a_result_and_the_study_goes_on(finished: Finished, tmp_path: Path) -> None:
    endless = {"epochs": 1_000_000, "patience": 1_000_000, "eval_every": 1000}
    study = changed(TINY_STUDY | {"name": "late"}, lambda s: s["models"][4]["params"].update(endless))
    study["models"], study["claims"] = [study["models"][0], study["models"][4]], []
    study["figures"] = [f for f in study["figures"] if f["kind"] in ("timing", "learning-curves", "snr")]
    file = write_yaml(tmp_path / "late.yaml", study)
    work = finished.copy(tmp_path / "work")
    options = ["--config", f"study={file}", "scale=paper", "budget={minutes: 0.02}"]
    done = finished.project.snakemake(work, *options)
    assert done.returncode == 0, done.stderr
    folder = work / "results/studies/late"
    table = rows(folder / "metrics.csv")
    late = [row for row in table if row["model"] == "sdiff"]
    assert late and {(row["status"], row["value"]) for row in late} == {("timeout", "")}
    assert {row["status"] for row in table if row["model"] == "popularity"} == {"ok"}
    assert len(late) == len(table) / 2
    record = next(r for r in rows(folder / "runs.csv") if r["model"] == "sdiff")
    assert record["status"] == "timeout" and "time budget of 1.2 s" in record["reason"]
    for suffix in ("csv", "md", "tex"):
        assert "timeout" in (folder / f"table-main.{suffix}").read_text(encoding="utf-8")
    html = (work / "results/report/study-late.html").read_text(encoding="utf-8")
    assert "time budget of 1.2 s" in html
    again = finished.project.snakemake(work, *options)
    assert "Nothing to be done" in again.stderr
