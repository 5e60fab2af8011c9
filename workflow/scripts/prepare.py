"""Read a dataset's raw files, filter them and store one table of interactions."""

import argparse
from pathlib import Path

from recspectra.config.raw_files import files_of
from recspectra.data.prepare import prepare
from recspectra.running import cli


def run() -> None:
    """Write the interactions of `--dataset` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--raw", type=Path, default=Path("results/raw"))
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    catalog = cli.catalog()
    dataset = catalog.dataset(args.dataset)
    table, said = prepare(dataset, args.raw / dataset.source.name, files_of(catalog, dataset))
    table.save(args.output)
    print("\n".join(said))


if __name__ == "__main__":
    cli.main(run)
