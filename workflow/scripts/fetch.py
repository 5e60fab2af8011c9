"""Copy one raw file from the mirror, or download it, and check it against every known checksum."""

import argparse
from pathlib import Path

from recspectra.config.raw_files import raw_file
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
    catalog = cli.catalog()
    dataset = catalog.dataset(args.dataset)
    if args.path not in {f.path for f in dataset.source.files}:
        raise DataError(f"dataset '{args.dataset}' has no file '{args.path}'")
    found = raw_file(catalog, dataset.source.name, args.path)
    fetch(dataset, found.file, Path(args.mirror) if args.mirror else None, args.output)


if __name__ == "__main__":
    cli.main(run)
