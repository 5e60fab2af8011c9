"""SIGKILL at random moments of every kind of job of the quickstart study, fifty times and more.

The study is the one that is shipped, with two tuned models on top, so that it has jobs of every
rule. It is run again after every kill as people would do it, until it is finished, in several
rounds from an empty folder. In the end, and at any moment before, every file that stands under its
name must be what it is in a run that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import statistics
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from disturb import (
    jobs,
    kill,
    kill_group,
    nothing_half_written,
    same_every_time,
    started,
    unlock,
    wait_until_gone,
)
from harness import Project, files_below, finished_jobs, unfinished

pytestmark = [pytest.mark.faults, pytest.mark.slow]
SEED = 2026
KILLS = int(os.environ.get("RECSPECTRA_KILLS", "50"))
MINUTES = 35.0
# How often a job of a rule may be killed before it is let through, a round.
PATIENCE = {"prepare": 1, "split": 1, "spectrum": 3, "tune": 4, "fit": 12, "evaluate": 3, "collect": 2,
            "draw": 2, "report": 3}  # fmt: skip
MUST = ("fit", "tune", "spectrum", "evaluate", "report")
KINDS = {"job": 4, "everything": 4, "snakemake": 2}  # what is killed, and how often by comparison
TUNED = [
    {"model": "gsprec", "tune": True, "group": "tuned", "variant": "tuned", "params": {"rank": 64}},
    {
        "model": "sdiff", "tune": True, "group": "tuned", "variant": "tuned",
        "params": {"rank": 64, "hidden": 64, "batch_size": 50, "epochs": 10, "eval_every": 5},
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout whose quickstart has tuned models, and whose fits save their state every half second."""
    made = Project.copied(tmp_path_factory.mktemp("kills") / "main")
    file = made.root / "config" / "studies" / "quickstart.yaml"
    study = yaml.safe_load(file.read_text(encoding="utf-8"))
    study["models"] += TUNED
    file.write_text(yaml.safe_dump(study | {"tuning": {"trials": 4}}, sort_keys=False), encoding="utf-8")
    loop = made.root / "workflow" / "recspectra" / "training" / "loop.py"
    text, found = re.subn(r"(checkpoint_seconds: float = ).*", r"\g<1>0.5", loop.read_text(encoding="utf-8"))
    assert found == 1
    loop.write_text(text, encoding="utf-8")
    return made


@dataclass(frozen=True)
class Whole:
    """The run that nobody disturbed."""

    results: Path
    digests: dict[str, str]
    seconds: dict[str, float]
    jobs: int


