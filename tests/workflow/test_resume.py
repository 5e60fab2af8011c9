"""Real fits of every trained model, killed or capped and run again, end with the same bytes.

The fits are those of workflow/scripts/fit.py, each in a process of its own that SIGKILL ends.
The processes are forked from this one, which has the libraries loaded already, so that
trying every model takes little longer than fitting it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import sqlite3
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna  # noqa: F401 - loaded once, before the forks
import pytest
import torch
from harness import ROOT

from recspectra.code_hashes import spectrum_code
from recspectra.config.catalog import Catalog
from recspectra.config.model import RunConfig, needed_spectra
from recspectra.data.interactions import Interactions
from recspectra.files import read_npz
from recspectra.identity import data_digest
from recspectra.recommender import create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.training import loop as loop_module
from recspectra.training.loop import TrainingLoop

CATALOG = Catalog(ROOT)
TRAINED = [n for n in CATALOG.names("models") if CATALOG.model(n).kind == "trained"]
QUICK = {
    "epochs": 4, "eval_every": 2, "patience": 50, "batch_size": 40, "max_len": 12,
    "rank": 16, "dimensions": 32, "hidden": 32,
}  # fmt: skip
# A batch is of interactions or windows, not of users.
OF_INTERACTIONS = {
    "bsarec", "dgrec", "fearec", "fmlprec", "impgcn", "jgcf", "lightgcn", "lrgccf", "mf", "ngcf", "sgl",
    "simplex", "ultragcn", "waverec",
}  # fmt: skip
TRIALS = 3


def quick(name: str) -> dict[str, Any]:
    """The parameters of a short run; a model takes those that it has."""
    specs = CATALOG.model(name).params
    wanted = QUICK | ({"batch_size": 256} if name in OF_INTERACTIONS else {})
    return {k: v for k, v in wanted.items() if k in specs and specs[k].check(v) is None}


@dataclass(frozen=True)
class Place:
    """A project folder with one small prepared dataset."""

    root: Path

    def script(self, name: str, *arguments: str, hook: Callable[[], None] = lambda: None) -> int:
        """Run one of the scripts in a fork, `hook` first; return how the process ended."""
        process = multiprocessing.get_context("fork").Process(target=self._work, args=(name, arguments, hook))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "the script does not end"
        return process.exitcode

    def _work(self, name: str, arguments: tuple[str, ...], hook: Callable[[], None]) -> None:
        os.chdir(self.root)
        os.environ["RECSPECTRA_ROOT"] = str(self.root)
        hook()
        sys.argv = [f"{name}.py", "--data", "data/tiny", "--spectra", "spectra", *arguments]
        runpy.run_path(str(ROOT / "workflow" / "scripts" / f"{name}.py"), run_name="__main__")

    def fit(self, name: str, folder: str, hook: Callable[[], None], *also: str) -> int:
        """Fit a model into a folder, with checkpoints beside it."""
        run = json.dumps({"model": name, "params": quick(name), "top": 20})
        where = ["--folder", folder, "--checkpoints", f"{folder}-checkpoints"]
        return self.script("fit", "--run", run, "--device", "cpu", *where, *also, hook=hook)

    def tune(self, name: str, folder: str, hook: Callable[[], None] = lambda: None) -> int:
        """Search a model's learning rate, and its spectra are those of `quick`."""
        rates = [0.003, 0.001, 0.01, 0.03]
        job = {
            "model": name,
            "params": quick(name),
            "search": {"learning_rate": rates},
            "trials": TRIALS,
            "seed": 0,
        }
        return self.script("tune", "--job", json.dumps(job), "--device", "cpu", "--folder", folder, hook=hook)


