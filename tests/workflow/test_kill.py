"""Kill a fit at the worst moments: what was lost is made up for, nothing half-written stays."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from harness import TINY_STUDY, Finished, Project, files_below, unfinished, wait_for, write_yaml

EPOCHS, KILL_AFTER = 80, 20
METRICS = "results/studies/killed/metrics.csv"
TARGETS = [METRICS, "results/studies/killed/learning.csv"]
MARK = 1e6  # seconds of training; no honest run has them


@dataclass(frozen=True)
class Trial:
    """A checkout that saves a checkpoint after every epoch, and one S-Diff run to kill."""

    project: Project
    study: Path
    base: Path

    @property
    def arguments(self) -> list[str]:
        return [*TARGETS, "--config", f"study={self.study}", "scale=paper"]

    def start(self, folder: Path) -> subprocess.Popen:
        """Start the study in a copy of the prepared folder, as a process group of its own."""
        shutil.copytree(self.base, folder)
        return subprocess.Popen(
            self.project.command(folder, *self.arguments),
            env=self.project.environment(), start_new_session=True, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def again(self, folder: Path, *options: str) -> subprocess.CompletedProcess:
        return self.project.snakemake(folder, *self.arguments, *options)


@pytest.fixture(scope="module")
def trial(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    place = tmp_path_factory.mktemp("kill")
    project = Project.copied(place / "checkout")
    dataset = Path("config/datasets/tiny.yaml")
    shutil.copy(finished.project.root / dataset, project.root / dataset)
    loop = project.root / "workflow/recspectra/training/loop.py"
    text, found = re.subn(r"(checkpoint_seconds: float = ).*", r"\g<1>0.0", loop.read_text(encoding="utf-8"))
    assert found == 1
    loop.write_text(text, encoding="utf-8")
    params = {"epochs": EPOCHS, "eval_every": 10, "patience": 1000, "batch_size": 10}
    models = [{"model": "sdiff", "params": TINY_STUDY["models"][4]["params"] | params}]
    study = {k: v for k, v in TINY_STUDY.items() if k not in ("tables", "figures", "claims")}
    file = write_yaml(place / "killed.yaml", study | {"name": "killed", "models": models})
    base = finished.copy(place / "base")
    for name in ("runs", "studies", "report", "checkpoints"):
        shutil.rmtree(base / "results" / name, ignore_errors=True)
    return Trial(project, file, base)


@pytest.fixture(scope="module")
def whole(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the run that nobody killed."""
    folder = Path(shutil.copytree(trial.base, tmp_path_factory.mktemp("whole") / "work"))
    done = trial.again(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


# --------------------------------------------------------------------- looking at a fit


def checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint, once there is one."""
    return next(iter((folder / "results/checkpoints").glob("*/*/*/checkpoint.safetensors")), None)


def header(file: Path) -> tuple[dict, bytes]:
    """Read the JSON header of a safetensors file and the bytes behind it."""
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def epoch(folder: Path) -> int:
    """Return how many epochs the checkpoint holds."""
    file = checkpoint(folder)
    return json.loads(header(file)[0]["__metadata__"]["state"])["epoch"] if file else 0


def mark(folder: Path) -> None:
    """Write an impossible training time into the checkpoint: who resumes from it inherits it."""
    file = checkpoint(folder)
    head, tensors = header(file)
    state = json.loads(head["__metadata__"]["state"])
    head["__metadata__"]["state"] = json.dumps(state | {"seconds": MARK})
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + tensors)


def fit_processes(group: int) -> list[int]:
    """Return the fits among the living processes of a group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline() or [""]
            is_fit = "python" in Path(words[0]).name and any(w.endswith("/fit.py") for w in words[1:3])
            if is_fit and os.getpgid(process.pid) == group:
                found.append(process.pid)
    return found


def run_folder(folder: Path) -> Path:
    return next(iter((folder / "results/runs").glob("tiny/sdiff/*/seed-0")))


def nothing_looks_finished(folder: Path) -> None:
    """Assert that no file stands where a reader would take it for a result."""
    assert not (folder / METRICS).exists()
    below = files_below(folder / "results" / "runs") if (folder / "results" / "runs").exists() else {}
    assert not [name for name in below if not Path(name).name.startswith(".")]
    assert all(Path(name).name.startswith(".") for name in unfinished(folder))


def same_results(folder: Path, whole: Path) -> None:
    """Assert that a run ended with the bytes of the one that was not killed."""
    for name in TARGETS:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    ours, theirs = run_folder(folder), run_folder(whole)
    assert ours.relative_to(folder) == theirs.relative_to(whole)
    assert (ours / "rankings.npz").read_bytes() == (theirs / "rankings.npz").read_bytes()
    with np.load(ours / "rankings.npz") as archive:
        assert str(archive["status"]) == "ok"
    assert checkpoint(folder) is None


def resumed(folder: Path) -> bool:
    """Return whether the finished run went on from the marked checkpoint."""
    record = json.loads((run_folder(folder) / "run.json").read_text(encoding="utf-8"))
    log = record["log"]
    assert log["epochs"] == EPOCHS == len(log["loss_curve"])
    assert record["fit_seconds"] >= log["training_seconds"]
    return log["training_seconds"] > MARK


# --------------------------------------------------------------------------------- tests


def test_a_run_that_is_not_killed_did_not_resume(whole: Path) -> None:
    assert not resumed(whole)
    assert unfinished(whole) == []


def test_killing_everything_costs_no_epoch_and_no_byte(trial: Trial, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    process = trial.start(folder)
    wait_for(lambda: epoch(folder) >= KILL_AFTER, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert fit_processes(process.pid) == []
    assert KILL_AFTER <= epoch(folder) < EPOCHS
    nothing_looks_finished(folder)
    mark(folder)

    locked = trial.again(folder)
    assert locked.returncode != 0 and "--unlock" in locked.stderr
    assert "the lock is left from one that was killed. `make unlock` removes it" in locked.stderr
    assert trial.again(folder, "--unlock").returncode == 0
    done = trial.again(folder)
    assert done.returncode == 0, done.stderr
    assert resumed(folder)
    same_results(folder, whole)


def test_killing_the_fit_alone_fails_the_job_and_keeps_its_progress(
    trial: Trial, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    process = trial.start(folder)
    wait_for(lambda: epoch(folder) >= KILL_AFTER, process)
    fits = fit_processes(process.pid)
    assert len(fits) == 1
    for fit in fits:
        os.kill(fit, signal.SIGKILL)
    printed = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "Error in rule fit" in printed
    nothing_looks_finished(folder)
    mark(folder)

    done = trial.again(folder)
    assert done.returncode == 0, done.stderr
    assert resumed(folder)
    same_results(folder, whole)
