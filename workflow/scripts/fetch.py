"""Copy one raw file from the mirror, or download it, and check its sha256."""

import argparse
from pathlib import Path

from recspectra.data.interactions import DataError
from recspectra.data.sources import fetch
from recspectra.running import cli


def run() -> None:
    """Fetch the file `--path` of `--dataset` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--mirror", default="")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    dataset = cli.catalog().dataset(args.dataset)
    files = {f.path: f for f in dataset.source.files}
    if args.path not in files:
        raise DataError(f"dataset '{args.dataset}' has no file '{args.path}'")
    fetch(dataset, files[args.path], Path(args.mirror) if args.mirror else None, args.output)


if __name__ == "__main__":
    cli.main(run)
