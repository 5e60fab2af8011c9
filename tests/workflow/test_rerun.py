"""What an edit reruns: dry runs in a copied checkout whose study is finished."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import TINY_FITS, TINY_STUDY, Finished, Job, by_rule, changed, edited, fitted, write_yaml

PACKAGE = Path("workflow/recspectra")
DRAWN = {"draw_tables_tiny-study", "draw_figures_tiny-study", "report", "all"}
AFTER_FITS = {"evaluate", "collect", *DRAWN}
BEHIND_A_SPLIT = {"spectrum", "fit", "gather", *AFTER_FITS}


def plan(finished: Finished, *options: str) -> list[Job]:
    """Return what Snakemake would do in the finished working folder."""
    return finished.project.planned(finished.folder, *(options or finished.options))


@contextlib.contextmanager
def study_changed(finished: Finished, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Change the study file, and put it back."""
    before = finished.study.read_text(encoding="utf-8")
    write_yaml(finished.study, changed(TINY_STUDY, change))
    try:
        yield
    finally:
        finished.study.write_text(before, encoding="utf-8")


@contextlib.contextmanager
def added(path: Path, text: str) -> Iterator[None]:
    """Add a file to the checkout, and take it away."""
    assert not path.exists()
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.unlink()


# -------------------------------------------------------------------------------- code


def test_words_new_files_settings_and_a_new_clone_rerun_nothing(finished: Finished, work: Path) -> None:
    """All at once: comments, docstrings, YAML files that are not used, budget, mirror, cores, times."""
    module = finished.project.root / PACKAGE / "models" / "gsprec.py"
    config = finished.project.root / "config"
    dataset = (config / "datasets" / "tiny.yaml").read_text(encoding="utf-8")
    model = (config / "models" / "ease.yaml").read_text(encoding="utf-8")
    study = yaml.safe_dump({**TINY_STUDY, "name": "another"})
    settings = ["budget={minutes: 7.5, memory_gb: 9.0}", "mirror=/nowhere", "--cores", "1"]
    with (
        edited(module, "import numpy as np", "import numpy as np  # a comment"),
        edited(module, '"""GSPRec: ', '"""Edited: '),
        edited(module, '        """Return the fused', '        """Deliver the fused'),
        added(config / "datasets" / "tiny2.yaml", dataset.replace("name: tiny\n", "name: tiny2\n")),
        added(config / "models" / "ease2.yaml", model.replace("name: ease\n", "name: ease2\n")),
        added(config / "studies" / "another.yaml", study),
    ):
        for path in finished.project.root.rglob("*"):
            os.utime(path)  # Git gives all files of a checkout the time of the checkout
        assert finished.project.planned(work, *finished.options, *settings) == []
        more = plan(finished, "another", *finished.options)
    others = ["draw_tables_another", "draw_figures_another", "another", "report"]
    assert sorted(by_rule(more).elements()) == sorted(["evaluate", "collect", "gather", "gather", *others])


HEAD = "from __future__ import annotations\n"
LINE = f"{HEAD}\nEDITED = True\n"
DATASET = Path("config/datasets/tiny.yaml")
EDITS: dict[str, tuple[Path, str, str, dict[str, int], set[str]]] = {  # fits by model, and all rules
    "a model": (
        PACKAGE / "models/gsprec.py", "(1.0 - p.phi)", "(1.0 - 1.0 * p.phi)",
        {"gsprec": TINY_FITS["gsprec"]}, {"fit", "gather", *AFTER_FITS},
    ),
    "the training loop": (
        PACKAGE / "training/loop.py", "best_metric: float = -1.0", "best_metric: float = -2.0",
        {"sdiff": TINY_FITS["sdiff"]}, {"fit", "gather", *AFTER_FITS},
    ),
    # A module that all fits run through.
    "the ranking": (PACKAGE / "fitting/ranking.py", HEAD, LINE, TINY_FITS, {"fit", "gather", *AFTER_FITS}),
    "a metric": (PACKAGE / "evaluation/metrics.py", HEAD, LINE, {}, AFTER_FITS),
    "a figure": (PACKAGE / "reporting/figures/lines.py", HEAD, LINE, {}, DRAWN),
    "a paper's label": (PACKAGE / "papers/sdiff_snr.py", '"diffusion step"', '"step"', {}, DRAWN),
    "a paper's numbers": (
        PACKAGE / "papers/sdiff_snr.py", "STEPS = 1000", "STEPS = 900", {}, {"gather", *DRAWN},
    ),
    # Of a measurement that the study does not have.
    "another paper": (PACKAGE / "papers/sdiff.py", "PER_USER = 10 ", "PER_USER = 11 ", {}, set()),
    "a dataset's title": (
        DATASET, "title: Tiny planted data", "title: Other words\nnotes: [A note.]",
        {}, AFTER_FITS - {"evaluate"},
    ),
    "a dataset's split": (DATASET, "valid: 0.1", "valid: 0.15", TINY_FITS, {"split", *BEHIND_A_SPLIT}),
    "a dataset's filter": (
        DATASET, "ordered: true", "ordered: true\nfilter: {k_core_users: 2}",
        TINY_FITS, {"prepare", "split", *BEHIND_A_SPLIT},
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_what_it_may_change_alone(finished: Finished, edit: str) -> None:
    path, old, new, fits, rules = EDITS[edit]
    with edited(finished.project.root / path, old, new):
        jobs = plan(finished)
    assert fitted(jobs) == fits and set(by_rule(jobs)) == rules


# ------------------------------------------------------------------------ configuration


def add_a_seed(study: dict[str, Any]) -> None:
    study["seeds"] = [0, 1]


def add_a_point(study: dict[str, Any]) -> None:
    study["models"][5]["sweep"]["center"].append(0.6)


def change_a_hyperparameter(study: dict[str, Any]) -> None:
    study["models"][1]["params"]["regularization"] = 31.0


def change_words(study: dict[str, Any]) -> None:
    study["models"][0]["variant"] = "another label"
    study["tables"][0]["title"] = "Another title"


def write_the_same_otherwise(study: dict[str, Any]) -> None:
    """Keys in another order, a whole number where a float is meant."""
    study["models"][4]["params"] = dict(reversed(study["models"][4]["params"].items()))
    study["models"][1]["params"]["regularization"] = 30


@pytest.mark.parametrize(
    ("change", "fits", "rules"),
    [
        (add_a_seed, TINY_FITS, {"fit", *AFTER_FITS}),
        (add_a_point, {"gsprec": 1}, {"fit", "gather", *AFTER_FITS}),
        (change_a_hyperparameter, {"ease": 2}, {"fit", *AFTER_FITS}),
        (change_words, {}, AFTER_FITS),
        (write_the_same_otherwise, {}, {"collect", *DRAWN}),
    ],
)
def test_a_change_of_the_study_fits_what_is_new_alone(
    finished: Finished, change: Callable[[dict[str, Any]], None], fits: dict[str, int], rules: set[str]
) -> None:
    with study_changed(finished, change):
        jobs = plan(finished)
    assert fitted(jobs) == fits and set(by_rule(jobs)) == rules
    seeds = {job.wildcards["seed"] for job in jobs if job.rule == "fit"}
    assert seeds <= {"1" if change is add_a_seed else "0"}
