"""Test all models on this machine's GPU, then time an epoch of every trained one there.

    make test-gpu MIRROR=/path/to/mirror

First the contract tests on CUDA: the same numbers as the CPU within stated bounds. Then one epoch, after
one that warms up, and the peak memory of every trained model on ML-1M and Gowalla, in
results/reference/gpu/epochs.csv and epochs.md. After ten minutes no fit begins: what was not reached says
so. Without a GPU nothing is done. Where there is one, the files of both datasets must be in the mirror: that
is checked before anything runs.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, ModelConfig, RunConfig, needed_spectra
from recspectra.data import filters
from recspectra.data.interactions import Interactions
from recspectra.data.readers import read
from recspectra.data.splits import split
from recspectra.files import provenance, write_json, write_text
from recspectra.fitting.statuses import attempt, peak_megabytes
from recspectra.recommender import Run, Task, create
from recspectra.running import cli
from recspectra.runtime import limit_threads, pick_device
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

DATASETS = ("ml-1m.diffrec", "gowalla")
MOST_SECONDS = 60.0  # of one model on one dataset
MEMORY_GB = 1e6  # of the machine: a GPU's own ends by itself
WHAT_TO_DO = (
    "Give the folder that holds them: make test-gpu MIRROR=/path/to/mirror. For the tests without the table: "
    ".venv/bin/python -m pytest -m gpu tests/contract"
)
COLUMNS = {
    "dataset": "dataset", "model": "model", "status": "status", "epoch_seconds": "epoch s",
    "peak_mb": "peak MB", "batch": "batch", "reason": "reason",
}  # fmt: skip


@dataclass(frozen=True)
class TimedRun(Run):
    """A run that notes when its epochs end."""

    ends: list[float] = field(default_factory=list)

    def progress(self, total: int) -> Any:
        """Return what the training loop tells of its epochs."""
        return self

    def update(self, epoch: int, **values: float) -> None:
        """Note the end of an epoch; its loss has been read, so a GPU has finished it."""
        self.ends.append(time.perf_counter())

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Data:
    """A dataset: its name, what models are fitted on, and whether its order means time."""

    name: str
    train: Interactions
    ordered: bool


def prepared(catalog: Catalog, name: str, mirror: Path) -> Data:
    """Read, filter and split a dataset of the mirror."""
    config = catalog.dataset(name)
    table, _ = filters.apply(read(config, mirror), config.filter)
    return Data(name, split(table, config)[0]["train"], config.ordered)


def timed(model: ModelConfig, data: Data, device: str, seconds: float) -> dict[str, Any]:
    """Return the seconds of a second epoch and the peak memory of one model, or why there is none."""
    record: dict[str, Any] = {"dataset": data.name, "model": model.title, "status": "ok", "reason": ""}
    params = model.resolve(model.best.get(data.name, {}) | {"epochs": 2})
    record["batch"] = params.get("batch_size", "")

    def work() -> None:
        run = TimedRun(device=device)
        config = RunConfig(model=model.name, params=params)
        spectra = dict(_spectra(needed_spectra(model, config, params), data.train, device))
        create(model, params).fit(Task(data.train, None, data.ordered, spectra), run)
        record["epoch_seconds"] = run.ends[1] - run.ends[0]

    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    attempt(work, record, Budget(minutes=seconds / 60, memory_gb=MEMORY_GB), device)
    return record | {"peak_mb": peak_megabytes(device)}


def _spectra(
    needs: list[tuple[str, int]], train: Interactions, device: str
) -> Iterator[tuple[str, Spectrum]]:
    for operator, rank in needs:
        name = operator.partition("@")[0]
        yield name, leading(build(name, train), rank, device=device)


def rows(catalog: Catalog, sets: list[Data], names: list[str], device: str, until: float) -> Iterator[dict]:
    """Yield the record of each model on each dataset; after `until` (time.monotonic) none is begun."""
    for data in sets:
        for name in names:
            model, left = catalog.model(name), until - time.monotonic()
            if left <= 0:
                reason = "the ten minutes were over"
                yield {"dataset": data.name, "model": model.title, "status": "not reached", "reason": reason}
                continue
            yield timed(model, data, device, min(left, MOST_SECONDS))


def hardware(device: str) -> dict[str, Any]:
    """Return what the numbers were measured on and with."""
    made = provenance()
    found = {"device": device, "torch": torch.__version__, "cuda": torch.version.cuda or ""}
    if device == "cuda":
        found["device"] = torch.cuda.get_device_name()
        found["memory_gb"] = round(torch.cuda.get_device_properties(0).total_memory / 1024**3, 1)
        found["driver"] = _driver()
    return found | {key: made[key] for key in ("processor", "machine", "python", "recspectra")}


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""


def as_text(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a row's cells: seconds to three places, memory to whole MiB, nothing where there is none."""
    shown = {key: str(record.get(key, "")) for key in COLUMNS}
    if record["status"] != "ok":
        return shown | {"epoch_seconds": "", "peak_mb": ""}
    return shown | {"epoch_seconds": f"{record['epoch_seconds']:.3f}", "peak_mb": f"{record['peak_mb']:.0f}"}


