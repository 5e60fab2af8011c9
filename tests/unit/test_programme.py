"""What a programme costs: the jobs follow from the studies, the times from what was measured."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recspectra import planning, programme
from recspectra.config import Catalog, Study
from recspectra.programme import Estimate, Machine, PlannedJob
from recspectra.study_schema import StudyConfig
from recspectra.yaml_files import validate

SIZES = {"small": 1_000, "large": 100_000}


def study(catalog: Catalog, **changes: object) -> Study:
    """A study of two systems on one dataset, one of them tuned."""
    systems = [{"model": "popularity"}, {"model": "sdiff", "tune": True}]
    content = {"name": "s", "title": "S", "datasets": ["ml-1m.diffrec"], "seeds": [0, 1], "systems": systems}
    content |= {"tuning": {"trials": 7}, **changes}
    return Study(catalog, validate(StudyConfig, content, "s.yaml"), "s.yaml")


def write_run(results: Path, model: str, dataset: str, seconds: float, **changes: object) -> None:
    """Write the record of a run."""
    folder = results / "runs" / dataset / model / f"key{seconds}" / "seed-0"
    folder.mkdir(parents=True)
    record = {"status": "ok", "fit_seconds": seconds, "score_seconds": 0.0, "device": "cpu"} | changes
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def job(
    name: str, seconds: float, rule: str = "fit", cost: str = "light", trained: bool = False, **more
) -> PlannedJob:
    return PlannedJob(
        (name,), rule, cost, trained, more.pop("count", 1), Estimate(seconds, "assumed"), **more
    )


# -------------------------------------------------------------------------------- timings


def test_measured_times_come_first_then_scaled_then_assumed(tmp_path: Path) -> None:
    write_run(tmp_path, "ease", "small", 2.0)
    timings = programme.Timings(tmp_path, SIZES)
    assert timings.fit("ease", "light", "small") == Estimate(2.0, "measured")
    assert timings.fit("ease", "light", "large") == Estimate(200.0, "scaled")
    heavy = timings.fit("other", "heavy", "large")
    expected = programme.ASSUMED_SECONDS["heavy"] * 100_000 / programme.REFERENCE
    assert (heavy.source, heavy.seconds) == ("assumed", pytest.approx(expected))


def test_times_are_scaled_from_the_largest_dataset(tmp_path: Path) -> None:
    write_run(tmp_path, "ease", "small", 5.0)
    write_run(tmp_path, "ease", "large", 10.0)
    timings = programme.Timings(tmp_path, SIZES | {"huge": 1_000_000})
    assert timings.fit("ease", "light", "huge").seconds == pytest.approx(100.0)


def test_runs_that_failed_say_nothing_and_the_median_counts(tmp_path: Path) -> None:
    write_run(tmp_path, "ease", "small", 9.0, status="timeout")
    for seconds in (1.0, 2.0, 60.0):
        write_run(tmp_path, "ease", "small", seconds)
    assert programme.Timings(tmp_path, SIZES).fit("ease", "light", "small").seconds == 2.0


def test_times_on_a_gpu_are_preferred_and_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "mf", "small", 100.0)
    write_run(tmp_path, "mf", "small", 4.0, device="cuda")
    known = programme.Timings(tmp_path, SIZES).fit("mf", "medium", "small")
    assert (known.gpu_seconds, known.core_seconds) == (4.0, 4.0 * programme.ASSUMED_SPEEDUP)


def test_runs_are_read_from_the_tables_of_studies_too(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "one" / "runs.csv"
    path.parent.mkdir(parents=True)
    row = {"dataset": "small", "model": "ease", "key": "k", "seed": 0, "status": "ok"}
    row |= {"fit_seconds": 3.0, "score_seconds": 1.5, "device": "cpu"}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        writer.writeheader()
        writer.writerow(row)
    assert programme.Timings(tmp_path, SIZES).fit("ease", "light", "small") == Estimate(4.5, "measured")


def test_a_trial_takes_what_trials_took_or_what_a_fit_takes(tmp_path: Path) -> None:
    write_run(tmp_path, "mf", "small", 8.0)
    assert programme.Timings(tmp_path, SIZES).trial("mf", "medium", "small").seconds == 8.0
    path = tmp_path / "tuning" / "small" / "mf" / "key" / "trials.csv"
    path.parent.mkdir(parents=True)
    path.write_text("trial,seconds\n1,2.0\n2,4.0\n", encoding="utf-8")
    assert programme.Timings(tmp_path, SIZES).trial("mf", "medium", "small") == Estimate(3.0, "measured")


# ----------------------------------------------------------------------------------- jobs


def test_jobs_are_those_of_the_studies_and_shared_ones_count_once(catalog: Catalog, tmp_path: Path) -> None:
    timings = programme.Timings(tmp_path, programme.sizes(catalog))
    one = programme.jobs_of(catalog, [study(catalog)], timings)
    rules = [j.rule for j in one]
    assert (rules.count("tune"), rules.count("fit")) == (1, 4)
    (tune,) = [j for j in one if j.rule == "tune"]
    assert (tune.count, tune.trained) == (7, True)
    assert {j.after for j in one if j.rule == "fit" and j.trained} == {tune.name}
    assert {j.after for j in one if j.rule == "fit" and not j.trained} == {None}
    twice = programme.jobs_of(catalog, [study(catalog), study(catalog, name="t")], timings)
    assert {j.name for j in twice} == {j.name for j in one} and len(twice) == len(one)


def test_everything_has_every_system_and_every_real_dataset_in_it(catalog: Catalog) -> None:
    runs = programme.everything(catalog, seeds=2, trials=3).runs
    assert {r.run.model for r in runs} == set(catalog.names("models"))
    assert {r.dataset for r in runs} == {
        n for n in catalog.names("datasets") if not n.startswith("synthetic")
    }
    assert {r.run.tune.trials for r in runs if r.run.tune} == {3}
    for r in runs:
        assert catalog.dataset(r.dataset).ordered or not catalog.model(r.run.model).order


# ------------------------------------------------------------------------------ wall time


def test_wall_time_of_equal_jobs_on_more_and_fewer_cores() -> None:
    jobs = [job(str(i), 10.0) for i in range(8)]
    walls = [programme.wall_seconds(jobs, Machine("m", cores, 0, 0.0)) for cores in (1, 4, 8, 100)]
    assert walls == [80.0, 20.0, 10.0, 10.0]


def test_a_fit_waits_for_its_tuning_job() -> None:
    jobs = [job("t", 3.0, rule="tune", count=10), job("f", 5.0, after=("t",)), job("other", 1.0)]
    assert programme.wall_seconds(jobs, Machine("m", 64, 0, 0.0)) == 35.0


def test_trained_systems_queue_for_the_gpus_and_leave_the_cores_alone() -> None:
    speedup = programme.ASSUMED_SPEEDUP
    jobs = [job(f"g{i}", 10.0 * speedup, trained=True) for i in range(3)] + [job("c", 12.0)]
    assert programme.wall_seconds(jobs, Machine("m", 1, 1, 0.0)) == pytest.approx(30.0)
    assert programme.wall_seconds(jobs, Machine("m", 1, 3, 0.0)) == pytest.approx(12.0)
    assert programme.wall_seconds(jobs, Machine("m", 1, 0, 0.0)) == pytest.approx(30.0 * speedup + 12.0)


def test_short_fits_of_a_cluster_share_the_cost_of_a_job() -> None:
    jobs = [job(str(i), 0.0) for i in range(20)]
    assert programme.wall_seconds(jobs, Machine("m", 1, 0, 30.0, group=20)) == pytest.approx(30.0)


# ---------------------------------------------------------------------------------- table


def test_the_table_adds_up_and_says_what_was_measured() -> None:
    jobs = [
        PlannedJob(("a",), "fit", "light", False, 1, Estimate(3600.0, "measured")),
        PlannedJob(("b",), "tune", "heavy", True, 3, Estimate(3600.0, "assumed")),
    ]
    rows = {row["work"]: row for row in programme.table(jobs)}
    assert list(rows) == ["tune trained heavy", "fit closed-form light", "all"]
    assert (rows["all"]["jobs"], rows["all"]["fits"], rows["all"]["core_hours"]) == (2, 4, 4.0)
    assert rows["all"]["core_hours_with_gpu"] == 1.0
    assert rows["all"]["gpu_hours"] == pytest.approx(3.0 / programme.ASSUMED_SPEEDUP)
    assert (rows["all"]["measured_percent"], rows["all"]["assumed_percent"]) == (25, 75)
    lines = programme.text_of(list(rows.values())).splitlines()
    assert len(lines) == 4 and lines[0].split()[0] == "work"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (600, "10.0 minutes"), (7200, "2.0 hours"), (864000, "10.0 days")]
)
def test_durations_are_said_as_people_would(seconds: float, text: str) -> None:
    assert programme.duration(seconds) == text


def test_the_script_prints_jobs_hours_and_wall_times(root: Path, tmp_path: Path) -> None:
    script = root / "workflow" / "scripts" / "plan.py"
    kept = {**os.environ, "PYTHONPATH": str(root / "workflow")}
    done = subprocess.run(
        [sys.executable, str(script), "quickstart", "--results", str(tmp_path)],
        env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("quickstart: effort paper\n")
    for words in ("fit trained medium", "64 nodes:", "8 cores, one GPU:", "assumed"):
        assert words in done.stdout


# --------------------------------------------------------------- what a scheduler is asked


@pytest.mark.parametrize("cost", ["light", "medium", "heavy"])
def test_later_attempts_ask_for_more_up_to_the_budget(cost: str) -> None:
    minutes = [planning.minutes_asked(cost, 60.0, attempt=a) for a in (1, 2, 3, 4)]
    memory = [planning.memory_asked(cost, 24.0, attempt=a) for a in (1, 2, 3, 4)]
    assert minutes == sorted(minutes) and minutes[-1] == 60 + planning.START_MINUTES
    assert memory == sorted(memory) and memory[-1] == 24 * 1024 + planning.START_MB
    assert memory[0] == planning.MEMORY_MB[cost]


def test_a_heavier_class_asks_for_more_at_first() -> None:
    classes = ("light", "medium", "heavy")
    for asked in ([planning.minutes_asked(c, 600.0) for c in classes],
                  [planning.minutes_asked(c, 600.0, trials=5) for c in classes],
                  [planning.memory_asked(c, 64.0) for c in classes]):  # fmt: skip
        assert asked[0] < asked[1] < asked[2]


def test_the_budget_ends_a_job_before_the_scheduler_does() -> None:
    """Where a job is given all it may use, its own limit is the smaller one: it ends with a status."""
    for budget in (0.5, 60.0, 600.0):
        assert planning.minutes_asked("heavy", budget, attempt=9) > budget
    assert planning.memory_asked("heavy", 24.0, attempt=9) > 24 * 1024


def test_a_tuning_job_asks_for_its_trials_and_never_for_more_than_a_day() -> None:
    assert planning.minutes_asked("light", 60.0, trials=20) == 20 * planning.TRIAL_MINUTES["light"]
    assert planning.minutes_asked("heavy", 60.0, trials=500, attempt=3) == planning.DAY
    assert isinstance(planning.minutes_asked("light", 0.01), int) and math.isfinite(planning.DAY)


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cpu", 0)])
def test_trained_systems_ask_for_a_gpu_unless_told_not_to(root: Path, device: str, expected: int) -> None:
    plan = planning.load(root, {"device": device}, [])
    assert (plan.gpu("sdiff"), plan.gpu("ease")) == (expected, 0)


def test_light_closed_form_fits_may_share_a_job_and_no_others(root: Path) -> None:
    plan = planning.load(root, {}, [])
    assert (plan.group("ease"), plan.group("sdiff"), plan.group("fagsp")) == ("short_fits", None, None)


def test_jobs_hear_of_shared_gpus_only_if_there_are_any(root: Path) -> None:
    assert planning.load(root, {}, []).device_variables == ""
    assert planning.load(root, {"fits_per_gpu": 3}, []).device_variables == " RECSPECTRA_FITS_PER_GPU=3"
