"""Forget named results and what was drawn from them, and run the workflow again, as `make redo` does.

`redo.py --what timeout --mirror /path/to/mirror --cores 2`.
"""

import argparse
import sys
from pathlib import Path

from recspectra.running import cli, command
from recspectra.running.redo import redo


def run() -> None:
    """List what is forgotten, remove it, run the studies that showed it; exit with 1 if that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", required=True, help="dataset, model, run folder, status, or damaged")
    parser.add_argument(
        "--study", default="", help="name or path of the study to run; by default all concerned"
    )
    parser.add_argument("--dry", action="store_true", help="remove nothing")
    parser.add_argument("--results", type=Path, default=Path("results"))
    command.add_options(parser)
    parser.add_argument(
        "--command", nargs=argparse.REMAINDER, help="command of the workflow up to its targets, if another"
    )
    args = parser.parse_args()
    workflow = command.Workflow(args.command or command.start(args.cores, args.gpus), command.config(args))
    what = args.what.strip().rstrip("/")
    sys.exit(redo(what, args.results, cli.catalog(), workflow, args.study, args.dry))


if __name__ == "__main__":
    cli.main(run)
