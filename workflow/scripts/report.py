"""Write the HTML report on one or several drawn study folders."""

import argparse
from pathlib import Path

from recspectra.reporting.site import write_report
from recspectra.running import cli


def run() -> None:
    """Write one self-contained HTML file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the HTML file to write")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="results/studies/<study>")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="added where they can be read")
    args = parser.parse_args()
    for line in write_report(args.output, args.folders, cli.catalog().root, args.also):
        print(line)


if __name__ == "__main__":
    cli.main(run)
