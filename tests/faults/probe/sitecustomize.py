"""Python imports this at its start: a job's process leaves word of its threads when it ends."""

import atexit
import json
import os
import sys
import time
from pathlib import Path

FOLDER = os.environ.get("RECSPECTRA_TEST_THREADS")
STARTED = time.monotonic()


def leave_word() -> None:
    """Write the thread pools that are loaded and the CPU seconds of all threads."""
    if "recspectra" not in sys.modules or "snakemake" in sys.modules:
        return
    pools = []
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_info

        pools = threadpool_info()
    torch = sys.modules.get("torch")
    word = {
        "script": Path(sys.argv[0]).stem,
        "pools": pools,
        "torch": torch.get_num_threads() if torch else None,
        "seconds": time.monotonic() - STARTED,
        "cpu_seconds": sum(os.times()[:2]),
    }
    (Path(FOLDER) / f"{os.getpid()}.json").write_text(json.dumps(word), encoding="utf-8")


if FOLDER:
    atexit.register(leave_word)
