"""Freeze the results of a finished study, or say how far a study of today is from the frozen ones."""

import argparse
import sys
from pathlib import Path

from recspectra.reporting import reference
from recspectra.running import cli, command


def run() -> None:
    """Write below `--reference`, or print a comparison; exit with 1 if a number differs by too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["freeze", "compare"])
    parser.add_argument("folder", nargs="?", type=Path, help="results/studies/STUDY")
    parser.add_argument("--study", default="quickstart", help="instead: a study's name or its YAML file")
    parser.add_argument("--reference", type=Path, default=Path("results/reference"))
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest difference that is no error")
    args = parser.parse_args()
    folder = args.folder or command.study_folder(cli.catalog(), args.study)
    if args.what == "freeze":
        print("\n".join(map(str, reference.freeze(folder, args.reference))))
        return
    found = reference.compare(folder, args.reference)
    print("\n".join(reference.about(args.reference, folder.name)), "\n")
    print(found.to_string(index=False, na_rep=""), "\n")
    counts = found["outcome"].value_counts()
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    sys.exit(bool((found["largest difference"] > args.tolerance).any()))


if __name__ == "__main__":
    cli.main(run)