def write(folder: Path, found: list[dict[str, Any]], made_on: Mapping[str, Any]) -> None:
    """Write epochs.csv, epochs.md and hardware.json."""
    table, cells = io.StringIO(), [as_text(record) for record in found]
    writer = csv.DictWriter(table, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write_text(folder / "epochs.csv", table.getvalue())
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row.values()) + " |" for row in cells]
    about = ", ".join(f"{key} {value}" for key, value in made_on.items() if value)
    head = f"An epoch (the second) and peak memory of trained models, without validation.\n\n{about}\n\n"
    write_text(folder / "epochs.md", head + "\n".join(lines) + "\n")
    write_json(folder / "hardware.json", dict(made_on))


def check_files(catalog: Catalog, mirror: str) -> None:
    """Refuse a mirror without the files of the table's datasets.

    Raises
    ------
    SystemExit
        Says which files are missing, and what to do.
    """
    files = [file.path for name in DATASETS for file in catalog.dataset(name).source.files]
    missing = [path for path in files if not (Path(mirror).expanduser() / path).is_file()]
    if not mirror:
        sys.exit(f"MIRROR is not given: the table needs {', '.join(files)}. {WHAT_TO_DO}")
    if missing:
        sys.exit(f"MIRROR={mirror} has no {', '.join(missing)}. {WHAT_TO_DO}")


def contract() -> int:
    """Run the tests that need a GPU; return their exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/contract"]
    return subprocess.run(command, cwd=cli.ROOT, check=False).returncode


def run() -> None:
    """Test, time and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mirror", default="", help="the folder with the datasets' files")
    parser.add_argument("--models", nargs="*", help="all trained models by default")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=cli.ROOT / "results" / "reference" / "gpu")
    parser.add_argument("--no-tests", action="store_true", help="time alone")
    args = parser.parse_args()
    if pick_device("auto") == "cpu":  # waits for a GPU that others hold, and locks it
        print(f"no GPU: PyTorch {torch.__version__} finds none here, so nothing was tested or timed")
        return
    catalog, found = cli.catalog(), []
    check_files(catalog, args.mirror)
    until = time.monotonic() + 60 * args.minutes
    if not args.no_tests and (failed := contract()):
        sys.exit(failed)
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    trained = [name for name in catalog.names("models") if catalog.model(name).kind == "trained"]
    sets = [prepared(catalog, name, Path(args.mirror).expanduser()) for name in DATASETS]
    for record in rows(catalog, sets, args.models or trained, "cuda", until):
        found.append(record)
        print(json.dumps(as_text(record)), flush=True)
    write(args.folder, found, hardware("cuda"))
    print(f"written to {args.folder}")


if __name__ == "__main__":
    cli.main(run)