@pytest.fixture(scope="module")
def place(tiny: dict[str, Interactions], tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("resume")
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # torch loads much with its first optimiser
    shutil.copytree(ROOT / "config", root / "config")
    shutil.copy(ROOT / "tests/workflow/tiny/dataset.yaml", root / "config/datasets/tiny.yaml")
    for part, data in tiny.items():
        data.save(root / "data" / "tiny" / f"{part}.npz")
    for name in TRAINED:
        run = RunConfig(model=name, params=CATALOG.model(name).resolve(quick(name)))
        create(CATALOG.model(name), run.params)  # loads the module, before the forks
        for operator, rank in needed_spectra(CATALOG.model(name), run, run.params):
            file = root / "spectra" / "tiny" / f"{operator}-r{rank}.npz"
            if not file.is_file():
                leading(build(operator.partition("@")[0], tiny["train"]), rank).save(
                    file, data_digest(tiny["train"]), spectrum_code(ROOT / "workflow/scripts/spectrum.py")
                )
    return Place(root)


# ------------------------------------------------------------------ what happens in the fork


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Watched:
    """Saves a checkpoint after each epoch, counts batches, and dies at one of them.

    Attributes
    ----------
    count : Path
        Gets a byte for each batch.
    last : int
        The batch in which the process dies; 0 for none.
    """

    count: Path
    last: int = 0

    def __call__(self) -> None:
        start, watched = TrainingLoop.__init__, self

        def started(
            self: TrainingLoop, module: Any, batches: Any, loss: Any, settings: Any, *rest: Any
        ) -> None:
            often = replace(settings, checkpoint_seconds=-1.0)
            start(self, module, batches, watched.counting(loss), often, *rest)

        TrainingLoop.__init__ = started

    def counting(self, loss: Callable) -> Callable:
        def counted(*arguments: Any) -> Any:
            with self.count.open("ab") as stream:
                stream.write(b".")
            value = loss(*arguments)
            if self.batches == self.last:
                die()
            return value

        return counted

    @property
    def batches(self) -> int:
        """How many batches there were so far."""
        return self.count.stat().st_size if self.count.exists() else 0


def dies_in_a_checkpoint(watched: Watched, which: int) -> Callable[[], None]:
    """A hook: the process dies half-way through writing its `which`-th checkpoint."""

    def hook() -> None:
        watched()
        save, calls = loop_module.save_file, []

        def half(tensors: Any, path: Path, metadata: Any) -> None:
            save(tensors, path, metadata)
            calls.append(path)
            if len(calls) == which:
                content = Path(path).read_bytes()
                Path(path).write_bytes(content[: len(content) // 2])
                die()

        loop_module.save_file = half

    return hook


# --------------------------------------------------------------------------------- fits


@pytest.fixture(scope="module")
def whole(place: Place) -> Callable[[str], tuple[bytes, int]]:
    """A factory: rankings and number of batches of a model's run that nobody killed."""
    known: dict[str, tuple[bytes, int]] = {}

    def run(name: str) -> tuple[bytes, int]:
        if name not in known:
            watched = Watched(place.root / f"{name}.count")
            assert place.fit(name, f"runs/{name}", watched) == 0
            rankings = place.root / "runs" / name / "rankings.npz"
            assert str(read_npz(rankings)["status"]) == "ok"
            known[name] = rankings.read_bytes(), watched.batches
        return known[name]

    return run


def resumes(place: Place, name: str, folder: str, whole: tuple[bytes, int], spared: int) -> None:
    """Assert that a killed run goes on, spares some of the batches and ends with the same bytes."""
    kept = place.root / f"{folder}-checkpoints" / "checkpoint.safetensors"
    assert kept.exists() == (spared > 0)
    assert not (place.root / folder / "rankings.npz").exists()
    again = Watched(place.root / f"{folder}.again")
    assert place.fit(name, folder, again) == 0
    assert again.batches == whole[1] - spared
    assert (place.root / folder / "rankings.npz").read_bytes() == whole[0]
    assert not kept.exists()


@pytest.mark.parametrize("name", TRAINED)
def test_a_fit_that_is_killed_at_random_ends_with_the_same_rankings(
    name: str, place: Place, whole: Callable
) -> None:
    expected = whole(name)
    per_epoch = expected[1] // QUICK["epochs"]
    assert expected[1] == per_epoch * QUICK["epochs"]
    last = int(np.random.default_rng(zlib.crc32(name.encode())).integers(per_epoch + 1, expected[1] + 1))
    folder = f"runs/{name}-killed"
    assert place.fit(name, folder, Watched(place.root / f"{name}.killed", last)) == -signal.SIGKILL
    resumes(place, name, folder, expected, spared=(last - 1) // per_epoch * per_epoch)


def test_a_fit_that_is_killed_in_its_first_epoch_starts_afresh(place: Place, whole: Callable) -> None:
    watched = Watched(place.root / "first.killed", last=2)
    assert place.fit("lightgcn", "runs/first", watched) == -signal.SIGKILL
    resumes(place, "lightgcn", "runs/first", whole("lightgcn"), spared=0)


def test_a_fit_that_is_killed_twice_ends_with_the_same_rankings(place: Place, whole: Callable) -> None:
    expected = whole("lightgcn")
    per_epoch = expected[1] // QUICK["epochs"]
    for turn, last in enumerate((2 * per_epoch + 1, 2 * per_epoch), start=1):
        watched = Watched(place.root / f"twice.{turn}", last)
        assert place.fit("lightgcn", "runs/twice", watched) == -signal.SIGKILL
    resumes(place, "lightgcn", "runs/twice", expected, spared=3 * per_epoch)


@pytest.mark.parametrize("which", [1, 3])
def test_a_checkpoint_that_was_being_written_is_not_read(which: int, place: Place, whole: Callable) -> None:
    expected, folder = whole("lightgcn"), f"runs/half-{which}"
    hook = dies_in_a_checkpoint(Watched(place.root / f"half-{which}.killed"), which)
    assert place.fit("lightgcn", folder, hook) == -signal.SIGKILL
    assert list((place.root / f"{folder}-checkpoints").glob(".*"))
    resumes(place, "lightgcn", folder, expected, spared=(which - 1) * expected[1] // QUICK["epochs"])


@pytest.mark.parametrize("name", TRAINED)
def test_a_capped_fit_goes_on_to_the_rankings_of_one_without_a_cap(
    name: str, place: Place, whole: Callable
) -> None:
    """The cap of three epochs adds a validation that falls between those of every second epoch."""
    rankings, batches = whole(name)
    folder = place.root / "runs" / f"{name}-capped"
    first = Watched(place.root / f"{name}.first")
    assert place.fit(name, str(folder), first, "--caps", "epochs=3") == 0
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["reason"]) == ("capped", "ended by the cap of 3 epochs")
    assert [epoch for epoch, _ in record["log"]["validation_curve"]] == [2, 3]
    assert str(read_npz(folder / "rankings.npz")["status"]) == "capped"
    for file in ("run.json", "rankings.npz"):
        (folder / file).unlink()
    rest = Watched(place.root / f"{name}.rest")
    assert place.fit(name, str(folder), rest) == 0
    assert first.batches + rest.batches == batches
    assert (folder / "rankings.npz").read_bytes() == rankings
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert [epoch for epoch, _ in record["log"]["validation_curve"]] == [2, 4]
    assert not list(place.root.glob(f"runs/{name}-capped-checkpoints/*"))


# ------------------------------------------------------------------------------- tuning


def stored(folder: Path) -> int:
    """How many trials the SQLite file holds."""
    (file,) = folder.glob("*.sqlite")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        return connection.execute("select count(*) from trials").fetchone()[0]


def trials(folder: Path) -> list[list[str]]:
    """The rows of the table of trials, without their seconds."""
    lines = (folder / "trials.csv").read_text(encoding="utf-8").splitlines()
    seconds = lines[0].split(",").index("seconds")
    return [cells[:seconds] + cells[seconds + 1 :] for cells in (line.split(",", 6) for line in lines)]


@pytest.mark.parametrize("name", ["mf", "lightgcn"])
def test_a_search_that_is_killed_loses_the_running_trial_alone(name: str, place: Place) -> None:
    plain, killed = (place.root / "tuning" / f"{name}-{kind}" for kind in ("plain", "killed"))
    watched = Watched(place.root / f"{name}.trials")
    assert place.tune(name, str(plain), watched) == 0
    assert watched.batches % TRIALS == 0
    per_trial = watched.batches // TRIALS
    dying = Watched(place.root / f"{name}.dying", last=per_trial + per_trial // 2)
    assert place.tune(name, str(killed), dying) == -signal.SIGKILL
    assert stored(killed) == 1 and not (killed / "best.json").exists()
    again = Watched(place.root / f"{name}.more")
    assert place.tune(name, str(killed), again) == 0
    assert again.batches == 2 * per_trial
    assert stored(killed) == TRIALS
    assert trials(killed) == trials(plain)
    assert (killed / "best.json").read_bytes() == (plain / "best.json").read_bytes()
