"""Gather what a study's tables and figures are drawn from into a few plain files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.catalog import Study
from recspectra.config.model import PlannedRun
from recspectra.config.scale import Choice
from recspectra.config.study import FigureConfig
from recspectra.data import reach
from recspectra.data.tables import counts_in_words
from recspectra.evaluation.measure import learning_curves, run_folder, run_records
from recspectra.files import ArtifactError, provenance, read_json, write_json, write_text
from recspectra.spectral.filters import gaussian_bandpass, ideal_lowpass, rescaled
from recspectra.spectral.schedules import SCHEDULES, log_snr, schedule

SNR_STEPS, RESPONSE_POINTS = 1000, 401
DATASET_COLUMNS = [
    "dataset", "title", "users", "items", "interactions", "train", "valid", "test", "test_users",
    *reach.COLUMNS, "density", "mean_length", "ordered", "rows_in", "rows_read", "rows_dropped",
    "rows_filtered", "ids_unified", "licence", "citation", "notes",
]  # fmt: skip

TUNING_COLUMNS = [
    "dataset", "model", "title", "key", "budget", "trial", "value", "best", "status", "reason", "seconds",
    "params",
]  # fmt: skip
BANDS_COLUMNS = [
    "dataset", "model", "title", "variant", "group", "seed", "fit", "low", "high", "quantity", "mean", "sd",
]  # fmt: skip
BAND_QUANTITIES = ("energy", "flatness", "gate")
COMPLEXITY_COLUMNS = ["axis", "size", "measure", "measured", "formula", "device", "threads"]
INFERENCE_COLUMNS = ["system", "axis", "users", "items", "part", "seconds", "device", "threads"]
ENERGY_COLUMNS = ["dataset", "operator", "rank", "signal", "band", "low", "high", "pairs", "share"]


def collect(study: Study, results: Path, choice: Choice | None = None) -> None:
    """Write the study's metrics.csv, runs.csv, learning.csv, ... and study.json, which holds `choice`.

    `metrics.csv` holds no timing: the same configuration gives the same bytes.
    """
    folder = results / "studies" / study.name
    models = {name: study.catalog.model(name) for name in sorted({r.run.model for r in study.runs})}
    parts = [folder / "parts" / f"{d}.csv" for d in study.config.datasets]
    _write_csv(folder / "metrics.csv", pd.concat([_read(p) for p in parts], ignore_index=True))
    runs = run_records(study.runs, models, results, fit_digests(study, results))
    for column in ("params", "swept"):
        runs[column] = [json.dumps(v, sort_keys=True) for v in runs[column]]
    _write_csv(folder / "runs.csv", runs)
    _write_csv(folder / "learning.csv", learning_curves(study.runs, results))
    _write_csv(folder / "spectral.csv", spectral_curves(study, results))
    _write_csv(folder / "tuning.csv", tuning_trials(study, results))
    _write_csv(folder / "energy.csv", energy_bands(study, results))
    _write_csv(folder / "bands.csv", band_statistics(study, results))
    _write_csv(folder / "inference.csv", inference_times(study, results))
    _write_csv(folder / "complexity.csv", costs_by_size(study, results))
    _write_csv(folder / "datasets.csv", dataset_table(study, results))
    chosen = choice.model_dump(exclude_none=True) if choice else {}
    also = {"choice": chosen, "digests": split_digests(study, results)}
    write_json(folder / "study.json", description(study, models) | also)


def _read(path: Path) -> pd.DataFrame:
    """Read a CSV as text: a key of digits, or a variant `1e3` or `NA`, must stay what it is."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); delete it and run again") from None


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def fit_digests(study: Study, results: Path) -> dict[str, str]:
    """Return the digest of what fits see of each of the study's datasets, by name."""
    stats = {d: read_json(results / "data" / d / "stats.json") for d in study.config.datasets}
    return {name: found.get("digests", {}).get("fit", "") for name, found in stats.items()}


