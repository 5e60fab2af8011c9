"""A study of two datasets as files: runs that failed, hostile names, a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pandas as pd
import study_rows

import recspectra.reporting.draw as drawing
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import Cell, Table
from recspectra.reporting.tables import layout, read

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "no<script>alert(1)</script>|a\\b&c$d_e{f}%`g`\nh\x1b[31m"
TITLES = {"ease": "EASE", "sdiff": "S-Diff", "gfcf": "GF-CF", "giffcf": "Giff", "bspm": "BSPM"}
DATASETS = ["ml-1m.diffrec", "tiny"]
VIEWS = [("train", "train+valid"), ("train+valid", "train+valid")]

# (model, variant, group, dataset) -> recall@10 of each seed; a word is a failed run
VALUES: dict[tuple[str, str, str, str], list[float | str]] = {
    ("ease", "default", "main", "ml-1m.diffrec"): [0.15],
    ("sdiff", "default", "main", "ml-1m.diffrec"): [0.12, 0.14],
    ("gfcf", "default", "main", "ml-1m.diffrec"): [0.1, "diverged"],
    ("giffcf", "default", "main", "ml-1m.diffrec"): [0.11],
    ("bspm", "default", "main", "ml-1m.diffrec"): ["oom"],
    ("ease", HOSTILE, "main", "ml-1m.diffrec"): [0.09],
    ("ease", "default", "main", "tiny"): [0.3],
    ("sdiff", "default", "main", "tiny"): [0.2, 0.2],
}


def run_row(model: str, variant: str, group: str, dataset: str, seed: int, **more: object) -> dict:
    named = {"title": TITLES[model], "variant": variant, "group": group, "seed": seed, "threads": 2}
    seconds = {"spectrum_seconds": 0.5, "fit_seconds": 1.5 + seed, "score_seconds": 0.25}
    known = {"key": f"{model}-{len(variant)}", "params": '{"rank": 64}'}
    return study_rows.run_row(dataset, model, **named, **seconds, **known) | more


def metric_rows(run: dict, recall: float | str) -> list[dict]:
    failed = isinstance(recall, str)
    base = study_rows.head_of(run)
    return [
        base
        | {"protocol": "sdiff", "history": history, "mask": mask, "users": "all", "metric": metric, "k": k}
        | {"value": "" if failed else recall * factor, "status": recall if failed else "ok"}
        for history, mask in VIEWS
        for metric, factor in (("recall", 1.0), ("recall_min", 1.1), ("ndcg", 0.8))
        for k in (10, 20)
    ]


def study_json() -> dict:
    table = {"protocol": "sdiff", "metrics": ["recall", "recall_min"], "k": [10]}
    view = {"history": "train+valid", "mask": "train+valid"}
    figure = {"protocol": "sdiff", "metric": "recall", "k": 10}
    return {
        "name": "fixture",
        "title": "A <script>alert(2)</script> study",
        "description": "First.\n\nSecond.",
        "datasets": DATASETS,
        "seeds": [0, 1],
        "models": [{"model": "ease"}],
        "tables": [
            table | {"name": "first", "title": "First table", "views": [view], "published": "sdiff/table1"},
            table | {"name": "wide", "title": "Wide & <b>", "k": [10, 20], "caption": "100% of $x_i$ | y"},
        ],
        "figures": [
            figure
            | {"name": "sweep", "title": "Sweep", "kind": "sensitivity", "param": "c", "group": "sweep"},
            figure | {"name": "none", "title": "None", "kind": "sensitivity", "param": "other"},
            {"name": "snr", "title": "Noise", "kind": "snr"},
            {"name": "response", "title": "Gain", "kind": "frequency-response"},
            {"name": "empty", "title": "Empty", "kind": "snr"},
            {"name": "time", "title": "Time", "kind": "timing", "group": "main"},
            {"name": "learn", "title": "Learning", "kind": "learning-curves"},
        ],
        "protocols": {
            "sdiff": {
                "title": "S-Diff",
                "why": "To line up.",
                "target": "test",
                "metrics": ["recall"],
                "k": [10],
            }
        },
        "about": {
            "ease": {
                "title": "EASE",
                "kind": "closed-form",
                "paper": {"title": "Shallow", "venue": "WWW", "citation": "Steck"},
                "notes": ["<script>alert(3)</script>"],
            }
        },
        "provenance": {"recspectra": "0.1.0", "python": "3.11", "machine": "m", "packages": {"numpy": "2"}},
    }


def write_study(folder: Path) -> Path:
    runs, metrics, learning = [], [], []
    for (model, variant, group, dataset), values in VALUES.items():
        for seed, value in enumerate(values):
            failure = {"status": value, "reason": f"why {value}"} if isinstance(value, str) else {}
            runs.append(run_row(model, variant, group, dataset, seed, **failure))
            metrics += metric_rows(runs[-1], value)
    for c, w in ((0.2, 1), (0.4, 1), (0.8, 1), (0.2, 2), (0.4, 2)):
        swept = json.dumps({"c": c, "w": w})
        runs.append(run_row("gfcf", f"c={c},w={w}", "sweep", "tiny", 0, swept=swept))
        metrics += metric_rows(runs[-1], c / w)
    for epoch in (1, 2, 3):
        common = {"dataset": "tiny", "model": "sdiff", "variant": "default", "group": "main", "fit": "train"}
        learning.append(common | {"seed": 0, "curve": "loss", "epoch": epoch, "value": 1 / epoch})
        learning.append(common | {"seed": 0, "curve": "recall@20", "epoch": epoch, "value": epoch / 10})
    noise = [("snr", "tiny", name, x, y - x) for name, y in (("vp", 9), ("_ve$", 7)) for x in (1, 2, 3)]
    gains = [("response", "tiny", "low-pass", x / 10, 1.0) for x in range(30)]
    counts = {"users": 5949, "items": 10, "interactions": 1e6, "train": 1, "valid": 1, "test": 1,
              "test_users": 1, "density": 0.05, "mean_length": 3.0, "ordered": True, "licence": "terms",
              "citation": "https://example.org"}  # fmt: skip
    datasets = [{"dataset": name, "title": f"Title of {name}"} | counts for name in DATASETS]
    spectra = {"snr": noise, "frequency_response": gains}
    tables = {name: pd.DataFrame(rows, columns=study_rows.CURVE) for name, rows in spectra.items()}
    tables |= {"runs": runs, "metrics": metrics, "learning": learning, "datasets": datasets}
    study_rows.write_files(folder, study_json(), {}, **tables)
    return folder


def draw_numbers(folder: Path) -> list[str]:
    """Draw a study as `draw_tables` does, without its picture, which takes most of the time."""
    with mock.patch.object(drawing, "draw_costs", return_value=[]):
        return drawing.draw_tables(folder, ROOT)


def laid(folder: Path, name: str) -> Table:
    return layout(read(folder, name), StudyResults(folder).titles)


def cell(folder: Path, row: str, dataset: str, name: str, table: str = "first") -> Cell:
    found = laid(folder, table)
    columns = [(column.levels[:1], column.title) for column in found.columns]
    (line,) = (cells for cells in found.rows if cells[0].text == row)
    return line[columns.index(((f"Title of {dataset}",), name))]
