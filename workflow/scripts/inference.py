"""Seconds to score one batch of users against the numbers of users and of items; nothing is trained."""

import argparse
import os
from pathlib import Path

from recspectra.files import write_text
from recspectra.papers.sdiff import inference_times
from recspectra.running import cli
from recspectra.runtime import limit_threads, pick_device

USERS = [1000, 3000, 10_000, 30_000, 100_000]
ITEMS = [1000, 3000, 10_000, 30_000, 100_000]


def run() -> None:
    """Write `system,axis,users,items,part,seconds,device,threads` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", default=["sdiff", "diffrec"])
    parser.add_argument("--users", nargs="+", type=int, default=USERS)
    parser.add_argument("--items", nargs="+", type=int, default=ITEMS)
    parser.add_argument("--fixed-users", type=int, default=1000, help="users, while items grow")
    parser.add_argument("--fixed-items", type=int, default=3000, help="items, while users grow")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    configs = [cli.catalog().model(name) for name in args.systems]
    sizes = (args.users, args.items, args.fixed_users, args.fixed_items)
    times = inference_times(configs, *sizes, args.repetitions, pick_device(args.device))
    write_text(args.output, times.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    cli.main(run)
