"""Bring together what a study's tables and figures are drawn from."""

import argparse
from pathlib import Path

from recspectra.reporting import collect
from recspectra.running import cli


def run() -> None:
    """Write metrics.csv, runs.csv, learning.csv, tuning.csv, ... and study.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_study(parser)
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    study, choice = cli.study_of(args)
    collect.collect(study, args.results, choice)


if __name__ == "__main__":
    cli.main(run)
