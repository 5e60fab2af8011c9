"""A results folder to forget things of, and a stand-in for Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest
from redo_folder import (
    RAW,
    RUNS,
    SEARCH,
    SHOWN,
    folder,
    write_study,
)

from recspectra.files import write_json, write_npz, write_text


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
        write_study(place / "studies" / study, names)
    return place


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A stand-in for Snakemake that writes down its words, and the first options."""
    script = tmp_path / "snakemake"
    script.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >> called\necho >> called\n")
    script.chmod(0o755)
    return [str(script), "--cores", "1"]
