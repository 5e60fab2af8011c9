"""A fit without memory, time or a finite loss has that as its status; the study goes on and shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import TINY_STUDY, Project, rows, write_yaml

pytestmark = [pytest.mark.faults, pytest.mark.slow]
BUDGET = "budget={minutes: 0.25, memory_gb: 0.6}"
SIZE = {"users": 400, "items": 20000, "interactions": 40000, "communities": 4, "seed": 0}
SDIFF = TINY_STUDY["models"][4]["params"]
SYSTEMS: dict[str, dict[str, Any]] = {
    "popularity": {"model": "popularity"},
    # Items x items, beyond the budget in single precision already.
    "ease": {"model": "ease"},
    # 20,000 x 16,384 numbers: 1.3 GB that PyTorch asks for.
    "mf": {"model": "mf", "params": {"dimensions": 16384, "epochs": 2}},
    "sdiff": {
        "model": "sdiff",
        "params": SDIFF | {"epochs": 1_000_000, "patience": 1_000_000, "eval_every": 1000},
    },
    "multidae": {"model": "multidae", "params": {"learning_rate": 1e30, "epochs": 5}},
}
EXPECTED = {"popularity": "ok", "ease": "oom", "mf": "oom", "sdiff": "timeout", "multidae": "diverged"}
REASONS = {
    "popularity": "",
    "ease": r"Unable to allocate .*; peak \d\.\d\d GB, limit 0\.6 GB above the \d\.\d\d GB of the start",
    "mf": r".*allocate.*; peak \d\.\d\d GB, limit 0\.6 GB above the \d\.\d\d GB of the start",
    "sdiff": r"exceeded its time budget of 15 s",
    "multidae": r"the loss became (nan|inf) in epoch \d",
}


@pytest.fixture(scope="module")
def failed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study in which all but one model fail; its file and the folder where it ran."""
    place = tmp_path_factory.mktemp("failed")
    dataset = project.root / "config" / "datasets" / "wide.yaml"
    source = {"name": "wide", "licence": "none needed", "citation": "this project"}
    reader = {"format": "synthetic", "options": SIZE}
    split = {"recipe": "temporal-user", "valid": 0.1, "test": 0.2}
    write_yaml(dataset, {"name": "wide", "title": "Wide", "source": source, "reader": reader,
                         "split": split, "ordered": True})  # fmt: skip
    tables, figures = TINY_STUDY["tables"], [{"name": "timing", "title": "Times", "kind": "timing"}]
    study = {"name": "failed", "title": "Failed fits", "datasets": ["wide"], "tables": tables}
    file = write_yaml(place / "failed.yaml", study | {"models": list(SYSTEMS.values()), "figures": figures})
    done = project.snakemake(place / "work", "--config", f"study={file}", BUDGET, "device=cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    yield place / "work", file
    dataset.unlink()


def test_each_failure_is_a_status_with_its_reason(failed: tuple[Path, Path], figure: Callable) -> None:
    records = {r["model"]: r for r in rows(failed[0] / "results/studies/failed/runs.csv")}
    assert {name: record["status"] for name, record in records.items()} == EXPECTED
    for name, pattern in REASONS.items():
        assert re.fullmatch(pattern, records[name]["reason"]), (name, records[name]["reason"])
    figure("; ".join(f"{name}: {r['status']} ({r['reason']})" for name, r in records.items()))


def test_metrics_have_a_row_for_every_failure(failed: tuple[Path, Path], figure: Callable) -> None:
    table = rows(failed[0] / "results/studies/failed/metrics.csv")
    for name, status in EXPECTED.items():
        found = {(r["status"], r["value"] == "") for r in table if r["model"] == name}
        assert found == {(status, status != "ok")}
    assert len({sum(r["model"] == name for r in table) for name in EXPECTED}) == 1
    figure(f"{len(table)} rows, {sum(r['status'] != 'ok' for r in table)} of them with a status and no value")


@pytest.mark.parametrize("ending", ["csv", "md", "tex"])
def test_tables_show_the_status_in_the_cell(failed: tuple[Path, Path], ending: str) -> None:
    text = (failed[0] / f"results/studies/failed/table-main.{ending}").read_text(encoding="utf-8")
    for status in ("oom", "timeout", "diverged"):
        assert status in text


def test_the_report_gives_the_reasons(failed: tuple[Path, Path]) -> None:
    html = (failed[0] / "results/report/study-failed.html").read_text(encoding="utf-8")
    assert "limit 0.6 GB above" in html and "time budget of 15 s" in html and "the loss became" in html


def test_what_failed_is_not_tried_again_by_itself(
    failed: tuple[Path, Path], project: Project, figure: Callable
) -> None:
    done = project.snakemake(failed[0], "--config", f"study={failed[1]}", BUDGET, "device=cpu")
    assert done.returncode == 0 and "Nothing to be done" in done.stderr
    figure("a second call does nothing")
