"""Print what the workflow will make of a dataset; nothing is written."""

import argparse
from pathlib import Path

from recspectra import planning
from recspectra.config.dataset import read_dataset
from recspectra.config.settings import load_settings
from recspectra.data.preview import describe
from recspectra.running import cli


def run() -> None:
    """Describe `dataset`: a name of config/datasets or the path of a YAML."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--raw", type=Path, default=Path("results/raw"), help="files that were fetched")
    parser.add_argument("--mirror", default="", help="local copies")
    args = parser.parse_args()
    if args.dataset.endswith((".yaml", ".yml")) or "/" in args.dataset:
        dataset = read_dataset(Path(args.dataset), args.dataset)
    else:
        dataset = cli.catalog().dataset(args.dataset)
    folder = args.raw / dataset.source.name
    mirror = planning.mirror_of(load_settings(cli.catalog().root, {"mirror": args.mirror or None}))
    if mirror and not all((folder / f.path).is_file() for f in dataset.source.files):
        folder = Path(mirror)
    for line in describe(dataset, folder):
        print(line)


if __name__ == "__main__":
    cli.main(run)
