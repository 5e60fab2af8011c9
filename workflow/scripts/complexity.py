"""Seconds and megabytes of a training step of WPGRec against its sizes, beside its Eq. 17 and 18."""

import argparse
import os
from pathlib import Path

from recspectra.files import write_text
from recspectra.papers.wpgrec import Sizes, costs
from recspectra.running import cli
from recspectra.runtime import pick_device

FACTORS = [1, 2, 4, 8]


def run() -> None:
    """Write `axis,size,measure,measured,formula,device,threads` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=Sizes.users)
    parser.add_argument("--items", type=int, default=Sizes.items)
    parser.add_argument("--factors", nargs="+", type=int, default=FACTORS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    base, threads = Sizes(args.users, args.items), int(os.environ.get("OMP_NUM_THREADS", "1"))
    config = cli.catalog().model("wpgrec")
    found = costs(config, base, args.factors, args.repetitions, pick_device(args.device), threads)
    write_text(args.output, found.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    cli.main(run)
