"""Gather the numbers that a kind of figure of a paper is drawn from."""

import argparse
from pathlib import Path

from recspectra.reporting.gather import gather
from recspectra.running import cli


def run() -> None:
    """Write `{kind}.csv` into the study's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument("--kind", required=True, help="a kind of figure that a paper has")
    parser.add_argument("--datasets", nargs="+", default=[], help="which take part; all by default")
    parser.add_argument("--effort", default="cpu", help="cpu or paper, for studies that have both")
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    study = cli.catalog().study(args.study, args.datasets, args.effort, args.datasets)
    gather(study, args.kind, args.results)


if __name__ == "__main__":
    cli.main(run)
