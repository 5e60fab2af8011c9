"""Statuses that are results: out of memory or time, diverged, refused, or ended by a cap."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from recspectra.config.model import Budget
from recspectra.config.scale import CAPPED, Caps
from recspectra.recommender import Refused
from recspectra.runtime import Diverged, OutOfTime, memory_budget, peak_memory_mb, time_budget

# What PyTorch, CUDA's libraries and C++ say, and nothing that a defect of a model might say by chance.
OUT_OF_MEMORY = re.compile(
    r"out of memory|bad_alloc|_ALLOC_FAILED|DefaultCPUAllocator|not enough memory"
    r"|(?:can't|cannot|could not|unable to|failed to) allocate (?:\S+ ){0,4}(?:memory|bytes|[KMGT]i?B)\b",
    re.IGNORECASE,
)


def attempt(work: Callable[[], None], record: dict[str, Any], budget: Budget, device: str) -> None:
    """Call `work` within a budget; a failure that is a result becomes `status` and `reason`."""
    # CUDA maps far more address space than it uses, so memory is limited on a CPU alone.
    memory = memory_budget(budget.memory_gb) if device == "cpu" else nullcontext()
    started_with = peak_memory_mb()
    try:
        with time_budget(budget.minutes * 60), memory:
            work()
    except MemoryError as error:
        record.update(status="oom", reason=_out_of_memory(error, budget, device, started_with))
    except OutOfTime as error:
        record.update(status="timeout", reason=str(error))
    except Diverged as error:
        record.update(status="diverged", reason=str(error))
    except Refused as error:
        record.update(status="skipped", reason=str(error))
    except RuntimeError as error:
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        record.update(status="oom", reason=_out_of_memory(error, budget, device, started_with))


def ended_by_cap(
    log: Mapping[str, Any], caps: Caps, train_run: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return `status`, `reason` and `capped` of a fit that a cap ended, nothing of any other.

    Parameters
    ----------
    log : mapping
        What `fit` returned.
    caps : Caps
        The caps in force.
    train_run : mapping, optional
        Record of the run on `train`: a refit learns for as long as that one, which a cap may have ended.
    """
    cap = log.get("capped")
    if cap:
        most = getattr(caps, cap)
        return {"status": CAPPED, "reason": f"ended by the cap of {most:.15g} {cap}", "capped": cap}
    if train_run and train_run["status"] == CAPPED:
        return {"status": CAPPED, "reason": f"the run on train was {train_run['reason']}"}
    return {}


def _out_of_memory(error: Exception, budget: Budget, device: str, started_with: float) -> str:
    """Return what could not be had, the peak and the limit, which counts from the start on."""
    said = (str(error) or "out of memory").splitlines()[0]
    limit = f"{budget.memory_gb:g} GB above the {started_with / 1024:.2f} GB of the start"
    return (
        f"{said}; peak {peak_megabytes(device) / 1024:.2f} GB, "
        f"limit {limit if device == 'cpu' else 'the memory of the device'}"
    )


def peak_megabytes(device: str) -> float:
    """Return the most memory that this process has used so far on a device, in MiB."""
    if not device.startswith("cuda"):
        return peak_memory_mb()
    import torch

    return torch.cuda.max_memory_allocated() / 1024.0**2
