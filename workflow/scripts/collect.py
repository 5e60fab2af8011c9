"""Bring together what a study's tables and figures are drawn from."""

import argparse
import json
from pathlib import Path

from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.reporting import collect
from recspectra.running import cli


def run() -> None:
    """Write metrics.csv, runs.csv, learning.csv, tuning.csv, ... and study.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument(
        "--choice", default="{}", help="JSON: scale, trials, seeds, epochs, minutes, models, ..."
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    choice = validate(Choice, json.loads(args.choice), "--choice")
    study = cli.catalog().study(args.study, choice.datasets or [], choice)
    collect.collect(study, args.results, choice)


if __name__ == "__main__":
    cli.main(run)
