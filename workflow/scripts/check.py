"""List the damaged files of a results folder."""

import argparse
import sys
from pathlib import Path

from recspectra.running import cli, damage


def run() -> None:
    """Print every damaged npz and JSON below `--results`; exit with 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    sys.exit(bool(damage.listed(parser.parse_args().results)))


if __name__ == "__main__":
    cli.main(run)
