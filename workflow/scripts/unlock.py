"""Remove the lock that a killed workflow left, unless something still works in this folder.

The command is the workflow's own: `unlock.py .venv/bin/snakemake --cores 1`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from recspectra.files import ArtifactError
from recspectra.running import cli, locks


def run() -> None:
    """Call the Snakemake command with `--unlock`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the workflow's own command")
    args = parser.parse_args()
    if locks.busy(args.results):
        raise ArtifactError(f"not unlocked: {locks.explanation(args.results)}")
    sys.exit(subprocess.run([*args.command, "--unlock"], check=False).returncode)


if __name__ == "__main__":
    cli.main(run)
