"""Gather the numbers that a kind of figure of a paper is drawn from."""

import argparse
from pathlib import Path

from recspectra.reporting.gather import gather
from recspectra.running import cli


def run() -> None:
    """Write `{kind}.csv` into the study's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_study(parser)
    parser.add_argument("--kind", required=True, help="a kind of figure that a paper has")
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    gather(cli.study_of(args)[0], args.kind, args.results)


if __name__ == "__main__":
    cli.main(run)
