"""Write the table of prepared datasets, found beside published."""

import argparse
from pathlib import Path

from recspectra.reporting.datasets import write
from recspectra.running import cli


def run() -> None:
    """Write results/datasets/datasets.{csv,md,tex} and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("names", nargs="+", metavar="DATASET")
    args = parser.parse_args()
    print(write(cli.catalog(), args.names, args.results), end="")


if __name__ == "__main__":
    cli.main(run)
