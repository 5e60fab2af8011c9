"""Gather the numbers that a kind of figure of a paper is drawn from."""

import argparse
import json
from pathlib import Path

from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.reporting.gather import gather
from recspectra.running import cli


def run() -> None:
    """Write `{kind}.csv` into the study's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument("--kind", required=True, help="a kind of figure that a paper has")
    parser.add_argument(
        "--choice", default="{}", help="JSON: scale, trials, seeds, epochs, minutes, models, ..."
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    choice = validate(Choice, json.loads(args.choice), "--choice")
    study = cli.catalog().study(args.study, choice.datasets or [], choice)
    gather(study, args.kind, args.results)


if __name__ == "__main__":
    cli.main(run)