@pytest.fixture(scope="module")
def whole(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    process = started(project, folder / "work", "quickstart")
    assert process.wait(timeout=60 * MINUTES) == 0
    said = (folder / "work.printed").read_text(encoding="utf-8")
    times = defaultdict(list)
    for rule, seconds in re.findall(r"^\[\d+/\d+\] (\w+).* \(([\d.]+) s\)$", said, flags=re.MULTILINE):
        times[rule].append(float(seconds))
    means = {rule: statistics.mean(found) for rule, found in times.items()}
    results = folder / "work" / "results"
    return Whole(results, same_every_time(results), means, sum(map(len, times.values())))


@dataclass
class Tally:
    """What was done to the study."""

    killed: Counter = field(default_factory=Counter)  # (rule, kind)
    starts: int = 0
    unlocked: int = 0
    refused: int = 0
    left: int = 0  # temporary files of killed writers
    run: int = 0  # jobs that ended

    @property
    def total(self) -> int:
        return self.killed.total()

    @property
    def missing(self) -> set[str]:
        """Rules that must be hit and were not so far."""
        return set(MUST) - {rule for rule, _ in self.killed}

    def by(self, place: int) -> str:
        """Count by rule (0) or kind (1), as text."""
        found = Counter()
        for names, number in self.killed.items():
            found[names[place]] += number
        return ", ".join(f"{name} {number}" for name, number in found.most_common())


@dataclass
class Round:
    """One folder from empty to finished."""

    project: Project
    whole: Whole
    folder: Path
    chance: random.Random
    tally: Tally
    until: float
    spent: Counter = field(default_factory=Counter)

    def run(self) -> None:
        """Start the study again and again until it is finished."""
        while True:
            process = started(self.project, self.folder, "quickstart")
            self.tally.starts += 1
            disturbed = self._disturb(process)
            self._look_at(process)
            if process.returncode == 0:
                return
            assert disturbed, self._printed()[-3000:]

    def _disturb(self, process: subprocess.Popen) -> bool:
        """Kill jobs, or everything, until the process ends; return whether anything was killed."""
        met, killed = set(), False
        while process.poll() is None:
            new = {pid: rule for pid, rule in jobs(process.pid).items() if pid not in met}
            met |= set(new)
            for pid, rule in new.items():
                if self._wants(rule) and process.poll() is None:
                    kind = self.chance.choices(list(KINDS), list(KINDS.values()))[0]
                    time.sleep(self.chance.uniform(0, self._longest_wait(rule)))
                    killed |= self._kill(process, pid, rule, kind)
            time.sleep(0.02)
        process.wait()
        return killed

    def _wants(self, rule: str) -> bool:
        late = time.monotonic() > self.until
        enough = self.spent[rule] >= PATIENCE.get(rule, 0)
        likely = 1.0 if rule in self.tally.missing else 0.5 if rule == "fit" else 0.9
        return not late and not enough and self.chance.random() < likely

    def _longest_wait(self, rule: str) -> float:
        """Return the seconds in which a kill falls; of a rule that must be hit yet well before it ends."""
        seconds = self.whole.seconds.get(rule, 1.0)
        return 0.3 * seconds if rule in self.tally.missing else 1.1 * seconds

    def _kill(self, process: subprocess.Popen, pid: int, rule: str, kind: str) -> bool:
        """Kill a job, or Snakemake, or both with all the others; no, if the job has just ended."""
        if pid not in jobs(process.pid) or process.poll() is not None:
            return False
        self.spent[rule] += 1
        self.tally.killed[rule, kind] += 1
        if kind == "job":
            return kill(pid)
        if kind == "everything":
            kill_group(process)
            return True
        process.kill()
        process.wait()
        return True

    def _look_at(self, process: subprocess.Popen) -> None:
        """See that nothing half-written stands there, and do what the README says before the next start."""
        killed = process.returncode < 0
        if killed and jobs(process.pid):
            refused = unlock(self.project, self.folder, "quickstart")
            if refused.returncode == 1 and "still run here" in refused.stderr:
                self.tally.refused += 1
            kill_group(process)
        wait_until_gone(process.pid)
        nothing_half_written(self.folder / "results", self.whole.digests)
        if killed and list((self.folder / ".snakemake").glob("locks/*")):
            done = unlock(self.project, self.folder, "quickstart")
            assert done.returncode == 0, done.stdout + done.stderr
            self.tally.unlocked += 1

    def _printed(self) -> str:
        return self.folder.with_name(f"{self.folder.name}.printed").read_text(encoding="utf-8")

    def finish(self) -> None:
        """See that the finished study is the one that nobody disturbed."""
        results = self.folder / "results"
        assert same_every_time(results) == self.whole.digests
        metrics = "studies/quickstart/metrics.csv"
        assert (results / metrics).read_bytes() == (self.whole.results / metrics).read_bytes()
        assert files_below(results / "checkpoints") == {}
        self.tally.left += len(unfinished(results))
        assert (
            self.project.script("redo", self.folder, "--what", "damaged", "--command", "false").returncode
            == 0
        )
        assert unfinished(results) == []
        again = self.project.snakemake(self.folder, "quickstart")
        assert again.returncode == 0 and "Nothing to be done" in again.stderr
        self.tally.run += len(finished_jobs(self._printed()))


def test_the_study_ends_with_the_same_bytes_whenever_it_is_killed(
    project: Project, whole: Whole, tmp_path: Path, figure: Callable
) -> None:
    tally, chance, began = Tally(), random.Random(SEED), time.monotonic()
    until, rounds = began + 60 * MINUTES, 0
    while (tally.total < KILLS or tally.missing) and time.monotonic() < until:
        one = Round(project, whole, tmp_path / f"round-{rounds}", chance, tally, until)
        one.run()
        one.finish()
        shutil.rmtree(one.folder)
        rounds += 1
    figure(
        f"{tally.total} kills in {rounds} rounds and {(time.monotonic() - began) / 60:.0f} minutes; "
        f"of {tally.by(0)}; kind: {tally.by(1)}; {tally.starts} starts, {tally.unlocked} locks cleared, "
        f"{tally.refused} times refused while jobs lived on; {tally.run} jobs instead of "
        f"{rounds * whole.jobs}; {tally.left} temporary files left; {len(whole.digests)} files compared"
    )
    assert tally.total >= KILLS, "there was not enough time"
    assert tally.missing == set()