def dataset_table(study: Study, results: Path) -> pd.DataFrame:
    """Return one row of statistics per dataset."""
    rows = []
    for name in study.config.datasets:
        config = study.catalog.dataset(name)
        words = {"title": config.title, "notes": " ".join(config.notes)}
        words |= {"licence": config.source.licence, "citation": config.source.citation}
        stats = read_json(results / "data" / name / "stats.json")
        words |= {k: counts_in_words(stats.get(k, {})) for k in ("rows_dropped", "rows_filtered")}
        rows.append({**stats, **words})
    return pd.DataFrame(rows).reindex(columns=DATASET_COLUMNS)


def description(study: Study, models: dict[str, Any]) -> dict[str, Any]:
    """Return the study's configuration, its file, and the titles and papers that a report needs."""
    kept = {"title", "paper", "kind", "notes", "search"}
    return {
        **study.config.model_dump(),
        "scale": study.scale.model_dump(),
        "origin": str(Path(study.origin).resolve()),
        "provenance": provenance(),
        "models": {name: m.model_dump(include=kept) for name, m in models.items()},
        "protocols": {p.name: p.model_dump(exclude={"name"}) for p in study.protocols},
    }


def split_digests(study: Study, results: Path) -> dict[str, str]:
    """Return the digest of each dataset's split, by which a report sees numbers of an earlier one."""
    stats = {name: read_json(results / "data" / name / "stats.json") for name in study.config.datasets}
    return {name: found.get("digests", {}).get("split", "") for name, found in stats.items()}


def tuning_trials(study: Study, results: Path) -> pd.DataFrame:
    """Return the trials of the study's tuning jobs, one row each, in the order of its systems."""
    jobs = {(r.dataset, r.run.tune.key): r.run.tune for r in study.runs if r.run.tune}
    frames = []
    for (dataset, key), tune in jobs.items():
        trials = _read(results / "tuning" / dataset / tune.model / key / "trials.csv")
        fixed = ", ".join(f"{name}={value}" for name, value in tune.params.items())
        title = study.catalog.model(tune.model).title + (f" ({fixed})" if fixed else "")
        head = {"dataset": dataset, "model": tune.model, "title": title, "key": key, "budget": tune.trials}
        frames.append(trials.assign(**head))
    return pd.concat(frames, ignore_index=True)[TUNING_COLUMNS] if frames else _empty(TUNING_COLUMNS)


def energy_bands(study: Study, results: Path) -> pd.DataFrame:
    """Return the energy of user signals per band of the graph's spectrum, for all datasets."""
    frames = [
        _read(results / "energy" / dataset / f"{operator}-r{rank}.csv").assign(
            dataset=dataset, operator=operator, rank=rank
        )
        for dataset, operator, rank in study.energy_spectra()
    ]
    return pd.concat(frames, ignore_index=True)[ENERGY_COLUMNS] if frames else _empty(ENERGY_COLUMNS)


def inference_times(study: Study, results: Path) -> pd.DataFrame:
    """Return the inference times by size, where a figure of the study shows them."""
    if not any(figure.kind == "inference" for figure in study.config.figures):
        return _empty(INFERENCE_COLUMNS)
    return _read(results / "inference" / "times.csv")[INFERENCE_COLUMNS]


def costs_by_size(study: Study, results: Path) -> pd.DataFrame:
    """Return time and memory of a training step by size, where a figure of the study shows them."""
    if not any(figure.kind == "complexity" for figure in study.config.figures):
        return _empty(COMPLEXITY_COLUMNS)
    return _read(results / "complexity" / "costs.csv")[COMPLEXITY_COLUMNS]


def band_statistics(study: Study, results: Path) -> pd.DataFrame:
    """Return energy, flatness and gate weight of each band, of the runs that a figure shows them of."""
    rows = []
    for planned in _banded(study):
        labels = planned.model_dump(include={"dataset", "variant", "group", "seed"})
        labels |= {"model": planned.run.model, "fit": planned.run.fit}
        labels["title"] = study.catalog.model(planned.run.model).title
        for band in _record(planned, results).get("log", {}).get("bands", []):
            for name in BAND_QUANTITIES:
                values = {"quantity": name, "mean": band[name], "sd": band[f"{name}_sd"]}
                rows.append({**labels, "low": band["low"], "high": band["high"], **values})
    return pd.DataFrame(rows, columns=BANDS_COLUMNS)


