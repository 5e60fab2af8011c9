"""Share of the users' signals in each band of a graph's spectrum."""

import argparse
from pathlib import Path

from recspectra.data.interactions import Interactions
from recspectra.files import write_text
from recspectra.identity import data_digest
from recspectra.papers.gsprec import energy_bands
from recspectra.running import cli
from recspectra.spectral.spectrum import Spectrum


def run() -> None:
    """Write `dataset,operator,rank,signal,band,low,high,pairs,share` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--spectrum", type=Path, required=True, help="OPERATOR@train-rRANK.npz")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    operator, _, rank = args.spectrum.stem.rpartition("-r")
    train = Interactions.load(args.data / "train.npz")
    shares = energy_bands(train, Spectrum.load(args.spectrum, data_digest(train)))
    for place, (name, value) in enumerate(
        {"dataset": args.data.name, "operator": operator, "rank": rank}.items()
    ):
        shares.insert(place, name, value)
    write_text(args.output, shares.to_csv(index=False, float_format="%.10g", lineterminator="\n"))


if __name__ == "__main__":
    cli.main(run)
