"""Write a finished study as a Workflow Run RO-Crate, as `make crate` does."""

import argparse
from pathlib import Path

from recspectra.reporting.crate import write_crate
from recspectra.running import cli, command


def run() -> None:
    """Write `results/crates/STUDY` and say where its metadata are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="a study's name or its YAML file")
    parser.add_argument("--output", type=Path, default=Path("results/crates"))
    args = parser.parse_args()
    folder = command.study_folder(cli.catalog(), args.study)
    print(write_crate(folder, cli.catalog().root, args.output / folder.name))


if __name__ == "__main__":
    cli.main(run)
