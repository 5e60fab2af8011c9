"""The commands that people type, and what they see while they wait."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import REPO, ROOT, TINY_FITS, Finished, Project, finished_jobs
from warm import warm_python

from recspectra import runtime
from recspectra.running.command import snakemake

MAKE = shutil.which("make")
TARGETS = {
    "mutate",
    "preview",
    "help", "quickstart", "study", "datasets", "report", "figures", "freeze", "compare", "check", "redo",
    "unlock", "standard", "crate", "test", "test-fast", "test-cluster", "test-faults", "lint", "format",
    "clean", "docs", "lock", "results", "test-gpu",
}  # fmt: skip
needs_make = pytest.mark.skipif(MAKE is None, reason="`make` is not installed")


def make(*args: str) -> str:
    """Return what `make` would do, given that the virtual environment is there."""
    made = ["-o", ".venv/installed", "-o", ".venv/installed-test"]
    done = subprocess.run(
        [MAKE, "-n", *made, *args], cwd=ROOT, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------------ Makefile


@needs_make
def test_make_has_the_targets_and_lists_them() -> None:
    for target in TARGETS:
        assert make(target).strip()
    # The bare environment keeps out MAKELEVEL and MAKEFLAGS, which `make test` hands down.
    done = subprocess.run(
        [MAKE], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert set(listed) == TARGETS
    assert all(len(words) > 10 for words in listed.values())


@needs_make
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["study", "STUDY=first-light", "TRAILS=10"], "TRAILS: no such variable; make takes PYTHON"),
        (["lint", "Study=mine.yaml"], "Study: no such variable"),
        (["study"], "say which study: make study STUDY="),
        (["study", "STUDY=first-light", "MIRROR=/nowhere/at/all"], "there is no folder /nowhere/at/all"),
        (["study", "STUDY=first-light", "MIRROR=~nobody-here/x"], "there is no folder .*nobody-here/x"),
    ],
)
def test_a_word_that_make_does_not_know_is_refused(words: list[str], expected: str) -> None:
    """They did nothing, in silence."""
    done = subprocess.run(
        [MAKE, "-o", ".venv/installed", f"BIN={Path(sys.executable).parent}", *words],
        cwd=ROOT, env=REPO.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and re.search(expected, done.stderr), done.stderr


@needs_make
def test_a_make_that_calls_ours_may_have_variables_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"all:\n\t$(MAKE) -C '{ROOT}' help\n")
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [MAKE, "OUT=x"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "quickstart" in done.stdout, done.stderr


@needs_make
def test_make_redo_hands_its_words_on_without_the_shell_reading_them() -> None:
    (line,) = make("redo", "WHAT=a b", "DRY=1", "STUDY=/my studies/mine.yaml", "MIRROR=/m").splitlines()
    assert '--what="$WHAT" --study="$STUDY" --dry --mirror="$MIRROR"' in line
    assert "a b" not in line and "/m" not in line
    (line,) = make("redo", "WHAT=ease").splitlines()
    assert "--study" not in line and "--dry" not in line


@needs_make
@pytest.mark.parametrize("target", ["quickstart", "study", "standard"])
def test_make_says_what_a_study_would_run(target: str) -> None:
    assert "--dry" in make(target, "DRY=1") and "--dry" not in make(target)


def test_a_dry_run_names_runs_counts_jobs_and_makes_nothing(finished: Finished) -> None:
    project = finished.project
    done = project.script("run", project.root, "study", "--study=quickstart", "--dry", "--models=ease,gfcf")
    assert done.returncode == 0, done.stderr
    models = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("synthetic ")}
    assert models == {"ease", "gfcf"} and not (project.root / "results").exists()
    (counts,) = [line for line in done.stderr.splitlines() if " jobs to do: " in line]
    assert (
        counts.startswith("13 jobs to do: ")
        and "fit 4, " in counts
        and "draw 2, " in counts
        and "Job stats" not in done.stderr
    )


def test_a_dry_run_names_the_files_that_the_mirror_lacks(finished: Finished, tmp_path: Path) -> None:
    """A mistyped or empty MIRROR= looked like a full one."""
    project, words = finished.project, ("study", "--study=standard", "--dry", "--models=popularity")
    (project.root / "config/studies").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "config/studies/standard.yaml", project.root / "config/studies")
    try:
        done = project.script("run", project.root, *words, f"--mirror={tmp_path}")
    finally:
        (project.root / "config/studies/standard.yaml").unlink()
    assert done.returncode == 0, done.stderr
    assert (
        f"gowalla: not in results/raw or {tmp_path}, so downloaded: lightgcn/gowalla/train.txt" in done.stdout
    )


@needs_make
def test_make_quickstart_runs_the_study_and_prints_its_summary() -> None:
    words = shlex.split(make("quickstart").split(" || ")[0])
    assert words[:3] == [".venv/bin/python", "workflow/scripts/run.py", "study"]
    assert "--study=quickstart" in words and "--cores=$CORES" in words
    assert snakemake("", "2", "0", {"study": "quickstart", "mirror": ""})[1:] == [
        "-P", "-m", "snakemake", "--profile", "workflow/profiles/default", "--cores", "2",
        "--config", "study=quickstart",
    ]  # fmt: skip
    assert snakemake("datasets", "3", "2", {})[4:] == [
        "--profile", "workflow/profiles/default", "--resources", "gpu=2", "--cores", "3", "datasets",
    ]  # fmt: skip


@needs_make
def test_make_takes_the_python_that_it_is_given_as_one_word(tmp_path: Path) -> None:
    """A path with a blank works; what a shell would run does not run."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    harmed = tmp_path / "harmed"
    for word in (f"python; touch {harmed}", f"$(touch {harmed})", f"$(shell touch {harmed})"):
        done = subprocess.run(
            [MAKE, ".venv/installed", f"PYTHON={word}"],
            cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0 and not harmed.exists()


@needs_make
@pytest.mark.parametrize(
    ("target", "study", "expected"),
    [
        ("study", "quickstrat", "unknown study 'quickstrat'; known: anchors, .*did you mean 'quickstart'"),
        ("compare", "quickstrat", "unknown study 'quickstrat'; known: anchors, .*did you mean 'quickstart'"),
        ("freeze", "/nowhere/mine.yaml", "/nowhere/mine.yaml: file not found"),
        ("compare", "{flow}", "results/studies/flow: not there; run `make study STUDY="),
    ],
)
def test_make_with_a_wrong_study_is_one_clear_line(
    target: str, study: str, expected: str, tmp_path: Path
) -> None:
    flow = tmp_path / "my {flow} study.yaml"
    flow.write_text("{name: flow, title: T, datasets: [synthetic], models: [{model: popularity}]}\n")
    done = subprocess.run(
        [MAKE, "-o", ".venv/installed", f"BIN={Path(sys.executable).parent}", target,
         f"STUDY={study.format(flow=flow)}"],
        cwd=ROOT, env=REPO.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert re.match(f"error: {expected}", first), done.stderr
    assert len(rest) == 1 and rest[0].startswith("make: *** ")  # that is make's own


@needs_make
def test_make_study_runs_a_study_in_flow_style_under_a_strange_name(tmp_path: Path) -> None:
    project = Project.copied(tmp_path / "it's a checkout")
    (project.root / "o'clock {x}").mkdir()
    (tmp_path / "a {mirror}").mkdir()
    flow = "{name: flow, title: T, datasets: [synthetic], models: [{model: popularity}], tables: [%s]}"
    table = "{name: main, title: Flow, metrics: [recall], k: [10]}"
    (project.root / "o'clock {x}" / "my flow.yaml").write_text(flow % table, encoding="utf-8")
    done = subprocess.run(
        [MAKE, "-o", ".venv/installed", f"BIN={Path(warm_python()).parent}", "study",
         "STUDY=o'clock {x}/my flow.yaml", "MIRROR=~/a {mirror}", "CORES=1"],
        cwd=project.root, env=project.environment(HOME=str(tmp_path)), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Popularity" in done.stdout and done.stdout.splitlines()[0] == "Flow"
    assert f"Report: {project.root / 'results/report/index.html'}" in done.stdout


@needs_make
def test_make_clean_keeps_the_reference() -> None:
    assert "! -name reference" in make("clean")


def test_the_summary_is_the_first_table_and_is_narrow(finished: Finished) -> None:
    summary = (finished.folder / "results/studies/tiny-study/summary.txt").read_text(encoding="utf-8")
    for name in ("Popularity", "EASE", "GF-CF", "GSPRec", "S-Diff", "The table"):
        assert name in summary
    assert max(map(len, summary.splitlines())) <= 100


# ------------------------------------------------------------------------- without a terminal


def test_without_a_terminal_there_is_one_line_for_each_job(finished: Finished) -> None:
    assert "\r" not in finished.printed and "\033" not in finished.printed
    lines = finished.printed.splitlines()
    jobs = finished_jobs(finished.printed)
    assert len(jobs) == len(set(jobs)) == TINY_FITS.total() + 12
    assert [line.split()[0] for line in lines if line.startswith("[")] == [
        f"[{i}/{len(jobs)}]" for i in range(1, len(jobs) + 1)
    ]
    assert sum(job.startswith("fit ") for job in jobs) == TINY_FITS.total()
    assert [line for line in lines if not line.startswith("[")] == [
        line for line in lines if line.startswith("Using profile ")
    ]


# -------------------------------------------------------------------------------- a terminal


def on_a_terminal(command: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Run a command on a pseudo-terminal; return its status and all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not block:
            break
        written += block
    os.close(ours)
    return process.wait(timeout=60), written.decode("utf-8")


def test_on_a_terminal_there_is_one_live_line(finished: Finished, work: Path) -> None:
    words = [*finished.options, "--forcerun", "collect"]
    command = finished.project.command(work, *words, python=warm_python())
    status, text = on_a_terminal(command, finished.project.environment(COLUMNS="100", TERM="xterm"))
    assert status == 0, text
    states = re.findall(r"\r\033\[K((\d+)/(\d+) jobs  \d+:\d\d  [^\r\n\033]*)", text)
    assert len(states) >= 3
    done = [int(state[1]) for state in states]
    assert done == sorted(done) and done[0] < done[-1] <= 5
    assert {state[2] for state in states} == {"5"}
    assert any("draw tables of tiny-study" in state[0] for state in states)
    assert all(len(state[0]) < 100 for state in states)
    assert finished_jobs(text.replace("\r\n", "\n")) == []
    assert text.rstrip().endswith("\033[K")


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The project's logger, as Snakemake makes it."""
    from snakemake_logger_plugin_recspectra import LogHandler

    monkeypatch.setenv("RECSPECTRA_PROGRESS", "")
    made = LogHandler(SimpleNamespace(quiet=set(), show_failed_logs=True, dryrun=False), None)
    yield made
    made.close()


def test_live_line_shows_how_far_a_fit_is(handler: object) -> None:
    progress = runtime.Progress("sdiff tiny seed 0", 10)
    progress.update(4, loss=1.25)
    assert len(handler._fits()) == 1
    assert re.fullmatch(r"sdiff tiny seed 0: epoch 4/10 ETA \d+ s loss 1\.25", handler._fits()[0])
    progress.close()
    assert handler._fits() == []


def test_time_left_of_a_resumed_fit_counts_its_own_epochs(
    handler: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of before the interrupt took none of its time."""
    now = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr(runtime, "time", SimpleNamespace(monotonic=lambda: next(now)))
    progress = runtime.Progress("sdiff tiny seed 0", 40)
    progress.update(21)
    progress.update(22)
    assert "epoch 22/40 ETA 36 s" in handler._fits()[0]  # 2 s an epoch
    progress.close()


def test_live_line_forgets_a_fit_that_was_killed(handler: object) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (handler.folder / f"{pid}.json").write_text(json.dumps({"text": f"fit {pid}", "pid": pid}))
    (handler.folder / "broken.json").write_text("{")
    assert handler._fits() == [f"fit {os.getpid()}"]


def test_logger_removes_its_folder(handler: object) -> None:
    assert handler.folder.is_dir()
    handler.close()
    assert not handler.folder.exists()