def _banded(study: Study) -> list[PlannedRun]:
    figures = [figure for figure in study.config.figures if figure.kind == "bands"]
    return [
        r
        for r in study.runs
        if any(
            f.group in (None, r.group)
            and f.model in (None, r.run.model)
            and r.dataset in (f.datasets or [r.dataset])
            for f in figures
        )
    ]


def _empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=columns)


def spectral_curves(study: Study, results: Path) -> pd.DataFrame:
    """Return the points of all SNR and frequency-response figures in long format."""
    makers = {"snr": snr_points, "frequency-response": response_points}
    frames = [
        makers[figure.kind](figure, planned, _record(planned, results))
        for figure in study.config.figures
        if figure.kind in makers
        for planned in _examples(figure, study)
    ]
    columns = ["figure", "dataset", "series", "x", "y"]
    frames = [f for f in frames if len(f)]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _examples(figure: FigureConfig, study: Study) -> list[PlannedRun]:
    """Return one run per dataset and label: the figure does not depend on the seed."""
    wanted = figure.model or {"snr": "sdiff", "frequency-response": "gsprec"}[figure.kind]
    found: dict[tuple, PlannedRun] = {}
    for planned in study.runs:
        in_group = figure.group in (None, planned.group) and planned.run.fit == "train"
        in_data = figure.datasets is None or planned.dataset in figure.datasets
        if planned.run.model == wanted and in_group and in_data:
            label = planned.variant if figure.kind == "frequency-response" else ""
            found.setdefault((planned.dataset, label), planned)
    return list(found.values())


def _record(planned: PlannedRun, results: Path) -> dict[str, Any]:
    return read_json(run_folder(results, planned.dataset, planned) / "run.json")


def snr_points(figure: FigureConfig, planned: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return log SNR against diffusion step for every schedule, at a run's frequencies."""
    log, p = record.get("log", {}), record["params"]
    if "frequencies" not in log:
        return pd.DataFrame()
    steps = np.arange(1, SNR_STEPS + 1)
    frames = []
    for name in SCHEDULES:
        times = steps / SNR_STEPS * p["tau"]
        levels = schedule(name, times, np.array(log["frequencies"]), p["alpha_min"], p["sigma_max"])
        frames.append(_points(figure, planned, name, steps, log_snr(*levels)))
    return pd.concat(frames)


def response_points(figure: FigureConfig, planned: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return the gain of GSPRec's filters over the Laplacian's spectrum.

    Eq. 7 is drawn where eigenpairs were computed; beyond the last of them every
    filter of the truncated basis is 0.
    """
    log, p = record.get("log", {}), record["params"]
    if "eigenvalues" not in log:
        return pd.DataFrame()
    last = max(log["eigenvalues"])
    x = np.union1d(np.linspace(0.0, log["highest"], RESPONSE_POINTS), [last, last + 1e-6])
    inside, position = (x <= last).astype(np.float64), rescaled(x, *log["range"])
    low = inside * ideal_lowpass(position, p["low_cut"])
    band = inside * gaussian_bandpass(position, p["center"], p["width"])
    label = f"c={p['center']:g} w={p['width']:g}"
    combined = p["phi"] * band + (1.0 - p["phi"]) * low
    curves = {
        f"band-pass {label}": band,
        "low-pass": low,
        f"combined {label} phi={p['phi']:g}": combined,
    }
    return pd.concat([_points(figure, planned, name, x, y) for name, y in curves.items()])


def _points(
    figure: FigureConfig, planned: PlannedRun, series: str, x: np.ndarray, y: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame({"figure": figure.name, "dataset": planned.dataset, "series": series, "x": x, "y": y})
