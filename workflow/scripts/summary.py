"""Print a study's first table as plain text and say where its report is."""

import argparse
from pathlib import Path

from recspectra.reporting.draw import summary_text
from recspectra.running import cli


def run() -> None:
    """Print the summary of the study in `folder`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="results/studies/STUDY")
    parser.add_argument("--report", type=Path, default=Path("results/report/index.html"))
    args = parser.parse_args()
    print(summary_text(args.folder, cli.catalog().root), end="")
    print(f"\nReport: {args.report.resolve()}")


if __name__ == "__main__":
    cli.main(run)
