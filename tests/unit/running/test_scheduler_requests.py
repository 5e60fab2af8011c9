"""What a scheduler is asked for: minutes, memory, GPUs and jobs that may be shared."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest

from recspectra import planning
from recspectra.planning import requests


@pytest.mark.parametrize("cost", ["light", "medium", "heavy"])
def test_later_attempts_ask_for_more_up_to_the_budget(cost: str) -> None:
    minutes = [requests.minutes_asked(cost, 60.0, attempt=a) for a in (1, 2, 3, 4)]
    memory = [requests.memory_asked(cost, 24.0, attempt=a) for a in (1, 2, 3, 4)]
    assert minutes == sorted(minutes) and minutes[-1] == 60 + requests.START_MINUTES
    assert memory == sorted(memory) and memory[-1] == 24 * 1024 + requests.START_MB
    assert memory[0] == requests.MEMORY_MB[cost]


def test_a_heavier_class_asks_for_more_at_first() -> None:
    classes = ("light", "medium", "heavy")
    for asked in ([requests.minutes_asked(c, 600.0) for c in classes],
                  [requests.minutes_asked(c, 600.0, trials=5) for c in classes],
                  [requests.memory_asked(c, 64.0) for c in classes]):  # fmt: skip
        assert asked[0] < asked[1] < asked[2]


def test_the_budget_ends_a_job_before_the_scheduler_does() -> None:
    """Where a job is given all it may use, its own limit is the smaller one: it ends with a status."""
    for budget in (0.5, 60.0, 600.0):
        assert requests.minutes_asked("heavy", budget, attempt=9) > budget
    assert requests.memory_asked("heavy", 24.0, attempt=9) > 24 * 1024


def test_a_tuning_job_asks_for_its_trials_and_never_for_more_than_a_day() -> None:
    assert requests.minutes_asked("light", 60.0, trials=20) == 20 * requests.TRIAL_MINUTES["light"]
    assert requests.minutes_asked("heavy", 60.0, trials=500, attempt=3) == requests.DAY
    assert isinstance(requests.minutes_asked("light", 0.01), int) and math.isfinite(requests.DAY)


@functools.cache
def plan_of(root: Path, device: str) -> planning.Plan:
    """The plan of all shipped studies, made once for each device."""
    return planning.load(root, {"device": device}, [])


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cpu", 0)])
def test_trained_models_ask_for_a_gpu_unless_told_not_to(root: Path, device: str, expected: int) -> None:
    plan = plan_of(root, device)
    assert [plan.gpu("synthetic", "sdiff", local) for local in (True, False)] == [expected] * 2


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cpu", 0)])
def test_other_jobs_ask_for_a_gpu_of_this_machine_where_there_is_much_to_do(
    root: Path, device: str, expected: int
) -> None:
    plan = plan_of(root, device)
    models = ("gfcf", "ease", None)
    assert [plan.gpu("gowalla", model, True) for model in models] == [expected] * 3
    assert [plan.gpu("gowalla", model, False) for model in models] == [0] * 3  # on a cluster
    assert [plan.gpu("synthetic", model, True) for model in models] == [0] * 3
    assert [plan.gpu("ml-1m.diffrec", model, True) for model in models] == [0, 0, expected]
    assert plan.gpu("gowalla", "popularity", True) == 0


def test_light_closed_form_fits_may_share_a_job_and_no_others(root: Path) -> None:
    plan = plan_of(root, "auto")
    assert (plan.group("ease"), plan.group("sdiff"), plan.group("fagsp")) == ("short_fits", None, None)


def test_jobs_hear_of_shared_gpus_only_if_there_are_any(root: Path) -> None:
    assert plan_of(root, "auto").device_variables == ""
    assert planning.load(root, {"fits_per_gpu": 3}, []).device_variables == " RECSPECTRA_FITS_PER_GPU=3"
