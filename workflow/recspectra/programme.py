"""What a whole programme costs before it is started: jobs, hours and wall time.

The jobs follow from the configuration files as in a real run. Their times are measured ones where
results are on disk, else scaled from another dataset, else assumed by the `cost` of the system; every
figure says how much of it is which. Needs no numerical library.
"""

from __future__ import annotations

import csv
import heapq
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recspectra.config import Catalog, Study
from recspectra.run_schema import spectra_of, tuning_spectra
from recspectra.study_schema import StudyConfig
from recspectra.yaml_files import validate

# Seconds of one fit with its ranking on one CPU core, on a dataset of REFERENCE interactions.
ASSUMED_SECONDS = {"light": 3.0, "medium": 60.0, "heavy": 240.0}
ASSUMED_SPECTRUM = 10.0
REFERENCE = 571_531  # ML-1M as DiffRec ships it
ASSUMED_INTERACTIONS = 1_000_000  # of a dataset whose YAML does not say
# A trained system on a GPU against one CPU core, where it was not measured on a GPU.
ASSUMED_SPEEDUP = 10.0
# A local job starts Python once; one in Slurm starts Snakemake twice before, and is queued.
START_SECONDS = 3.0
SUBMIT_SECONDS = 30.0
NODE_CORES = 16
GROUP = 20  # short fits in one job of a cluster, as in workflow/profiles/slurm

MEASURED, SCALED, ASSUMED = "measured", "scaled", "assumed"
SOURCES = (MEASURED, SCALED, ASSUMED)


@dataclass(frozen=True)
class Estimate:
    """Seconds of one fit or trial on one core or, with `on_gpu`, on a GPU, and where they are from."""

    seconds: float
    source: str
    on_gpu: bool = False

    @property
    def core_seconds(self) -> float:
        """Seconds on one CPU core."""
        return self.seconds * (ASSUMED_SPEEDUP if self.on_gpu else 1.0)

    @property
    def gpu_seconds(self) -> float:
        """Seconds on a GPU."""
        return self.seconds / (1.0 if self.on_gpu else ASSUMED_SPEEDUP)


@dataclass(frozen=True)
class PlannedJob:
    """One job: what it is, its class, what it takes, and the job that it waits for."""

    name: tuple
    rule: str
    cost: str
    trained: bool
    count: int
    estimate: Estimate
    after: tuple | None = None

    def seconds(self, gpu: bool) -> float:
        """Return what the job takes, on a GPU if it can use one and `gpu` is true."""
        one = self.estimate.gpu_seconds if gpu and self.trained else self.estimate.core_seconds
        return one * self.count


# ----------------------------------------------------------------------------- measured


