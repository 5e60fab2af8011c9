"""A tiny study from data to report, run by Snakemake."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from harness import (
    COLUMNS,
    ROOT,
    TINY_FITS,
    TINY_STUDY,
    Finished,
    digests,
    files_below,
    finished_jobs,
    rows,
    snapshot,
    unfinished,
)

from recspectra.fitting.scoring import NOT_LISTS
from recspectra.running import locks

FOLDER = Path("results/studies/tiny-study")
ON_TEST = {"test_train_train", "test_train_train+valid", "test_train+valid_train+valid"}


def protocol(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / "protocols" / f"{name}.yaml").read_text(encoding="utf-8"))


def runs(folder: Path) -> dict[Path, dict]:
    """Return the records of all runs below a working folder by their folder."""
    found = sorted((folder / "results" / "runs").glob("*/*/*/seed-*/run.json"))
    return {p.parent: json.loads(p.read_text(encoding="utf-8")) for p in found}


# ----------------------------------------------------------------------------- artefacts


def test_files_of_the_artefact_contract_exist(finished: Finished) -> None:
    found = set(files_below(finished.folder / "results"))
    assert {"report/index.html", "report/study-tiny-study.html", "report/runs.html"} <= found
    expected = {"interactions/tiny.npz", "report.zip"}
    expected |= {f"data/tiny/{name}.npz" for name in ("train", "valid", "test")}
    expected |= {"data/tiny/stats.json", "data/tiny/ids.parquet"}
    expected |= {f"spectra/tiny/{o}@train-r16.npz" for o in ("item-similarity", "unified-d2-a0.4")}
    study = ["metrics.csv", "runs.csv", "learning.csv", "tuning.csv", "datasets.csv", "study.json"]
    study += ["snr.csv", "frequency-response.csv", "audit.csv", "parts/tiny.csv", "per_user/tiny.parquet"]
    study += ["parts/tiny.notes.json", "standings.csv", "standings.svg", "claims.csv", "claims.md"]
    study += ["summary.txt"]
    study += [f"sheet-{t['name']}.csv" for t in TINY_STUDY["tables"]]
    study += [f"table-{t['name']}.{e}" for t in TINY_STUDY["tables"] for e in ("csv", "md", "tex")]
    study += [f"fig-{f['name']}.{e}" for f in TINY_STUDY["figures"] for e in ("svg", "png", "csv", "txt")]
    expected |= {f"studies/tiny-study/{name}" for name in study}
    folders = [p.relative_to(finished.folder / "results") for p in runs(finished.folder)]
    expected |= {f"{p}/{name}" for p in folders for name in ("rankings.npz", "run.json")}
    others = {name for name in found if not name.startswith(("logs/", "report/"))}
    assert others - {locks.NAME} == expected
    assert all(p.stat().st_size for p in files_below(finished.folder / "results" / "runs").values())


def test_runs_are_one_per_configuration(finished: Finished) -> None:
    assert Counter(p.parts[-3] for p in runs(finished.folder)) == TINY_FITS


def test_keys_are_hashes_of_the_recorded_configuration(finished: Finished) -> None:
    for folder, record in runs(finished.folder).items():
        text = json.dumps(record["config"], sort_keys=True, separators=(",", ":"))
        assert folder.parts[-2] == record["key"] == hashlib.sha256(text.encode()).hexdigest()[:10]
        assert (record["status"], record["reason"]) == ("ok", "")
        assert record["code"] and record["provenance"]["packages"]["numpy"] == np.__version__
        assert record["fit_seconds"] >= 0 and record["peak_memory_mb"] > 0


def test_rankings_hold_every_list(finished: Finished) -> None:
    for folder, record in runs(finished.folder).items():
        with np.load(folder / "rankings.npz", allow_pickle=False) as archive:
            assert str(archive["status"]) == "ok"
            lists = {name: archive[name] for name in archive.files if name not in NOT_LISTS}
        refit = record["config"]["fit"] == "train+valid"
        names = ON_TEST if refit else ON_TEST | {"valid_train_train"}
        cut = {f"{name}.cut.{part}" for name in names for part in ("rows", "counts", "items")}
        lists = {name: found for name, found in lists.items() if name not in cut}
        assert set(lists) == names | {f"{name}.positions" for name in names}
        for name, items in lists.items():
            assert items.dtype == np.int32 and items.shape == (150, 50), name
            highest = 100 if name.endswith(".positions") else 99
            assert items.min() >= -1 and items.max() <= highest


def test_metrics_have_the_columns_of_the_contract_and_no_gap(finished: Finished) -> None:
    text = (finished.folder / FOLDER / "metrics.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == COLUMNS
    table = rows(finished.folder / FOLDER / "metrics.csv")
    labels = Counter((r["model"], r["variant"], r["fit"]) for r in table if r["protocol"] == "standard")
    standard, validation = protocol("standard"), protocol("validation")
    size = len(standard["metrics"]) * len(standard["k"]) * len(standard["views"])
    assert set(labels.values()) == {size}
    assert set(labels) == {
        ("popularity", "default", "train"), ("ease", "default", "train"),
        ("ease", "default", "train+valid"), ("gfcf", "default", "train"), ("sdiff", "default", "train"),
        ("gsprec", "default", "train"), ("gsprec", "center=0.2", "train"), ("gsprec", "center=0.8", "train"),
    }  # fmt: skip
    on_validation = [r for r in table if r["protocol"] == "validation"]
    assert len(on_validation) == (len(labels) - 1) * len(validation["metrics"]) * len(validation["k"])
    assert {r["fit"] for r in on_validation} == {"train"}
    for row in table:
        assert row["status"] == "ok"
        assert math.isfinite(float(row["value"])) and 0 <= float(row["value"]) <= 1
        assert all(row.values())


def test_a_run_that_two_labels_share_has_one_set_of_values(finished: Finished) -> None:
    table = rows(finished.folder / FOLDER / "metrics.csv")
    by_label: dict[str, dict] = {}
    for row in table:
        if row["model"] == "gsprec":
            spot = tuple(row[c] for c in ("protocol", "history", "mask", "metric", "k"))
            by_label.setdefault(row["variant"], {})[spot] = (row["key"], row["value"])
    assert by_label["default"] == by_label["center=0.2"] != by_label["center=0.8"]


def test_tables_repeat_the_metrics(finished: Finished) -> None:
    table = rows(finished.folder / FOLDER / "metrics.csv")
    wanted = {"model": "ease", "fit": "train", "metric": "ndcg", "k": "10", "protocol": "standard"}
    value = next(float(r["value"]) for r in table if wanted.items() <= r.items())
    for suffix in ("md", "tex"):
        text = (finished.folder / FOLDER / f"table-main.{suffix}").read_text(encoding="utf-8")
        assert f"{value:.4f}".lstrip("0") in text, suffix
    with (finished.folder / FOLDER / "table-main.csv").open(encoding="utf-8", newline="") as stream:
        numbers = [cell for row in csv.reader(stream) for cell in row if re.fullmatch(r"0\.\d+", cell)]
    assert any(math.isclose(float(n), value, abs_tol=1e-12) for n in numbers)


def test_per_user_values_average_to_the_metrics(finished: Finished) -> None:
    frame = pd.read_parquet(finished.folder / FOLDER / "per_user" / "tiny.parquet")
    table = rows(finished.folder / FOLDER / "metrics.csv")
    by = ["model", "variant", "key", "seed", "protocol", "fit", "history", "mask", "metric", "k"]
    means = frame.astype(dict.fromkeys(by, str)).groupby(by)["value"].agg(["mean", "size"])
    printed = {tuple(row[name] for name in by): float(row["value"]) for row in table if row["value"]}
    assert set(means.index) == set(printed)
    for place, (mean, users) in means.iterrows():
        assert users > 50
        assert math.isclose(mean, printed[place], rel_tol=1e-6), place


def test_report_holds_every_table_and_figure(finished: Finished) -> None:
    html = (finished.folder / f"results/report/study-{TINY_STUDY['name']}.html").read_text(encoding="utf-8")
    for item in (*TINY_STUDY["tables"], *TINY_STUDY["figures"]):
        assert item["title"] in html
        prefix = "table" if "metrics" in item else "fig"
        assert f"{FOLDER}/{prefix}-{item['name']}.csv" in html
    sources = re.findall(r"<img[^>]*\ssrc=\"([^\"]*)\"", html)
    assert len(sources) == len(TINY_STUDY["figures"])
    assert all((finished.folder / "results/report" / s).is_file() for s in sources)
    assert not re.findall(r"<iframe\b|(?:src|href)=\"https?:", html)


def test_the_report_of_snakemake_shows_the_figures(finished: Finished, work: Path) -> None:
    done = finished.project.snakemake(work, "--report", "snakemake.html", *finished.options)
    assert done.returncode == 0, done.stderr
    html = (work / "snakemake.html").read_text(encoding="utf-8")
    assert all(figure["title"] in html for figure in TINY_STUDY["figures"])
    assert f"A figure of study {TINY_STUDY['name']}" in html


def test_nothing_temporary_is_left(finished: Finished) -> None:
    assert unfinished(finished.folder) == []
    assert files_below(finished.folder / "results" / "checkpoints") == {}


def test_logs_say_how_each_fit_ended(finished: Finished) -> None:
    logs = sorted((finished.folder / "results/logs/fit").rglob("*.log"))
    assert len(logs) == TINY_FITS.total()
    assert {log.read_text(encoding="utf-8").splitlines()[-1] for log in logs} == {"ok"}


# ------------------------------------------------------------------------------- again


def test_second_run_has_nothing_to_do(finished: Finished) -> None:
    before = snapshot(finished.folder / "results")
    again = finished.project.snakemake(finished.folder, *finished.options)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr
    assert finished_jobs(again.stderr) == []
    after = snapshot(finished.folder / "results")
    lock = ".workflow.lock"  # says who had it last
    assert {**after, lock: ""} == {**before, lock: ""}


def test_figures_are_redrawn_without_rankings(finished: Finished, work: Path) -> None:
    study = work / FOLDER
    drawn = digests(study, lambda name: name.startswith(("fig-", "table-", "audit")))
    for name in ("fig-snr.svg", "fig-learning.png", "fig-center.csv", "table-main.tex"):
        (study / name).unlink()
    for name in ("runs", "data", "spectra", "interactions"):
        shutil.rmtree(work / "results" / name)
    done = finished.project.snakemake(work, "figures", *finished.options)
    assert done.returncode == 0, done.stderr
    assert len(finished_jobs(done.stderr)) == 1
    assert digests(study, lambda name: name.startswith(("fig-", "table-", "audit"))) == drawn
    assert not (work / "results" / "runs").exists()


def test_figures_without_any_study_say_what_to_do(finished: Finished, tmp_path: Path) -> None:
    done = finished.project.snakemake(tmp_path, "figures")
    assert done.returncode != 0
    assert "no study has numbers on disk to redraw" in done.stderr
    assert "Traceback" not in done.stderr


def test_report_alone_is_rebuilt(finished: Finished, work: Path) -> None:
    before = (work / "results/report/index.html").read_bytes()
    (work / "results/report/index.html").unlink()
    done = finished.project.snakemake(work, "report", *finished.options)
    assert done.returncode == 0, done.stderr
    assert len(finished_jobs(done.stderr)) == 1
    assert (work / "results/report/index.html").read_bytes() == before


def test_fits_give_the_same_without_test_data(finished: Finished, tmp_path: Path) -> None:
    """Behaviour, not only the graph: with no test.npz beside them, fits end with the same bytes."""
    data = tmp_path / "tiny"
    shutil.copytree(finished.folder / "results/data/tiny", data, ignore=shutil.ignore_patterns("test.npz"))
    assert not (data / "test.npz").exists()
    chosen = {p.parts[-3]: p for p in runs(finished.folder) if p.parts[-3] in ("gsprec", "sdiff")}
    for name, folder in chosen.items():
        config = json.dumps(runs(finished.folder)[folder]["config"])
        spectra = finished.folder / "results" / "spectra"
        arguments = ["--data", data, "--run", config, "--spectra", spectra, "--folder", tmp_path / name]
        done = finished.project.script("fit", tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name / "rankings.npz").read_bytes() == (folder / "rankings.npz").read_bytes()
