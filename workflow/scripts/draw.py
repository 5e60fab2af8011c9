"""Draw all tables, figures and the audit of study folders from the files in them."""

import argparse
import sys
from pathlib import Path

from recspectra.reporting.draw import draw, draw_tables
from recspectra.reporting.figures import draw_figures
from recspectra.reporting.results import StudyError
from recspectra.running import cli


def run() -> None:
    """Write table-*, fig-*, claims, standings, audit.csv and summary.txt into each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, nargs="*", required=True, help="results/studies/<study>")
    parser.add_argument("--only", choices=["tables", "figures"], help="leave the others as they are")
    args = parser.parse_args()
    make = {"tables": draw_tables, "figures": draw_figures, None: draw}[args.only]
    if not args.folder:
        raise StudyError("no study has numbers on disk to redraw; run one first: make quickstart")
    for folder in args.folder:
        names = make(folder, cli.catalog().root)
        print(f"{folder}: {len(names)} files drawn", file=sys.stderr)


if __name__ == "__main__":
    cli.main(run)