class Timings:
    """Seconds that were measured, by (system, dataset), separately for fits and trials.

    Parameters
    ----------
    results : Path
        The folder `results/`; of every kind of file in it those that are there are read.
    sizes : mapping
        Interactions of every dataset: measured times are scaled by them.
    """

    def __init__(self, results: Path, sizes: Mapping[str, int]) -> None:
        self.results, self.sizes = results, sizes

    @cached_property
    def fits(self) -> dict[tuple[str, str], Estimate]:
        """Median seconds of a fit and its ranking."""
        found = defaultdict(list)
        for row in {**self._run_tables(), **self._run_records()}.values():
            if row["status"] == "ok":
                seconds = float(row["fit_seconds"]) + float(row["score_seconds"])
                found[row["model"], row["dataset"]].append((seconds, row.get("device", "cpu") != "cpu"))
        return {name: _median(values) for name, values in found.items()}

    @cached_property
    def trials(self) -> dict[tuple[str, str], Estimate]:
        """Median seconds of a tuning trial."""
        found = defaultdict(list)
        for path in sorted(self.results.glob("tuning/*/*/*/trials.csv")):
            dataset, model = path.parts[-4:-2]
            seconds = [float(row["seconds"]) for row in _rows(path) if row.get("seconds")]
            found[model, dataset] += [(value, False) for value in seconds]
        return {name: _median(values) for name, values in found.items() if values}

    def _run_tables(self) -> dict[tuple, dict[str, Any]]:
        rows = (row for path in sorted(self.results.glob("studies/*/runs.csv")) for row in _rows(path))
        return {(r["dataset"], r["model"], r["key"], int(r["seed"])): r for r in rows}

    def _run_records(self) -> dict[tuple, dict[str, Any]]:
        found = {}
        for path in sorted(self.results.glob("runs/*/*/*/seed-*/run.json")):
            dataset, model, key, seed = path.parts[-5:-1]
            record = json.loads(path.read_text(encoding="utf-8"))
            found[dataset, model, key, int(seed.removeprefix("seed-"))] = record | {
                "model": model,
                "dataset": dataset,
            }
        return found

    def fit(self, model: str, cost: str, dataset: str) -> Estimate:
        """Return the seconds of one fit."""
        return self._estimate(self.fits, model, dataset) or self._assumed(cost, dataset)

    def trial(self, model: str, cost: str, dataset: str) -> Estimate:
        """Return the seconds of one trial: those of a fit if no trial was measured on any dataset."""
        return self._estimate(self.trials, model, dataset) or self.fit(model, cost, dataset)

    def _estimate(
        self, measured: Mapping[tuple[str, str], Estimate], model: str, dataset: str
    ) -> Estimate | None:
        if (model, dataset) in measured:
            return measured[model, dataset]
        others = [(e, self._size(name)) for (m, name), e in measured.items() if m == model]
        if not others:
            return None
        # The largest one tells most: small data measure the start of libraries.
        known, size = max(others, key=lambda pair: pair[1])
        return Estimate(known.seconds * self._size(dataset) / size, SCALED, known.on_gpu)

    def _assumed(self, cost: str, dataset: str) -> Estimate:
        return Estimate(ASSUMED_SECONDS[cost] * self._size(dataset) / REFERENCE, ASSUMED)

    def spectrum(self, dataset: str) -> Estimate:
        """Return the seconds of one spectrum."""
        return Estimate(ASSUMED_SPECTRUM * self._size(dataset) / REFERENCE, ASSUMED)

    def _size(self, dataset: str) -> int:
        return self.sizes.get(dataset) or ASSUMED_INTERACTIONS


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _median(values: list[tuple[float, bool]]) -> Estimate:
    """Return the median of times; those on a GPU, if there are any."""
    on_gpu = any(gpu for _, gpu in values)
    return Estimate(statistics.median(s for s, gpu in values if gpu == on_gpu), MEASURED, on_gpu)


def sizes(catalog: Catalog) -> dict[str, int]:
    """Return the interactions of every dataset whose YAML states them."""
    found = {}
    for name in catalog.names("datasets"):
        expected = catalog.dataset(name).expected
        if expected is not None and expected.interactions:
            found[name] = expected.interactions
    return found


# --------------------------------------------------------------------------------- jobs


def everything(catalog: Catalog, seeds: int, trials: int) -> Study:
    """Return a study of all systems on all real datasets, each tuned, with `seeds` seeds.

    Systems that need order are left out where the data have none. The embedded synthetic data
    are no part of it.
    """
    names = [n for n in catalog.names("datasets") if not n.startswith("synthetic")]
    ordered = [name for name in names if catalog.dataset(name).ordered]
    entries = []
    for model in catalog.names("models"):
        where = {"datasets": ordered} if catalog.model(model).order else {}
        entries.append({"model": model, "tune": True, **where})
    content = {
        "name": "everything", "title": "All systems on all datasets", "datasets": names,
        "seeds": list(range(seeds)), "tuning": {"trials": trials}, "systems": entries,
    }  # fmt: skip
    return Study(catalog, validate(StudyConfig, content, "everything"), "everything")


def jobs_of(catalog: Catalog, studies: Iterable[Study], timings: Timings) -> list[PlannedJob]:
    """Return the jobs of studies that take time: spectra, tuning jobs, fits; shared ones once."""
    found: dict[tuple, PlannedJob] = {}
    for study in studies:
        for planned in study.runs:
            model, tune = catalog.model(planned.run.model), planned.run.tune
            dataset, trained = planned.dataset, model.kind == "trained"
            spectra = spectra_of(model, planned.run) + (tuning_spectra(model, tune) if tune else [])
            for need in spectra:
                name = ("spectrum", dataset, *need)
                found.setdefault(
                    name, PlannedJob(name, "spectrum", "light", False, 1, timings.spectrum(dataset))
                )
            search = ("tune", dataset, model.name, tune.key) if tune else None
            if tune and search not in found:
                trial = timings.trial(model.name, model.cost, dataset)
                found[search] = PlannedJob(search, "tune", model.cost, trained, tune.trials, trial)
            name = ("fit", dataset, model.name, planned.run.key, planned.seed)
            if name not in found:
                once = timings.fit(model.name, model.cost, dataset)
                found[name] = PlannedJob(name, "fit", model.cost, trained, 1, once, search)
    return list(found.values())


