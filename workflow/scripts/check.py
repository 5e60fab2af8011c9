"""List the damaged files of a results folder; with `--repair COMMAND` rebuild them and nothing else.

The command is the workflow's own, without targets:
`check.py --repair .venv/bin/snakemake --cores 2 --config mirror=/path/to/mirror`.
"""

import argparse
import sys
from pathlib import Path

from recspectra import cli, locks, repair
from recspectra.artifacts import ArtifactError


def run() -> None:
    """Print every damaged npz and JSON below `--results`; exit with 1 if any is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--repair", nargs=argparse.REMAINDER, metavar="COMMAND")
    args = parser.parse_args()
    found = listed(args.results)
    if args.repair:
        if locks.busy(args.results):
            raise ArtifactError(f"not repaired: {locks.explanation(args.results)}")
        for path in repair.half_written(args.results):
            path.unlink()
        if found:
            repair.rebuild(args.results, found, args.repair)
            found = listed(args.results)
    sys.exit(bool(found))


def listed(results: Path) -> list[Path]:
    """Print the damaged files, how many there are and what killed jobs left; return the damaged ones."""
    found, left = list(repair.damaged(results)), repair.half_written(results)
    lines = [*(reason for _, reason in found), f"{results}: {len(found)} damaged file(s)"]
    if left:
        size = sum(path.stat().st_size for path in left) / 2**20
        lines.append(f"{len(left)} half-written file(s) of killed jobs ({size:.1f} MB), never read")
    print("\n".join(lines), flush=True)
    return [path for path, _ in found]


if __name__ == "__main__":
    cli.main(run)
