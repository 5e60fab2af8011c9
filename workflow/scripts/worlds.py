"""Score every stored list of a study on one dataset in all worlds: protocols, metrics, cut-offs, groups."""

import argparse
from pathlib import Path

from recspectra.code_hashes import run_code
from recspectra.evaluation.worlds import read_pieces, score
from recspectra.files import atomic, read_json
from recspectra.paths import Paths
from recspectra.running import cli

HERE = Path(__file__).parent  # rankings of other code than its scripts' are refused


def run() -> None:
    """Write the mean of every run in every world to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_study(parser)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    study, _ = cli.study_of(args, args.dataset)
    planned = study.compared_in_worlds(args.dataset)
    code = {r.run.model: run_code(r.run, HERE) for r in planned}
    data = read_json(Paths().stats(args.dataset))["digests"]["fit"]
    found = score(planned, read_pieces(Paths(), args.dataset), Paths(), data, code.__getitem__)
    with atomic(args.output) as temporary:
        found.to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.main(run)