def small_jobs(studies: Iterable[Study]) -> int:
    """Return the number of jobs of seconds: splits, evaluations, collecting, drawing, the report."""
    studies = list(studies)
    datasets = {name for study in studies for name in study.config.datasets}
    evaluations = sum(len(study.config.datasets) for study in studies)
    return 2 * len(datasets) + evaluations + 2 * len(studies) + 1


# ------------------------------------------------------------------------------ wall time


@dataclass(frozen=True)
class Machine:
    """What there is to run on: job slots for the CPU, GPUs, seconds lost for every job.

    `group` short fits share one job, and so one start.
    """

    title: str
    cores: int
    gpus: int
    start_seconds: float
    group: int = 1


MACHINES = (
    Machine("8 cores", 8, 0, START_SECONDS),
    Machine("8 cores, one GPU", 8, 1, START_SECONDS),
    Machine("64 nodes", 64 * NODE_CORES, 64, SUBMIT_SECONDS, GROUP),
)


def wall_seconds(jobs: list[PlannedJob], machine: Machine) -> float:
    """Return the time until the last job ends if the longest free job always starts first.

    A fit waits for its tuning job. A trained system runs on a GPU where the machine has any and
    takes no core from the others then; without one it takes a core.
    """
    ends: dict[tuple, float] = {}
    pools = {False: [0.0] * machine.cores, True: [0.0] * machine.gpus}
    first = [job for job in jobs if job.after is None]
    later = [job for job in jobs if job.after is not None]
    for wave in (first, later):
        known = {job.name: ends.get(job.after, 0.0) for job in wave}
        for job in sorted(wave, key=lambda j: (known[j.name], -j.seconds(machine.gpus > 0))):
            pool = pools[machine.gpus > 0 and job.trained]
            begin = max(heapq.heappop(pool), known[job.name])
            ends[job.name] = begin + job.seconds(machine.gpus > 0) + _start(job, machine)
            heapq.heappush(pool, ends[job.name])
    return max(ends.values(), default=0.0)


def _start(job: PlannedJob, machine: Machine) -> float:
    short = job.rule == "fit" and job.cost == "light" and not job.trained
    return machine.start_seconds / (machine.group if short else 1)


# --------------------------------------------------------------------------------- tables


def table(jobs: list[PlannedJob]) -> list[dict[str, Any]]:
    """Return one row for every kind of work and cost class, and one for all of it."""
    rows = []
    kinds = sorted({(job.trained, job.rule, job.cost) for job in jobs}, key=_order)
    for trained, rule, cost in kinds:
        part = [j for j in jobs if (j.trained, j.rule, j.cost) == (trained, rule, cost)]
        kind = "" if rule == "spectrum" else "trained " if trained else "closed-form "
        rows.append(_row(f"{rule} {kind}{cost if kind else ''}".strip(), part))
    return [*rows, _row("all", jobs)]


def _order(kind: tuple[bool, str, str]) -> tuple:
    trained, rule, cost = kind
    return ("spectrum", "tune", "fit").index(rule), trained, list(ASSUMED_SECONDS).index(cost)


def _row(title: str, jobs: list[PlannedJob]) -> dict[str, Any]:
    cpu = sum(job.seconds(False) for job in jobs)
    by_source = {s: sum(j.seconds(False) for j in jobs if j.estimate.source == s) for s in SOURCES}
    shares = {f"{s}_percent": round(100 * by_source[s] / cpu) if cpu else 0 for s in SOURCES}
    return {
        "work": title,
        "jobs": len(jobs),
        "fits": sum(job.count for job in jobs),
        "core_hours": cpu / 3600,
        "core_hours_with_gpu": sum(j.seconds(False) for j in jobs if not j.trained) / 3600,
        "gpu_hours": sum(j.seconds(True) for j in jobs if j.trained) / 3600,
        **shares,
    }


def text_of(rows: list[dict[str, Any]]) -> str:
    """Return rows as an aligned table of plain text."""
    heads = list(rows[0])
    cells = [[_shown(row[h]) for h in heads] for row in rows]
    widths = [max(len(h), *(len(line[i]) for line in cells)) for i, h in enumerate(heads)]
    align: list[Callable[[str, int], str]] = [str.ljust, *[str.rjust] * (len(heads) - 1)]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(a(c, w) for a, c, w in zip(align, line, widths, strict=True)).rstrip() for line in lines
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def duration(seconds: float) -> str:
    """Return a time in the unit that people would say it in."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
