"""`make test-gpu`: what it says without a GPU, and its table, made on a CPU with tiny data."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import read_json

SCRIPT = Path(__file__).resolve().parents[2] / "workflow" / "benchmarks" / "gpu.py"
NAMES = ["mf", "sasrec", "giffcf"]  # which need pairs, an order and eigenpairs


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    """The script."""
    found = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--folder", str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    assert done.stdout.startswith("no GPU: PyTorch") and done.stdout.count("\n") == 1


@pytest.mark.parametrize("mirror", ["", "empty"])
def test_with_a_gpu_the_mirror_is_checked_before_anything_runs(
    gpu: ModuleType, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "pick_device", lambda wanted: "cuda")
    monkeypatch.setattr(gpu, "contract", lambda: pytest.fail("the tests have begun"))
    given = str(tmp_path) if mirror else ""
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--mirror", given])
    with pytest.raises(SystemExit) as stopped:
        gpu.run()
    said = str(stopped.value)
    assert ("MIRROR is not given" in said) == (not mirror) and "lightgcn/gowalla/train.txt" in said
    assert "make test-gpu MIRROR=" in said and "pytest -m gpu tests/contract" in said


def test_the_table_has_a_row_for_every_model_and_dataset(
    gpu: ModuleType, catalog: Catalog, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((80, 300)) < 0.05)
    train = from_pairs(users, items, np.arange(len(users), dtype=np.float64), (80, 300))
    sets = [gpu.Data("tiny", train, True), gpu.Data("unordered", train, False)]
    found = list(gpu.rows(catalog, sets, NAMES, "cpu", time.monotonic() + 600))
    gpu.write(tmp_path, found, gpu.hardware("cpu"))
    rows = list(csv.DictReader((tmp_path / "epochs.csv").open(encoding="utf-8")))
    expected = [(d, catalog.model(n).title) for d in ("tiny", "unordered") for n in NAMES]
    assert [(row["dataset"], row["model"]) for row in rows] == expected
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "ok", "skipped", "ok"]
    assert "order" in rows[4]["reason"] and rows[4]["epoch_seconds"] == rows[4]["peak_mb"] == ""
    measured = [row for row in rows if row["status"] == "ok"]
    assert all(float(row["epoch_seconds"]) > 0 and float(row["peak_mb"]) > 50 for row in measured)
    text = (tmp_path / "epochs.md").read_text(encoding="utf-8")
    assert torch.__version__ in text and text.count("\n|") == 2 + len(rows)
    assert read_json(tmp_path / "hardware.json")["device"] == "cpu"


def test_what_is_not_reached_in_time_says_so(
    gpu: ModuleType, catalog: Catalog, tiny: dict[str, Interactions]
) -> None:
    data = gpu.Data("tiny", tiny["train"], True)
    late = list(gpu.rows(catalog, [data], ["mf"], "cpu", time.monotonic()))
    assert [(r["status"], r["reason"]) for r in late] == [("not reached", "the ten minutes were over")]
    assert gpu.timed(catalog.model("mf"), data, "cpu", 1e-6)["status"] == "timeout"
