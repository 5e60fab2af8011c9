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


def test_code_of_one_model_reruns_its_fits(finished: Finished) -> None:
    file = finished.project.root / PACKAGE / "models" / "gsprec.py"
    with edited(file, "(1.0 - p.phi)", "(1.0 - 1.0 * p.phi)"):
        jobs = plan(finished)
    assert fitted(jobs) == {"gsprec": TINY_FITS["gsprec"]}
    assert set(by_rule(jobs)) == {"fit", "gather", *AFTER_FITS}


def test_code_of_the_training_loop_reruns_trained_models(finished: Finished) -> None:
    file = finished.project.root / PACKAGE / "training" / "loop.py"
    with edited(file, "best_metric: float = -1.0", "best_metric: float = -2.0"):
        jobs = plan(finished)
    assert fitted(jobs) == {"sdiff": TINY_FITS["sdiff"]}
    assert set(by_rule(jobs)) == {"fit", "gather", *AFTER_FITS}


def test_code_of_the_metrics_reruns_no_fit(finished: Finished) -> None:
    file = finished.project.root / PACKAGE / "evaluation" / "metrics.py"
    with added_line(file, "EDITED = True"):
        jobs = plan(finished)
    assert set(by_rule(jobs)) == AFTER_FITS


def test_code_of_the_figures_reruns_the_drawing_alone(finished: Finished) -> None:
    with added_line(finished.project.root / PACKAGE / "reporting" / "figures" / "lines.py", "EDITED = True"):
        jobs = plan(finished)
    assert set(by_rule(jobs)) == DRAWN


@pytest.mark.parametrize(
    ("module", "old", "new", "rules"),
    [
        ("sdiff_snr", '"diffusion step"', '"step"', DRAWN),  # a label of the SNR figure
        ("sdiff_snr", "STEPS = 1000", "STEPS = 900", {"gather", *DRAWN}),  # what the SNR figure is drawn from
        ("sdiff", "PER_USER = 10 ", "PER_USER = 11 ", set()),  # of a measurement that the study does not have
    ],
)
def test_code_of_a_paper_reruns_what_it_made_alone(
    finished: Finished, module: str, old: str, new: str, rules: set[str]
) -> None:
    with edited(finished.project.root / PACKAGE / "papers" / f"{module}.py", old, new):
        jobs = plan(finished)
    assert set(by_rule(jobs)) == rules
    assert by_rule(jobs)["gather"] == ("gather" in rules)


def test_code_of_the_ranking_reruns_every_fit(finished: Finished) -> None:
    """The other side: a module that all fits run through does count."""
    with added_line(finished.project.root / PACKAGE / "fitting" / "ranking.py", "EDITED = True"):
        assert fitted(plan(finished)) == TINY_FITS


@contextlib.contextmanager
def added_line(path: Path, line: str) -> Iterator[None]:
    """Add a line of code at the end of a module, and take it away."""
    before = path.read_text(encoding="utf-8")
    path.write_text(before + f"\n\n{line}\n", encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


# ------------------------------------------------------------------------ configuration


def test_a_hyperparameter_reruns_that_model_alone(finished: Finished) -> None:
    def change(study: dict[str, Any]) -> None:
        study["models"][1]["params"]["regularization"] = 31.0

    with study_changed(finished, change):
        jobs = plan(finished)
    assert fitted(jobs) == {"ease": 2}
    assert set(by_rule(jobs)) == {"fit", *AFTER_FITS}


def test_a_point_more_on_a_sweep_fits_that_point_alone(finished: Finished) -> None:
    with study_changed(finished, lambda s: s["models"][5]["sweep"]["center"].append(0.6)):
        jobs = plan(finished)
    assert fitted(jobs) == {"gsprec": 1}
    assert "spectrum" not in by_rule(jobs)


def test_a_seed_more_fits_that_seed_alone(finished: Finished) -> None:
    with study_changed(finished, lambda s: s.update(seeds=[0, 1])):
        jobs = plan(finished)
    assert fitted(jobs) == TINY_FITS
    assert {job.wildcards["seed"] for job in jobs if job.rule == "fit"} == {"1"}


def test_labels_and_titles_fit_nothing(finished: Finished) -> None:
    def change(study: dict[str, Any]) -> None:
        study["models"][0]["variant"] = "another label"
        study["tables"][0]["title"] = "Another title"

    with study_changed(finished, change):
        jobs = plan(finished)
    assert set(by_rule(jobs)) == AFTER_FITS


def test_order_of_keys_and_whole_floats_change_nothing(finished: Finished) -> None:
    def change(study: dict[str, Any]) -> None:
        study["models"][4]["params"] = dict(reversed(study["models"][4]["params"].items()))
        study["models"][1]["params"]["regularization"] = 30

    with study_changed(finished, change):
        assert not fitted(plan(finished))


@pytest.mark.parametrize("key", ["title", "notes"])
def test_words_about_a_dataset_fit_nothing(finished: Finished, key: str) -> None:
    file = finished.project.root / "config" / "datasets" / "tiny.yaml"
    new = {"title": "title: Other words", "notes": "title: Tiny planted data\nnotes: [A note.]"}[key]
    with edited(file, "title: Tiny planted data", new):
        jobs = plan(finished)
    assert set(by_rule(jobs)) == AFTER_FITS - {"evaluate"}


def test_a_new_split_reruns_everything_behind_it(finished: Finished) -> None:
    file = finished.project.root / "config" / "datasets" / "tiny.yaml"
    with edited(file, "valid: 0.1", "valid: 0.15"):
        jobs = plan(finished)
    assert fitted(jobs) == TINY_FITS
    assert "prepare" not in by_rule(jobs)


def test_a_filter_reruns_everything_behind_it(finished: Finished) -> None:
    file = finished.project.root / "config" / "datasets" / "tiny.yaml"
    with edited(file, "ordered: true", "ordered: true\nfilter: {k_core_users: 2}"):
        jobs = plan(finished)
    assert fitted(jobs) == TINY_FITS
    assert by_rule(jobs)["prepare"] == by_rule(jobs)["split"] == 1
