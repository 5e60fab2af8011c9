"""Compute the leading eigenpairs of a graph operator of a dataset."""

import argparse
import os
from pathlib import Path

from recspectra.code_hashes import spectrum_code
from recspectra.data.interactions import Interactions
from recspectra.identity import data_digest
from recspectra.running import cli
from recspectra.runtime import limit_threads, pick_device
from recspectra.spectral.eigen import exact, leading
from recspectra.spectral.operators import build


def run() -> None:
    """Write the `--rank` leading eigenpairs of `--operator` to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--operator", required=True, help="for instance item-similarity@train")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--solver", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--code", default="")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    name, _, part = args.operator.rpartition("@")
    fitted = Interactions.load(args.data / "train.npz")
    if part == "train_valid":
        fitted = fitted.merged(Interactions.load(args.data / "valid.npz"))
    operator = build(name, fitted)
    device = "cpu" if exact(operator.size, args.rank) else pick_device(args.device, light=True)
    if device != "cpu":
        limit_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    spectrum = leading(operator, args.rank, args.solver, device=device)
    code = args.code or spectrum_code(Path(__file__))
    spectrum.save(args.output, data_digest(fitted), code)
    print(
        f"{args.operator}: {spectrum.rank} pairs by {spectrum.solver} in {spectrum.seconds:.1f} s, "
        f"largest residual {spectrum.residuals.max():.1e}"
    )


if __name__ == "__main__":
    cli.main(run)
