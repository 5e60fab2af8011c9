"""What a scheduler is asked for: minutes and memory of fits and tuning jobs."""

from __future__ import annotations

import math

# What a scheduler is asked for, by the `cost` of a model. A first attempt asks for what most
# need; later ones for more, up to what the job's own budget lets it use.
FIT_MINUTES = {"light": 10, "medium": 30, "heavy": 90}
TRIAL_MINUTES = {"light": 2, "medium": 8, "heavy": 30}
MEMORY_MB = {"light": 4096, "medium": 8192, "heavy": 16384}
START_MINUTES = 15  # on top of a budget: start of Python, reading, ranking
START_MB = 4096  # on top of a budget: Python and its libraries
DAY = 24 * 60  # what most partitions allow


def minutes_asked(cost: str, minutes: float, trials: int = 0, attempt: int = 1) -> int:
    """Return the minutes that a fit or, with `trials`, a tuning job asks a scheduler for.

    Four times as many at every further attempt; never above its budget, which ends it with a
    status instead of a kill. More than a day is not asked for: the next attempt
    continues what was stopped from its checkpoint or its last trial.

    Parameters
    ----------
    cost : str
        Cost class of the model.
    minutes : float
        Budget of one fit.
    trials : int
        Number of trials of a tuning job; 0 for a fit.
    attempt : int
        1 at first.
    """
    first = TRIAL_MINUTES[cost] * trials if trials else FIT_MINUTES[cost]
    most = START_MINUTES + minutes * max(trials, 1)
    return math.ceil(min(first * 4 ** (attempt - 1), most, DAY))


def memory_asked(cost: str, gigabytes: float, attempt: int = 1) -> int:
    """Return the MiB that a fit or tuning job asks a scheduler for.

    Twice as much at every further attempt, up to its budget of `gigabytes` and what Python takes:
    there the job ends as `oom` by itself.
    """
    return math.ceil(min(MEMORY_MB[cost] * 2 ** (attempt - 1), START_MB + 1024 * gigabytes))
