"""What a job runs on: seeds, threads, devices, budgets, memory and progress."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recspectra import devices
from recspectra.files import write_json


class Diverged(Exception):
    """A fit produced NaN or infinite values; the run ends with `status: diverged`."""


class OutOfTime(Exception):
    """A fit exceeded its time budget; the run ends with `status: timeout`."""


def axis_seed(seed: int, axis: str) -> int:
    """Return the seed of one axis of randomness (`init`, `batches`, `noise`, ...).

    Axes are independent: drawing more numbers on one leaves the others as they are.
    """
    digest = hashlib.sha256(f"{seed}/{axis}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def pick_device(wanted: str, light: bool = False) -> str:
    """Return `cuda` or `cpu` for a setting of `auto`, `cpu` or `cuda`; reserve a CUDA device.

    Parameters
    ----------
    wanted : {"auto", "cpu", "cuda"}
        The setting.
    light : bool
        Whether the work does without PyTorch on a CPU: for `auto` it is loaded only if a device is listed.

    Raises
    ------
    RuntimeError
        `cuda` is asked for and there is none.
    """
    if wanted == "cpu" or (light and wanted == "auto" and not devices.given(os.environ)):
        return "cpu"
    devices.take()  # before CUDA starts: later it would not look at what is visible
    import torch

    if torch.cuda.is_available():
        _lift_memory_limit()
        return "cuda"
    if wanted == "cuda":
        raise RuntimeError("device: cuda was asked for, but no CUDA device is visible")
    return "cpu"


def _lift_memory_limit() -> None:
    """Give this process all of the address space: CUDA maps far more than it uses."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def free_bytes(device: str) -> int | None:
    """Return the memory in bytes that a device has left for this process; None where it is the machine's."""
    if not device.startswith("cuda"):
        return None
    import torch

    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def limit_threads(threads: int) -> None:
    """Keep PyTorch to `threads` threads and to deterministic kernels.

    NumPy and SciPy read OMP_NUM_THREADS when they load: the rules set it.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else sums differ
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False  # as for products: a GPU's numbers are the CPU's to rounding
    torch.utils.deterministic.fill_uninitialized_memory = False  # else each empty tensor is filled with NaN


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


@contextlib.contextmanager
def time_budget(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` inside the block once `seconds` have passed (main thread).

    It is raised again every second until the block ends, in case the first one fell
    into code that swallows exceptions.
    """

    def expire(signum: int, frame: Any) -> None:
        raise OutOfTime(f"exceeded its time budget of {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def memory_budget(gigabytes: float) -> Iterator[None]:
    """Make allocations beyond the budget raise `MemoryError` (address space limit)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(gigabytes * 1024**3) + _mapped_bytes()
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _mapped_bytes() -> int:
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, which shows what standard error gets."""
    found = sys.modules.get("IPython")
    return found is not None and hasattr(found.get_ipython(), "kernel")


class Progress:
    """A bar on a terminal and in a notebook; inside a workflow, a small file that its live line reads.

    Parameters
    ----------
    label : str
        What is running, for instance `sdiff synthetic seed 0`.
    total : int
        Number of steps.
    unit : str
        What a step is.

    Notes
    -----
    Quiet when standard error is no terminal and no notebook shows it. The file is named by the
    environment variable RECSPECTRA_PROGRESS and removed at the end.
    """

    def __init__(self, label: str, total: int, unit: str = "epoch") -> None:
        self.label, self.total, self.unit, self.started = label, total, unit, time.monotonic()
        self._last_write, self._before = 0.0, -1
        folder = os.environ.get("RECSPECTRA_PROGRESS")
        self._file = Path(folder) / f"{os.getpid()}.json" if folder else None
        self._bar = None
        if sys.stderr.isatty() or _in_notebook():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, unit=unit, leave=False)

    def update(self, step: int, **values: float) -> None:
        """Show that `step` steps are done, with the values to print beside it.

        The first call comes after one step; those before it were made by a run that was interrupted.
        """
        if self._before < 0:
            self._before = step - 1
            if self._bar is not None:
                self._bar.initial = self._bar.n = step - 1
        shown = " ".join(f"{k} {v:.4g}" for k, v in values.items() if v is not None)
        if self._bar is not None:
            self._bar.set_postfix_str(shown)
            self._bar.update(step - self._bar.n)
        now = time.monotonic()
        if self._file is not None and now - self._last_write > 1.0:
            self._last_write = now
            eta = (now - self.started) / max(step - self._before, 1) * (self.total - step)
            text = f"{self.label}: {self.unit} {step}/{self.total} ETA {eta:.0f} s {shown}"
            with contextlib.suppress(Exception):
                write_json(self._file, {"text": text, "pid": os.getpid()})

    def close(self) -> None:
        """Remove the bar and the progress file."""
        if self._bar is not None:
            self._bar.close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)
