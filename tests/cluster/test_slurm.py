"""The quickstart study through a real Slurm, disturbed while it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from harness import Project, write_yaml
from slurm import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
STUDY = "quickstart"
SETTINGS = ["--config", "device=cpu"]
TRAINED = ("sdiff", "sasrec", "wpgrec")  # no fit of these is short
PARTITIONS = {
    "partitions": {
        "short": {"max_runtime": 100},
        "long": {"max_runtime": 2880},
        "gpu": {"max_runtime": 2880, "max_gpu": 1},
    }
}
MOST_SECONDS = 1800


@dataclass
class Seen:
    """What Slurm knew of a job: rule and wildcards, partition, memory, minutes, last state."""

    comment: str
    partition: str
    memory: str
    limit: str
    state: str


@dataclass
class Ran:
    """A study that went through Slurm, and what happened on the way."""

    folder: Path
    status: int
    printed: str
    jobs: dict[str, Seen]
    cancelled: str = ""
    restarted: bool = False
    notes: list[str] = field(default_factory=list)

    def like(self, pattern: str) -> list[Seen]:
        """Return the jobs whose comment matches, in the order of their numbers."""
        return [job for job in self.jobs.values() if re.search(pattern, job.comment)]

    def ended(self, pattern: str) -> list[Seen]:
        """Return those of them that did their work."""
        return [job for job in self.like(pattern) if job.state == "COMPLETED"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.copied(tmp_path_factory.mktemp("checkout") / "main")


@pytest.fixture(scope="module")
def local(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the same study without Slurm."""
    folder = tmp_path_factory.mktemp("local")
    with (folder / "printed").open("w") as out:
        process = subprocess.Popen(
            project.command(folder, STUDY, *SETTINGS), env=project.environment(),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert process.wait(MOST_SECONDS) == 0, (folder / "printed").read_text()[-4000:]
        finally:
            end(process)
    return folder


@pytest.fixture(scope="module")
def ran(project: Project, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The study through Slurm: one running fit is cancelled, then the controller is restarted."""
    folder = tmp_path_factory.mktemp("cluster")
    with (folder / "printed").open("w") as out:
        process = subprocess.Popen(
            submitting(project, folder, STUDY, *SETTINGS), env=variables(project, cluster),
            cwd=project.root, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            result = watched(cluster, process, Ran(folder, -1, "", {}))
        finally:
            end(process)
    result.printed = (folder / "printed").read_text()
    return result


def submitting(project: Project, folder: Path, *args: str) -> list[str]:
    """Return a command that submits to Slurm by the profile that is shipped; targets go first."""
    partitions = write_yaml(folder / "partitions.yaml", PARTITIONS)
    profile = project.root / "workflow" / "profiles" / "slurm"
    options = [
        "--profile", str(profile), "--slurm-partition-config", str(partitions),
        "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3",
        "--latency-wait", "5",
    ]  # fmt: skip
    command = project.command(folder, profile=False)
    command = command[: command.index("--cores")]
    return [*command, *options, *args]


def variables(project: Project, cluster: Cluster) -> dict[str, str]:
    """Return the environment of a submitting Snakemake."""
    return {**project.environment(), **cluster.variables, "PYTHONPATH": project.environment()["PYTHONPATH"]}


def watched(cluster: Cluster, process: subprocess.Popen, ran: Ran) -> Ran:
    """Follow the queue until Snakemake ends; disturb it twice."""
    until = time.monotonic() + MOST_SECONDS
    while process.poll() is None and time.monotonic() < until:
        ran.jobs |= queue(cluster)
        running = {number: job for number, job in ran.jobs.items() if job.state == "RUNNING"}
        fits = [n for n, job in running.items() if "rule_fit_wildcards_synthetic_sdiff" in job.comment]
        if fits and not ran.cancelled and fitting(ran.folder):
            ran.cancelled = fits[0]
            cluster.run("scancel", fits[0])
        elif ran.cancelled and fits and not ran.restarted:
            cluster.stop_controller()
            time.sleep(30)  # longer than the time between two looks at the queue
            cluster.start_controller()
            ran.restarted = True
        time.sleep(0.5)
    ran.jobs |= queue(cluster)
    ran.status = process.poll() if process.poll() is not None else -1
    return ran


def fitting(folder: Path) -> bool:
    """Return whether a fit of S-Diff has begun."""
    return any((folder / "results" / "logs" / "fit" / "synthetic" / "sdiff").glob("*.log"))


def queue(cluster: Cluster) -> dict[str, Seen]:
    """Return what Slurm knows of all jobs, by their number."""
    printed = cluster.run("squeue", "--noheader", "--states=all", "--array", "--format=%i|%k|%P|%m|%l|%T")
    rows = [line.strip().split("|") for line in printed.splitlines()]
    return {row[0]: Seen(*row[1:]) for row in sorted(rows, key=lambda r: [int(x) for x in r[0].split("_")])}


def end(process: subprocess.Popen) -> None:
    """End a process that should be over by now, and all that it started."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come to hold"
        time.sleep(0.2)


# --------------------------------------------------------------------------------- tests


def test_the_study_ends_with_the_numbers_of_a_local_run(ran: Ran, local: Path) -> None:
    assert ran.status == 0, ran.printed[-4000:]
    name = f"results/studies/{STUDY}/metrics.csv"
    assert (ran.folder / name).read_bytes() == (local / name).read_bytes()


def test_a_cancelled_fit_is_repeated_with_more_memory(ran: Ran) -> None:
    comment = ran.jobs[ran.cancelled].comment
    attempts = ran.like(f"^{re.escape(comment)}$")
    assert [job.state for job in attempts] == ["CANCELLED", "COMPLETED"]
    assert [job.memory for job in attempts] == ["8G", "16G"]
    assert [job.limit for job in attempts] == ["30:00", "1:15:00"]


def test_the_log_of_a_fit_that_failed_is_kept_and_no_other(ran: Ran) -> None:
    failed = {
        n for n, job in ran.jobs.items() if job.state == "FAILED" and job.comment.startswith("rule_fit")
    }
    kept = {path.stem for path in (ran.folder / "results" / "logs" / "slurm" / "rule_fit").rglob("*.log")}
    assert kept == {ran.cancelled, *failed}


def test_a_restart_of_the_controller_loses_no_job(ran: Ran) -> None:
    """A job that begins while there is no controller cannot start its step: it fails and is repeated."""
    assert ran.restarted
    states = Counter(job.state for job in ran.jobs.values())
    assert states["CANCELLED"] == 1 and set(states) <= {"COMPLETED", "CANCELLED", "FAILED"}
    for number in [number for number, job in ran.jobs.items() if job.state == "FAILED"]:
        (log,) = (ran.folder / "results" / "logs" / "slurm").rglob(f"{number}.log")
        assert "Unable to contact slurm controller" in log.read_text(encoding="utf-8")


def test_short_fits_share_jobs_and_long_ones_do_not(ran: Ran, local: Path) -> None:
    fits = [path.parts[-4] for path in (local / "results" / "runs").rglob("run.json")]
    trained = sum(name in TRAINED for name in fits)
    assert len(ran.ended("short_fits")) == -(-(len(fits) - trained) // 20)
    alone = "|".join(TRAINED)
    assert len(ran.ended(f"^rule_fit_wildcards_synthetic_({alone})_")) == trained
    assert not ran.like(f"^rule_fit_wildcards_synthetic_(?!({alone})_)")


def test_times_of_a_group_add_up_and_its_memory_does_not(ran: Ran) -> None:
    groups = [(job.memory, job.limit, job.partition) for job in ran.like("short_fits")]
    assert ("4G", "3:20:00", "long") in groups


def test_jobs_of_a_kind_are_one_array(ran: Ran) -> None:
    arrays = {number.split("_")[0] for number, job in ran.jobs.items() if "rule_spectrum" in job.comment}
    assert len(arrays) == 1
    assert len(ran.like("rule_spectrum")) > 1


def test_every_job_goes_to_the_partition_that_fits(ran: Ran) -> None:
    for job in ran.like("^rule_fit_wildcards"):
        assert job.partition == "short", job


def test_a_second_run_submits_nothing(ran: Ran, project: Project, cluster: Cluster) -> None:
    before = len(queue(cluster))
    done = subprocess.run(
        submitting(project, ran.folder, STUDY, *SETTINGS), env=variables(project, cluster), cwd=project.root,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(queue(cluster)) <= before


def test_a_trained_model_is_given_a_gpu(ran: Ran, project: Project, cluster: Cluster, tmp_path: Path) -> None:
    (work := tmp_path / "work").mkdir()
    shutil.copytree(ran.folder / "results", work / "results")
    record = next((ran.folder / "results" / "runs" / "synthetic" / "sdiff").glob("*/seed-0/run.json"))
    target, before = str(record.relative_to(ran.folder)), queue(cluster)
    (work / target).unlink()
    done = subprocess.run(
        submitting(project, work, target, "--rerun-triggers", "mtime", "--config", "device=auto"),
        env=variables(project, cluster), cwd=project.root, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (number,) = set(queue(cluster)) - set(before)
    asked = cluster.run("squeue", "--noheader", f"--jobs={number}", "--states=all", "--Format=tres-per-job")
    assert (queue(cluster)[number].partition, asked.strip()) == ("gpu", "gres:gpu:1")
